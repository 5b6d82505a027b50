"""The result of `poise eval proficiency-controls` as Markdown: for stdout and for its page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assistant.errors import PoiseError
from assistant.markdown import markdown
from eval import controls_published as published
from eval.proficiency_controls import CONTROLS, FLOORS, KEYS, LADDER, LEAVE_ONE_OUT, OVERALL, Row
from eval.sparse_skill_controls import FIGURES, VARIANTS
from eval.sparse_skill_controls import FLOORS as SPARSE_SKILL_FLOORS
from eval.tables import number, p_text, with_interval
from prompts.vocabulary import LEVELS

RESULT = Path("docs/results/proficiency_controls.json")
PAGE = Path("docs/proficiency/controls.md")
TEMPLATE = Path(__file__).parent / "controls.jinja"
# What needs no training: a level at random, and always the most frequent one.
CONSTANT_FLOORS = ("chance", "majority")
HEADER = ("accuracy", "macro-F1", "MAE", "Spearman")


def interval(value: Mapping[str, Any] | None) -> str:
    """`0.512 [0.43, 0.59]`."""
    if value is None:
        return number(None)
    if "low" not in value:
        return number(value["value"])
    return with_interval(value["value"], (value["low"], value["high"]), bound_digits=2)


def figure_table(rows: Mapping[str, Any]) -> str:
    """Accuracy, macro-F1, MAE and Spearman of rows, and the tests against other rows."""
    lines = []
    for name, row in rows.items():
        cells = [interval(None if row is None else row[key]) for key in KEYS]
        lines.append([name, *cells, *_tests(row)])
    tests = ("accuracy against", "MAE against")
    return markdown(["row", *HEADER, *tests], lines)


def _tests(row: Mapping[str, Any] | None) -> list[str]:
    if row is None or "against" not in row:
        return ["", ""]
    against = row["against"]
    cells = []
    for key, digits in (("accuracy", 3), ("mae", 3)):
        test = against[key]
        cells.append(f"{test['difference']:+.{digits}f} (p {p_text(test['p_value'], '.2f')})")
    return [f"{against['row'][:1] if against['row'][0].isdigit() else against['row']}: {cells[0]}",
            cells[1]]  # fmt: skip


def per_activity_table(rows: Mapping[str, Any]) -> str:
    """Table III: accuracy of the full model and of what is left of it."""
    known = next(row for row in rows.values() if row is not None)
    lines = [
        [f"{name} (n {known[name]['n']})"]
        + [interval(None if row is None else row[name]) for row in rows.values()]
        for name in sorted(known, key=lambda name: (name == OVERALL, name))
    ]
    return markdown(["activity", *rows], lines)


def per_level_table(rows: Mapping[str, Any]) -> str:
    """Table II: F1 and precision of every level, baseline and full."""
    base, full = rows["baseline"], rows["full"]
    if base is None or full is None:
        return number(None)
    lines = [
        [f"{level} (n {base[level]['n']})"]
        + [number(some[level][key]) for key in ("f1", "precision") for some in (base, full)]
        for level in LEVELS
    ]
    names = [f"{key} {row}" for key in ("F1", "precision") for row in ("baseline", "full")]
    return markdown(["level", *names], lines)


def sparse_skill_table(rows: Mapping[str, Any]) -> str:
    """The rows of SSE's Table 2 with their floors."""
    lines = [
        [name, *(interval((rows.get(name) or {}).get(key)) for key in FIGURES)] for name in VARIANTS
    ]
    floors = rows.get("floors") or {}
    lines += [
        [name, *("" if key is None else interval(floors.get(key)) for key in keys)]
        for name, keys in SPARSE_SKILL_FLOORS.items()
    ]
    return markdown(["variant", *FIGURES.values()], lines)


def published_tables() -> str:
    """The papers' own figures."""
    ladder = [[name, *map(number, row)] for name, row in published.LADDER.items()]
    controls = [[name, *map(number, row)] for name, row in published.CONTROLS.items()]
    leave = [[number(v) for v in published.LEAVE_ONE_OUT.values()]]
    levels = [[name, *map(number, row)] for name, row in published.PER_LEVEL.items()]
    sparse = [
        [name, *("-" if v is None else number(v) for v in row)]
        for name, row in published.SPARSE_SKILL.items()
    ]
    names = [f"{key} {row}" for key in ("F1", "precision") for row in ("baseline", "proposed")]
    return "\n\n".join(
        (
            markdown(["Table IV", *HEADER], ladder),
            markdown(["Table V", "accuracy", "MAE"], controls),
            markdown([f"Table III: {n}" if i == 0 else n
                      for i, n in enumerate(published.LEAVE_ONE_OUT)], leave),
            markdown(["Table II", *names], levels),
            markdown(["SSE, Table 2", *FIGURES.values()], sparse),
        )
    )  # fmt: skip


