"""`poise eval egoexo4d-proficiency | expertaf`: suites on datasets of one's own download."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assistant.files import check_writable
from eval.options import AsJson, EngineName, ModelFolder, Output, Pose
from eval.output import finish
from eval.suite_run import PoseFrom

if TYPE_CHECKING:
    from assistant.coach import Coach

Dataset = Annotated[Path, typer.Argument(help="As `poise data egoexo4d` wrote it.")]
Split = Annotated[str, typer.Option(help="Of the dataset.")]
Activity = Annotated[str | None, typer.Option(help="Judge all clips as this.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Clips at most, the first ones.")]
Seed = Annotated[int, typer.Option(help="Of the engine, the shuffled floors and the intervals.")]


class Views(StrEnum):
    """View subsets of the benchmark's tables."""

    EGO = "ego"
    EXOS = "exos"
    ALL = "all"


def egoexo4d_proficiency(
    dataset: Dataset,
    split: Split = "val",
    views: Annotated[
        Views | None, typer.Option(help="Only this view subset; default: each of them.")
    ] = None,
    model: ModelFolder = None,
    engine: EngineName = "transformers",
    activity: Activity = None,
    gaze: Annotated[
        bool, typer.Option("--gaze", help="Read gaze too, which the benchmark forbids.")
    ] = False,
    pose: Pose = PoseFrom.FILMS,
    limit: Limit = None,
    as_json: AsJson = False,
    output: Output = None,
    seed: Seed = 0,
) -> None:
    """Levels of the takes of Ego-Exo4D's demonstrator benchmark, by view subset and scenario."""
    check_writable(output)
    from assistant.progress import progress_bar
    from eval import proficiency_suite as suite
    from eval import suite_tables
    from eval.variants import CoachVariant

    coach = open_coach(model, engine, activity)
    with progress_bar("egoexo4d-proficiency") as progress:
        result = suite.evaluate(
            CoachVariant(coach, retrieve=False, correct=False),
            dataset,
            split=split,
            subsets=tuple(suite.SUBSETS) if views is None else (views.value,),
            activity=activity,
            gaze=gaze,
            pose=pose,
            limit=limit,
            seed=seed,
            progress=progress,
        )
    finish(result, as_json, output, suite_tables.proficiency_tables(result))


def expertaf(
    pairs: Annotated[Path, typer.Argument(help="Folder of `poise data pair DATASET -o DIR`.")],
    split: Split = "test",
    model: ModelFolder = None,
    engine: EngineName = "transformers",
    activity: Activity = None,
    limit: Limit = None,
    as_json: AsJson = False,
    output: Output = None,
    seed: Seed = 0,
) -> None:
    """ExpertAF's tasks on pairs: commentary, retrieved demonstration and corrected pose."""
    check_writable(output)
    from assistant.progress import progress_bar
    from eval import expertaf_suite, suite_tables

    coach = open_coach(model, engine, activity)
    with progress_bar("expertaf") as progress:
        result = expertaf_suite.evaluate(
            coach,
            pairs,
            split=split,
            activity=activity,
            limit=limit,
            seed=seed,
            log=lambda text: print(text, file=sys.stderr),
            progress=progress,
        )
    finish(result, as_json, output, suite_tables.expertaf_tables(result))


def open_coach(model: Path | None, engine: str, activity: str | None = None) -> "Coach":
    """The coach that a suite measures; an activity that it does not know is refused."""
    from assistant.coach import Coach

    coach = Coach.from_pretrained(model, engine=engine)
    coach.check_activity(activity)
    return coach
