"""Bones of a body: lengths, how far they wander, putting a person's own back, joint limits."""

from typing import Final

import numpy as np

from assistant.pose.angles import joint_angle, signed_knee_extension
from assistant.skeleton import (
    LEFT_ANKLE,
    LEFT_EAR,
    LEFT_ELBOW,
    LEFT_EYE,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_SHOULDER,
    LEFT_WRIST,
    N_JOINTS,
    NOSE,
    RIGHT_ANKLE,
    RIGHT_EAR,
    RIGHT_ELBOW,
    RIGHT_EYE,
    RIGHT_HIP,
    RIGHT_KNEE,
    RIGHT_SHOULDER,
    RIGHT_WRIST,
    pelvis,
)

# Two helper points: middle of the hips and middle of the shoulders.
PELVIS: Final = N_JOINTS
NECK: Final = N_JOINTS + 1
# (parent, child), parents first: limbs and head hang on the trunk.
TREE: Final = (
    (PELVIS, NECK),
    (PELVIS, LEFT_HIP),
    (PELVIS, RIGHT_HIP),
    (NECK, LEFT_SHOULDER),
    (NECK, RIGHT_SHOULDER),
    (NECK, NOSE),
    (NOSE, LEFT_EYE),
    (NOSE, RIGHT_EYE),
    (NOSE, LEFT_EAR),
    (NOSE, RIGHT_EAR),
    (LEFT_HIP, LEFT_KNEE),
    (RIGHT_HIP, RIGHT_KNEE),
    (LEFT_KNEE, LEFT_ANKLE),
    (RIGHT_KNEE, RIGHT_ANKLE),
    (LEFT_SHOULDER, LEFT_ELBOW),
    (RIGHT_SHOULDER, RIGHT_ELBOW),
    (LEFT_ELBOW, LEFT_WRIST),
    (RIGHT_ELBOW, RIGHT_WRIST),
)
_PARENTS: Final = [parent for parent, _ in TREE]
_CHILDREN: Final = [child for _, child in TREE]

# Passive ranges with a margin for pose error, degrees. Largest group means of Soucie et al. (Range
# of motion measurements, Haemophilia 17, 2011, 500-507): knee flexion 153, hip flexion 141, knee
# extension 5; Kapandji (The Physiology of the Joints) gives 160 for knee and elbow flexion. The hip
# is measured against the trunk, which bends too: it gets the same limit.
MAX_FLEXION: Final = 165.0
MAX_HYPEREXTENSION: Final = 15.0


def with_helpers(joints: np.ndarray) -> np.ndarray:
    """Joints and the two helper points: [..., 17, 3] -> [..., 19, 3]."""
    neck = (joints[..., LEFT_SHOULDER, :] + joints[..., RIGHT_SHOULDER, :]) / 2
    return np.concatenate([joints, pelvis(joints)[..., None, :], neck[..., None, :]], axis=-2)


def frame_bone_lengths(joints: np.ndarray) -> np.ndarray:
    """Length of each bone of TREE in each frame: [..., 17, 3] -> [..., 18], same unit."""
    points = with_helpers(joints)
    return np.linalg.norm(points[..., _CHILDREN, :] - points[..., _PARENTS, :], axis=-1)


def bone_lengths(joints: np.ndarray) -> np.ndarray:
    """A person's bones: the median over frames, [F, 17, 3] -> [18] in TREE's order."""
    return np.median(frame_bone_lengths(joints), axis=0)


def bone_length_drift_mm(joints: np.ndarray, lengths: np.ndarray) -> float:
    """Mean absolute deviation of all bones in all frames from `lengths` [18], millimetres."""
    return float(np.abs(frame_bone_lengths(joints) - lengths).mean() * 1000)


def restore_bone_lengths(joints: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Keep every bone's direction, give it the person's own length; the pelvis stays.

    Args:
        joints: [F, 17, 3] metres.
        lengths: [18] metres in TREE's order, as `bone_lengths` returns.

    Returns:
        [F, 17, 3] of the input's type. A bone without length points up.
    """
    points = with_helpers(np.asarray(joints, dtype=np.float64))
    out = points.copy()
    for bone, (parent, child) in enumerate(TREE):
        vector = points[:, child] - points[:, parent]
        norm = np.linalg.norm(vector, axis=-1, keepdims=True)
        unit = np.where(norm > 1e-6, vector / np.maximum(norm, 1e-6), [0.0, 0.0, 1.0])
        out[:, child] = out[:, parent] + unit * lengths[bone]
    return out[:, :N_JOINTS].astype(joints.dtype)


def joint_limit_counts(joints: np.ndarray) -> np.ndarray:
    """[F] how many knees, hips and elbows of each frame [F, 17, 3] no human joint could take.

    Flexion beyond MAX_FLEXION, and knees bent forward by more than MAX_HYPEREXTENSION. Three points
    do not tell an elbow that is bent backwards from one that is bent.
    """
    points = with_helpers(joints)
    count = np.zeros(len(joints), dtype=np.int64)
    for side in (0, 1):
        hip, knee, ankle = LEFT_HIP + side, LEFT_KNEE + side, LEFT_ANKLE + side
        shoulder, elbow, wrist = LEFT_SHOULDER + side, LEFT_ELBOW + side, LEFT_WRIST + side
        for a, b, c in ((hip, knee, ankle), (shoulder, elbow, wrist)):
            count += 180 - joint_angle(joints, a, b, c) > MAX_FLEXION
        thigh = points[:, knee] - points[:, hip]
        trunk = points[:, NECK] - points[:, PELVIS]
        count += 180 - _angle_between(thigh, trunk) > MAX_FLEXION
        count += signed_knee_extension(joints, side) > MAX_HYPEREXTENSION
    return count


def joint_limit_violations(joints: np.ndarray) -> int:
    """The sum of `joint_limit_counts` over all frames [F, 17, 3]."""
    return int(joint_limit_counts(joints).sum())


def _angle_between(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Degrees between vectors [F, 3], 0..180."""
    cross = np.linalg.norm(np.cross(u, v), axis=-1)
    angle: np.ndarray = np.degrees(np.arctan2(cross, (u * v).sum(axis=-1)))
    return angle
