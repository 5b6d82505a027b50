"""Learners' windows near the true moments of simulated clips, each with its twin's."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from assistant.tasks.window import WindowFrames, cut_window, window_around
from data_prep.drills.records import Drill
from training.language_samples import twin_windows
from training.run import learner_poses

# Seconds by which a window misses the moment, as an estimated moment may.
MOMENT_SPREAD: Final = 0.3


def near_moments(
    drills: Sequence[Drill], seed: int, count: int = 1
) -> tuple[list[Drill], list[WindowFrames], list[WindowFrames]]:
    """`count` windows of each learner, in noise: drills, learners and twins, one entry a window."""
    clips: list[Drill] = []
    learners: list[WindowFrames] = []
    twins: list[WindowFrames] = []
    for i, (drill, pose) in enumerate(zip(drills, learner_poses(drills, seed), strict=True)):
        rng, windows = np.random.default_rng([seed, 13, i]), []
        for _ in range(count):
            start, end = drill.moments[rng.integers(len(drill.moments))]
            middle = (start + end) / 2 + rng.normal(0, MOMENT_SPREAD)
            windows.append(cut_window(pose, window_around(middle, pose.duration)[0]))
        clips += [drill] * count
        learners += windows
        twins += twin_windows(drill, windows)
    return clips, learners, twins
