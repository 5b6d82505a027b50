"""`poise eval proficiency-controls`: train the rows of both papers' tables and print them."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from assistant.files import check_writable
from eval.options import AsJson, Output
from eval.output import finish
from eval.trainings import train

# The drills of these tables, fewer than the recipe's.
ACTIVITIES: Final = "activities=[bodyweight_squat, basketball_free_throw]"


def proficiency_controls(
    settings: Annotated[
        list[str] | None,
        typer.Argument(help="Overrides of the recipe `ablation`, key.sub=value."),
    ] = None,
    runs: Annotated[
        Path, typer.Option(help="Where trainings lie; goes on where it stopped.")
    ] = Path("runs/proficiency-controls"),
    part: Annotated[
        Literal["all", "look_closer", "sparse_skill"], typer.Option(help="What is trained.")
    ] = "all",
    seeds: Annotated[int, typer.Option(help="Trainings of each row.", min=1)] = 3,
    stored: Annotated[
        bool, typer.Option("--stored", help="Train nothing; print the stored results.")
    ] = False,
    page: Annotated[Path | None, typer.Option(help="Also write the tables as this page.")] = None,
    as_json: AsJson = False,
    output: Output = None,
) -> None:
    """Both proficiency papers' ablations on drills, each row beside its floors."""
    from eval.controls_report import RESULT, summary, write_page
    from eval.output import stored as read_stored

    check_writable(output)
    check_writable(page)
    result = read_stored(RESULT) if stored else _measure(settings or [], runs, part, seeds)
    if page is not None:
        write_page(result, page)
    finish(result, as_json, output, summary(result))


def _measure(settings: list[str], runs: Path, part: str, seeds: int) -> dict[str, Any]:
    """Train what is missing, then read everything that is there."""
    from eval import proficiency_controls as suite
    from eval import sparse_skill_controls

    if part in ("all", "look_closer"):
        train(["ablation", "--stage", "look_closer", "-o", str(runs), ACTIVITIES, *settings,
               f"look_closer.seeds={seeds}"])  # fmt: skip
    if part in ("all", "sparse_skill"):
        sparse_skill_controls.run_missing(runs, range(seeds), settings, train)
    results = runs / "work" / "look_closer"
    found = suite.evaluate(suite.read_runs(results)) if results.is_dir() else None
    return {
        "look_closer": found,
        "sparse_skill": sparse_skill_controls.read_runs(runs),
        "settings": settings,
    }
