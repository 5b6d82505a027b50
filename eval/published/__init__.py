"""What the papers print, on other data than ours: never ranked together with our figures.

The figures lie in eval/published/*.yaml, one file a paper, read as text so that `0.430` stays.
"""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

import yaml

PAPERS: Final = ("profvlm", "expertaf", "look_closer", "sparse_skill")
NONE: Final = "-"


@cache
def published() -> Mapping[str, Mapping[str, Any]]:
    """Table name (`profvlm-3`) to `paper`, `data`, `columns`, `rows` (name first) and `note`.

    Raises:
        ValueError: a row has another number of cells than its table has columns.
    """
    found: dict[str, dict[str, Any]] = {}
    for paper in PAPERS:
        text = resources.files("eval.published").joinpath(f"{paper}.yaml").read_text("utf-8")
        # This loader knows strings alone, and builds no objects.
        file = yaml.load(text, Loader=yaml.BaseLoader)
        for name, table in file["tables"].items():
            for row in table["rows"]:
                if len(row) != len(table["columns"]) + 1:
                    raise ValueError(f"{name}: row {row} does not fit {table['columns']}")
            found[name] = {"paper": file["paper"], "data": file["data"], "note": "", **table}
    return found


def figures(table: str) -> dict[str, list[float | None]]:
    """The rows of a table whose cells are all numbers or missing, by name."""
    return {
        name: [None if cell == NONE else float(cell) for cell in cells]
        for name, *cells in published()[table]["rows"]
    }
