"""Where every suite's result goes: one JSON file, and a table or one object on stdout; and how a
stored one is read again."""

import json
from pathlib import Path
from typing import Any

from assistant.errors import PoiseError


def finish(result: dict[str, Any], as_json: bool, output: Path | None, table: str) -> None:
    """Write the result and print it as JSON or as its table."""
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(json.dumps(result, sort_keys=True) if as_json else table)


def stored(path: Path) -> dict[str, Any]:
    """A stored result.

    Raises:
        PoiseError: there is none, or it cannot be read.
    """
    if not path.is_file():
        raise PoiseError(f"no stored result {path}", remedy="run the suite with -o and its name")
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as fault:
        raise PoiseError(
            f"cannot read stored result {path}", got=str(fault), remedy="measure it again"
        ) from fault
    return found
