"""The quantities that evidence needs, in one registry: what, unit, region, and the function."""

from typing import Final

import numpy as np

from assistant.pose import angles
from assistant.pose.motion import (
    Motion,
    bottom_frame,
    mean_knee_flexion,
    release_frame,
    set_point_frame,
)
from assistant.pose.quantities_ball import BALL_QUANTITIES
from assistant.pose.quantities_gym import GYM_QUANTITIES
from assistant.pose.quantities_timing import TIMING_QUANTITIES
from assistant.pose.quantity import (
    FREE_THROW,
    LUNGE,
    SQUAT,
    Quantity,
    Result,
    at_frames,
    peak,
)
from assistant.skeleton import (
    ARMS,
    HEAD,
    LEFT_ANKLE,
    LEFT_EYE,
    LEFT_KNEE,
    LEFT_SHOULDER,
    LEFT_WRIST,
    LEGS,
    RIGHT_ANKLE,
    RIGHT_EYE,
    RIGHT_KNEE,
    RIGHT_SHOULDER,
    TRUNK,
)

# Quantities: Motion -> values [S], frames [S]


def _knee_flexion_max(motion: Motion) -> Result:
    return peak(motion, mean_knee_flexion(motion))


def _hip_depth(motion: Motion) -> Result:
    height = motion.heights[..., 0]
    standing = np.quantile(height, 0.9, axis=1)
    values, frames = at_frames(height, bottom_frame(motion))
    return values / np.maximum(standing, 1e-3), frames


def _trunk_lean_max(motion: Motion) -> Result:
    return peak(motion, angles.trunk_lean(motion.joints))


def _knee_inside_ankle(motion: Motion) -> Result:
    y = motion.joints[..., 1]
    left = y[..., LEFT_ANKLE] - y[..., LEFT_KNEE]
    right = y[..., RIGHT_KNEE] - y[..., RIGHT_ANKLE]
    return at_frames((left + right) / 2 * 100, bottom_frame(motion))


def _knee_separation(motion: Motion) -> Result:
    y = motion.joints[..., 1]
    ankles = np.maximum(np.abs(y[..., LEFT_ANKLE] - y[..., RIGHT_ANKLE]), 0.02)
    return at_frames((y[..., LEFT_KNEE] - y[..., RIGHT_KNEE]) / ankles, bottom_frame(motion))


def _ankle_rise(motion: Motion) -> Result:
    ankles = motion.heights[..., 1:]
    standing = np.quantile(ankles, 0.1, axis=1, keepdims=True)
    return peak(motion, (ankles - standing).mean(axis=-1) * 100)


def _head_pitch_bottom(motion: Motion) -> Result:
    return at_frames(angles.head_pitch(motion.joints), bottom_frame(motion))


def _head_pitch_mean(motion: Motion) -> Result:
    return angles.head_pitch(motion.joints)[:, motion.window].mean(axis=1), None


def _dip_knee_flexion(motion: Motion) -> Result:
    first = np.zeros(len(motion.joints), dtype=int)
    return peak(motion, mean_knee_flexion(motion), motion.between(first, release_frame(motion)))


def _elbow_flare(motion: Motion) -> Result:
    return at_frames(angles.elbow_flare(motion.joints, motion.throw_side), set_point_frame(motion))


def _elbow_extension(motion: Motion) -> Result:
    release = release_frame(motion)
    window = motion.between(release, release + round(0.2 * motion.fps))
    return peak(motion, angles.elbow_angle(motion.joints, motion.throw_side), window)


def _follow_through(motion: Motion) -> Result:
    release = release_frame(motion)
    eyes = motion.joints[:, :, [LEFT_EYE, RIGHT_EYE], 2].mean(axis=-1)
    below = motion.joints[:, :, LEFT_WRIST + motion.throw_side, 2] <= eyes
    frame = np.arange(below.shape[1])
    # The hand may pass the eyes a moment after the release: it has 0.15 s to do so.
    late = release + round(0.15 * motion.fps)
    raised = ~below & (frame >= release[:, None]) & (frame <= late[:, None])
    first = np.where(raised.any(axis=1), raised.argmax(axis=1), release)
    ended = below & (frame > first[:, None])
    end = np.where(ended.any(axis=1), ended.argmax(axis=1), below.shape[1])
    return (end - release) / motion.fps, release


def _release_lean(motion: Motion) -> Result:
    release = release_frame(motion)
    window = motion.between(release, release + round(0.6 * motion.fps))
    return peak(motion, np.abs(angles.side_lean(motion.joints)), window)


def _stance(motion: Motion) -> np.ndarray:
    """Ankle distance over the ground [S, F], metres."""
    gap = motion.joints[..., LEFT_ANKLE, :2] - motion.joints[..., RIGHT_ANKLE, :2]
    return np.linalg.norm(gap, axis=-1)


def _shot_frames(motion: Motion) -> np.ndarray:
    release = release_frame(motion)
    return motion.between(release - round(0.8 * motion.fps), release)


