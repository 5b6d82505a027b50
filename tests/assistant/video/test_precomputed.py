"""Official feature files: safe loading, spans, and clear errors."""

import numpy as np
import pytest
import torch

from assistant.errors import PoiseError
from assistant.video.precomputed import PrecomputedEncoder, load_features, mean_over


@pytest.fixture
def folder(tmp_path):
    rows = torch.arange(12, dtype=torch.float32).reshape(6, 1, 2)
    torch.save(rows, tmp_path / "take_aria01_rgb.pt")
    torch.save(rows.half() * 2, tmp_path / "take_cam01_0.pt")
    return tmp_path


def test_features_are_averaged_over_the_span(folder) -> None:
    encoder = PrecomputedEncoder(folder, rate=2.0)
    cameras = {"ego": "aria01_rgb", "exo1": "cam01_0", "exo2": "cam02_0"}
    views, features = encoder.encode("take", cameras, (1.0, 2.0))
    assert views == ["ego", "exo1"]  # rows 2 and 3: (4, 5) and (6, 7)
    assert features == pytest.approx(np.array([[5.0, 6.0], [10.0, 12.0]]))


def test_a_span_outside_takes_the_nearest_row() -> None:
    rows = np.arange(6.0).reshape(3, 2)
    assert mean_over(rows, (90.0, 95.0), 1.0).tolist() == [4.0, 5.0]
    assert mean_over(rows, (-5.0, -4.0), 1.0).tolist() == [0.0, 1.0]


def test_a_pickle_that_runs_code_is_refused(tmp_path) -> None:
    class Evil:
        def __reduce__(self):
            return (tmp_path.joinpath("run").mkdir, ())

    torch.save({"x": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(PoiseError, match="cannot read features"):
        load_features(tmp_path / "evil.pt")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [{"a": torch.ones(2, 2)}, torch.ones(3), torch.ones(2, 2) / 0])
def test_other_contents_are_named(tmp_path, content) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(PoiseError, match="features"):
        load_features(tmp_path / "x.pt")


def test_a_take_without_files_lists_what_was_expected(folder) -> None:
    with pytest.raises(PoiseError, match=r"other_aria01_rgb\.pt"):
        PrecomputedEncoder(folder, 1.0).encode("other", {"ego": "aria01_rgb"}, (0, 1))
