"""The commands `poise data egoexo4d` and `poise data doctor`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from assistant.options import AsJson

ROOT = Annotated[Path, typer.Argument(help="Folder of the Ego-Exo4D download (v2).")]


def register(app: typer.Typer) -> None:
    """Add the two commands to `poise data`."""
    app.command()(egoexo4d)
    app.command()(doctor)


def egoexo4d(
    root: ROOT,
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder for the dataset.")],
    split: Annotated[str, typer.Option(help="train, val, test or all.")] = "all",
    activity: Annotated[
        list[str] | None, typer.Option(help="A scenario or a task by name; may be repeated.")
    ] = None,
    before: Annotated[float, typer.Option(help="Seconds before an expert's pause.")] = 4.0,
    after: Annotated[float, typer.Option(help="Seconds after it.")] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Read an Ego-Exo4D download into samples: each labelled take, each comment's window."""
    from assistant.progress import progress_bar
    from data_prep.egoexo4d.convert import convert
    from data_prep.egoexo4d.layout import Layout
    from data_prep.egoexo4d.rows import Window

    layout, window = Layout(root), Window(before, after)
    with progress_bar("reading takes") as progress:
        result = convert(layout, output, split, activity or [], window, progress)
    if as_json:
        print(json.dumps(result))
        return
    for key, value in result.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {count}" for name, count in value.items()) or "nothing"
        print(f"{key}: {value}")


def doctor(
    root: ROOT,
    videos: Annotated[bool, typer.Option(help="Open every video (reads all of each file).")] = True,
    as_json: AsJson = False,
) -> None:
    """List what is missing, broken or implausible in an Ego-Exo4D download, by name."""
    from assistant.progress import progress_bar
    from data_prep.doctor import diagnose, report_lines
    from data_prep.egoexo4d.layout import Layout

    layout = Layout(root)
    with progress_bar("checking takes") as progress:
        report = diagnose(layout, open_videos=videos, progress=progress)
    print(json.dumps(report) if as_json else "\n".join(report_lines(report)))
