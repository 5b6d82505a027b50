"""Ego, exo and gaze streams of simulated clips, as coaching would make them of real ones.

Films are rendered and encoded once a run and kept in `work/streams_<pool>.npz`, under the hash of
what they were made from.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from assistant.processes import spread
from assistant.proficiency.streams import GAZE_FPS, VIDEO_FPS, Stream, Streams, dense_times
from assistant.video.encoder import VideoEncoder
from data_prep.drills.records import Drill
from data_prep.drills.render import render_views
from prompts.vocabulary import VIEWS
from training.run import WORK, Run

EXO_VIEWS = tuple(view for view in VIEWS if view != "ego")
MARGIN_SECONDS = 0.5


def pool_streams(
    run: Run, pool: str, *, video_share: float, gaze_share: float
) -> dict[str, Streams]:
    """Streams of a share of a pool's clips with a level, by sample id."""
    drills = [d for d in run.pool(pool) if d.level is not None]
    seed = run.recipe.seed
    draws = np.array([np.random.default_rng([seed, 13, i]).random(2) for i in range(len(drills))])
    filmed = [d for d, draw in zip(drills, draws, strict=True) if draw[0] < video_share]
    found: dict[str, dict[str, Stream]] = {}
    encoder = run.video_encoder()
    if encoder is not None and filmed:
        key = hashlib.sha256(f"{encoder.sha256()} {seed}".encode())
        key.update(" ".join(d.sample_id for d in filmed).encode())
        path = run.folder / WORK / f"streams_{pool}_{key.hexdigest()[:16]}.npz"
        if not path.is_file():
            workers = run.recipe.data.workers
            made = video_streams(filmed, encoder, seed=seed, workers=workers)
            save_streams(path, dict(zip((d.sample_id for d in filmed), made, strict=True)))
        found = load_streams(path)
    for drill, draw in zip(drills, draws, strict=True):
        if draw[1] < gaze_share:
            found.setdefault(drill.sample_id, {})["gaze"] = gaze_stream(drill)
    return dict(found)


def save_streams(path: Path, streams: Mapping[str, Streams]) -> None:
    """Write the streams of clips by name, all or nothing."""
    arrays: dict[str, Any] = {}
    for clip, mine in streams.items():
        for name, stream in mine.items():
            arrays[f"{clip}/{name}"] = stream.values
            arrays[f"{clip}/{name}/time"] = np.array([stream.fps, stream.start])
    part = path.with_suffix(".part.npz")
    np.savez(part, **arrays)
    part.replace(path)


def load_streams(path: Path) -> dict[str, dict[str, Stream]]:
    """Inverse of `save_streams`."""
    found: dict[str, dict[str, Stream]] = {}
    with np.load(path, allow_pickle=False) as arrays:
        for key in arrays.files:
            if not key.endswith("/time"):
                clip, name = key.rsplit("/", 1)
                fps, start = arrays[f"{key}/time"]
                found.setdefault(clip, {})[name] = Stream(arrays[key], float(fps), float(start))
    return found


def gaze_stream(drill: Drill) -> Stream:
    """Gaze [F, 2] in degrees at `GAZE_FPS`."""
    count = max(int(drill.pose.duration * GAZE_FPS), 1)
    places = np.round(np.arange(count) / GAZE_FPS * drill.pose.fps).astype(int)
    return Stream(drill.gaze[np.minimum(places, len(drill.gaze) - 1)], GAZE_FPS)


def action_span(drill: Drill) -> tuple[float, float]:
    """All repetitions with a margin, seconds; the whole clip where there are none."""
    if not drill.repetitions:
        return 0.0, drill.pose.duration
    start = max(drill.repetitions[0][0] - MARGIN_SECONDS, 0.0)
    return start, min(drill.repetitions[-1][1] + MARGIN_SECONDS, drill.pose.duration)


def video_streams(
    drills: Sequence[Drill],
    encoder: VideoEncoder,
    *,
    seed: int,
    workers: int,
    both_share: float = 0.5,
    spans: Sequence[tuple[float, float]] | None = None,
) -> list[dict[str, Stream]]:
    """Rendered and encoded views of each drill: ego, one of the exo views, or both.

    Args:
        both_share: share of the drills with both; of the others every second has ego alone.
        spans: seconds that are filmed; None takes the repetitions with a margin.
    Returns:
        Per drill "ego" and/or "exo" to its stream. The same for any number of workers.
    """
    jobs = []
    for i, drill in enumerate(drills):
        rng = np.random.default_rng([seed, 14, i])
        exo = EXO_VIEWS[int(rng.integers(len(EXO_VIEWS)))]
        views = ["ego", exo] if rng.random() < both_share else [("ego", exo)[i % 2]]
        span = action_span(drill) if spans is None else spans[i]
        look = int(rng.integers(2**31))
        jobs.append((drill.pose, views, dense_times(span), encoder.size, look))
    found = []
    for job, films in zip(jobs, spread(_render, jobs, workers, chunk=8), strict=True):
        start = float(job[2][0])
        found.append(
            {
                "ego" if view == "ego" else "exo": Stream(
                    encoder.encode_dense(film), VIDEO_FPS, start
                )
                for view, film in films.items()
            }
        )
    return found


def _render(job: tuple) -> dict[str, np.ndarray]:
    """View -> uint8 [F, S, S, 3] of one job."""
    pose, views, times, size, seed = job
    return render_views(pose, views, times, size=size, seed=seed)
