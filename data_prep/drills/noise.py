"""Pose noise as real pose estimates have it: slow, biased, worst at wrists and ankles.

Fitted to the difference between single-view MediaPipe and a four-camera triangulation of the same
motion: frame-to-frame jitter of only 1 to 5 mm, but PA-MPJPE of 77 to 85 mm, wrists 100 to 240 mm,
ankles 75 to 190 mm, best at shoulders and head; bone lengths wander by 5 to 15%; left and right
swap at times.
"""

from typing import Final

import numpy as np
from scipy.interpolate import CubicSpline

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.skeleton import (
    LEFT_ANKLE,
    LEFT_ELBOW,
    LEFT_KNEE,
    LEFT_WRIST,
    N_JOINTS,
    pelvis,
)

# Size of the error per joint relative to the mean over joints (COCO-17 order).
PROFILE: Final = np.array(
    [0.55, 0.55, 0.55, 0.6, 0.6, 0.6, 0.6, 1.15, 1.15, 1.9, 1.9, 0.75, 0.75, 1.15, 1.15, 1.6, 1.6]
)
BIAS_SHARE: Final = 0.6  # of the variance: constant over the clip
SLOW_SECONDS: Final = (0.5, 1.1)
PARENT_SHARE: Final = 0.5  # an outer joint inherits this much of the inner one's error
KINDS: Final = ("slow", "single_view")
DEPTH_STRETCH: Final = 1.9  # single view: error along the line of sight against across
SWAPS_PER_MINUTE: Final = 2.0
# Mean displacement that gives a PA-MPJPE of 1 for "single_view" (measured on simulated clips).
DISPLACEMENT_PER_PA: Final = 1.10


def add_pose_noise(
    pose: PoseSequence,
    rng: np.random.Generator,
    *,
    millimetres: float = 15.0,
    kind: str = "slow",
) -> PoseSequence:
    """A noisy copy.

    Args:
        pose: clean motion.
        rng: source of the noise.
        millimetres: for "slow", the mean over frames and joints of the length of the
            displacement, exactly; for "single_view", about the mean per-frame PA-MPJPE (80 is
            what MediaPipe shows).
        kind: "slow" (several cameras) keeps the world position; "single_view" has larger errors
            along a random line of sight, left-right swaps, and is centred on the pelvis with
            `world` False.

    Raises:
        PoiseError: unknown kind or a negative size.
    """
    if kind not in KINDS:
        raise PoiseError("unknown pose noise", got=repr(kind), expected=", ".join(KINDS))
    if millimetres < 0:
        raise PoiseError("pose noise below zero", got=str(millimetres), expected="0 or more")
    error = _slow(rng, len(pose), pose.fps)
    joints = pose.joints.astype(np.float64)
    if kind == "slow":
        noisy = joints + _scaled(error, millimetres)
        world = pose.world
    else:
        error = _stretch_depth(rng, error)
        noisy = joints + _scaled(error, millimetres * DISPLACEMENT_PER_PA)
        noisy = _swap_sides(rng, noisy, pose.fps)
        noisy = noisy - pelvis(noisy)[:, None]
        world = False
    return PoseSequence(
        joints=noisy.astype(np.float32),
        confidence=pose.confidence,
        fps=pose.fps,
        source="mediapipe" if kind == "single_view" else "file",  # decides the error bars
        world=world,
    )


def _scaled(error: np.ndarray, millimetres: float) -> np.ndarray:
    mean = np.linalg.norm(error, axis=-1).mean()
    return error * (millimetres / 1000 / mean)


def _slow(rng: np.random.Generator, frames: int, fps: float) -> np.ndarray:
    """Unscaled error [F, 17, 3]: a bias and a slow curve per joint, passed down the limbs."""
    bias = rng.normal(size=(1, N_JOINTS, 3))
    knot_gap = rng.uniform(*SLOW_SECONDS)
    knots = max(int(np.ceil(frames / fps / knot_gap)) + 3, 4)
    values = rng.normal(size=(knots, N_JOINTS, 3))
    position = np.arange(frames) / fps / knot_gap + rng.uniform(0, 1)
    slow = CubicSpline(np.arange(knots), values)(position) * 1.15
    error = np.sqrt(BIAS_SHARE) * bias + np.sqrt(1 - BIAS_SHARE) * slow
    own, inherited = np.sqrt(1 - PARENT_SHARE**2), PARENT_SHARE
    for inner, outer in ((LEFT_ELBOW, LEFT_WRIST), (LEFT_KNEE, LEFT_ANKLE)):
        for side in (0, 1):
            error[:, outer + side] = (
                own * error[:, outer + side] + inherited * error[:, inner + side]
            )
    return error * PROFILE[None, :, None] + 0.015 * rng.normal(size=error.shape)


def _stretch_depth(rng: np.random.Generator, error: np.ndarray) -> np.ndarray:
    """Larger errors along one horizontal line of sight."""
    angle = rng.uniform(0, 2 * np.pi)
    sight = np.array([np.cos(angle), np.sin(angle), 0.0])
    along = error @ sight
    return error + (DEPTH_STRETCH - 1) * along[..., None] * sight


def _swap_sides(rng: np.random.Generator, joints: np.ndarray, fps: float) -> np.ndarray:
    """Now and then the two legs, or the two arms, change names for a moment."""
    joints = joints.copy()
    for _ in range(rng.poisson(SWAPS_PER_MINUTE * len(joints) / fps / 60)):
        start = int(rng.integers(len(joints)))
        stop = start + max(int(rng.uniform(0.05, 0.3) * fps), 1)
        limbs = (LEFT_KNEE, LEFT_ANKLE) if rng.random() < 0.6 else (LEFT_ELBOW, LEFT_WRIST)
        for left in limbs:
            joints[start:stop, [left, left + 1]] = joints[start:stop, [left + 1, left]]
    return joints
