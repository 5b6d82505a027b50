"""Options that several commands share: one name, one help, one meaning."""

from pathlib import Path
from typing import Annotated

import typer

from assistant.engine.choose import ENGINES

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
ModelFolder = Annotated[Path | None, typer.Option(help="Folder of another checkpoint.")]
EngineName = Annotated[
    str, typer.Option(help=f"What runs the language model: {' or '.join(ENGINES)}.")
]
LibraryFolder = Annotated[
    Path | None,
    typer.Option(
        "--library", help="Take demonstrations from this library of `poise demos` instead."
    ),
]
PoseModel = Annotated[
    Path | None, typer.Option(help="A MediaPipe .task file for newer MediaPipe versions.")
]
