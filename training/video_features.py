"""Video features of simulated clips for the language stage: rendered, encoded, no film kept."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from assistant.perception import Perception
from assistant.processes import worker_pool
from assistant.tasks.window import WINDOW_SECONDS
from assistant.video.sampling import uniform_times
from data_prep.drills.render import render_views
from prompts.vocabulary import VIEWS

if TYPE_CHECKING:
    from data_prep.drills.records import Drill

# How many views a clip has: mostly one film, sometimes a whole rig.
VIEW_COUNTS = (1, 2, 5)
VIEW_COUNT_SHARES = (0.6, 0.3, 0.1)


def rendered_features(
    drills: Sequence["Drill"],
    starts: Sequence[float] | np.ndarray,
    perception: Perception,
    share: float,
    seed: int,
    workers: int,
) -> list[np.ndarray | None]:
    """[V, D] features for a `share` of the clips, None for the others.

    The frames are those of the focus window, as in coaching; the true body is filmed, not the noisy
    estimate.

    Args:
        starts: seconds at which each clip's focus window begins.
    """
    encoder = perception.video_encoder
    if encoder is None or share <= 0:
        return [None] * len(drills)
    rng = np.random.default_rng([seed, 12])
    chosen = np.flatnonzero(rng.random(len(drills)) < share)
    jobs = []
    for i in chosen:
        count = int(rng.choice(VIEW_COUNTS, p=VIEW_COUNT_SHARES))
        views = sorted(rng.choice(len(VIEWS), size=count, replace=False))
        start = float(starts[i])
        times = uniform_times(start, start + WINDOW_SECONDS, encoder.frames)
        jobs.append((drills[i].pose, [VIEWS[v] for v in views], times, encoder.size, int(seed + i)))
    features: list[np.ndarray | None] = [None] * len(drills)
    with worker_pool(workers) as pool:
        for i, pictures in zip(chosen, pool.map(_render, jobs, chunksize=8), strict=True):
            features[i] = encoder.encode(pictures)
    return features


def _render(job: tuple) -> np.ndarray:
    """uint8 [V, 8, S, S, 3] of one job."""
    pose, views, times, size, seed = job
    films = render_views(pose, views, times, size=size, seed=seed)
    return np.stack([films[view] for view in views])
