"""Distances between motions: invariances, and floors that behave as their names say."""

import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.pose.alignment import distances_to
from eval import poses as p

RNG = np.random.default_rng(0)


def motion(frames: int = 10, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    body = rng.normal(0, 0.4, (1, 17, 3))
    drift = np.cumsum(rng.normal(0, 0.02, (frames, 17, 3)), axis=0)
    return p.centred(body + drift)


def turned(joints: np.ndarray, angle: float) -> np.ndarray:
    turn = np.array(
        [[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    return joints @ turn


def test_distance_forgets_place_and_heading_but_the_clip_keeps_a_lean() -> None:
    still = motion()
    same = p.distance(turned(still, 0.7) + [1, 2, 3], still)
    assert same.frame_mm == pytest.approx(0, abs=1e-3)
    assert same.clip_mm == pytest.approx(0, abs=1e-3)
    swaying = np.stack([turned(frame, 0.1 * i) for i, frame in enumerate(still)])
    sway = p.distance(swaying, still)
    assert sway.frame_mm == pytest.approx(0, abs=1e-3)
    assert sway.clip_mm > 20


def test_window_joints_forget_the_path() -> None:
    joints = motion(60).astype(np.float32)
    path = np.cumsum(np.full((60, 1, 3), 0.05), axis=0).astype(np.float32)
    seen = np.ones((60, 17), np.float32)
    still = PoseSequence(joints, seen, 30.0)
    walking = PoseSequence(joints + path, seen, 30.0)
    np.testing.assert_allclose(
        p.window_joints(walking, 0.0), p.window_joints(still, 0.0), atol=1e-5
    )
    np.testing.assert_allclose(p.window_joints(still, 0.0)[1], joints[6], atol=1e-6)


def test_overlap_is_half_open() -> None:
    assert p.overlaps(1, 3, [(0, 1.1)])
    assert p.overlaps(1, 3, [(2.9, 5)])
    assert not p.overlaps(1, 3, [(0, 1), (3, 4)])


def test_best_window_of_a_longer_expert_is_found() -> None:
    long = motion(30, seed=3)
    found = p.best_windows([long, motion(10, seed=4)], turned(long[12:22], 0.3))
    np.testing.assert_array_equal(found[0], long[12:22])
    assert found[1].shape == (10, 17, 3)


def test_nearest_of_a_library() -> None:
    windows = np.stack([motion(seed=s) for s in range(5)])
    distances = distances_to(windows, turned(windows[3], 1.0))
    assert distances.argmin() == 3
    assert p.rank_of(3, distances) == 1
    assert p.rank_of(int(distances.argmax()), distances) == 5


def test_ties_count_against_the_gold_item() -> None:
    assert p.rank_of(0, np.zeros(4)) == 4


def test_mean_motion_of_one_motion_seen_from_all_sides_is_that_motion() -> None:
    one = motion()
    views = np.stack([turned(one, a) for a in (0.0, 1.0, 2.0)])
    np.testing.assert_allclose(p.mean_motion(views, one), one, atol=1e-9)
