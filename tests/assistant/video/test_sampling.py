import numpy as np
import pytest

from assistant.video.sampling import grid_times, thinned_rate, uniform_times


def test_uniform_times_are_the_middles_of_equal_parts():
    np.testing.assert_allclose(uniform_times(1.0, 3.0, 4), [1.25, 1.75, 2.25, 2.75])


def test_uniform_times_of_an_empty_span_repeat_its_start():
    np.testing.assert_allclose(uniform_times(2.0, 2.0, 3), [2.0, 2.0, 2.0])


@pytest.mark.parametrize(("start", "end", "count"), [(2, 1, 8), (0, 1, 0), (0, np.nan, 8)])
def test_uniform_times_refuse_nonsense(start, end, count):
    with pytest.raises(ValueError, match="expected start <= end and count >= 1"):
        uniform_times(start, end, count)


def test_grid_times_cover_the_clip_and_are_never_empty():
    np.testing.assert_allclose(grid_times(0.5, 10), [0, 0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(grid_times(0.01, 10), [0])


@pytest.mark.parametrize(
    ("fps", "kept"),
    [(60, 30), (59.94, 29.97), (50, 25), (30.02, 30.02), (30, 30), (24, 24), (120, 30), (240, 30)],
)
def test_thinned_rate_keeps_every_kth_frame(fps, kept):
    assert thinned_rate(fps, 30) == pytest.approx(kept)
