"""`poise train RECIPE`: train the stages of a recipe into a run folder.

poise train mini                                            on one CPU or GPU
accelerate launch --num_processes 4 -m training.cli mini    on several
poise train export runs/mini published/mini                 what can be passed on
poise train parameters profvlm_smollm2                      how much a recipe trains
poise train films runs/mini drills/ starts.json out.npz     what the video encoder sees of clips
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from assistant.errors import PoiseError
from assistant.options import AsJson

if TYPE_CHECKING:
    from training.run import Run

train_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
export_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
parameters_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
films_app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
# What `poise train` does beside training a recipe, by the first word after it.
BESIDE = {"export": export_app, "parameters": parameters_app, "films": films_app}


def app(args: Sequence[str], prog_name: str = "poise train") -> None:
    """`poise train NAME ...` for a name of BESIDE, or else `poise train RECIPE ...`."""
    if args and args[0] in BESIDE:
        BESIDE[args[0]](args=list(args[1:]), prog_name=f"{prog_name} {args[0]}")
    else:
        train_app(args=list(args), prog_name=prog_name)


@export_app.command()
def export(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.")],
    folder: Annotated[Path, typer.Argument(help="Where the checkpoint is written.")],
    unmerged: Annotated[
        bool, typer.Option(help="Also write the model that the bare adapter belongs over.")
    ] = False,
    push: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Then upload it to the model hub.")
    ] = None,
) -> None:
    """Write the merged checkpoint of a run with its bare adapters and its model card."""
    from assistant.progress import quiet_libraries
    from training.export import export_run
    from training.publish import push_folder

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    with quiet_libraries():
        written = export_run(run, folder, unmerged=unmerged)
    print(written if push is None else push_folder(written, push))


@parameters_app.command()
def parameters(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name or a YAML file.")],
    settings: Annotated[list[str] | None, typer.Argument(help="Overrides, key.sub=value.")] = None,
    as_json: AsJson = False,
) -> None:
    """Count what a recipe trains and holds, component by component, without any weights."""
    from assistant.progress import quiet_libraries
    from training.recipe import load_recipe

    loaded = load_recipe(recipe, settings or [])
    from training.parameters import describe, parameter_table

    with quiet_libraries():
        table = parameter_table(loaded)
    print(json.dumps(table) if as_json else describe(table))


@films_app.command()
def films(
    run: Annotated[Path, typer.Argument(help="The folder of a run with a video encoder.")],
    dataset: Annotated[Path, typer.Argument(help="Simulated clips, by `poise data drills`.")],
    starts: Annotated[
        Path, typer.Argument(help="JSON: each clip's name and the second at which it is filmed.")
    ],
    output: Annotated[Path, typer.Argument(help="Where the features are written (.npz).")],
    workers: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 2,
    seed: Annotated[int, typer.Option(help="Of the scenery.")] = 0,
) -> None:
    """Render all five views of clips in their focus windows and encode them, as in training."""
    from training.video_features import write_features

    print(write_features(run, dataset, starts, output, workers=workers, seed=seed))


@train_app.command(
    epilog="`poise train export --help` tells how to pass a checkpoint on, "
    "`poise train parameters --help` how to count what a recipe trains."
)
def train(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name or a YAML file.")],
    settings: Annotated[list[str] | None, typer.Argument(help="Overrides, key.sub=value.")] = None,
    stage: Annotated[str | None, typer.Option(help="Only this stage of an earlier run.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a run with these settings stopped.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Run folder; default runs/RECIPE.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Copy the finished checkpoint into this folder.")
    ] = None,
) -> None:
    """Train all stages of a recipe, or one of them, from its seed."""
    from training.allocator import restart_on_tcmalloc
    from training.recipe import load_recipe

    restart_on_tcmalloc()
    loaded = load_recipe(recipe, settings or [])
    from training.dataset_clips import told_rows
    from training.export import export_checkpoint
    from training.record import write_record
    from training.required import check_stage
    from training.resume import begin
    from training.run import Run
    from training.stages import EXTRA_STAGES, STAGES, stages_of

    known = STAGES | EXTRA_STAGES
    if stage is not None and stage not in known:
        raise PoiseError("unknown stage", got=stage, expected=", ".join(known))
    begun = _begun(loaded.activity, stage, tuple(STAGES))
    if loaded.language.dataset:
        told_rows(loaded.language, loaded.seed)  # before anything is cleared or costs a minute
    folder = output or Path("runs") / loaded.name
    run = Run(loaded, folder, resume=resume)
    if stage is not None:
        check_stage(run, stage)
    begin(run, begun)
    seconds = _run_stages(run, {begun[0]: known[stage]} if stage else stages_of(loaded))
    if not run.is_main:
        return
    if loaded.activity:
        from training.language_stage import sport_folder

        print(sport_folder(run))
        return
    if stage not in EXTRA_STAGES:
        write_record(loaded, folder, seconds)
    print(folder if export is None else export_checkpoint(folder, export))


def _begun(activity: str, stage: str | None, stages: tuple[str, ...]) -> tuple[str, ...]:
    """What begins anew: a stage and all that rest on it, or only what is trained beside them.

    Raises:
        PoiseError: the adapter of one sport is asked for with other stages.
    """
    if activity:
        if stage != "language":
            raise PoiseError(
                f"activity={activity} trains the adapter of one sport",
                got=f"--stage {stage}" if stage else "all stages",
                expected="--stage language, over a finished run",
            )
        return (f"language_{activity}",)
    if stage is None:
        return stages
    return stages[stages.index(stage) :] if stage in stages else (stage,)


def _run_stages(run: "Run", stages: "Mapping[str, Callable[[Run], None]]") -> dict[str, float]:
    """Seconds that each stage took; those that a resumed run has behind it are left out."""
    from assistant.progress import quiet_libraries
    from training.progress import Progress
    from training.resume import done_stages, mark_done
    from training.stages import TOGETHER

    # peft imports bitsandbytes where it is installed, which warns of a kernel nobody asked for.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    progress, seconds = Progress("train"), {}
    behind = done_stages(run) if run.resume else {}
    for name, run_stage in stages.items():
        together = name in TOGETHER or bool(run.recipe.activity)
        if name in behind:
            seconds[name] = behind[name]
            progress.say(f"{name} was done before")
            continue
        started = perf_counter()
        try:
            with quiet_libraries():
                if run.is_main or together:
                    run_stage(run)
        except FloatingPointError as fault:
            raise PoiseError(
                f"stage {name} diverged", got=str(fault), remedy="lower its learning_rate"
            ) from fault
        run.wait()
        seconds[name] = perf_counter() - started
        mark_done(run, name, seconds[name])
        progress.say(f"{name} done")
    return seconds


if __name__ == "__main__":
    from assistant.cli import run_command

    sys.exit(run_command("train", sys.argv[1:]))
