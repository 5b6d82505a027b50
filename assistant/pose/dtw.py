"""Dynamic time warping: which frame of one motion goes with which of another.

Compiled loops (`dtw_kernel`); `poise bench align` prints the time of 300 x 300 frames.
"""

import numpy as np

from assistant.errors import PoiseError


def dtw(cost: np.ndarray) -> np.ndarray:
    """The monotone path of least total cost from the first pair to the last.

    Args:
        cost: [N, M] finite, N, M > 0; steps (1, 0), (0, 1), (1, 1) weigh the same, and of equal
            ones the diagonal is taken, then (1, 0).

    Returns:
        [K, 2] int64 pairs (i, j) in order, from (0, 0) to (N - 1, M - 1).
    """
    from assistant.pose.dtw_kernel import warp

    cost = np.ascontiguousarray(cost, dtype=np.float64)
    if cost.ndim != 2 or not cost.size or not np.isfinite(cost).all():
        raise PoiseError("no cost to warp", got=f"shape {cost.shape}", expected="finite [N, M]")
    return warp(cost)


def frame_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean joint distance of every frame of a [N, J, 3] to every frame of b [M, J, 3]: [N, M].

    In the unit of the input; no alignment: centre and turn the bodies before.
    """
    from assistant.pose.dtw_kernel import mean_distances

    a, b = (np.ascontiguousarray(x, dtype=np.float64) for x in (a, b))
    if a.ndim != 3 or b.ndim != 3 or a.shape[1:] != b.shape[1:] or a.shape[2] != 3:
        raise PoiseError(
            "motions that cannot be compared",
            got=f"shapes {a.shape} and {b.shape}",
            expected="[frames, joints, 3] with the same joints",
        )
    out = np.empty((len(a), len(b)))
    mean_distances(a, b, out)
    return out
