"""A window of motion as one vector, whose distances follow PA-MPJPE.

It is made of joints alone, so that a library can be searched whatever checkpoint is used. How often
the nearest by PA-MPJPE is among the nearest vectors is measured by `poise bench library`.
"""

from typing import Final

import numpy as np

from assistant.skeleton import N_JOINTS
from assistant.tasks.window import WINDOW_FRAMES

FREQUENCIES: Final = 4
EMBEDDING_SIZE: Final = FREQUENCIES * N_JOINTS * 3
# What vectors in a store mean; raise it when they change.
EMBEDDING: Final = "centred-unit-size-dct4-v1"


def embed(joints: np.ndarray) -> np.ndarray:
    """Windows [..., 10, 17, 3], heading removed, as vectors [..., 204] float32.

    Every frame is centred on its mean joint and divided by its size, as PA-MPJPE does before it
    turns; the rotation is left as it is, since the heading is removed already. Of the cosine
    transform over time (orthonormal, DCT-II) the four slowest components stay.
    """
    from scipy.fft import dct

    joints = np.asarray(joints, dtype=np.float64)
    centred = joints - joints.mean(axis=-2, keepdims=True)
    size = np.sqrt((centred**2).sum(axis=(-1, -2), keepdims=True))
    frames = (centred / np.maximum(size, 1e-9)).reshape(*joints.shape[:-2], -1)  # [..., 10, 51]
    assert frames.shape[-2] == WINDOW_FRAMES
    slow = dct(frames, axis=-2, norm="ortho")[..., :FREQUENCIES, :]
    return slow.reshape(*slow.shape[:-2], -1).astype(np.float32)
