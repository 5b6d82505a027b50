"""How wrong the joints of each pose source are, and random errors of that size.

The errors are slow and biased rather than white (two views of one instant differ by 86 to 124 mm
while frames jitter by 1 to 5 mm), so a draw is one smooth curve per joint.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from assistant.errors import PoiseError
from assistant.skeleton import N_JOINTS

_MEAN_NORM: Final = (8 / np.pi) ** 0.5  # mean length of a 3D normal vector, unit variance an axis
_KNOT_SECONDS: Final = 0.7


def _per_joint(
    head: float,
    shoulder: float,
    elbow: float,
    wrist: float,
    hip: float,
    knee: float,
    ankle: float,
) -> np.ndarray:
    pairs = np.repeat([shoulder, elbow, wrist, hip, knee, ankle], 2)
    return np.concatenate([np.full(5, head), pairs])


_MULTI_VIEW: Final = _per_joint(12.0, 12.0, 16.0, 24.0, 12.0, 14.0, 21.0)  # mean 15.2

# Mean joint error in millimetres. "file" and "triangulated": multi-camera quality. "mediapipe":
# one view against a four-view triangulation of the same instant (mean 77 to 85 mm on a hard
# motion, wrists 100 to 240, ankles 75 to 190, best at shoulders and head). "generated": what
# the pose codes lose.
JOINT_ERROR_MM: Final[Mapping[str, np.ndarray]] = {
    "simulated": np.zeros(N_JOINTS),
    "file": _MULTI_VIEW,
    "triangulated": _MULTI_VIEW,
    "generated": np.full(N_JOINTS, 15.0),
    "mediapipe": _per_joint(45.0, 50.0, 85.0, 150.0, 50.0, 75.0, 120.0),
}


def joint_error_mm(source: str) -> np.ndarray:
    """Mean error of each joint [17] of a pose source; an unknown one lists the known."""
    if source not in JOINT_ERROR_MM:
        raise PoiseError(
            "unknown pose source", got=repr(source), expected=", ".join(JOINT_ERROR_MM)
        )
    return JOINT_ERROR_MM[source]


def draw_errors(
    source: str, frames: int, fps: float, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Random joint errors [draws, frames, 17, 3] in metres, smooth over about 0.7 s."""
    sigma = joint_error_mm(source) / 1000 / _MEAN_NORM
    knots = max(int(np.ceil(frames / fps / _KNOT_SECONDS)), 1) + 1
    values = rng.standard_normal((draws, knots, N_JOINTS, 3)) * sigma[:, None]
    position = np.linspace(0, knots - 1, frames) if frames > 1 else np.zeros(1)
    low = np.minimum(position.astype(int), knots - 2)
    weight = (position - low)[:, None, None]
    # Weights whose squares sum to 1 keep the size of the error between the knots.
    return values[:, low] * np.cos(weight * np.pi / 2) + values[:, low + 1] * np.sin(
        weight * np.pi / 2
    )
