"""How wrong the joints of each pose source are, and random errors of that size.

The errors of one view are slow and biased rather than white, so a draw is one smooth curve per
joint. Their sizes are measured (`poise data pose-error`, docs/data/multiview.md).
"""

import json
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np
from scipy.spatial.transform import Rotation

from assistant.errors import PoiseError
from assistant.skeleton import N_JOINTS

MEASURED: Final = "pose_error.json"  # beside this file; `poise data pose-error --table` writes it
_MEAN_NORM: Final = (8 / np.pi) ** 0.5  # mean length of a 3D normal vector, unit variance an axis
_KNOT_SECONDS: Final = 0.7
# Joint groups in COCO order: five points of the head, then left and right of each.
_PAIRS: Final = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
# Taken for poses of several cameras, for want of a reference that is better than they are.
_MULTI_VIEW: Final = {
    "head": 12.0,
    "shoulder": 12.0,
    "elbow": 16.0,
    "wrist": 24.0,
    "hip": 12.0,
    "knee": 14.0,
    "ankle": 21.0,
}
_GENERATED_MM: Final = 15.0  # what the pose codes lose


def _per_joint(groups: dict[str, float]) -> np.ndarray:
    pairs = np.repeat([groups[name] for name in _PAIRS], 2)
    return np.concatenate([np.full(5, groups["head"]), pairs])


@cache
def _measured() -> dict[str, Any]:
    return json.loads(resources.files("assistant.pose").joinpath(MEASURED).read_text("utf-8"))


@cache
def _errors() -> dict[str, np.ndarray]:
    """Mean joint error [17] in millimetres of each pose source.

    "mediapipe" is one view against the triangulation of several (docs/data/multiview.md).
    """
    return {
        "simulated": np.zeros(N_JOINTS),
        "file": _per_joint(_MULTI_VIEW),
        "triangulated": _per_joint(_MULTI_VIEW),
        "generated": np.full(N_JOINTS, _GENERATED_MM),
        "mediapipe": _per_joint(_measured()["joint_mm"]),
    }


def joint_error_mm(source: str) -> np.ndarray:
    """Mean error of each joint [17] of a pose source; an unknown one lists the known."""
    known = _errors()
    if source not in known:
        raise PoiseError("unknown pose source", got=repr(source), expected=", ".join(known))
    return known[source]


def disturbed(source: str, joints: np.ndarray, fps: float, draws: int) -> np.ndarray:
    """Versions [draws, F, 17, 3] of normalised joints [F, 17, 3] under the errors of their source:
    `draw_errors`, and for one view a lean of the whole body, constant over the clip (fixed seeds).

    Lengths in metres; the joints are centred on the pelvis, about which the body leans.
    """
    errors = draw_errors(source, len(joints), fps, draws, np.random.default_rng(0))
    if source != "mediapipe":
        return joints + errors
    lean = np.random.default_rng(1).standard_normal((draws, 2)) * np.radians(tilt_degrees())
    turns = Rotation.from_rotvec(np.pad(lean, ((0, 0), (0, 1)))).as_matrix()
    return joints @ np.swapaxes(turns, 1, 2)[:, None] + errors


def tilt_degrees() -> float:
    """Standard deviation, an axis, of the lean of a body that one level camera sees."""
    return float(_measured()["tilt_degrees"])


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
