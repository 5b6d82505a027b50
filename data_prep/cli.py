"""`poise data`: make and check data sets."""

import json
from pathlib import Path
from typing import Annotated

import typer

from assistant.errors import PoiseError
from assistant.options import AsJson
from data_prep.commentary.cli import register as register_label
from data_prep.egoexo4d.cli import register as register_egoexo4d
from data_prep.features_cli import features
from data_prep.interchange_cli import register as register_interchange
from data_prep.pair_cli import pair
from data_prep.pose_error_cli import register as register_pose_error
from data_prep.skill_sets.cli import register as register_skill_sets

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)
register_egoexo4d(app)
register_label(app)
register_interchange(app)
register_pose_error(app)
register_skill_sets(app)


@app.callback()
def main() -> None:
    """Make and check data sets."""


app.command()(pair)
app.command()(features)


@app.command()
def drills(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="New folder for the dataset.")
    ] = None,
    performers: Annotated[int, typer.Option(min=1, help="People.")] = 8,
    clips: Annotated[int, typer.Option(min=1, help="Clips of each.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Source of all draws.")] = 0,
    split: Annotated[str, typer.Option(help="train, validation, test or shifted.")] = "train",
    distractors: Annotated[float, typer.Option(min=0, max=1, help="Share of distractors.")] = 0.0,
    activities: Annotated[
        str | None,
        typer.Option(help="Names joined by commas, or `all`, which is the default."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="mini-test, mini-test-2 or their -shifted; sets all of the above."),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 is one a core.")] = 0,
    noise: Annotated[
        str, typer.Option(help="Pose noise: clean, 15 (millimetres), fitted or twice-fitted.")
    ] = "15",
    render: Annotated[
        int, typer.Option(min=0, max=5, help="Also film this many views (1: exo1, 2: ego, exo1).")
    ] = 0,
    gallery: Annotated[
        Path | None, typer.Option(help="Also draw every drill and fault into this PNG.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Simulate performers of the drills, with named faults, and write them as a dataset."""
    if output is None and gallery is None:
        raise PoiseError(
            "nothing to do", expected="--output DIR or --gallery PNG", remedy="name one of them"
        )
    if preset is not None and activities is not None:
        raise PoiseError(
            "--activities does not go with --preset",
            got=f"--activities {activities} --preset {preset}",
            remedy="leave one of them out",
        )
    from data_prep.drills.build import build_dataset, chosen_activities, named_source

    chosen = chosen_activities(activities)
    result: dict[str, object] = {}
    if output is not None:
        from assistant.progress import progress_bar
        from data_prep.card import write_card

        source = named_source(preset, performers, clips, seed, split, distractors, chosen)
        with progress_bar("simulating") as progress:
            result |= build_dataset(source, output, noise, progress, workers, render)
        write_card(output)
    if gallery is not None:
        from data_prep.drills.gallery import draw_gallery

        draw_gallery(gallery, activities=None if activities is None else chosen)
        result["gallery"] = str(gallery)
    print(json.dumps(result) if as_json else _lines(result))


def _lines(result: dict[str, object]) -> str:
    return "\n".join(f"{key}: {value}" for key, value in result.items())
