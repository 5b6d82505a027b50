"""Video features of simulated clips for the language stage: rendered, encoded, no film kept."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from assistant.perception import Perception
from assistant.processes import spread
from assistant.tasks.window import WINDOW_SECONDS
from assistant.video.sampling import uniform_times
from data_prep.drills.render import render_views
from prompts.vocabulary import VIEWS

if TYPE_CHECKING:
    from data_prep.drills.records import Drill

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
    drills: Sequence["Drill"],
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
        starts: seconds at which each clip's focus window begins.
        filmed: the views of each clip (`drawn_views`).
    """
    encoder = perception.video_encoder
    features: list[np.ndarray | None] = [None] * len(drills)
    chosen = [i for i, views in enumerate(filmed) if views]
    if encoder is None or not chosen:
        return features
    jobs = []
    for i in chosen:
        start = float(starts[i])
        times = uniform_times(start, start + WINDOW_SECONDS, encoder.frames)
        jobs.append((drills[i].pose, list(filmed[i]), times, encoder.size, int(seed + i)))
    for i, pictures in zip(chosen, spread(_render, jobs, workers, chunk=8), strict=True):
        features[i] = encoder.encode(pictures)
    return features


def _render(job: tuple) -> np.ndarray:
    """uint8 [V, 8, S, S, 3] of one job."""
    pose, views, times, size, seed = job
    films = render_views(pose, views, times, size=size, seed=seed)
    return np.stack([films[view] for view in views])
