"""`poise eval submit`: both official Ego-Exo4D proficiency formats."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from assistant.files import check_writable
from eval.options import AsJson, EngineName, ModelFolder, Pose
from eval.suite_run import PoseFrom


def submit(
    source: Annotated[
        Path,
        typer.Argument(help="A dataset of takes with films, or a JSONL of {video, views: {ego}}."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the two files.")],
    videos: Annotated[
        Path | None, typer.Option(help="The benchmark's list of videos, whose order is kept.")
    ] = None,
    model: ModelFolder = None,
    engine: EngineName = "transformers",
    split: Annotated[str | None, typer.Option(help="Of the dataset; default: all.")] = None,
    pose: Pose = PoseFrom.FILMS,
    as_json: AsJson = False,
    seed: Annotated[int, typer.Option(help="Of the engine.")] = 0,
) -> None:
    """Write and check both submissions to the demonstrator proficiency benchmark."""
    check_writable(output / "views.json")
    from eval import submission

    names = None if videos is None else submission.read_videos(videos)
    report: dict[str, Any] = {"suite": "submit"}
    if source.is_dir():
        predictions, more = _predict(source, model, engine, split, names, pose, seed)
        report |= more
    else:
        predictions = submission.read_predictions(source)
    by_view, labels, filled = submission.build(predictions, names)
    report |= filled | {"files": [str(p) for p in submission.write(output, by_view, labels)]}
    text = [f"{report['n']} videos, filled in {report['filled_in']}: {', '.join(report['files'])}"]
    text += dataset_notes(report) if source.is_dir() else []
    print(json.dumps(report, sort_keys=True) if as_json else "\n".join(text))


def _predict(
    folder: Path,
    model: Path | None,
    engine: str,
    split: str | None,
    names: list[str] | None,
    pose: PoseFrom,
    seed: int,
) -> tuple[Any, dict[str, Any]]:
    from assistant.coach import Coach
    from assistant.dataset import SampleTable
    from assistant.errors import PoiseError
    from assistant.progress import progress_bar
    from eval import submission
    from eval.variants import CoachVariant

    wanted = None if names is None else set(names)
    takes: dict[str, dict[str, Any]] = {}  # the first sample of a take is the whole of it
    for number, row in enumerate(SampleTable(folder).columns(("take_id", "split", "views"))):
        chosen = split in (None, row["split"]) and (wanted is None or row["take_id"] in wanted)
        if chosen and any((row["views"] or {}).values()):
            takes.setdefault(row["take_id"], row | {"row": number})
    if not takes:
        raise PoiseError(f"no take with films in {folder}", remedy="check --split and --videos")
    coach = Coach.from_pretrained(model, engine=engine)
    quick = CoachVariant(coach, retrieve=False, correct=False)
    with progress_bar("submit") as progress:
        found, report = submission.predict_views(
            quick, folder, list(takes.values()), pose=pose, seed=seed, progress=progress
        )
    return found, report | {"provenance": coach.identity}


def dataset_notes(report: dict[str, Any]) -> list[str]:
    """How the views of a dataset were answered."""
    from eval.suite_tables import benchmark_notes, counts_line

    failed = [f"failed ({f['view']}): {f['id']}: {f['reason']}" for f in report["failures"]]
    return [f"views: {counts_line(report['counts'])}", *benchmark_notes(report), *failed]
