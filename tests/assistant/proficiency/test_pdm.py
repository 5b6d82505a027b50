"""Look Closer section II-B by plain loops."""

import numpy as np
import pytest

from assistant.proficiency.pdm import (
    PrototypeBank,
    action_dynamics,
    proposal_dynamics,
    proposal_times,
)

FPS = 15.0


def test_dynamics_are_the_standard_deviation_of_the_window() -> None:
    x = np.random.default_rng(0).normal(size=(90, 3))
    t = 3.0
    frames = [x[i] for i in range(90) if 2.0 - 1e-9 <= i / FPS <= 4.0 + 1e-9]
    assert len(frames) == 31
    mean = sum(frames) / len(frames)
    expected = np.sqrt(sum((f - mean) ** 2 for f in frames) / len(frames))
    assert action_dynamics(x, FPS, t) == pytest.approx(expected)


def test_window_is_cut_at_the_clips_ends() -> None:
    x = np.random.default_rng(0).normal(size=(40, 2))
    assert action_dynamics(x, FPS, 0.0) == pytest.approx(x[:16].std(axis=0))
    assert action_dynamics(x, FPS, 99.0) == pytest.approx([0.0, 0.0])


def cos(a: np.ndarray, b: np.ndarray) -> float:
    return float(sum(a * b) / np.sqrt(sum(a * a)) / np.sqrt(sum(b * b)))


def bank() -> tuple[PrototypeBank, np.ndarray, list[tuple[str, str]], list[int]]:
    rng = np.random.default_rng(3)
    z = rng.uniform(0.1, 1, (12, 4))
    buckets = [("squat", "down"), ("squat", "up"), ("throw", "dip")] * 4
    levels = [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]
    return PrototypeBank.fit(z, buckets, levels), z, buckets, levels


def test_prototypes_are_means_of_high_and_low_levels() -> None:
    found, z, buckets, levels = bank()
    for row, name in enumerate(found.buckets):
        high = [z[i] for i in range(12) if buckets[i] == name and levels[i] >= 2]
        low = [z[i] for i in range(12) if buckets[i] == name and levels[i] < 2]
        assert found.high[row] == pytest.approx(sum(high) / len(high))
        assert found.low[row] == pytest.approx(sum(low) / len(low))
        assert found.counts[row].tolist() == [len(low), len(high)]


def test_annotation_free_margin_takes_the_best_bucket_and_averages() -> None:
    found, *_ = bank()
    z = np.random.default_rng(4).uniform(0.1, 1, (5, 4))
    rows = [i for i, b in enumerate(found.buckets) if b[0] == "squat"]
    assert len(rows) == 2
    expected = np.mean([max(cos(w, found.high[r]) - cos(w, found.low[r]) for r in rows) for w in z])
    assert found.annotation_free(z, "squat") == pytest.approx(expected)
    assert found.annotation_free(z, "golf") is None


def test_annotated_margin_uses_the_windows_own_bucket() -> None:
    found, *_ = bank()
    z = np.random.default_rng(5).uniform(0.1, 1, (2, 4))
    own = [found.buckets[2], found.buckets[0]]
    expected = np.mean(
        [cos(z[0], found.high[2]) - cos(z[0], found.low[2]),
         cos(z[1], found.high[0]) - cos(z[1], found.low[0])]
    )  # fmt: skip
    assert found.annotated(z, own) == pytest.approx(expected)
    assert found.annotated(z, [("golf", "a"), ("golf", "b")]) is None


def test_swapping_levels_flips_the_margin() -> None:
    found, z, buckets, levels = bank()
    flipped = PrototypeBank.fit(z, buckets, [3 - y for y in levels])
    one = z[:1]
    assert flipped.annotated(one, buckets[:1]) == pytest.approx(-found.annotated(one, buckets[:1]))


def test_buckets_without_both_sides_are_left_out() -> None:
    found = PrototypeBank.fit(np.eye(3), [("a", "x"), ("a", "x"), ("b", "y")], [0, 3, 3])
    assert found.buckets == (("a", "x"),)


def test_proposals_cover_the_clip_every_second() -> None:
    assert proposal_times(15, FPS) == pytest.approx([7 / FPS])
    assert proposal_times(75, FPS) == pytest.approx([1, 2, 3, 4])
    assert proposal_dynamics(np.ones((75, 2)), FPS).shape == (4, 2)


def test_a_bank_survives_its_arrays() -> None:
    found, z, *_ = bank()
    again = PrototypeBank.from_arrays(found.arrays("bank.pose"), "bank.pose", found.buckets)
    assert again.annotation_free(z, "squat") == pytest.approx(
        found.annotation_free(z, "squat"), abs=1e-6
    )
