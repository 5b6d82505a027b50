"""Joint angles and body directions in degrees, of poses that face +x with the left side at +y.

All functions take [..., 17, 3] and keep the leading axes. `side` is 0 for left, 1 for right.
"""

import numpy as np

from assistant.skeleton import (
    LEFT_ANKLE,
    LEFT_EAR,
    LEFT_ELBOW,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_SHOULDER,
    LEFT_WRIST,
    NOSE,
    RIGHT_EAR,
    RIGHT_HIP,
    RIGHT_SHOULDER,
    pelvis,
)


def joint_angle(joints: np.ndarray, a: int, b: int, c: int) -> np.ndarray:
    """Angle at joint b between the bones to a and c, 0..180; 180 is straight."""
    u = joints[..., a, :] - joints[..., b, :]
    v = joints[..., c, :] - joints[..., b, :]
    cross = np.linalg.norm(np.cross(u, v), axis=-1)
    return np.degrees(np.arctan2(cross, (u * v).sum(axis=-1)))


def knee_flexion(joints: np.ndarray, side: int) -> np.ndarray:
    """0 for a straight leg, about 120 in a deep squat."""
    return 180 - joint_angle(joints, LEFT_HIP + side, LEFT_KNEE + side, LEFT_ANKLE + side)


def elbow_angle(joints: np.ndarray, side: int) -> np.ndarray:
    """180 for a straight arm."""
    return joint_angle(joints, LEFT_SHOULDER + side, LEFT_ELBOW + side, LEFT_WRIST + side)


def signed_knee_extension(joints: np.ndarray, side: int) -> np.ndarray:
    """How far the shank passes the line of the thigh to the front; negative when it is flexed."""
    hip, knee, ankle = LEFT_HIP + side, LEFT_KNEE + side, LEFT_ANKLE + side
    thigh = joints[..., knee, :] - joints[..., hip, :]
    shank = joints[..., ankle, :] - joints[..., knee, :]
    lateral = joints[..., LEFT_HIP, :] - joints[..., RIGHT_HIP, :]
    front = np.cross(thigh, lateral)
    front = front / np.maximum(np.linalg.norm(front, axis=-1, keepdims=True), 1e-9)
    down = thigh / np.maximum(np.linalg.norm(thigh, axis=-1, keepdims=True), 1e-9)
    return np.degrees(np.arctan2((shank * front).sum(axis=-1), (shank * down).sum(axis=-1)))


def _trunk(joints: np.ndarray) -> np.ndarray:
    neck = (joints[..., LEFT_SHOULDER, :] + joints[..., RIGHT_SHOULDER, :]) / 2
    return neck - pelvis(joints)


def trunk_lean(joints: np.ndarray) -> np.ndarray:
    """Trunk from the vertical in the sagittal plane; forward is positive."""
    trunk = _trunk(joints)
    return np.degrees(np.arctan2(trunk[..., 0], trunk[..., 2]))


def side_lean(joints: np.ndarray) -> np.ndarray:
    """Trunk from the vertical in the frontal plane; to the left is positive."""
    trunk = _trunk(joints)
    return np.degrees(np.arctan2(trunk[..., 1], trunk[..., 2]))


def head_pitch(joints: np.ndarray) -> np.ndarray:
    """The line from the ears to the nose against the horizontal; looking down is positive."""
    line = joints[..., NOSE, :] - (joints[..., LEFT_EAR, :] + joints[..., RIGHT_EAR, :]) / 2
    return np.degrees(np.arctan2(-line[..., 2], np.hypot(line[..., 0], line[..., 1])))


def elbow_flare(joints: np.ndarray, side: int) -> np.ndarray:
    """Upper arm out of the sagittal plane; outward is positive, 90 points sideways."""
    arm = joints[..., LEFT_ELBOW + side, :] - joints[..., LEFT_SHOULDER + side, :]
    outward = arm[..., 1] * (1 if side == 0 else -1)
    return np.degrees(np.arctan2(outward, np.hypot(arm[..., 0], arm[..., 2])))
