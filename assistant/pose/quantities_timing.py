"""Timings and left-right asymmetries of the six drills.

A phase begins where its track has done START of the way from its lowest value before the peak:
the first hint of a movement is lost in the pose's errors. Differences are signed, so that experts
lie about zero.
"""

from typing import Final

import numpy as np

from assistant.pose import angles
from assistant.pose.motion import (
    Motion,
    bottom_frame,
    hands,
    mean_knee_flexion,
    release_frame,
    set_point_frame,
)
from assistant.pose.quantities_ball import golf_impact, golf_top, kick_contact
from assistant.pose.quantities_gym import of_front, top_frame
from assistant.pose.quantity import (
    FREE_THROW,
    GOLF,
    KICK,
    LUNGE,
    PRESS,
    SQUAT,
    Quantity,
    Result,
    at_frames,
)
from assistant.skeleton import (
    ARMS,
    LEFT_ANKLE,
    LEFT_HIP,
    LEFT_SHOULDER,
    LEFT_WRIST,
    LEGS,
    RIGHT_ANKLE,
    RIGHT_HIP,
    RIGHT_SHOULDER,
    RIGHT_WRIST,
    TRUNK,
)

START: Final = 0.2


def _way_out(motion: Motion, track: np.ndarray, top: np.ndarray, *, after: bool) -> np.ndarray:
    """Seconds [S] between the peak of `track` [S, F] at frames `top` [S] and the nearest frame,
    before or after it, where the track is down to START of its rise."""
    frame = np.arange(track.shape[1])
    side = frame >= top[:, None] if after else frame <= top[:, None]
    side = side & motion.window
    low = np.where(side, track, np.inf).min(axis=1, keepdims=True)
    high = np.take_along_axis(track, top[:, None], axis=1)
    under = side & (track <= low + START * (high - low))
    gap = np.where(under, np.abs(frame - top[:, None]), track.shape[1])
    shortest = np.where(under.any(axis=1), gap.min(axis=1), 0)
    return shortest / motion.fps


def _descent_time(motion: Motion) -> Result:
    bottom = bottom_frame(motion)
    return _way_out(motion, mean_knee_flexion(motion), bottom, after=False), bottom


def _ascent_time(motion: Motion) -> Result:
    bottom = bottom_frame(motion)
    return _way_out(motion, mean_knee_flexion(motion), bottom, after=True), bottom


def _press_time(motion: Motion) -> Result:
    top = top_frame(motion)
    return _way_out(motion, hands(motion)[..., 2], top, after=False), top


def _lowering_time(motion: Motion) -> Result:
    top = top_frame(motion)
    return _way_out(motion, hands(motion)[..., 2], top, after=True), top


def _dip_to_release(motion: Motion) -> Result:
    release = release_frame(motion)
    before = motion.between(np.zeros_like(release), release)
    dip = motion.inside(mean_knee_flexion(motion), -np.inf, before).argmax(axis=1)
    return (release - dip) / motion.fps, release


def _set_to_release(motion: Motion) -> Result:
    release = release_frame(motion)
    return (release - set_point_frame(motion)) / motion.fps, release


def _backswing_to_contact(motion: Motion) -> Result:
    side, contact = kick_contact(motion)
    before = motion.between(contact - round(0.35 * motion.fps), contact)
    bent = motion.inside(angles.knee_flexion(motion.joints, side), -np.inf, before).argmax(axis=1)
    return (contact - bent) / motion.fps, contact


def _backswing_time(motion: Motion) -> Result:
    top = golf_top(motion)
    return _way_out(motion, hands(motion)[..., 2], top, after=False), top


def _downswing_time(motion: Motion) -> Result:
    impact = golf_impact(motion)[1]
    return (impact - golf_top(motion)) / motion.fps, impact


def _swing_tempo(motion: Motion) -> Result:
    down, impact = _downswing_time(motion)
    return _backswing_time(motion)[0] / np.maximum(down, 1 / motion.fps), impact


def _tilt(motion: Motion, left: int, right: int) -> np.ndarray:
    """How much the line through two joints rises to the left [S, F], degrees."""
    line = motion.joints[:, :, left] - motion.joints[:, :, right]
    return np.degrees(np.arctan2(line[..., 2], np.hypot(line[..., 0], line[..., 1])))


def _knee_difference(motion: Motion) -> Result:
    left, right = (angles.knee_flexion(motion.joints, side) for side in (0, 1))
    return at_frames(left - right, bottom_frame(motion))


def _hip_tilt_bottom(motion: Motion) -> Result:
    tilt = _tilt(motion, LEFT_HIP, RIGHT_HIP)
    return of_front(motion, tilt, -tilt)


