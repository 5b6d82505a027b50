"""The dataset card: a README.md beside the samples that says what they are.

Everything in it is read from the dataset itself, so a card never says more than the samples do.

    write_card(Path("runs/mini-test"))
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from assistant.dataset import COLUMNS, OPTIONAL_COLUMNS, read_info
from assistant.errors import PoiseError
from prompts.vocabulary import LEVELS

CARD_FILE: Final = "README.md"
_BATCH: Final = 64
_FIELDS: Final = {**COLUMNS, **OPTIONAL_COLUMNS}
# Names of where samples come from, by the first words of `origin`: a heading and the terms of use.
_SOURCES: Final[Mapping[str, tuple[str, str]]] = {
    "simulated drills": (
        "Simulated drills",
        "Made by `poise data drills` of this project (Apache-2.0). Every performer is simulated: "
        "no person was recorded, and levels were not checked against human raters.",
    ),
    "Ego-Exo4D v2": (
        "Ego-Exo4D",
        "Made by `poise data egoexo4d` from a download of Ego-Exo4D v2 (Grauman et al. 2024, "
        "arXiv 2311.18259). The Ego-Exo4D licence agreement, which every user signs with the "
        "consortium before downloading (https://ego4ddataset.com/egoexo-license/), governs these "
        "samples too: they hold its texts, labels and poses. Do not pass this folder on to anybody "
        "who has not signed it, do not try to identify participants, and cite the paper. The films "
        "are not copied; `source` is a link to the download.",
    ),
}
_OTHER: Final = ("Samples", "See the records' `origin` for where they come from.")


def write_card(folder: Path) -> Path:
    """Write README.md into a dataset's folder; the dataset and its sha stay as they are.

    Raises:
        PoiseError: no dataset there, or the folder cannot be written.
    """
    path = folder / CARD_FILE
    text = card_text(read_info(folder), _count(folder))
    try:
        path.write_text(text, "utf-8")
    except OSError as fault:
        raise PoiseError(
            f"cannot write {path}", got=str(fault), expected="a folder that can be written"
        ) from fault
    return path


def card_text(info: Mapping[str, Any], counts: "_Counts") -> str:
    """The card in Markdown."""
    title, terms = next(
        (text for start, text in _SOURCES.items() if counts.origin.startswith(start)), _OTHER
    )
    settings = {
        key: value for key, value in info.items() if key not in ("schema_version", "rows", "sha256")
    }
    lines = [
        f"# {title}",
        "",
        f"{counts.rows} rows, {counts.participants} participants, {counts.takes} takes; schema "
        f"version {info['schema_version']}, sha256 of the content `{info['sha256']}`.",
        "Read it with `assistant.dataset.read_samples(folder)`.",
        "",
        "## Source and terms",
        terms,
        "",
        "## Settings",
        *(f"- {key}: {value}" for key, value in sorted(settings.items())),
        "",
        "## Rows",
        "| split | activity | " + " | ".join(LEVELS) + " | no level | all |",
        "|---|---|" + "--:|" * (len(LEVELS) + 2),
        *_table(counts.levels),
        "",
        "## Fields",
        "| field | rows that have it | what |",
        "|---|--:|---|",
        *(
            f"| {key} | {counts.filled[key]} | {what} |"
            for key, what in _FIELDS.items()
            if counts.filled[key]
        ),
        "",
        "Null in every row: "
        + (", ".join(k for k in _FIELDS if not counts.filled[k]) or "nothing")
        + ".",
    ]
    return "\n".join(lines) + "\n"


class _Counts:
    """What a dataset holds, counted batch by batch.

    Attributes:
        rows, participants, takes: how many.
        origin: of the first row.
        levels: (split, activity, level) to rows.
        filled: field to rows that have a value.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.origin = ""
        self.levels: Counter[tuple[str, str, int | None]] = Counter()
        self.filled: Counter[str] = Counter()
        self._people: set[str] = set()
        self._takes: set[str] = set()

    @property
    def participants(self) -> int:
        return len(self._people)

    @property
    def takes(self) -> int:
        return len(self._takes)

    def add(self, columns: Mapping[str, list[Any]]) -> None:
        """Count a batch of the columns that `_count` reads as values."""
        self.origin = self.origin or next((text for text in columns["origin"] if text), "")
        keys = zip(columns["split"], columns["activity"], columns["level"], strict=True)
        for split, activity, level in keys:
            self.rows += 1
            self.levels[split or "none", activity or "none", level] += 1
        self._people |= set(columns["participant_id"]) - {None}
        # A source without recordings has one take a sample.
        names = zip(columns["take_id"], columns["sample_id"], strict=True)
        self._takes |= {take or sample for take, sample in names}


def _count(folder: Path) -> _Counts:
    """Count a dataset on disk; poses are not decoded."""
    from datasets import load_from_disk

    dataset = load_from_disk(str(folder))
    counts = _Counts()
    values = ["sample_id", "take_id", "participant_id", "split", "activity", "level", "origin"]
    for batch in dataset.select_columns(values).iter(batch_size=_BATCH):
        counts.add(batch)
    for name in dataset.column_names:
        column = dataset.data.column(name)
        counts.filled[name] = len(column) - column.null_count
    return counts


def _table(levels: Mapping[tuple[str, str, int | None], int]) -> list[str]:
    """One line a split and activity, and one for all."""
    order: list[int | None] = [*range(len(LEVELS)), None]
    groups = sorted({key[:2] for key in levels})
    lines = []
    for split, activity in groups:
        row = [levels.get((split, activity, level), 0) for level in order]
        lines.append(_line(split, activity, row))
    totals = [sum(n for key, n in levels.items() if key[2] == level) for level in order]
    return [*lines, _line("**all**", "", totals)]


def _line(split: str, activity: str, numbers: list[int]) -> str:
    return f"| {split} | {activity} | " + " | ".join(map(str, [*numbers, sum(numbers)])) + " |"
