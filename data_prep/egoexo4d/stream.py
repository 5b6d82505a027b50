"""The annotation files read as streams: one entry of one take at a time, whatever the wrapping.

A file may be a bare list of entries, a bare object of take_uid to entries, or either of them under
the key "annotations". Booleans may be the strings "0" and "1".
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from assistant.errors import PoiseError
from assistant.files import check_file

_TRUE: Final = frozenset({"1", "true"})
_FALSE: Final = frozenset({"0", "false", "", "none"})
_EXPECTED: Final = 'entries of takes, as a list or {"annotations": ...}'


def read_entries(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(take_uid, entry) of every entry of an annotation file or of takes.json, in its order.

    Raises:
        PoiseError: the file is missing, empty, no JSON or not of this form; one line with its name.
    """
    import ijson

    check_file(path, "annotation file")
    try:
        with path.open("rb") as file:
            prefix, keyed = _shape(path, ijson.parse(file))
            file.seek(0)
            if keyed:
                for uid, entries in ijson.kvitems(file, prefix, use_float=True):
                    for entry in entries if isinstance(entries, list) else [entries]:
                        yield uid, _checked(path, entry)
            else:
                items = f"{prefix}.item" if prefix else "item"
                for entry in ijson.items(file, items, use_float=True):
                    yield _uid(path, entry), _checked(path, entry)
    except (ijson.JSONError, UnicodeDecodeError) as fault:
        raise _bad(path, f"broken JSON ({str(fault).partition(chr(10))[0].strip()})") from fault


def read_object(path: Path) -> dict[str, Any]:
    """A small JSON file that holds one object.

    Raises:
        PoiseError: as `read_entries`.
    """
    import json

    check_file(path, "annotation file")
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError as fault:
        raise _bad(path, f"broken JSON ({fault})") from fault
    if not isinstance(value, dict):
        raise _bad(path, f"a {type(value).__name__}", "one object")
    return value


def as_flag(value: Any) -> bool:
    """A boolean that may be written as one, as a number or as a string.

    Raises:
        ValueError: anything else.
    """
    word = str(value).strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"{value!r} is no boolean")
    return word in _TRUE


def _shape(path: Path, events: Iterator[tuple[str, str, Any]]) -> tuple[str, bool]:
    """Prefix of the entries and whether they are keyed by take_uid, from the file's first lines."""
    _, event, _ = next(events)
    if event == "start_array":
        return "", False
    if event != "start_map":
        raise _bad(path, "a single value")
    for place, event, _ in events:
        if event in ("start_array", "start_map"):
            if place == "annotations":
                return place, event == "start_map"
            return "", True
    return "", True


def _uid(path: Path, entry: Any) -> str:
    uid = entry.get("take_uid") if isinstance(entry, dict) else None
    if not isinstance(uid, str) or not uid:
        raise _bad(path, f"an entry without take_uid: {str(entry)[:60]}")
    return uid


def _checked(path: Path, entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise _bad(path, f"an entry that is no object: {str(entry)[:60]}")
    return entry


def _bad(path: Path, got: str, expected: str = _EXPECTED) -> PoiseError:
    return PoiseError(
        f"cannot read annotation file {path}",
        got=got,
        expected=expected,
        remedy="download the file again",
    )