def _elbow_difference(motion: Motion) -> Result:
    left, right = (angles.elbow_angle(motion.joints, side) for side in (0, 1))
    return at_frames(left - right, top_frame(motion))


def _hand_height_difference(motion: Motion) -> Result:
    height = 100 * motion.joints[..., 2]
    return at_frames(height[..., LEFT_WRIST] - height[..., RIGHT_WRIST], top_frame(motion))


def _shoulder_tilt(motion: Motion, side: int, frames: np.ndarray) -> Result:
    """How much higher the shoulder of `side` is at frames [S], degrees."""
    tilt = _tilt(motion, LEFT_SHOULDER, RIGHT_SHOULDER)
    return at_frames(tilt if side == 0 else -tilt, frames)


def _shoulder_tilt_release(motion: Motion) -> Result:
    return _shoulder_tilt(motion, motion.throw_side, release_frame(motion))


def _shoulder_tilt_contact(motion: Motion) -> Result:
    return _shoulder_tilt(motion, *kick_contact(motion))


def _shoulder_tilt_impact(motion: Motion) -> Result:
    return _shoulder_tilt(motion, *golf_impact(motion))


TIMING_QUANTITIES: Final = (
    Quantity(
        "descent_time",
        "s",
        "legs",
        "time of the way down",
        _descent_time,
        LEGS,
        (SQUAT, LUNGE),
    ),
    Quantity(
        "ascent_time",
        "s",
        "legs",
        "time of the way up",
        _ascent_time,
        LEGS,
        (SQUAT, LUNGE),
    ),
    Quantity(
        "press_time",
        "s",
        "arms",
        "time in which the hands rise to the top",
        _press_time,
        ARMS,
        (PRESS,),
    ),
    Quantity(
        "lowering_time",
        "s",
        "arms",
        "time in which the hands come down from the top",
        _lowering_time,
        ARMS,
        (PRESS,),
    ),
    Quantity(
        "dip_to_release_time",
        "s",
        "legs",
        "time from the deepest knee bend to the release",
        _dip_to_release,
        (*LEGS, *ARMS),
        (FREE_THROW,),
    ),
    Quantity(
        "set_to_release_time",
        "s",
        "arms",
        "time from the set point to the release",
        _set_to_release,
        ARMS,
        (FREE_THROW,),
    ),
    Quantity(
        "backswing_to_contact_time",
        "s",
        "legs",
        "time from the kicking knee's deepest bend to the contact",
        _backswing_to_contact,
        LEGS,
        (KICK,),
    ),
    Quantity(
        "backswing_time",
        "s",
        "arms",
        "time in which the hands rise to the top of the backswing",
        _backswing_time,
        ARMS,
        (GOLF,),
    ),
    Quantity(
        "downswing_time",
        "s",
        "arms",
        "time from the top of the backswing to the impact",
        _downswing_time,
        ARMS,
        (GOLF,),
    ),
    Quantity(
        "swing_tempo",
        "downswings",
        "arms",
        "time of the backswing over that of the downswing",
        _swing_tempo,
        ARMS,
        (GOLF,),
    ),
    Quantity(
        "knee_flexion_difference",
        "deg",
        "legs",
        "flexion of the left knee over that of the right, at the bottom",
        _knee_difference,
        LEGS,
        (SQUAT,),
    ),
    Quantity(
        "hip_tilt_bottom",
        "deg",
        "legs",
        "how much higher the hip of the front leg is at the bottom",
        _hip_tilt_bottom,
        LEGS,
        (LUNGE,),
    ),
    Quantity(
        "elbow_angle_difference",
        "deg",
        "arms",
        "angle of the left elbow over that of the right, with the hands highest",
        _elbow_difference,
        ARMS,
        (PRESS,),
    ),
    Quantity(
        "hand_height_difference",
        "cm",
        "hands",
        "height of the left wrist over the right one, with the hands highest",
        _hand_height_difference,
        ARMS,
        (PRESS,),
    ),
    Quantity(
        "shoulder_tilt_release",
        "deg",
        "torso",
        "how much higher the shoulder of the throwing arm is at the release",
        _shoulder_tilt_release,
        (*TRUNK, *ARMS),
        (FREE_THROW,),
    ),
    Quantity(
        "shoulder_tilt_contact",
        "deg",
        "torso",
        "how much higher the shoulder of the kicking side is at the contact",
        _shoulder_tilt_contact,
        (*TRUNK, LEFT_ANKLE, RIGHT_ANKLE),
        (KICK,),
    ),
    Quantity(
        "shoulder_tilt_impact",
        "deg",
        "torso",
        "how much higher the lead shoulder is at the impact",
        _shoulder_tilt_impact,
        (*TRUNK, LEFT_WRIST, RIGHT_WRIST),
        (GOLF,),
    ),
)
