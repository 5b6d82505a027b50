"""The commands `poise data finediving` and `poise data jigsaws`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from assistant.options import AsJson

ROOT = Annotated[Path, typer.Argument(help="Folder of the download.")]
OUTPUT = Annotated[Path, typer.Option("--output", "-o", help="New folder for the dataset.")]


def register(app: typer.Typer) -> None:
    """Add the two commands to `poise data`."""
    app.command()(finediving)
    app.command()(jigsaws)


def finediving(root: ROOT, output: OUTPUT, as_json: AsJson = False) -> None:
    """Read FineDiving's annotations into samples: a row a dive, score and binary label."""
    from data_prep.skill_sets.finediving import convert_finediving

    _print(convert_finediving(root, output), as_json)


def jigsaws(
    root: ROOT,
    output: OUTPUT,
    task: Annotated[
        list[str] | None, typer.Option(help="Suturing, Knot_Tying or Needle_Passing; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read JIGSAWS into samples: a row a trial, rating score, experience and binary labels."""
    from assistant.errors import PoiseError
    from data_prep.skill_sets.jigsaws import TASKS, convert_jigsaws

    unknown = [name for name in task or () if name not in TASKS]
    if unknown:
        raise PoiseError("unknown task", got=repr(unknown[0]), expected=", ".join(TASKS))
    _print(convert_jigsaws(root, output, task or TASKS), as_json)


def _print(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(result))
        return
    for key, value in result.items():
        shown = (", ".join(value) or "none") if isinstance(value, list) else value
        print(f"{key}: {shown}")