def agreement_table(result: Mapping[str, Any]) -> str:
    """Every step of Tables IV and V: what it changes here, and there."""
    lines = []
    parts = ((LADDER, "ladder", published.LADDER), (CONTROLS, "controls", published.CONTROLS))
    for rows, key, printed in parts:
        for row in rows:
            ours = result[key].get(row.name)
            if row.against is None or row.name not in printed or "against" not in (ours or {}):
                continue
            test = ours["against"]["accuracy"]
            theirs = printed[row.name][0] - printed[row.against][0]
            lines.append([f"{row.name}, against {row.against}", f"{test['difference']:+.3f}",
                          f"{theirs:+.3f}", verdict(test, theirs)])  # fmt: skip
    return markdown(["step", "accuracy here", "in the paper", "reading"], lines)


def verdict(test: Mapping[str, Any], theirs: float) -> str:
    """In words; a difference whose interval holds 0, or is not known, decides nothing."""
    if test["low"] is None or test["low"] <= 0 <= test["high"]:
        return "not decided here"
    if theirs == 0 or abs(theirs) < 5e-4:
        return "differs here, not in the paper"
    return "agrees" if (test["difference"] > 0) == (theirs > 0) else "disagrees"


def in_order(found: Mapping[str, Any], rows: Sequence[Row], first: Sequence[str] = ()) -> Any:
    """The rows of a table as the paper has them; a stored result has its keys sorted."""
    return {name: found[name] for name in (*first, *(row.name for row in rows))}


def look_closer_tables(result: Mapping[str, Any]) -> str:
    """Tables II to V and the floors."""
    floors = in_order(result["floors"], FLOORS, CONSTANT_FLOORS)
    parts = {
        "Ladder (Table IV)": figure_table(in_order(result["ladder"], LADDER)),
        "Floors": figure_table(floors),
        "Controls (Table V)": figure_table(in_order(result["controls"], CONTROLS)),
        "What is left out (Table III)": figure_table(
            in_order(result["leave_one_out"], LEAVE_ONE_OUT)
        ),
        "By activity, accuracy (Table III)": per_activity_table(
            in_order(result["per_activity"], LEAVE_ONE_OUT)
        ),
        "By level (Table II)": per_level_table(result["per_level"]),
    }
    return "\n\n".join(f"### {title}\n\n{text}" for title, text in parts.items())


def summary(result: Mapping[str, Any]) -> str:
    """Everything, for a terminal."""
    parts: list[str] = []
    found = result["look_closer"]
    if found is None:
        parts.append("Look Closer: not run")
    else:
        parts += [
            f"{found['n']} takes of {found['performers']} performers, seeds {found['seeds']}",
            look_closer_tables(found),
            "### Against the paper\n\n" + agreement_table(found),
        ]
    parts.append("### Sparse Skill Extractor\n\n" + sparse_skill_table(result["sparse_skill"]))
    parts.append("### Published, other data\n\n" + published_tables())
    return "\n\n".join(parts)


def render_page(result: Mapping[str, Any]) -> str:
    """docs/proficiency/controls.md."""
    import jinja2

    template = jinja2.Template(
        TEMPLATE.read_text("utf-8"), undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    text = template.render(
        result=result,
        look_closer=result["look_closer"],
        sparse_skill=result["sparse_skill"],
        tables=look_closer_tables(result["look_closer"]) if result["look_closer"] else "not run",
        agreement=agreement_table(result["look_closer"]) if result["look_closer"] else "not run",
        sparse_skill_table=sparse_skill_table(result["sparse_skill"]),
        published=published_tables(),
        number=number,
    )
    return text.rstrip() + "\n"


def write_page(result: Mapping[str, Any], page: Path, *, check: bool = False) -> str:
    """Write the page, or with `check` compare it.

    Raises:
        PoiseError: `check` and the page on disk is another one.
    """
    text = render_page(result)
    if not check:
        page.write_text(text, "utf-8")
    elif not page.is_file() or page.read_text("utf-8") != text:
        raise PoiseError(
            f"{page} differs from the stored results",
            remedy="run `poise eval proficiency-controls --stored`",
        )
    return str(page)
