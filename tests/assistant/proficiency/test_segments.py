"""Segments of a clip: partitions, linear mapping, and moments in seconds."""

import numpy as np
import pytest

from assistant.errors import PoiseError
from assistant.proficiency.segments import (
    SegmentPlan,
    key_moments,
    mapped_starts,
    partition_borders,
    segment_frames,
    segment_starts,
)

PLAN = SegmentPlan(partitions=5, frames=3, stride=2)


def test_each_partition_gives_one_segment_inside_it() -> None:
    seen = set()
    for seed in range(50):
        starts = segment_starts(50, PLAN, np.random.default_rng(seed))
        frames = segment_frames(starts, 50, PLAN)
        assert frames.shape == (5, 3)
        assert (np.diff(frames, axis=1) == 2).all()
        assert (frames // 10 == np.arange(5)[:, None]).all()
        seen |= set(starts.tolist())
    assert len(seen) == 30  # six possible starts in each of the five


def test_a_short_clip_has_a_segment_a_frame_and_stays_inside() -> None:
    starts = segment_starts(3, PLAN, np.random.default_rng(0))
    assert starts.tolist() == [0, 1, 2]
    assert segment_frames(starts, 3, PLAN).tolist() == [[0, 2, 2], [1, 2, 2], [2, 2, 2]]
    assert len(partition_borders(3, PLAN)) == 4


def test_comparison_starts_are_mapped_linearly() -> None:
    assert mapped_starts(np.array([0, 10, 49]), 50, 200).tolist() == [0, 40, 196]
    assert mapped_starts(np.array([0, 10, 49]), 50, 25).tolist() == [0, 5, 24]


def test_moments_are_seconds_and_neighbours_are_joined() -> None:
    importance = np.array([0.1, 0.2, 0.3, 0.0, 0.25, 0.15])
    moments = key_moments(importance, 12.0, count=3)
    assert [m[:2] for m in moments] == [(2.0, 6.0), (8.0, 10.0)]
    np.testing.assert_allclose([m[2] for m in moments], [0.5, 0.25])


@pytest.mark.parametrize("settings", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_a_plan_of_nothing_is_refused(settings: tuple[int, int, int]) -> None:
    with pytest.raises(PoiseError, match="at least 1"):
        SegmentPlan(*settings)


def test_a_clip_without_frames_is_refused() -> None:
    with pytest.raises(PoiseError, match="0 frames"):
        partition_borders(0, PLAN)
