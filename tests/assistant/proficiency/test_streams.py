"""Streams: cutting, rates, and what Stage 1 reads of them."""

import numpy as np
import pytest

from assistant.errors import PoiseError
from assistant.proficiency.streams import (
    LONGEST_SECONDS,
    STAGE1_VIDEO_FPS,
    Stream,
    dense_times,
    stage1_streams,
)


def counted(frames: int, fps: float, start: float = 0.0) -> Stream:
    """Frames that hold their own number."""
    return Stream(np.arange(frames, dtype=np.float32)[:, None], fps, start)


def test_a_crop_keeps_the_frames_inside_and_knows_where_they_are() -> None:
    cut = counted(40, 10.0, start=2.0).crop((2.95, 4.0))
    assert cut is not None
    assert cut.values[:, 0].tolist() == list(range(10, 20))
    assert cut.start == pytest.approx(3.0) and cut.end == pytest.approx(4.0)


def test_a_crop_beside_the_stream_is_none() -> None:
    assert counted(10, 10.0).crop((5.0, 6.0)) is None


def test_another_rate_takes_the_nearest_frames() -> None:
    assert counted(10, 10.0).at_rate(5.0)[:, 0].tolist() == [0, 2, 4, 6, 8]
    assert counted(4, 5.0).at_rate(10.0).shape == (8, 1)


def test_stage_1_reads_video_at_five_frames_a_second_and_not_for_ever() -> None:
    read = stage1_streams({"ego": counted(300, 10.0)}, (1.0, 30.0))["ego"]
    assert len(read) == LONGEST_SECONDS * STAGE1_VIDEO_FPS
    assert read[:3, 0].tolist() == [10, 12, 14]


def test_a_span_without_frames_has_no_stream() -> None:
    assert stage1_streams({"gaze": counted(5, 5.0)}, (3.0, 4.0)) == {}


def test_dense_times_are_ten_a_second_within_the_span() -> None:
    times = dense_times((1.0, 2.0))
    assert times == pytest.approx(1 + np.arange(10) / 10)
    assert len(dense_times((0.0, 60.0))) == 10 * LONGEST_SECONDS
    assert dense_times((3.0, 3.01)).tolist() == [3.0]


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(PoiseError, match="stream"):
        Stream(np.full((3, 2), np.nan), 5.0)
    with pytest.raises(PoiseError, match="rate above 0"):
        Stream(np.zeros((3, 2)), 0.0)
