"""Time warping against a plain loop."""

from itertools import pairwise

import numpy as np
import pytest

from assistant.errors import PoiseError
from assistant.pose.dtw import dtw, frame_distances


def reference_total(cost: np.ndarray) -> float:
    n, m = cost.shape
    total = np.full((n, m), np.inf)
    for i in range(n):
        for j in range(m):
            before = [
                total[p, q] for p, q in ((i - 1, j), (i, j - 1), (i - 1, j - 1)) if p >= 0 <= q
            ]
            total[i, j] = cost[i, j] + (min(before) if before else 0)
    return float(total[-1, -1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (6, 1), (7, 9), (9, 4), (60, 45)])
def test_the_cheapest_monotone_path(shape: tuple[int, int]) -> None:
    cost = np.random.default_rng(5).random(shape)
    path = [tuple(pair) for pair in dtw(cost).tolist()]
    assert path[0] == (0, 0) and path[-1] == (shape[0] - 1, shape[1] - 1)
    steps = {(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(path)}
    assert steps <= {(0, 1), (1, 0), (1, 1)}
    assert sum(cost[p] for p in path) == pytest.approx(reference_total(cost), rel=1e-12)


def test_by_hand_with_ties() -> None:
    cost = np.array([[0.0, 9, 9], [0, 9, 9], [9, 0, 9], [9, 9, 0]])
    assert dtw(cost).tolist() == [[0, 0], [1, 0], [2, 1], [3, 2]]
    assert dtw(np.zeros((3, 3))).tolist() == [[0, 0], [1, 1], [2, 2]]
    assert dtw(np.zeros((3, 2))).tolist() == [[0, 0], [1, 0], [2, 1]]


def test_a_motion_played_slower_is_followed() -> None:
    motion = np.random.default_rng(6).normal(size=(20, 17, 3)).cumsum(axis=0)
    slow = np.repeat(motion, 3, axis=0)
    path = dtw(frame_distances(motion, slow))
    assert (path[:, 0] == path[:, 1] // 3).all()


def test_distances_are_means_over_joints() -> None:
    rng = np.random.default_rng(7)
    a, b = rng.normal(size=(5, 17, 3)), rng.normal(size=(8, 17, 3)).astype(np.float32)
    expected = np.linalg.norm(a[:, None] - b[None], axis=-1).mean(axis=-1)
    np.testing.assert_allclose(frame_distances(a, b), expected, rtol=1e-12)


@pytest.mark.parametrize("cost", [np.zeros((0, 3)), np.zeros(4), np.full((2, 2), np.nan)])
def test_nothing_to_warp(cost: np.ndarray) -> None:
    with pytest.raises(PoiseError, match="no cost"):
        dtw(cost)


def test_other_joints_cannot_be_compared() -> None:
    with pytest.raises(PoiseError, match="cannot be compared"):
        frame_distances(np.zeros((2, 17, 3)), np.zeros((2, 5, 3)))
