"""`poise batch`: feedback for every clip of a dataset (docs/batch.md)."""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assistant.engine.choose import DEFAULT_ENGINE, ENGINES
from assistant.errors import PoiseError
from assistant.files import make_folder
from assistant.options import AsJson, EngineName, LibraryFolder, ModelFolder, PoseModel
from assistant.progress import Progress, progress_bar

if TYPE_CHECKING:
    from assistant.batch import BatchSettings, Outcome
    from assistant.batch_output import BatchOutput

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def batch(
    dataset: Annotated[Path, typer.Argument(help="A dataset of `poise data`.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="JSON Lines file; a killed run goes on there.")
    ],
    engine: EngineName = DEFAULT_ENGINE,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Run on this Ray cluster, HOST:PORT.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes on the cluster; default one a GPU or CPU.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips decoded together.")] = 16,
    activity: Annotated[str | None, typer.Option(help="Judge all clips as this.")] = None,
    gaze: Annotated[
        bool, typer.Option("--gaze", help="Read the samples' gaze too, where they have it.")
    ] = False,
    corrections: Annotated[
        Path | None, typer.Option(help="Folder for the corrected motions (npz).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Recorded in the results.")] = 0,
    model: ModelFolder = None,
    library: LibraryFolder = None,
    pose_model: PoseModel = None,
    max_failed: Annotated[
        int, typer.Option(min=0, help="Stop when more clips than this cannot be coached.")
    ] = 10,
    as_json: AsJson = False,
) -> None:
    """Coach every clip of a dataset, one JSON object a line; a killed run goes on where it was."""
    if workers is not None and ray is None:
        raise PoiseError(
            "--workers are processes of a cluster",
            got=f"--workers {workers} without --ray",
            remedy="leave it out, or start a cluster with `ray start --head` and add --ray auto",
        )
    if engine not in ENGINES:
        raise PoiseError("unknown engine", got=repr(engine), expected=", ".join(ENGINES))
    from assistant.batch import BatchSettings, by_cluster, here, pose_model_sha256
    from assistant.batch_output import open_output
    from assistant.checkpoint import Checkpoint

    ids, dataset_sha = _samples(dataset)
    settings = BatchSettings(
        dataset=str(dataset.resolve()),
        model=None if model is None else str(model.resolve()),
        model_sha256=Checkpoint.open(model).sha256(),
        engine=engine,
        library=None if library is None else str(library.resolve()),
        library_sha256=None if library is None else _library_sha256(library),
        activity=activity,
        seed=seed,
        gaze=gaze,
        corrections=None if corrections is None else _made(corrections),
        pose_model=None if pose_model is None else str(pose_model.resolve()),
        pose_model_sha256=None if pose_model is None else pose_model_sha256(pose_model),
    )
    start = perf_counter()
    with open_output(output, _decisive(settings, dataset_sha), set(ids)) as out:
        rows = [row for row, name in enumerate(ids) if name not in out.done]
        pieces = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
        if not pieces:
            outcomes: Iterable[list[Outcome]] = ()
        elif ray is not None:
            outcomes = by_cluster(settings, pieces, ray, workers)
        else:
            outcomes = here(settings, pieces)
        with progress_bar("coaching") as progress:
            result = drive(out, outcomes, len(ids), max_failed=max_failed, progress=progress)
    result |= {
        "engine": engine,
        "model_sha256": settings.model_sha256,
        "seconds": round(perf_counter() - start, 1),
    }
    if as_json:
        print(json.dumps(result))
        return
    failures = result.pop("failures")
    print("\n".join(f"{key}: {value}" for key, value in result.items()), file=sys.stderr)
    for failure in failures:
        print(f"failed: {failure['sample_id']}: {failure['reason']}", file=sys.stderr)


def drive(
    out: "BatchOutput",
    outcomes: "Iterable[list[Outcome]]",
    total: int,
    *,
    max_failed: int,
    progress: Progress,
) -> dict[str, Any]:
    """Write outcomes as they come; returns counts, and failures by name.

    Args:
        out: the run's output; total: clips in all.
        outcomes: piece by piece; work is done as they are asked for.
        max_failed: more failures than this stop the run.

    Raises:
        PoiseError: more than `max_failed` failures; what is done is kept.
    """
    kept, judged, coached = len(out.done), 0, 0
    failed: list[Outcome] = []
    workers: set[str] = set()
    progress(kept, total)
    for piece in outcomes:
        out.append(piece)
        for outcome in piece:
            workers.add(outcome.worker)
            if outcome.record is None:
                failed.append(outcome)
            else:
                coached += 1
                judged += outcome.record["judged"]
        if len(failed) > max_failed:
            raise _too_many(failed, coached + len(failed), max_failed, out)
        progress(kept + coached + len(failed), total)
    return {
        "output": str(out.path),
        "clips": total,
        "kept": kept,
        "coached": coached,
        "judged": judged,
        "not_judged": coached - judged,
        "failed": len(failed),
        "failures": [{"sample_id": f.sample_id, "reason": f.reason} for f in failed],
        "workers": len(workers),
    }


def _samples(dataset: Path) -> tuple[list[str], str]:
    """The sample ids of a dataset, and the sha of its content.

    Raises:
        PoiseError: no dataset, or two samples of one id.
    """
    from assistant.dataset import SampleTable

    table = SampleTable(dataset)
    ids = [row["sample_id"] for row in table.columns(["sample_id"])]
    for name, times in Counter(ids).most_common(1):
        if times > 1:
            raise PoiseError(
                f"cannot tell the samples of {dataset} apart",
                got=f"{times} of the id {name}",
                expected="one sample an id",
                remedy="make the dataset again",
            )
    return ids, table.info["sha256"]


def _library_sha256(folder: Path) -> str:
    """The sha of the demonstrations in a folder; errors as `open_library`."""
    from assistant.demos.store import open_library

    return open_library(folder).sha256()


def _decisive(settings: "BatchSettings", dataset_sha: str) -> dict[str, Any]:
    """What decides the answers: a run goes on only where all of it is the same."""
    from assistant import __version__
    from prompts.hashing import prompt_sha256

    return {
        "dataset_sha256": dataset_sha,
        "model_sha256": settings.model_sha256,
        "prompt_sha256": prompt_sha256(),
        "poise_version": __version__,
        "engine": settings.engine,
        "library_sha256": settings.library_sha256,
        "activity": settings.activity,
        "seed": settings.seed,
        "gaze": settings.gaze,
        "corrections": settings.corrections,
        "pose_model_sha256": settings.pose_model_sha256,
    }


def _made(folder: Path) -> str:
    remedy = "give a writable folder with --corrections DIR"
    return str(make_folder(folder, "corrections", remedy).resolve())


def _too_many(failed: "list[Outcome]", done: int, allowed: int, out: "BatchOutput") -> PoiseError:
    names = ", ".join(outcome.sample_id for outcome in failed[:3])
    return PoiseError(
        "too many clips cannot be coached",
        got=f"{len(failed)} of {done} ({names}, ...); the first: {failed[0].reason}",
        expected=f"at most {allowed}",
        remedy=f"see {out.failed_path}, mend them, or allow more by --max-failed; what is done is "
        "kept",
    )
