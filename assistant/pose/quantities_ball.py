"""The quantities of the soccer penalty kick and of the golf swing.

Instants are found on the joints: the contact where one ankle moves fastest against the pelvis, the
impact where the hands do. Which leg kicks and which arm leads follows from the same motion.
"""

from typing import Final

import numpy as np

from assistant.pose import angles
from assistant.pose.motion import Motion, hands, speed
from assistant.pose.quantity import GOLF, KICK, Quantity, Result, at_frames, peak
from assistant.skeleton import (
    ARMS,
    HEAD,
    LEFT_ANKLE,
    LEFT_EAR,
    LEFT_ELBOW,
    LEFT_HIP,
    LEFT_SHOULDER,
    LEFT_WRIST,
    LEGS,
    NOSE,
    RIGHT_ANKLE,
    RIGHT_EAR,
    RIGHT_HIP,
    RIGHT_SHOULDER,
    RIGHT_WRIST,
    TRUNK,
    pelvis,
)

AFTER_FASTEST: Final = 0.06  # seconds


# Penalty kick


def forward_speed(motion: Motion, side: int) -> np.ndarray:
    """Metres a frame [S, F] of one ankle against the pelvis while it swings forward near the
    ground, 0 elsewhere."""
    ankle = motion.joints[:, :, LEFT_ANKLE + side]
    low = motion.heights[..., 1 + side] < 0.25
    forward = np.gradient(ankle[..., 0], axis=1) > 0 if ankle.shape[1] > 1 else low
    return motion.inside(speed(ankle), 0.0) * (low & forward)


def kick_contact(motion: Motion) -> tuple[int, np.ndarray]:
    """Kicking side, 0 left or 1 right, and the frame [S] of the contact.

    The kicking foot is the one that is fastest forward. On simulated kicks it meets the ball
    AFTER_FASTEST later.
    """
    speeds = [forward_speed(motion, side) for side in (0, 1)]
    side = int(speeds[1][0].max() > speeds[0][0].max())
    fastest = speeds[side].argmax(axis=1)
    return side, np.minimum(fastest + round(AFTER_FASTEST * motion.fps), speeds[side].shape[1] - 1)


def _before(motion: Motion, frames: np.ndarray, seconds: float) -> np.ndarray:
    return motion.between(frames - round(seconds * motion.fps), frames)


def _kick_knee_flexion(motion: Motion) -> Result:
    side, contact = kick_contact(motion)
    return peak(motion, angles.knee_flexion(motion.joints, side), _before(motion, contact, 0.35))


def _lean_back_contact(motion: Motion) -> Result:
    return at_frames(-angles.trunk_lean(motion.joints), kick_contact(motion)[1])


def _plant_behind(motion: Motion) -> Result:
    side, contact = kick_contact(motion)
    floor = motion.joints[..., :2]
    apart = 100 * (floor[:, :, LEFT_ANKLE + side] - floor[:, :, RIGHT_ANKLE - side])
    # Along the kick: the way of the foot about the contact.
    foot = np.gradient(floor[:, :, LEFT_ANKLE + side], axis=1) if floor.shape[1] > 1 else apart
    way = _vectors(foot, contact)
    way = way / np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-6)
    return (_vectors(apart, contact) * way).sum(axis=-1), contact


def _head_pitch_contact(motion: Motion) -> Result:
    return at_frames(angles.head_pitch(motion.joints), kick_contact(motion)[1])


def _free_arm_raise(motion: Motion) -> Result:
    side, contact = kick_contact(motion)
    other = 1 - side
    shoulder = motion.joints[:, :, LEFT_SHOULDER + other]
    neck = motion.joints[:, :, [LEFT_SHOULDER, RIGHT_SHOULDER]].mean(axis=2)
    down = pelvis(motion.joints) - neck
    arm = motion.joints[:, :, LEFT_ELBOW + other] - shoulder
    raised = _angle_between(arm, down)
    cocked = contact - round(0.12 * motion.fps)  # about the end of the backswing
    frame = np.arange(raised.shape[1])
    nearest = np.abs(frame - cocked[:, None]) + np.where(motion.window, 0, len(frame))
    return at_frames(raised, nearest.argmin(axis=1))


