"""What a measured quantity is, whose activities it may be of, and helpers that most share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from assistant.pose.motion import Motion

SQUAT: Final = "bodyweight_squat"
LUNGE: Final = "forward_lunge"
PRESS: Final = "overhead_press"
FREE_THROW: Final = "basketball_free_throw"
KICK: Final = "soccer_penalty_kick"
GOLF: Final = "golf_swing"

Result = tuple[np.ndarray, np.ndarray | None]  # values [S], frames [S] they were taken at


@dataclass(frozen=True)
class Quantity:
    """One thing that can be measured.

    Attributes:
        name, unit, region: identifiers; `region` is the body region a remark about it names.
        meaning: one line for reports.
        function: Motion -> values [S] and the frames they were taken at (None: the whole span).
        joints: which joints must be seen.
        activities: where it has a meaning; empty for any motion.
        world: it needs a real path over the ground.
    """

    name: str
    unit: str
    region: str
    meaning: str
    function: Callable[[Motion], Result]
    joints: tuple[int, ...]
    activities: tuple[str, ...] = ()
    world: bool = False


def at_frames(track: np.ndarray, frames: np.ndarray) -> Result:
    """Values [S] of a track [S, F] at frames [S]."""
    return np.take_along_axis(track, frames[:, None], axis=1)[:, 0], frames


def peak(motion: Motion, track: np.ndarray, window: np.ndarray | None = None) -> Result:
    """The largest value of [S, F] in the window, and its frames."""
    return at_frames(track, motion.inside(track, -np.inf, window).argmax(axis=1))
