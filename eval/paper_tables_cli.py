"""`poise eval tables`: the papers' tables from stored results."""

import json
from pathlib import Path
from typing import Annotated

import typer

from assistant.files import check_writable, write_text
from eval.options import AsJson


def tables(
    table: Annotated[str | None, typer.Option(help="One table, such as profvlm-3.")] = None,
    results: Annotated[Path, typer.Option(help="Folder of the stored results.")] = Path(
        "docs/results"
    ),
    csv: Annotated[
        Path | None,
        typer.Option(help="Also write TABLE.measured.csv and TABLE.published.csv here."),
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Also write the page here.")] = None,
    as_json: AsJson = False,
) -> None:
    """The papers' tables: our rows on simulated drills, published ones in blocks of their own."""
    from eval import paper_tables as pt

    stored, names = pt.Stored(results), pt.chosen(table)
    check_writable(markdown)
    check_writable(None if csv is None else csv / "TABLE.measured.csv")
    text = pt.page(names, stored)
    if markdown is not None:
        write_text(markdown, text)
    if csv is not None:
        for name, content in pt.csv_files(names, stored):
            write_text(csv / name, content)
    print(json.dumps(pt.as_object(names, stored), sort_keys=True) if as_json else text.rstrip())
