"""Options that the commands of `poise eval` share: one name, one help, one meaning."""

from pathlib import Path
from typing import Annotated

import typer

from assistant.options import AsJson as AsJson
from assistant.options import ModelFolder as ModelFolder

EngineName = Annotated[str, typer.Option(help="What runs its language model.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Also write the JSON here.")]
