"""COCO-17 joints, bones, the six body regions and the left-right swap."""

from typing import Final

import numpy as np

JOINTS: Final = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
N_JOINTS: Final = len(JOINTS)
INDEX: Final = {name: i for i, name in enumerate(JOINTS)}

(
    NOSE,
    LEFT_EYE,
    RIGHT_EYE,
    LEFT_EAR,
    RIGHT_EAR,
    LEFT_SHOULDER,
    RIGHT_SHOULDER,
    LEFT_ELBOW,
    RIGHT_ELBOW,
    LEFT_WRIST,
    RIGHT_WRIST,
    LEFT_HIP,
    RIGHT_HIP,
    LEFT_KNEE,
    RIGHT_KNEE,
    LEFT_ANKLE,
    RIGHT_ANKLE,
) = range(N_JOINTS)

# Parent before child, so that a walk down the list can rebuild a body from bone vectors.
BONES: Final = (
    (LEFT_HIP, LEFT_KNEE),
    (LEFT_KNEE, LEFT_ANKLE),
    (RIGHT_HIP, RIGHT_KNEE),
    (RIGHT_KNEE, RIGHT_ANKLE),
    (LEFT_SHOULDER, LEFT_ELBOW),
    (LEFT_ELBOW, LEFT_WRIST),
    (RIGHT_SHOULDER, RIGHT_ELBOW),
    (RIGHT_ELBOW, RIGHT_WRIST),
)
# What is drawn: the limbs, the trunk's box and the head.
DRAWN_BONES: Final = (
    *BONES,
    (LEFT_HIP, RIGHT_HIP),
    (LEFT_SHOULDER, RIGHT_SHOULDER),
    (LEFT_SHOULDER, LEFT_HIP),
    (RIGHT_SHOULDER, RIGHT_HIP),
    (NOSE, LEFT_EYE),
    (NOSE, RIGHT_EYE),
    (LEFT_EYE, LEFT_EAR),
    (RIGHT_EYE, RIGHT_EAR),
)

REGION_JOINTS: Final = {
    "head": (NOSE, LEFT_EYE, RIGHT_EYE, LEFT_EAR, RIGHT_EAR),
    "torso": (LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP),
    "arms": (LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ELBOW, RIGHT_ELBOW),
    "hands": (LEFT_WRIST, RIGHT_WRIST),
    "legs": (LEFT_HIP, RIGHT_HIP, LEFT_KNEE, RIGHT_KNEE),
    "feet": (LEFT_ANKLE, RIGHT_ANKLE),
}

# Chains of joints that a measurement needs to see whole.
LEGS: Final = (LEFT_HIP, RIGHT_HIP, LEFT_KNEE, RIGHT_KNEE, LEFT_ANKLE, RIGHT_ANKLE)
TRUNK: Final = (LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP)
ARMS: Final = (LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ELBOW, RIGHT_ELBOW, LEFT_WRIST, RIGHT_WRIST)
HEAD: Final = (NOSE, LEFT_EAR, RIGHT_EAR)

# joints[MIRROR] swaps left and right; a mirrored body also needs its lateral axis negated.
MIRROR: Final = np.array([0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15])


def pelvis(joints: np.ndarray) -> np.ndarray:
    """Middle of the hips, [..., 17, 3] -> [..., 3], same unit."""
    return (joints[..., LEFT_HIP, :] + joints[..., RIGHT_HIP, :]) / 2
