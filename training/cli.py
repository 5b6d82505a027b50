"""`poise train RECIPE`: train the stages of a recipe into a run folder."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from assistant.errors import PoiseError

if TYPE_CHECKING:
    from training.run import Run

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name or a YAML file.")],
    settings: Annotated[list[str] | None, typer.Argument(help="Overrides, key.sub=value.")] = None,
    stage: Annotated[str | None, typer.Option(help="Only this stage of an earlier run.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Run folder; default runs/RECIPE.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Copy the finished checkpoint into this folder.")
    ] = None,
) -> None:
    """Train all stages of a recipe, or one of them, from its seed."""
    from training.recipe import load_recipe

    loaded = load_recipe(recipe, settings or [])
    from training.export import export_checkpoint
    from training.record import write_record
    from training.run import Run
    from training.stages import EXTRA_STAGES, STAGES, stages_of

    known = STAGES | EXTRA_STAGES
    if stage is not None and stage not in known:
        raise PoiseError("unknown stage", got=stage, expected=", ".join(known))
    folder = output or Path("runs") / loaded.name
    run = Run(loaded, folder)
    text = json.dumps(asdict(loaded), indent=1)
    (folder / "work" / "recipe.json").write_text(text + "\n", "utf-8")
    seconds = _run_stages(run, {stage: known[stage]} if stage else stages_of(loaded))
    if stage not in EXTRA_STAGES:
        write_record(loaded, folder, seconds)
    print(folder if export is None else export_checkpoint(folder, export))


def _run_stages(run: "Run", stages: "Mapping[str, Callable[[Run], None]]") -> dict[str, float]:
    """Seconds that each stage took."""
    from assistant.progress import quiet_libraries
    from training.progress import Progress

    # peft imports bitsandbytes where it is installed, which warns of a kernel nobody asked for.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    progress, seconds = Progress("train"), {}
    for name, run_stage in stages.items():
        started = perf_counter()
        try:
            with quiet_libraries():
                run_stage(run)
        except FloatingPointError as fault:
            raise PoiseError(
                f"stage {name} diverged", got=str(fault), remedy="lower its learning_rate"
            ) from fault
        seconds[name] = perf_counter() - started
        progress.say(f"{name} done")
    return seconds
