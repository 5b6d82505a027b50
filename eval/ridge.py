"""A floor of the correction: ridge regression from the learner's window to the fault-free twin.

No language model, no codes, no commentary: one linear map an activity, from the window's joints to
what the twin would change, learned from other performers' clips.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from assistant.pose.alignment import procrustes
from assistant.pose.normalise import normalise
from assistant.tasks.window import cut_window, window_around
from eval.poses import window_joints
from eval.testset import TestClip

WINDOWS_PER_CLIP: Final = 3
# Seconds by which a window misses the middle of a fault, as an estimated moment may.
MOMENT_SPREAD: Final = 0.3
# Penalties tried, as shares of the windows' mean variance; held-out performers choose.
PENALTIES: Final = (0.001, 0.01, 0.1, 1.0)
FOLDS: Final = 4


class RidgeCorrection:
    """Corrected windows by a linear map of each activity."""

    def __init__(self) -> None:
        self._maps: dict[str, Any] = {}

    def fit(self, clips: Sequence[TestClip], seed: int = 0) -> "RidgeCorrection":
        """Learn from the windows of these clips, in their noise; all activities among them."""
        for activity in sorted({clip.activity for clip in clips}):
            some = [clip for clip in clips if clip.activity == activity]
            given, wanted, performers = _windows(some, seed)
            errors = [_held_out_error(given, wanted, performers, p) for p in PENALTIES]
            best = PENALTIES[int(np.argmin(errors))]
            self._maps[activity] = _ridge(given, wanted, best)
        return self

    def correct(self, activity: str, learner: np.ndarray) -> np.ndarray:
        """[F, 17, 3] of the learner's window, corrected; as it is where the activity is unknown."""
        if activity not in self._maps:
            return learner
        changed: np.ndarray = self._maps[activity].predict(learner.reshape(1, -1))
        return learner + changed.reshape(learner.shape)


def _windows(clips: Sequence[TestClip], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Learners [N, D], what their twins change [N, D] once they are laid onto them, performers."""
    given, wanted, performers = [], [], []
    for i, clip in enumerate(clips):
        rng, pose = np.random.default_rng([seed, i]), normalise(clip.pose)
        for _ in range(WINDOWS_PER_CLIP):
            middle = rng.uniform(0, pose.duration)
            if clip.fault_spans:
                start, end = clip.fault_spans[int(rng.integers(len(clip.fault_spans)))]
                middle = (start + end) / 2 + rng.normal(0, MOMENT_SPREAD)
            learner = cut_window(pose, window_around(middle, pose.duration)[0])
            twin = window_joints(clip.twin, learner.start)
            onto = procrustes(twin, learner.joints).apply(twin)
            given.append(learner.joints.ravel())
            wanted.append((onto - learner.joints).ravel())
            performers.append(clip.performer)
    return np.array(given, np.float64), np.array(wanted, np.float64), np.array(performers)


def _held_out_error(
    given: np.ndarray, wanted: np.ndarray, performers: np.ndarray, penalty: float
) -> float:
    """Squared error over performers that the map was not fitted on; without others, none at all."""
    names = sorted(set(performers))
    total = 0.0
    for fold in range(FOLDS):
        held = np.isin(performers, names[fold::FOLDS])
        if held.any() and not held.all():
            found = _ridge(given[~held], wanted[~held], penalty)
            total += float(((found.predict(given[held]) - wanted[held]) ** 2).sum())
    return total


def _ridge(given: np.ndarray, wanted: np.ndarray, penalty: float) -> Any:
    """A fitted `sklearn.linear_model.Ridge`; the penalty is a share of the windows' variance."""
    from sklearn.linear_model import Ridge

    return Ridge(alpha=penalty * len(given) * given.var(axis=0).mean()).fit(given, wanted)
