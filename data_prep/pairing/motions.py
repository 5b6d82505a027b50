"""Poses cut to what is compared: a learner's window, and all expert windows around a time."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from assistant.clip import PoseSequence
from data_prep.pairing.executions import Execution

FPS: Final = 30.0
CACHED_MOTIONS: Final = 64

NO_POSE: Final = "no pose"
TOO_SHORT: Final = "motion shorter than the window"


@dataclass(frozen=True)
class Segment:
    """Consecutive frames at 30 fps.

    Attributes:
        joints: [F, 17, 3] metres; confidence: [F, 17].
        start: seconds of the take at which they begin.
        world: whether the path over the ground is real (see `PoseSequence`).
    """

    joints: np.ndarray
    confidence: np.ndarray
    start: float
    world: bool = True


class Motions:
    """Cuts segments out of the motions of a dataset.

    Args:
        pose: row number to its pose, None where it has none.
        window: seconds.
    """

    def __init__(self, pose: Callable[[int], PoseSequence | None], window: float) -> None:
        self.frames = round(window * FPS)
        self._pose = lru_cache(CACHED_MOTIONS)(lambda row: _at_rate(pose(row)))

    def learner(self, execution: Execution) -> Segment | str:
        """The window with the execution's time in its middle, moved inside the motion at its ends.

        Returns a reason where there is none.
        """
        pose = self._pose(execution.row)
        if pose is None or len(pose) < self.frames:
            return NO_POSE if pose is None else TOO_SHORT
        middle = (execution.time - execution.begins) * FPS
        first = min(max(round(middle - self.frames / 2), 0), len(pose) - self.frames)
        return self._cut(pose, execution, first, first + self.frames)

    def expert(self, execution: Execution) -> Segment | str:
        """The frames of all windows that contain the execution's time (about 4 s for 2 s windows).

        Every window position in the segment holds the time strictly inside (ExpertAF 3.2); where
        the motion ends at that very time, its last window counts too. Or a reason.
        """
        pose = self._pose(execution.row)
        if pose is None or len(pose) < self.frames:
            return NO_POSE if pose is None else TOO_SHORT
        first, last = self.positions(execution, len(pose))
        return self._cut(pose, execution, first, last + self.frames)

    def positions(self, execution: Execution, frames: int) -> tuple[int, int]:
        """First and last frame at which a window around the time may begin in so many frames."""
        # Rounded, so that a time on a frame is not moved off it by its decimal fraction.
        at = round((execution.time - execution.begins) * FPS, 6)
        first, last = math.floor(at - self.frames) + 1, math.ceil(at) - 1
        most = frames - self.frames
        return min(max(first, 0), most), min(max(last, 0), most)

    def _cut(self, pose: PoseSequence, execution: Execution, first: int, end: int) -> Segment:
        start = execution.begins + first / FPS
        return Segment(pose.joints[first:end], pose.confidence[first:end], start, pose.world)


def _at_rate(pose: PoseSequence | None) -> PoseSequence | None:
    """The pose at 30 fps; a slightly different rate is a rounding of it."""
    return pose if pose is None or abs(pose.fps - FPS) < 0.01 else pose.resample(FPS)
