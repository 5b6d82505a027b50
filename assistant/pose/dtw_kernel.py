"""The compiled loops of `dtw`: accumulated cost, the path back, distances between frames."""

import math

import numpy as np

from assistant.compiled import compiled


@compiled
def accumulate(cost: np.ndarray, total: np.ndarray) -> None:
    """Least cost of reaching each pair, row by row."""
    n, m = cost.shape
    total[0, 0] = cost[0, 0]
    for j in range(1, m):
        total[0, j] = cost[0, j] + total[0, j - 1]
    for i in range(1, n):
        left = total[i - 1, 0] + cost[i, 0]
        total[i, 0] = left
        for j in range(1, m):
            left = cost[i, j] + min(left, min(total[i - 1, j], total[i - 1, j - 1]))
            total[i, j] = left


@compiled
def trace_back(total: np.ndarray, path: np.ndarray) -> int:
    """The path from the last pair to the first, written from the end of `path`; its start there.

    Of equally cheap steps the diagonal is taken, then the one in the first sequence.
    """
    i, j = total.shape[0] - 1, total.shape[1] - 1
    at = len(path) - 1
    path[at, 0], path[at, 1] = i, j
    while i > 0 or j > 0:
        if i == 0:
            j -= 1
        elif j == 0:
            i -= 1
        elif total[i - 1, j - 1] <= total[i - 1, j] and total[i - 1, j - 1] <= total[i, j - 1]:
            i -= 1
            j -= 1
        elif total[i - 1, j] <= total[i, j - 1]:
            i -= 1
        else:
            j -= 1
        at -= 1
        path[at, 0], path[at, 1] = i, j
    return at


@compiled
def mean_distances(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """Mean joint distance of every frame of a [N, J, 3] and b [M, J, 3]."""
    joints = a.shape[1]
    for i in range(a.shape[0]):
        for j in range(b.shape[0]):
            total = 0.0
            for k in range(joints):
                x, y = a[i, k, 0] - b[j, k, 0], a[i, k, 1] - b[j, k, 1]
                z = a[i, k, 2] - b[j, k, 2]
                total += math.sqrt(x * x + y * y + z * z)
            out[i, j] = total / joints


def warp(cost: np.ndarray) -> np.ndarray:
    """The path [K, 2] of least total cost through `cost` [N, M], float64 and contiguous."""
    total = np.empty_like(cost)
    accumulate(cost, total)
    path = np.empty((cost.shape[0] + cost.shape[1] - 1, 2), dtype=np.int64)
    return path[trace_back(total, path) :]
