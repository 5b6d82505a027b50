"""Look Closer section II-B by plain loops."""

import numpy as np
import pytest

from assistant.errors import PoiseError
from assistant.proficiency.pdm import (
    PrototypeBank,
    StreamingDeviation,
    action_dynamics,
    cosine,
    proposal_dynamics,
    proposal_times,
    streaming_dynamics,
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


def streamed(x: np.ndarray) -> np.ndarray:
    deviation = StreamingDeviation()
    for frame in x:
        deviation.add(frame)
    return deviation.value()


@pytest.mark.parametrize("offset", [0.0, 1e6, -1e8])
def test_z_of_section_ii_b_in_one_pass_is_that_of_two_passes(offset: float) -> None:
    """sqrt(mean (x - mean)^2); the textbook mean of squares fails at these offsets."""
    noise = np.random.default_rng(1).normal(size=(20000, 3))
    x = offset + noise
    mean = x.sum(axis=0) / len(x)
    expected = np.sqrt(((x - mean) ** 2).sum(axis=0) / len(x))
    assert streamed(x) == pytest.approx(expected, rel=1e-8)  # doubles near 1e8 are 1.5e-8 apart
    assert streamed(x) == pytest.approx(noise.std(axis=0), rel=1e-6)


def test_one_pass_of_a_constant_is_zero_however_large() -> None:
    assert (streamed(np.full((5000, 2), 123456789.1)) == 0).all()
    with pytest.raises(PoiseError, match="no frames"):
        StreamingDeviation().value()


def test_windows_of_one_pass_equal_those_of_kept_frames() -> None:
    x = 50 + np.random.default_rng(2).normal(size=(90, 4))
    times = [3.0, 0.0, 3.4, 5.9]
    expected = np.stack([action_dynamics(x, FPS, t) for t in times])
    assert streaming_dynamics(iter(x), FPS, times) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(PoiseError, match="no frames"):
        streaming_dynamics(iter(x), FPS, [60.0])


def test_a_window_at_30_fps_has_about_60_frames_as_the_paper_says() -> None:
    x = np.random.default_rng(3).normal(size=(300, 2))
    assert action_dynamics(x, 30.0, 5.0) == pytest.approx(x[120:181].std(axis=0))


def test_cosine_of_a_null_vector_is_zero() -> None:
    assert cosine(np.zeros(3), np.ones(3)) == 0
    assert cosine(np.array([3.0, 4.0]), np.array([4.0, 3.0])) == pytest.approx(24 / 25)


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


def test_thin_buckets_take_the_activitys_prototypes_and_say_so() -> None:
    rng = np.random.default_rng(6)
    z = rng.uniform(0.1, 1, (9, 4))
    buckets = [("squat", "down")] * 6 + [("squat", "up")] * 2 + [("throw", "dip")]
    levels = [0, 1, 0, 2, 3, 2, 0, 3, 3]
    found = PrototypeBank.fit(z, buckets, levels, fewest=2)
    assert found.buckets == (("squat", "down"), ("squat", "up"))  # throw has no low side at all
    squat_high = (z[3] + z[4] + z[5] + z[7]) / 4
    squat_low = (z[0] + z[1] + z[2] + z[6]) / 4
    assert found.high == pytest.approx(np.stack([(z[3] + z[4] + z[5]) / 3, squat_high]))
    assert found.low == pytest.approx(np.stack([(z[0] + z[1] + z[2]) / 3, squat_low]))
    assert found.report() == [
        {"activity": "squat", "action": "down", "low": 3, "high": 3, "prototypes": "bucket"},
        {"activity": "squat", "action": "up", "low": 1, "high": 1, "prototypes": "activity"},
    ]
    assert "squat:up" in found.describe() and "squat:down" not in found.describe()
    again = PrototypeBank.from_arrays(found.arrays("b"), "b", found.buckets)
    assert again.report() == found.report()


def test_a_one_sided_bucket_is_kept_where_its_activity_has_both_sides() -> None:
    rows = [("a", "x"), ("a", "x"), ("a", "y")]
    found = PrototypeBank.fit(np.eye(3), rows, [0, 3, 3], fewest=1)
    assert found.thin.tolist() == [False, True]
    assert found.high[1] == pytest.approx([0, 0.5, 0.5])


def test_without_a_fewest_no_bucket_is_thin_and_old_arrays_load() -> None:
    found, *_ = bank()
    old = {k: v for k, v in found.arrays("b").items() if k != "b.thin"}
    again = PrototypeBank.from_arrays(old, "b", found.buckets)
    assert not found.thin.any() and not again.thin.any()
    assert [row["prototypes"] for row in again.report()] == ["bucket"] * 3
