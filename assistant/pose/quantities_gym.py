"""The quantities of the forward lunge and of the overhead press."""

from typing import Final

import numpy as np

from assistant.pose import angles
from assistant.pose.motion import Motion, bottom_frame, hands
from assistant.pose.quantity import LUNGE, PRESS, Quantity, Result, at_frames, peak
from assistant.skeleton import (
    ARMS,
    HEAD,
    LEFT_ANKLE,
    LEFT_KNEE,
    LEFT_SHOULDER,
    LEGS,
    RIGHT_ANKLE,
    RIGHT_KNEE,
    RIGHT_SHOULDER,
    TRUNK,
)


def of_front(motion: Motion, left: np.ndarray, right: np.ndarray) -> Result:
    """The track [S, F] of the leg that stands ahead at the bottom, there."""
    x = motion.joints[..., 0]
    frames = bottom_frame(motion)
    apart, _ = at_frames(x[..., LEFT_ANKLE] - x[..., RIGHT_ANKLE], frames)
    values, _ = at_frames(np.where(apart[:, None] > 0, left, right), frames)
    return values, frames


def _front_knee_flexion(motion: Motion) -> Result:
    return of_front(
        motion, angles.knee_flexion(motion.joints, 0), angles.knee_flexion(motion.joints, 1)
    )


def _front_knee_inside(motion: Motion) -> Result:
    y = motion.joints[..., 1]
    left = y[..., LEFT_ANKLE] - y[..., LEFT_KNEE]
    right = y[..., RIGHT_KNEE] - y[..., RIGHT_ANKLE]
    return of_front(motion, 100 * left, 100 * right)


def _step_length(motion: Motion) -> Result:
    gap = motion.joints[..., LEFT_ANKLE, :2] - motion.joints[..., RIGHT_ANKLE, :2]
    return at_frames(100 * np.linalg.norm(gap, axis=-1), bottom_frame(motion))


def top_frame(motion: Motion) -> np.ndarray:
    """Frame [S] at which both hands are highest."""
    return motion.inside(hands(motion)[..., 2], -np.inf).argmax(axis=1)


def _elbow_top(motion: Motion) -> Result:
    both = angles.elbow_angle(motion.joints, 0) + angles.elbow_angle(motion.joints, 1)
    return at_frames(both / 2, top_frame(motion))


def _hands_ahead_top(motion: Motion) -> Result:
    shoulders = motion.joints[..., [LEFT_SHOULDER, RIGHT_SHOULDER], :].mean(axis=-2)
    return at_frames(100 * (hands(motion) - shoulders)[..., 0], top_frame(motion))


def _lean_back(motion: Motion) -> Result:
    return peak(motion, -angles.trunk_lean(motion.joints))


def _head_pitch_top(motion: Motion) -> Result:
    return at_frames(angles.head_pitch(motion.joints), top_frame(motion))


GYM_QUANTITIES: Final = (
    Quantity(
        "front_knee_flexion",
        "deg",
        "legs",
        "flexion of the front knee at the bottom; 0 is a straight leg",
        _front_knee_flexion,
        LEGS,
        (LUNGE,),
    ),
    Quantity(
        "front_knee_inside_ankle",
        "cm",
        "legs",
        "how far the front knee lies inside its ankle at the bottom",
        _front_knee_inside,
        LEGS,
        (LUNGE,),
    ),
    Quantity(
        "step_length",
        "cm",
        "feet",
        "distance between the ankles over the ground at the bottom",
        _step_length,
        LEGS,
        (LUNGE,),
    ),
    Quantity(
        "elbow_angle_top",
        "deg",
        "arms",
        "elbow angle with the hands highest, both averaged; 180 is straight",
        _elbow_top,
        ARMS,
        (PRESS,),
    ),
    Quantity(
        "lean_back_max",
        "deg",
        "torso",
        "peak backward lean of the trunk from the vertical",
        _lean_back,
        TRUNK,
        (PRESS,),
    ),
    Quantity(
        "hands_ahead_top",
        "cm",
        "hands",
        "how far the hands are ahead of the shoulders when they are highest",
        _hands_ahead_top,
        ARMS,
        (PRESS,),
    ),
    Quantity(
        "head_pitch_top",
        "deg",
        "head",
        "downward tilt of the line from ears to nose with the hands highest",
        _head_pitch_top,
        (*HEAD, *ARMS),
        (PRESS,),
    ),
)
