"""Predictions and references from JSONL files, aligned by `id` (fields: docs/metrics.md)."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from assistant.errors import PoiseError
from assistant.files import check_file, file_sha256
from assistant.levels import N_LEVELS, level_index
from eval.boilerplate import shared_items, strip_shared_remarks
from eval.levels import NOT_JUDGED
from eval.text_scores import commentary_text
from prompts.parse import COMMENTARY_PREFIX, parse_feedback, remark_header
from prompts.vocabulary import POLARITIES, REGIONS

Row = Mapping[str, Any]
_LISTED: Final = 3  # ids named in a message


@dataclass(frozen=True)
class Aligned:
    """Rows of both files in the order of the references.

    Attributes:
        shared: remarks and lines that all predictions had, and all references; they are cut.
    """

    predictions: list[dict[str, Any]]
    references: list[dict[str, Any]]
    folders: tuple[Path, Path]
    sha256: tuple[str, str]
    shared: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))

    @property
    def ids(self) -> list[str]:
        return [str(row["id"]) for row in self.references]

    def have(self, predicted: str, true: str | None) -> bool:
        """Does any prediction carry one field, and every reference the other?"""
        return any(predicted in row for row in self.predictions) and (
            true is None or all(row.get(true) is not None for row in self.references)
        )


def read_aligned(predictions: Path, references: Path) -> Aligned:
    """Both files, with `answer` read into level, text, regions and remarks where these are absent.

    Remarks that all rows of a file share are left out of what is read.

    Raises:
        PoiseError: a line that is no object with an id, an id twice, or ids of one file only.
    """
    said, true = read_rows(predictions, "predictions"), read_rows(references, "references")
    missing, unknown = [i for i in true if i not in said], [i for i in said if i not in true]
    if missing or unknown:
        parts = [
            f"{what}: {', '.join(ids[:_LISTED])}{' ...' if len(ids) > _LISTED else ''}"
            for what, ids in (("without a prediction", missing), ("without a reference", unknown))
            if ids
        ]
        raise PoiseError(
            "predictions and references are not aligned",
            got=f"{len(said)} predictions and {len(true)} references; {'; '.join(parts)}",
            expected="the same ids in both; a clip without an answer is a line with its id alone",
        )
    answered, shared = with_answers([said[i] for i in true])
    wanted, shared_wanted = with_answers(list(true.values()))
    return Aligned(
        answered,
        [_with_texts(row) for row in wanted],
        (predictions.parent, references.parent),
        (file_sha256(predictions), file_sha256(references)),
        (shared, shared_wanted),
    )


def read_level(row: Row) -> int:
    """The level 0 to 3 of a row by name or number, NOT_JUDGED where it has none.

    Raises:
        PoiseError: another level.
    """
    level = row.get("level")
    if level is None:
        return NOT_JUDGED
    if isinstance(level, str):
        return level_index(level)
    if isinstance(level, bool) or level not in range(N_LEVELS):
        raise PoiseError(f"unknown level of {row['id']}", got=repr(level), expected="0 to 3")
    return int(level)


def read_regions(row: Row) -> list[str]:
    """`region:polarity` of every region that is mentioned; polarities by name or number.

    Raises:
        PoiseError: an unknown region or polarity.
    """
    items = []
    for region, polarity in (row.get("regions") or {}).items():
        name = POLARITIES[polarity] if polarity in range(len(POLARITIES)) else polarity
        if region not in REGIONS or name not in POLARITIES:
            raise PoiseError(
                f"unknown region or polarity of {row['id']}",
                got=f"{region}: {polarity!r}",
                expected=f"{', '.join(REGIONS)} with {', '.join(POLARITIES)}",
            )
        if name != POLARITIES[-1]:
            items.append(f"{region}:{name}")
    return items


def read_rows(
    path: Path, what: str, id_of: Callable[[Row], Any] = lambda row: row.get("id")
) -> dict[str, dict[str, Any]]:
    """The objects of a JSONL file by their ids.

    Args:
        what: the file's kind, for messages.
        id_of: where a row's id stands; None for a row without one.

    Raises:
        PoiseError: no file, no JSON, a line that is no object with an id, or an id twice.
    """
    check_file(path, what, "a JSONL file with one object a clip")
    rows: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as fault:
            raise PoiseError(f"no JSON in line {number} of {path}", got=str(fault)) from None
        name = id_of(row) if isinstance(row, dict) else None
        if name is None:
            raise PoiseError(
                f"line {number} of {path} cannot be aligned", expected="an object with an id"
            )
        if str(name) in rows:
            raise PoiseError(f"id {name!r} stands twice in {path}", got=f"line {number}")
        rows[str(name)] = row
    if not rows:
        raise PoiseError(f"nothing to score in {path}", expected="one object a line")
    return rows


def with_answer(row: dict[str, Any], commentary: str | None = None) -> dict[str, Any]:
    """The row with `answer`, where it has one, read into level, text, regions and remarks.

    Args:
        commentary: what is read instead of the answer's own; its level stays.
    """
    if not isinstance(row.get("answer"), str):
        return row
    level = parse_feedback(row["answer"]).level
    said = row["answer"] if commentary is None else f"{COMMENTARY_PREFIX}\n{commentary}"
    parsed = parse_feedback(said)
    read = {
        "level": level,
        "text": commentary_text(parsed.commentary),
        "regions": {remark.region: remark.polarity for remark in parsed.remarks},
        "remarks": [vars(remark) for remark in parsed.remarks],
    }
    return read | row


def with_answers(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """`with_answer` of all rows of a file without the remarks that all of them share, and these.

    The same of `remarks` that the rows give themselves.
    """
    answers = [row["answer"] if isinstance(row.get("answer"), str) else "" for row in rows]
    commentaries, cut = strip_shared_remarks([parse_feedback(a).commentary for a in answers])
    given = [list(row.get("remarks") or []) for row in rows]
    kept, shared = shared_items([[_as_line(remark) for remark in remarks] for remarks in given])
    found = []
    for row, commentary, remarks, mask in zip(rows, commentaries, given, kept, strict=True):
        own = [remark for remark, keep in zip(remarks, mask, strict=True) if keep]
        read = with_answer(row, commentary)
        found.append(read | {"remarks": own} if row.get("remarks") else read)
    return found, list(dict.fromkeys([*cut, *map(str, shared)]))


def _as_line(remark: Any) -> str:
    """A remark of a row as a line of the grammar, of whatever region and polarity."""
    if not isinstance(remark, dict):
        return json.dumps(remark)
    parts = (" ".join(str(remark.get(key)).split()) for key in ("region", "polarity", "text"))
    region, polarity, text = parts
    return f"{remark_header(region, polarity)} {text}"


def _with_texts(row: dict[str, Any]) -> dict[str, Any]:
    if "texts" in row or not isinstance(row.get("text"), str):
        return row
    return row | {"texts": [row["text"]]}


def texts_of(rows: Sequence[Row]) -> list[str]:
    """The text of every row, "" where there is none."""
    return [str(row.get("text") or "") for row in rows]
