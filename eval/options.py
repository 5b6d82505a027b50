"""Options that the commands of `poise eval` share: one name, one help, one meaning."""

from pathlib import Path
from typing import Annotated

import typer

from assistant.options import AsJson as AsJson
from assistant.options import ModelFolder as ModelFolder
from eval.suite_run import PoseFrom

EngineName = Annotated[str, typer.Option(help="What runs its language model.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Also write the JSON here.")]
Pose = Annotated[
    PoseFrom,
    typer.Option(
        "--pose",
        help="From the films of the views in question, or the dataset's own, which rests on more "
        "than these views: the benchmark gives films alone.",
    ),
]