def _masked_median(motion: Motion, track: np.ndarray, window: np.ndarray) -> np.ndarray:
    return np.nanmedian(motion.inside(track, np.nan, window), axis=1)


def _shot_stance_width(motion: Motion) -> Result:
    y = motion.joints[..., 1]
    gap = (y[..., LEFT_ANKLE] - y[..., RIGHT_ANKLE]) * 100
    return _masked_median(motion, gap, _shot_frames(motion)), None


def _shot_stagger(motion: Motion) -> Result:
    x = motion.joints[..., 0]
    ahead = x[..., LEFT_ANKLE] - x[..., RIGHT_ANKLE]
    ahead = ahead if motion.throw_side == 0 else -ahead
    return _masked_median(motion, ahead * 100, _shot_frames(motion)), None


def _stance_ratio(motion: Motion) -> Result:
    width = motion.joints[..., LEFT_SHOULDER, :] - motion.joints[..., RIGHT_SHOULDER, :]
    shoulders = np.median(np.linalg.norm(width, axis=-1), axis=1)
    stance = np.median(_stance(motion)[:, motion.window], axis=1)
    return stance / np.maximum(shoulders, 0.05), None


QUANTITIES: Final[dict[str, Quantity]] = {
    quantity.name: quantity
    for quantity in (
        Quantity(
            "knee_flexion_max",
            "deg",
            "legs",
            "peak knee flexion, both knees averaged; 0 is a straight leg",
            _knee_flexion_max,
            LEGS,
        ),
        Quantity(
            "trunk_lean_max",
            "deg",
            "torso",
            "peak forward lean of the trunk from the vertical",
            _trunk_lean_max,
            TRUNK,
        ),
        Quantity(
            "stance_width_ratio",
            "shoulder widths",
            "feet",
            "median distance between the ankles in shoulder widths",
            _stance_ratio,
            (*TRUNK, LEFT_ANKLE, RIGHT_ANKLE),
        ),
        Quantity(
            "head_pitch_mean",
            "deg",
            "head",
            "mean downward tilt of the line from ears to nose",
            _head_pitch_mean,
            HEAD,
        ),
        Quantity(
            "hip_depth",
            "of standing height",
            "legs",
            "pelvis height at the bottom over its standing height",
            _hip_depth,
            LEGS,
            (SQUAT,),
        ),
        Quantity(
            "knee_inside_ankle",
            "cm",
            "legs",
            "how far the knees lie inside the ankles at the bottom, both averaged",
            _knee_inside_ankle,
            LEGS,
            (SQUAT,),
        ),
        Quantity(
            "knee_separation_ratio",
            "ankle separations",
            "legs",
            "distance between the knees over that between the ankles, at the bottom",
            _knee_separation,
            LEGS,
            (SQUAT,),
        ),
        Quantity(
            "ankle_rise",
            "cm",
            "feet",
            "peak rise of the ankles over their standing height",
            _ankle_rise,
            (LEFT_ANKLE, RIGHT_ANKLE),
            (SQUAT,),
            world=True,
        ),
        Quantity(
            "head_pitch_bottom",
            "deg",
            "head",
            "downward tilt of the line from ears to nose at the bottom",
            _head_pitch_bottom,
            (*HEAD, *LEGS),
            (SQUAT, LUNGE),
        ),
        Quantity(
            "knee_flexion_dip",
            "deg",
            "legs",
            "peak knee flexion before the release",
            _dip_knee_flexion,
            (*LEGS, *ARMS),
            (FREE_THROW,),
        ),
        Quantity(
            "elbow_flare",
            "deg",
            "arms",
            "throwing upper arm out of the sagittal plane at the set point",
            _elbow_flare,
            ARMS,
            (FREE_THROW,),
        ),
        Quantity(
            "elbow_extension_release",
            "deg",
            "arms",
            "largest elbow angle within 0.2 s of the release; 180 is straight",
            _elbow_extension,
            ARMS,
            (FREE_THROW,),
        ),
        Quantity(
            "follow_through_time",
            "s",
            "hands",
            "how long the throwing wrist stays above the eyes after the release",
            _follow_through,
            (*ARMS, LEFT_EYE, RIGHT_EYE),
            (FREE_THROW,),
        ),
        Quantity(
            "side_lean_release",
            "deg",
            "torso",
            "largest sideways lean of the trunk in the 0.6 s after the release",
            _release_lean,
            (*TRUNK, *ARMS),
            (FREE_THROW,),
        ),
        Quantity(
            "stance_width",
            "cm",
            "feet",
            "sideways distance between the ankles before the release",
            _shot_stance_width,
            (LEFT_ANKLE, RIGHT_ANKLE, *ARMS),
            (FREE_THROW,),
        ),
        Quantity(
            "stance_stagger",
            "cm",
            "feet",
            "how far the foot of the throwing side stands ahead before the release",
            _shot_stagger,
            (LEFT_ANKLE, RIGHT_ANKLE, *ARMS),
            (FREE_THROW,),
        ),
        *GYM_QUANTITIES,
        *BALL_QUANTITIES,
        *TIMING_QUANTITIES,
    )
}
