"""`poise data export` and `poise data import`: see data_prep/interchange.py."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from assistant.options import AsJson

FORMAT = Annotated[str, typer.Option("--format", help="llava, trc or c3d.")]


def register(app: typer.Typer) -> None:
    """Add the two commands to `poise data`."""
    app.command("export")(export)
    app.command("import")(import_)


def export(
    dataset: Annotated[Path, typer.Argument(help="A dataset of `poise data`.")],
    form: FORMAT,
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder.")],
    as_json: AsJson = False,
) -> None:
    """Write samples as LLaVA conversations, or their poses as TRC or C3D."""
    from assistant.dataset import read_info
    from assistant.progress import progress_bar
    from data_prep.interchange import export_dataset

    total = int(read_info(dataset)["rows"])
    with progress_bar("exporting") as progress:
        result = export_dataset(dataset, form, output, lambda done: progress(done, total))
    print(json.dumps(result) if as_json else _lines(result))


def import_(
    files: Annotated[list[Path], typer.Argument(help="Files of the format.")],
    form: FORMAT,
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder for the dataset.")],
    up: Annotated[
        str | None, typer.Option(help="Axis that points up in TRC or C3D: x, y, z, -x, -y or -z.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read LLaVA conversations, or poses from TRC or C3D, into a dataset."""
    from data_prep.interchange import import_files

    result = import_files(files, form, output, up)
    print(json.dumps(result) if as_json else _lines(result))


def _lines(result: dict[str, Any]) -> str:
    markers = result.pop("markers", [])
    lines = [f"{key}: {value}" for key, value in result.items()]
    for row in markers:
        missing, unused = (", ".join(row[key]) or "none" for key in ("missing", "unused"))
        lines.append(
            f"{row['file']}: {row['joints']} of 17 joints, up {row['up']}; missing: {missing}; "
            f"markers not used: {unused}"
        )
    return "\n".join(lines)
