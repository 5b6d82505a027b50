"""Where every suite's result goes: one JSON file, and a table or one object on stdout."""

import json
from pathlib import Path
from typing import Any


def finish(result: dict[str, Any], as_json: bool, output: Path | None, table: str) -> None:
    """Write the result and print it as JSON or as its table."""
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(json.dumps(result, sort_keys=True) if as_json else table)
