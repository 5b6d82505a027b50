"""Pages whose figures are written from the stored results, none of them by hand.

    poise eval pages                    write every page anew
    poise eval pages --check            fail when one differs from the stored results

A whole page, or a block of one:

    <!-- calibration: from docs/results/calibration.json by `poise eval pages` -->
    ...
    <!-- end -->

Each suite renders its own blocks (`BLOCKS`).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from assistant.errors import PoiseError
from assistant.files import write_text
from eval.output import stored

# block: (stored result, or a folder of them, below docs/results; "module:function")
BLOCKS: Final[Mapping[str, tuple[str, str]]] = {
    "calibration": ("calibration.json", "eval.calibration_report:summary"),
    "drills": ("drills", "data_prep.drills.report:presets_table"),
    "evidence": ("evidence.json", "training.evidence_check:summary"),
    "labelling": ("labelling", "data_prep.commentary.report:page_table"),
    "pose_error": ("pose_error.json", "data_prep.pose_error_page:page_block"),
}
DOCS: Final = Path("docs")
BLOCK: Final = re.compile(
    r"^<!-- (?P<name>[a-z_]+): from [^\n]* -->\n(?P<inside>.*?)^<!-- end -->$", re.M | re.S
)
_MARK: Final = re.compile(r"^<!-- (?:[a-z_]+: from|end)", re.M)


def write_pages(root: Path = Path(), *, check: bool = False) -> list[str]:
    """Write all pages below `root`, or with `check` compare them; returns their names.

    Raises:
        PoiseError: a result is missing or cannot be rendered, a block is unknown or not closed;
            with `check`: pages on disk are others.
    """
    texts = dict(_rendered(root))
    changed = [p for p, text in texts.items() if not p.is_file() or p.read_text("utf-8") != text]
    if check and changed:
        raise PoiseError(
            f"{', '.join(str(path.relative_to(root)) for path in changed)} "
            f"{'differs' if len(changed) == 1 else 'differ'} from the stored results",
            expected=f"what {root / DOCS / 'results'} gives",
            remedy="run `poise eval pages`",
        )
    for path in changed:
        write_text(path, texts[path])
    return [str(path.relative_to(root)) for path in texts]


def _rendered(root: Path) -> Iterator[tuple[Path, str]]:
    results = root / DOCS / "results"
    for name, page in _whole_pages(results).items():
        yield root / name, page()
    for path in sorted((root / DOCS).rglob("*.md")):
        text = path.read_text("utf-8")
        if _MARK.search(text):
            yield path, with_blocks(text, results, path)


def _whole_pages(results: Path) -> dict[str, Callable[[], str]]:
    from assistant import bench_page
    from eval import card, controls_report
    from eval import paper_tables as pt

    return {
        str(bench_page.PAGE): lambda: bench_page.page(bench_page.stored(results / "benchmarks")),
        str(card.CARD): lambda: card.render_card(results),
        str(controls_report.PAGE): lambda: controls_report.render_page(
            stored(results / controls_report.RESULT.name)
        ),
        str(pt.PAGE): lambda: pt.page(pt.chosen(None), pt.Stored(results)),
    }


def with_blocks(text: str, results: Path, page: Path) -> str:
    """A page with each of its blocks rendered anew from the stored results.

    Raises:
        PoiseError: see `write_pages`.
    """
    found = BLOCK.sub(lambda match: _block(match["name"], results, page), text)
    marks, blocks = len(_MARK.findall(text)), len(BLOCK.findall(text))
    if marks != 2 * blocks:
        raise PoiseError(
            f"a block of {page} is not closed",
            got=f"{marks} marks",
            expected="`<!-- NAME: from ... -->` and `<!-- end -->`, each on a line of its own",
        )
    return found


def _block(name: str, results: Path, page: Path) -> str:
    if name not in BLOCKS:
        raise PoiseError(
            f"unknown block in {page}", got=repr(name), expected=", ".join(sorted(BLOCKS))
        )
    source, function = BLOCKS[name]
    module, _, attribute = function.partition(":")
    result = _stored(results / source)
    try:
        inside = getattr(import_module(module), attribute)(result)
    except (KeyError, TypeError, AttributeError) as fault:
        raise PoiseError(
            f"cannot read {results / source}",
            got=f"{type(fault).__name__}: {fault}",
            remedy=f"store it again by the command that {page} names",
        ) from fault
    head = f"<!-- {name}: from docs/results/{source} by `poise eval pages` -->"
    return f"{head}\n\n{inside.strip()}\n\n<!-- end -->"


def _stored(path: Path) -> Any:
    """The result, or of a folder the results by their names."""
    if path.is_dir():
        return {file.stem: _stored(file) for file in sorted(path.glob("*.json"))}
    return stored(path)
