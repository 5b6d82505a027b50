"""The papers' tables: our rows from stored results, the papers' figures in a block of their own.

`paper_rows.yaml` says where each cell of ours is stored and what makes it; `eval.published` has
what the papers print. A row without a stored result says what would make it, or why nothing can.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from assistant.errors import PoiseError
from assistant.markdown import markdown
from eval import reproduce
from eval.commentaries import examples
from eval.output import stored
from eval.paper_rows import definitions
from eval.published import NONE, published
from eval.tables import NOT_KNOWN

RESULTS: Final = Path("docs/results")
PAGE: Final = Path("docs/paper_tables.md")
# Folder of the stored results of `paper_rows.yaml`'s `runs` (`eval.reproduce`).
RUNS: Final = "paper_rows"
# Commentaries out of the samples of `mini_test.json` (`commentaries.examples`).
EXAMPLES: Final = "commentary_examples"


@dataclass(frozen=True)
class MeasuredRow:
    """A row of ours as printed: `cells` in the order of the table's columns."""

    name: str
    cells: tuple[str, ...]
    n: str
    status: str
    paper_row: str | None


class Stored:
    """Results in a folder; a path `FILE/KEY/KEY` leads to a value, or to None where it is not."""

    def __init__(self, folder: Path = RESULTS) -> None:
        """Nothing is read yet.

        Raises:
            PoiseError: there is no such folder.
        """
        if not folder.is_dir():
            raise PoiseError(
                f"no stored results {folder}",
                remedy="run it in a checkout of Poise, or name the folder with --results",
            )
        self._folder = folder
        self._files: dict[str, Any] = {}

    def value(self, path: str) -> Any:
        """The value at a path, with `low` and `high` where the file keeps its interval."""
        name, *keys = path.split("/")
        if name not in self._files:
            if name == RUNS:
                self._files[name] = reproduce.read_rows(self._folder / RUNS)
            elif name == EXAMPLES:
                suite = self._read(self._folder / "mini_test.json")
                self._files[name] = examples((suite or {}).get("samples", []))
            else:
                self._files[name] = self._read(self._folder / f"{name}.json")
        parent, found = None, self._files[name]
        for key in keys:
            parent, found = found, _child(found, key)
        if isinstance(found, float) and isinstance(parent, Mapping):
            for intervals in ("intervals", "text_intervals"):
                bounds = (parent.get(intervals) or {}).get(keys[-1])
                if bounds is not None:
                    return {"value": found, "low": bounds[0], "high": bounds[1]}
        return found

    @staticmethod
    def _read(path: Path) -> Any:
        return stored(path) if path.is_file() else None


def _child(found: Any, key: str) -> Any:
    if isinstance(found, Sequence) and not isinstance(found, str):
        return found[int(key)] if key.isdigit() and int(key) < len(found) else None
    return found.get(key) if isinstance(found, Mapping) else None


def sources(table: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, str]:
    """Column to the path of its cell; columns that a row does not have are left out."""
    if "cells" in row:
        return dict(row["cells"])
    for kind in ("activity", "level"):
        if kind in row:
            values = {kind: row[kind], "base": table.get("base", "")}
            return {column: path.format(**values) for column, path in table[kind].items()}
    prefix = _prefix(row)
    return {} if prefix is None else {c: f"{prefix}/{k}" for c, k in table["keys"].items()}


def _prefix(row: Mapping[str, Any]) -> str | None:
    return f"{RUNS}/{row['run']}" if "run" in row else row.get("at")


def measured_row(table: Mapping[str, Any], row: Mapping[str, Any], stored: Stored) -> MeasuredRow:
    """Look a row up."""
    paths = sources(table, row)
    values = {column: stored.value(path) for column, path in paths.items()}
    missing = [path for column, path in paths.items() if values[column] is None]
    path_of_n = row.get("n") or (f"{_prefix(row)}/n" if "run" in row else table.get("n"))
    if path_of_n is None and _prefix(row) is not None:
        path_of_n = f"{_prefix(row)}/n"
    n = stored.value(path_of_n) if path_of_n and "blocked" not in row else None
    if not paths and n is None and path_of_n:
        missing = [path_of_n]
    cells = tuple(
        "not run" if c in values and values[c] is None else _cell(table, c, values.get(c))
        for c in table["columns"]
    )
    name = ": ".join(part for part in (row.get("row"), row.get("ours")) if part)
    status = _status(row, len(paths) or 1, missing)
    return MeasuredRow(name, cells, _whole(n), status, row.get("row"))


def _status(row: Mapping[str, Any], wanted: int, missing: Sequence[str]) -> str:
    if "blocked" in row:
        return f"not runnable here: {definitions()['blocked'][row['blocked']]}"
    if not missing:
        return "run"
    how = "; ".join(dict.fromkeys(_how(path) for path in missing))
    return f"{'not run' if len(missing) == wanted else 'run in part, without the rest'} ({how})"