def _angle_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Degrees between vectors [..., 3]."""
    cross = np.linalg.norm(np.cross(a, b), axis=-1)
    return np.degrees(np.arctan2(cross, (a * b).sum(axis=-1)))


# Golf swing


def golf_impact(motion: Motion) -> tuple[int, np.ndarray]:
    """Lead side, 0 left or 1 right, and the frame [S] of the impact: the hands at their lowest
    near their fastest, moving toward the lead side."""
    track = hands(motion)
    fastest = motion.inside(speed(track), -np.inf).argmax(axis=1)
    reach = round(0.2 * motion.fps)
    near = motion.between(fastest - reach, fastest + reach)
    impact = motion.inside(track[..., 2], np.inf, near).argmin(axis=1)
    first = max(int(impact[0]) - 2, 0)
    last = min(int(impact[0]) + 2, track.shape[1] - 1)
    return int(track[0, last, 1] < track[0, first, 1]), impact


def golf_top(motion: Motion) -> np.ndarray:
    """Frame [S] at which the hands are highest in the second before the impact."""
    impact = golf_impact(motion)[1]
    return motion.inside(hands(motion)[..., 2], -np.inf, _before(motion, impact, 1.0)).argmax(1)


def _address(motion: Motion) -> np.ndarray:
    """Frame [S] before the swing: the hands slowest in 1.0 to 1.7 s before the top."""
    top = golf_top(motion)
    window = motion.between(top - round(1.7 * motion.fps), top - round(1.0 * motion.fps))
    return motion.inside(speed(hands(motion)), np.inf, window).argmin(axis=1)


def _lead_elbow_top(motion: Motion) -> Result:
    return at_frames(angles.elbow_angle(motion.joints, golf_impact(motion)[0]), golf_top(motion))


def _vectors(track: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """[S, F, 3] at frames [S] -> [S, 3]."""
    return np.take_along_axis(track, frames[:, None, None], axis=1)[:, 0]


def _shoulder_turn(motion: Motion) -> Result:
    line = motion.joints[:, :, LEFT_SHOULDER] - motion.joints[:, :, RIGHT_SHOULDER]
    top = golf_top(motion)
    return _angle_between(_vectors(line, _address(motion)), _vectors(line, top)), top


def _hip_sway(motion: Motion) -> Result:
    feet = motion.joints[:, :, [LEFT_ANKLE, RIGHT_ANKLE], 1].mean(axis=2)
    over = (motion.joints[:, :, [LEFT_HIP, RIGHT_HIP], 1].mean(axis=2) - feet) * 100
    top = golf_top(motion)
    away = -1 if golf_impact(motion)[0] == 0 else 1
    return away * (at_frames(over, top)[0] - at_frames(over, _address(motion))[0]), top


def _face_turn(motion: Motion) -> Result:
    joints = motion.joints
    face = joints[:, :, NOSE] - (joints[:, :, LEFT_EAR] + joints[:, :, RIGHT_EAR]) / 2
    lead, impact = golf_impact(motion)
    now, then = _vectors(face, impact), _vectors(face, _address(motion))
    left = then[:, 0] * now[:, 1] - then[:, 1] * now[:, 0]
    turn = np.degrees(np.arctan2(left, (then[:, :2] * now[:, :2]).sum(axis=-1)))
    return (turn if lead == 0 else -turn), impact


def _hands_finish(motion: Motion) -> Result:
    impact = golf_impact(motion)[1]
    shoulders = motion.joints[:, :, [LEFT_SHOULDER, RIGHT_SHOULDER], 2].mean(axis=2)
    after = motion.between(impact + round(0.3 * motion.fps), impact + round(1.2 * motion.fps))
    return peak(motion, 100 * (hands(motion)[..., 2] - shoulders), after)


BALL_QUANTITIES: Final = (
    Quantity(
        "kick_knee_flexion",
        "deg",
        "legs",
        "peak knee flexion of the kicking leg in the backswing",
        _kick_knee_flexion,
        LEGS,
        (KICK,),
    ),
    Quantity(
        "lean_back_contact",
        "deg",
        "torso",
        "backward lean of the trunk from the vertical at the contact",
        _lean_back_contact,
        (*TRUNK, LEFT_ANKLE, RIGHT_ANKLE),
        (KICK,),
    ),
    Quantity(
        "plant_foot_behind",
        "cm",
        "feet",
        "how far the standing ankle is behind the kicking one at the contact, along the kick",
        _plant_behind,
        LEGS,
        (KICK,),
    ),
    Quantity(
        "head_pitch_contact",
        "deg",
        "head",
        "downward tilt of the line from ears to nose at the contact",
        _head_pitch_contact,
        (*HEAD, LEFT_ANKLE, RIGHT_ANKLE),
        (KICK,),
    ),
    Quantity(
        "free_arm_raise",
        "deg",
        "arms",
        "angle of the opposite upper arm against the trunk at the end of the backswing",
        _free_arm_raise,
        (*ARMS, LEFT_ANKLE, RIGHT_ANKLE),
        (KICK,),
    ),
    Quantity(
        "lead_elbow_top",
        "deg",
        "arms",
        "elbow angle of the lead arm at the top of the backswing; 180 is straight",
        _lead_elbow_top,
        ARMS,
        (GOLF,),
    ),
    Quantity(
        "shoulder_turn",
        "deg",
        "torso",
        "turn of the line of the shoulders from address to the top",
        _shoulder_turn,
        (*TRUNK, LEFT_WRIST, RIGHT_WRIST),
        (GOLF,),
    ),
    Quantity(
        "hip_sway",
        "cm",
        "legs",
        "movement of the hips over the feet, away from the target, from address to the top",
        _hip_sway,
        (*LEGS, LEFT_WRIST, RIGHT_WRIST),
        (GOLF,),
    ),
    Quantity(
        "face_turn_impact",
        "deg",
        "head",
        "turn of the face toward the target from address to impact",
        _face_turn,
        (*HEAD, LEFT_WRIST, RIGHT_WRIST),
        (GOLF,),
    ),
    Quantity(
        "hands_over_shoulders",
        "cm",
        "hands",
        "highest rise of the hands over the shoulders in the finish",
        _hands_finish,
        ARMS,
        (GOLF,),
    ),
)
