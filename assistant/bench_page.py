"""The page of all benchmarks, from their stored results (docs/results/benchmarks/NAME.json)."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from assistant.bench import BENCHES, SHARE
from assistant.errors import PoiseError
from assistant.markdown import markdown

PAGE: Final = Path("docs/benchmarks.md")
HEADER: Final = ("measured", "ours", "the other way", "ratio", "rounds", "aim")
# Keys of the form of a result (`bench.compared`); all others are facts of one benchmark.
FORM: Final = frozenset(
    (
        *("bench", "measured", "ours", "baseline", "ratio", "unit", "ours_is", "baselines"),
        *("ratio_is", "rounds", "spread", "aims", "parts", "machine", "note"),
    )
)
HEAD: Final = """# Benchmarks

Written by `poise bench tables --markdown docs/benchmarks.md` from the stored results
(docs/results/benchmarks); `make bench` measures all anew and rewrites this page. Ours and the
other way are measured in turns in one run: medians, with the least and the most in brackets. The
ratio, how many times better ours is or (`of it`) its share of the other, is the median of the
rounds' ratios: on shared machines times wander, ratios hardly do."""


def stored(folder: Path) -> dict[str, dict[str, Any]]:
    """Results by name, in the order of BENCHES; benchmarks without one are left out.

    Raises:
        PoiseError: no such folder, or a file that is no result.
    """
    if not folder.is_dir():
        raise PoiseError(
            f"no stored results in {folder}",
            got="no such folder",
            remedy=f"run `poise bench all -o {folder}`",
        )
    found = {}
    for name in BENCHES:
        path = folder / f"{name}.json"
        if not path.is_file():
            continue
        try:
            result = json.loads(path.read_text("utf-8"))
            section(name, result)
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            raise PoiseError(
                f"cannot read {path}",
                got=f"{type(fault).__name__}: {fault}",
                expected="what `poise bench NAME -o FILE` writes",
                remedy=f"run `poise bench {name} -o {path}` again",
            ) from fault
        found[name] = result
    return found


def page(results: Mapping[str, dict[str, Any]]) -> str:
    """The whole page; a benchmark without a stored result is named as not run."""
    parts = [HEAD]
    for name in BENCHES:
        parts.append(section(name, results[name]) if name in results else _not_run(name))
    return "\n\n".join(parts) + "\n"


def section(name: str, result: Mapping[str, Any]) -> str:
    """One benchmark as Markdown: a row for each comparison with each other way."""
    parts = {result.get("measured", name): result, **result.get("parts", {})}
    rows = [row for title, part in parts.items() for row in _rows(title, part)]
    told = [f"## {name}", f"{BENCHES[name][1]} `poise bench {name}`", markdown(HEADER, rows)]
    if "note" in result:
        told.append(result["note"])
    more = {key: value for key, value in result.items() if key not in FORM}
    told.append("; ".join([*_facts(more), *_machine(result["machine"])]) + ".")
    return "\n\n".join(told)


def _not_run(name: str) -> str:
    return f"## {name}\n\n{BENCHES[name][1]} `poise bench {name}`\n\nNot run."


def _rows(title: str, part: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Ours beside each baseline; the ratio's kind is told where a smaller one is better."""
    several, spreads = isinstance(part["baselines"], list), part["spread"]
    names = part["baselines"] if several else [part["baselines"]]
    own = (
        f"{title}, {part['unit']}",
        f"{part['ours_is']}: {_with_range(spreads['ours'])}",
    )
    for i, name in enumerate(names):
        other, ratio = (spreads[k][i] if several else spreads[k] for k in ("baseline", "ratio"))
        yield (
            *(own if i == 0 else ("", "")),
            f"{name}: {_with_range(other)}",
            f"{_with_range(ratio)} {'of it' if part['ratio_is'] == SHARE else 'times'}",
            str(part["rounds"]),
            "; ".join(_aims(part.get("aims", []), names[0], name)) or "-",
        )


def _aims(aims: list[dict[str, Any]], first: str, baseline: str) -> Iterator[str]:
    """The aims that belong to this baseline's row; those of ours stand in the first."""
    for aim in aims:
        if aim.get("baseline", first) == baseline:
            bound = "at_least" if "at_least" in aim else "at_most"
            met = "met" if aim["met"] else "**missed**"
            yield f"{aim['of']} {bound.replace('_', ' ')} {aim[bound]:g}: {met}"


def _with_range(spread: Mapping[str, float]) -> str:
    median, least, most = (_number(spread[key]) for key in ("median", "min", "max"))
    return f"{median} ({least} to {most})"


def _number(value: float) -> str:
    """Three significant digits, more where the number is large; never an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _facts(facts: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """What else a benchmark says: `name value`, nested names joined, spreads with their range."""
    for key, value in facts.items():
        name = f"{before}{key.replace('_', ' ')} "
        if isinstance(value, dict) and set(value) != {"median", "min", "max"}:
            yield from _facts(value, name)
        elif value is not None:
            yield name + _fact(value)


def _fact(value: Any) -> str:
    if isinstance(value, dict):
        return _with_range(value)
    if isinstance(value, list):
        return " and ".join(map(_fact, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _machine(machine: Mapping[str, Any]) -> Iterator[str]:
    yield f"on {machine['processor']}, {machine['cores']} cores, load {machine['load_1min']}"
    if "gpu" in machine:
        yield f"GPU {machine['gpu']}"
    if "torch" in machine:
        yield f"torch {machine['torch']}, {machine['threads']} threads"
    yield f"Python {machine['python']}"
