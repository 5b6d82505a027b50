"""Simulate a named set, over all cores, and write it to disk."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from assistant.dataset import write_samples
from assistant.errors import PoiseError
from assistant.processes import spread
from data_prep.drills.dataset import (
    CALIBRATION_FOLDER,
    Job,
    noise_condition,
    preset,
    preset_jobs,
    run_job,
    to_sample,
)
from data_prep.drills.faults import KNOWN
from data_prep.drills.film import FILM_SIZE, film_clip, film_views, films_beside
from data_prep.drills.performer import check_split
from data_prep.drills.viewpoints import PICTURE_SIZE, viewpoints

ALL: Final = "all"
Row = tuple[dict[str, Any], dict[str, Any] | None]  # a sample and its calibration


@dataclass(frozen=True)
class Source:
    """Which clips: how many, and the jobs that make them, in order.

    Attributes:
        name: for `origin`.
        count: clips in all.
        settings: stored in the dataset's `poise.json`.
        jobs: each makes a few clips; they are independent of each other.
        complete: rows carry what came after test set v1: actions, best view, calibration.
    """

    name: str
    count: int
    settings: dict[str, Any]
    jobs: tuple[Job, ...]
    complete: bool


def chosen_activities(text: str | None) -> tuple[str, ...]:
    """`all`, or names joined by commas; None means all too.

    Raises:
        PoiseError: an unknown activity, or one named twice.
    """
    if text is None or text == ALL:
        return KNOWN
    names = tuple(name.strip() for name in text.split(","))
    unknown = [name for name in names if name not in KNOWN]
    if unknown or len(set(names)) < len(names):
        raise PoiseError(
            "cannot choose the activities",
            got=repr(unknown[0]) if unknown else f"a name twice in {text!r}",
            expected=", ".join((ALL, *KNOWN)),
            remedy="join names by commas, without spaces",
        )
    return names


def named_source(
    name: str | None,
    performers: int,
    clips: int,
    seed: int,
    split: str,
    distractors: float,
    activities: Sequence[str] = KNOWN,
) -> Source:
    """A preset by name, or a set of one's own when `name` is None."""
    if name is not None:
        chosen = preset(name)
        count = chosen.performers * chosen.clips + 7 * chosen.distractors
        settings = {"preset": name} | asdict(chosen)
        return Source(
            f"{name} {chosen.version}",
            count,
            settings,
            tuple(preset_jobs(chosen)),
            chosen.version != "v1",
        )
    check_split(split)
    jobs = tuple(
        Job(index, clips, seed, split, tuple(activities), distractors)
        for index in range(performers)
    )
    settings = {
        "preset": None,
        "performers": performers,
        "clips": clips,
        "seed": seed,
        "split": split,
        "distractors": distractors,
        "activities": list(activities),
    }
    return Source("own", performers * clips, settings, jobs, True)


@dataclass(frozen=True)
class _Work:
    """One job with what its rows need."""

    job: Job
    condition: tuple[float, str] | None
    origin: str
    complete: bool
    views: tuple[str, ...] = ()
    films: Path | None = None


def _rows(work: _Work) -> list[Row]:
    """The samples of one job, each with its calibration."""
    rows: list[Row] = []
    for drill in run_job(work.job):
        sample = to_sample(drill, work.condition, work.origin, complete=work.complete)
        if work.films is not None:
            sample["views"] = film_clip(
                drill.pose, drill.sample_id, work.views, work.films, drill.seed
            )
        if not work.complete:
            rows.append((sample, None))
            continue
        best, calibration = viewpoints(drill, FILM_SIZE if work.films else PICTURE_SIZE)
        rows.append((sample | {"best_exo": best}, calibration))
    return rows


def build_dataset(
    source: Source,
    folder: Path,
    noise: str,
    progress: Callable[[int, int], None],
    workers: int = 1,
    render: int = 0,
) -> dict[str, Any]:
    """Write the clips of `source`, filmed by `render` views; returns what was written and its sha.

    The bytes do not depend on `workers`; 0 means one process a core.
    """
    with films_beside(folder, render > 0) as films:
        return _build(source, folder, noise, progress, workers, film_views(render), films)


def _build(
    source: Source,
    folder: Path,
    noise: str,
    progress: Callable[[int, int], None],
    workers: int,
    views: tuple[str, ...],
    films: Path | None,
) -> dict[str, Any]:
    condition = noise_condition(noise)
    origin = f"simulated drills, {source.name}, noise {noise}"
    work = [_Work(job, condition, origin, source.complete, views, films) for job in source.jobs]
    cores = len(os.sched_getaffinity(0)) if workers == 0 else workers
    told: dict[str, Any] = {"clips": 0, "judged_clips": 0, "performers": set()}
    calibrations: dict[str, dict[str, Any]] = {}

    def samples() -> Iterator[dict[str, Any]]:
        for part in spread(_rows, work, cores, chunk=2):
            for sample, calibration in part:
                if calibration is not None:
                    calibrations[sample["calibration"]] = calibration
                told["clips"] += 1
                if sample["level"] is not None:
                    told["judged_clips"] += 1
                    told["performers"].add(sample["participant_id"])
                progress(told["clips"], source.count)
                yield sample

    before = _processor_seconds()
    sha = write_samples(samples(), folder, source.settings | {"noise": noise})
    _write_calibrations(folder, calibrations)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    return {
        "folder": str(folder),
        "clips": told["clips"],
        "judged_clips": told["judged_clips"],
        "performers": len(told["performers"]),
        "noise": noise,
        "megabytes": round(size / 1e6, 2),
        "sha256": sha,
        "clips_per_core_second": round(told["clips"] / (_processor_seconds() - before), 1),
    }


def _processor_seconds() -> float:
    """What this process and those it has ended took of the cores, seconds."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _write_calibrations(folder: Path, calibrations: dict[str, dict[str, Any]]) -> None:
    if not calibrations:
        return
    try:
        (folder / CALIBRATION_FOLDER).mkdir()
        for name, record in calibrations.items():
            (folder / name).write_text(json.dumps(_rounded(record)) + "\n", "utf-8")
    except OSError as fault:
        raise PoiseError(
            f"cannot write dataset {folder}", got=str(fault), remedy="name another folder"
        ) from fault


def _rounded(value: Any) -> Any:
    """Numbers with six decimals: a micrometre, and far below a pixel."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value