def _how(path: str) -> str:
    """What makes the value of a path."""
    name, *keys = path.split("/")
    if name != RUNS:
        return str(definitions()["commands"][name])
    return f"poise eval reproduce --rows {keys[0]}"


def _cell(table: Mapping[str, Any], column: str, value: Any) -> str:
    """A value with its interval, in the column's unit and digits."""
    if isinstance(value, Mapping):
        text = _cell(table, column, value["value"])
        if "low" not in value:
            return text
        if value["low"] is None:
            return f"{text} [{NOT_KNOWN}]"
        bounds = [_cell(table, column, value[end]) for end in ("low", "high")]
        return f"{text} [{', '.join(bounds)}]"
    if not isinstance(value, float):
        return _whole(value)
    if column in table.get("percent", ()):
        return f"{100 * value:.1f}"
    return f"{value:.{table.get('digits', {}).get(column, 3)}f}"


def _whole(value: Any) -> str:
    """A count, or the counts of several runs."""
    if isinstance(value, list):
        same = len(set(value)) == 1
        return f"{len(value)} x {value[0]}" if same else ", ".join(map(str, value))
    return NONE if value is None else str(value)


def measured(name: str, stored: Stored) -> list[MeasuredRow]:
    """Our rows of a table."""
    table = definitions()["tables"][name]
    return [measured_row(table, row, stored) for row in table["rows"]]


def chosen(name: str | None) -> list[str]:
    """All tables, or the one of that name.

    Raises:
        PoiseError: there is none.
    """
    names = list(definitions()["tables"])
    if name is None:
        return names
    if name not in names:
        raise PoiseError(
            "no such table", got=name, expected=", ".join(names), remedy="give --table one of these"
        )
    return [name]


def blocks(name: str, stored: Stored) -> dict[str, tuple[list[str], list[list[str]]]]:
    """`measured` and, where the paper's figures are shown, `published`: header and rows of each."""
    table = definitions()["tables"][name]
    rows = [[r.name, *r.cells, r.n, r.status] for r in measured(name, stored)]
    found = {"measured": (["row", *table["columns"], "n", "status"], rows)}
    if name in published():
        printed = published()[name]
        found["published"] = (["row", *printed["columns"]], [list(r) for r in printed["rows"]])
    return found


def section(name: str, stored: Stored) -> str:
    """A table as Markdown."""
    table, found = definitions()["tables"][name], blocks(name, stored)
    note = f" {table['note']}" if "note" in table else ""
    parts = [
        f"## {table['title']}",
        f"**Measured here, on simulated drills, not real people.**{note}",
        markdown(*found["measured"]),
    ]
    if "published" in found:
        printed = published()[name]
        remark = f" {printed['note']}" if printed["note"] else ""
        parts += [
            f"**Published, different data ({printed['data']}): not comparable with the above.**"
            + remark,
            markdown(*found["published"]),
        ]
    else:
        parts.append(f"Ours alone: {table['only_ours']}.")
    return "\n\n".join(parts)


def page(names: Sequence[str], stored: Stored) -> str:
    """Tables as one Markdown page."""
    seeds = ", ".join(map(str, definitions()["reproduce"]["seeds"]))
    runs, planned, hours = (stored.value(f"{RUNS}/about/{k}") for k in ("runs", "planned", "hours"))
    head = (
        "# The papers' tables\n\n"
        "Written by `poise eval tables --markdown docs/paper_tables.md` from the stored results\n"
        "(docs/results). Figures of ours are means with 95% intervals over performers, or ranges\n"
        "over seeds.\n\n"
        "Rows whose n is a product, seeds times test clips, are trained by `poise eval reproduce`\n"
        "([how](training.md#the-rows-again)): small models with minutes of training each, to be\n"
        "compared with each other and not with poise-mini. Their accuracy has an interval over\n"
        "performers, all else the range of the seeds. Of the planned trainings (seeds\n"
        f"{seeds}) {runs} of {planned} are stored; they took {hours:.1f} hours in all."
    )
    return "\n\n".join([head, *(section(name, stored) for name in names)]) + "\n"


def as_object(names: Sequence[str], stored: Stored) -> dict[str, Any]:
    """Tables as one JSON object."""
    tables = {}
    for name in names:
        found = {
            kind: {"columns": header, "rows": rows}
            for kind, (header, rows) in blocks(name, stored).items()
        }
        tables[name] = {"title": definitions()["tables"][name]["title"], **found}
    return {"tables": tables}


def csv_files(names: Sequence[str], stored: Stored) -> Iterator[tuple[str, str]]:
    """File name and text: one file a block, so that no file holds both kinds."""
    for name in names:
        for kind, (header, rows) in blocks(name, stored).items():
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows((header, *rows))
            yield f"{name}.{kind}.csv", text.getvalue()
