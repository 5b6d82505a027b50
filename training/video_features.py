"""Video features of simulated clips for the language stage: rendered, encoded, no film kept."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from assistant.clip import PoseSequence
from assistant.dataset import read_samples
from assistant.errors import PoiseError
from assistant.perception import Perception
from assistant.processes import spread
from assistant.tasks.window import WINDOW_SECONDS
from assistant.video.sampling import uniform_times
from data_prep.drills.render import render_views
from prompts.vocabulary import VIEWS

# How many views a clip has: mostly one film, sometimes a whole rig.
VIEW_COUNTS = (1, 2, 5)
VIEW_COUNT_SHARES = (0.6, 0.3, 0.1)


def drawn_views(count: int, share: float, rig: str, seed: int) -> list[tuple[str, ...]]:
    """The views that each of `count` clips is filmed by: of a `share` of them some or, with the rig
    "whole", all; of the others none."""
    rng = np.random.default_rng([seed, 12])
    drawn: list[tuple[str, ...]] = [()] * count
    for i in np.flatnonzero(rng.random(count) < share):
        drawn[i] = VIEWS
        if rig == "mixed":
            some = int(rng.choice(VIEW_COUNTS, p=VIEW_COUNT_SHARES))
            views = sorted(rng.choice(len(VIEWS), size=some, replace=False))
            drawn[i] = tuple(VIEWS[v] for v in views)
    return drawn


def masked(
    features: np.ndarray | None, filmed: Sequence[str], views: Sequence[str]
) -> np.ndarray | None:
    """Of features [V, D] of the `filmed` views those of `views`; None where none is left."""
    kept = [i for i, name in enumerate(filmed) if name in views]
    return None if features is None or not kept else features[kept]


def rendered_features(
    poses: Sequence[PoseSequence],
    starts: Sequence[float] | np.ndarray,
    perception: Perception,
    filmed: Sequence[Sequence[str]],
    seed: int,
    workers: int,
) -> list[np.ndarray | None]:
    """[V, D] features of each clip's views, None without any.

    The frames are those of the focus window, as in coaching; the true body is filmed, not the noisy
    estimate.

    Args:
        poses: the true motion of each clip.
        starts: seconds at which each clip's focus window begins.
        filmed: the views of each clip (`drawn_views`).
    """
    encoder = perception.video_encoder
    features: list[np.ndarray | None] = [None] * len(poses)
    chosen = [i for i, views in enumerate(filmed) if views]
    if encoder is None or not chosen:
        return features
    jobs = []
    for i in chosen:
        start = float(starts[i])
        times = uniform_times(start, start + WINDOW_SECONDS, encoder.frames)
        jobs.append((poses[i], list(filmed[i]), times, encoder.size, int(seed + i)))
    for i, pictures in zip(chosen, spread(_render, jobs, workers, chunk=8), strict=True):
        features[i] = encoder.encode(pictures)
    return features


def _render(job: tuple) -> np.ndarray:
    """uint8 [V, 8, S, S, 3] of one job."""
    pose, views, times, size, seed = job
    films = render_views(pose, views, times, size=size, seed=seed)
    return np.stack([films[view] for view in views])


def write_features(
    run: Path, dataset: Path, starts: Path, output: Path, *, workers: int, seed: int
) -> Path:
    """Store features [V, D] of all views of simulated clips, by the clip's name; whole or not.

    Args:
        run: a folder with perception.
        dataset: clips with their true motion (`pose_clean`).
        starts: JSON of a clip's name to the second at which its focus window begins.

    Raises:
        PoiseError: no video encoder, or a clip that is not in the dataset.
    """
    perception = Perception.from_pretrained(run)
    if perception.video_encoder is None:
        raise PoiseError("no films without a video encoder", got=str(run))
    begins: dict[str, float] = json.loads(starts.read_text("utf-8"))
    poses = {row["sample_id"]: row["pose_clean"] for row in read_samples(dataset)}
    missing = [name for name in begins if name not in poses]
    if missing:
        raise PoiseError(f"clips that are not in {dataset}", got=", ".join(missing[:3]))
    chosen = [poses[name] for name in begins]
    filmed = [VIEWS] * len(chosen)
    made = rendered_features(chosen, list(begins.values()), perception, filmed, seed, workers)
    arrays: dict[str, Any] = dict(zip(begins, made, strict=True))
    part = output.with_name(f"{output.name}.part")
    with part.open("wb") as file:
        np.savez(file, **arrays)
    part.replace(output)
    return output
