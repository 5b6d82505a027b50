"""What a result must beat or can at best reach: an oracle and gradient boosting on joint angles.

The oracle reads the injected faults and nothing else. Boosting sees the same noisy poses as the
model, as statistics of joint angles over the clip.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from assistant.clip import PoseSequence
from assistant.levels import N_LEVELS
from assistant.skeleton import (
    LEFT_ANKLE,
    LEFT_ELBOW,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_SHOULDER,
    LEFT_WRIST,
    NOSE,
    RIGHT_ANKLE,
    RIGHT_ELBOW,
    RIGHT_HIP,
    RIGHT_KNEE,
    RIGHT_SHOULDER,
    RIGHT_WRIST,
    pelvis,
)
from prompts.vocabulary import REGIONS

_ANGLES = (
    (LEFT_HIP, LEFT_KNEE, LEFT_ANKLE),
    (RIGHT_HIP, RIGHT_KNEE, RIGHT_ANKLE),
    (LEFT_SHOULDER, LEFT_HIP, LEFT_KNEE),
    (RIGHT_SHOULDER, RIGHT_HIP, RIGHT_KNEE),
    (LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST),
    (RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST),
    (LEFT_ELBOW, LEFT_SHOULDER, LEFT_HIP),
    (RIGHT_ELBOW, RIGHT_SHOULDER, RIGHT_HIP),
)
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def oracle_level(faults: Sequence[Mapping[str, Any]]) -> int:
    """The level by the number of different injected faults: none is Late Expert, 3 is Novice."""
    return max(N_LEVELS - 1 - len({fault["name"] for fault in faults}), 0)


def angle_tracks(pose: PoseSequence) -> np.ndarray:
    """[F, A] joint angles in degrees, trunk and head lean, ankle widths over shoulder width."""
    joints = pose.joints.astype(np.float64)
    columns = [_angle(joints[:, a], joints[:, b], joints[:, c]) for a, b, c in _ANGLES]
    neck = (joints[:, LEFT_SHOULDER] + joints[:, RIGHT_SHOULDER]) / 2
    trunk, head = neck - pelvis(joints), joints[:, NOSE] - neck
    columns += [_lean(trunk), _lean(head)]
    shoulders = np.linalg.norm(joints[:, LEFT_SHOULDER] - joints[:, RIGHT_SHOULDER], axis=-1)
    for left, right in ((LEFT_KNEE, RIGHT_KNEE), (LEFT_ANKLE, RIGHT_ANKLE)):
        width = np.linalg.norm(joints[:, left] - joints[:, right], axis=-1)
        columns.append(100 * width / np.maximum(shoulders, 0.05))
    for wrist, shoulder in ((LEFT_WRIST, LEFT_SHOULDER), (RIGHT_WRIST, RIGHT_SHOULDER)):
        columns.append(100 * (joints[:, wrist, 2] - joints[:, shoulder, 2]))
    columns.append(100 * (joints[:, LEFT_ANKLE, 2] - joints[:, RIGHT_ANKLE, 2]))
    return np.column_stack(columns)


def angle_statistics(pose: PoseSequence) -> np.ndarray:
    """[D] quantiles of every angle track and of its speed, and the clip's duration."""
    tracks = angle_tracks(pose)
    speed = np.gradient(tracks, axis=0) * pose.fps if len(tracks) > 1 else np.zeros_like(tracks)
    parts = [np.quantile(tracks, _QUANTILES, axis=0), np.quantile(speed, (0.05, 0.95), axis=0)]
    return np.concatenate([p.ravel() for p in parts] + [[pose.duration]])


class BoostedTrees:
    """Gradient boosting on joint-angle statistics, one model for the level and one a region."""

    def __init__(self, seed: int = 0) -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier

        self._make = lambda: HistGradientBoostingClassifier(max_iter=150, random_state=seed)

    def fit(
        self,
        features: np.ndarray,
        levels: Sequence[int],
        faults: Sequence[set[str]],
    ) -> "BoostedTrees":
        """Learn from [N, D] features, levels and faulty regions."""
        self._level = self._make().fit(features, np.asarray(levels))
        self._regions = {}
        for region in REGIONS:
            labels = np.array([region in row for row in faults])
            if 0 < labels.sum() < len(labels):
                self._regions[region] = self._make().fit(features, labels)
        return self

    def levels(self, features: np.ndarray) -> np.ndarray:
        """[N] predicted levels."""
        return self._level.predict(features)

    def faults(self, features: np.ndarray) -> list[set[str]]:
        """The regions that each clip is said to do wrong."""
        found: list[set[str]] = [set() for _ in features]
        for region, model in self._regions.items():
            for row in np.flatnonzero(model.predict(features)):
                found[row].add(region)
        return found


def _angle(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Angle at b in degrees, [F]."""
    u, v = a - b, c - b
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(u, v), axis=-1), (u * v).sum(axis=-1)))


def _lean(axis: np.ndarray) -> np.ndarray:
    """Angle of [F, 3] from the vertical, degrees."""
    return np.degrees(np.arctan2(np.linalg.norm(axis[:, :2], axis=-1), axis[:, 2]))
