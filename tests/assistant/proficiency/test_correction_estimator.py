"""The estimate of a corrected window: what it changes, what it leaves, and damaged files."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from assistant.checkpoint import DEFAULT_NAME, WEIGHTS_FOLDER
from assistant.errors import PoiseError
from assistant.perception import CORRECTION_ESTIMATOR_FOLDER, Perception
from assistant.proficiency.correction_estimator import CorrectionEstimator, EstimatorConfig
from assistant.tasks.correction import WRITTEN_SHARE, join_estimate
from assistant.tasks.window import WindowFrames, heights_of

ACTIVITIES = ("golf_swing", "forward_lunge")


def window(seed: int) -> WindowFrames:
    rng = np.random.default_rng(seed)
    joints = rng.normal(0, 0.3, (10, 17, 3)).astype(np.float32)
    return WindowFrames(1.0, 3.0, joints, rng.random((10, 3)).astype(np.float32), 0.4)


@pytest.fixture
def estimator() -> CorrectionEstimator:
    torch.manual_seed(0)
    model = CorrectionEstimator(EstimatorConfig(ACTIVITIES, width=16, blocks=1)).eval()
    windows = [window(i) for i in range(5)]
    joints = torch.from_numpy(np.stack([w.joints for w in windows]))
    heights = torch.from_numpy(np.stack([w.heights for w in windows]))
    model.fit_statistics(joints, heights, joints * 0.1)
    return model


def test_known_activities_are_corrected_and_others_are_not(estimator) -> None:
    windows = [window(i) for i in range(3)]
    found = estimator.correct(windows, ["golf_swing", "juggling", "forward_lunge"])
    assert found[1] is None
    for was, now in ((windows[0], found[0]), (windows[2], found[2])):
        assert (now.start, now.end, now.yaw) == (was.start, was.end, was.yaw)
        assert now.joints.shape == (10, 17, 3) and np.abs(now.joints - was.joints).max() > 1e-3
        assert now.heights == pytest.approx(heights_of(now.joints, was))
    alone = estimator.correct(windows[2:], ["forward_lunge"])
    assert alone[0].joints == pytest.approx(found[2].joints, abs=1e-6)
    other = estimator.correct(windows[2:], ["golf_swing"])  # the activity is told
    assert np.abs(other[0].joints - found[2].joints).max() > 1e-3
    assert estimator.correct([], []) == []


def test_it_is_read_back_as_it_was_written(estimator, tmp_path: Path) -> None:
    estimator.save_pretrained(tmp_path)
    again = CorrectionEstimator.from_pretrained(tmp_path)
    assert again.config == estimator.config and not again.training
    (was,), (now,) = (m.correct([window(9)], ["golf_swing"]) for m in (estimator, again))
    assert np.array_equal(was.joints, now.joints)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_damaged_file_is_one_clear_line(estimator, tmp_path: Path, name: str) -> None:
    estimator.save_pretrained(tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PoiseError, match="cannot load the correction estimator") as fault:
        CorrectionEstimator.from_pretrained(tmp_path)
    assert "\n" not in str(fault.value) and "remedy" in str(fault.value)


def test_perception_estimates_where_it_can(estimator) -> None:
    parts: Any = SimpleNamespace()
    given = window(1)
    found = Perception(parts, parts, estimator=estimator).estimate(given, "golf_swing")
    assert found is not None and np.abs(found.joints - given.joints).max() > 1e-3
    assert Perception(parts, parts, estimator=estimator).estimate(given, "juggling") is None
    assert Perception(parts, parts).estimate(given, "golf_swing") is None


def test_a_checkpoint_has_one_or_none(tmp_path: Path, estimator) -> None:
    shipped = WEIGHTS_FOLDER / DEFAULT_NAME
    for part in ("pose_tokenizer", "proficiency", "language"):
        (tmp_path / part).symlink_to(shipped / part)
    assert Perception.from_pretrained(tmp_path).estimator is None
    estimator.save_pretrained(tmp_path / CORRECTION_ESTIMATOR_FOLDER)
    loaded = Perception.from_pretrained(tmp_path).estimator
    assert loaded is not None and loaded.config == estimator.config


def test_an_estimate_is_joined_with_what_was_written() -> None:
    written, estimate = np.zeros((2, 17, 3)), np.ones((2, 17, 3))
    joined = join_estimate(written, estimate)
    assert joined == pytest.approx(np.full((2, 17, 3), 1 - WRITTEN_SHARE))
    assert join_estimate(estimate, estimate) == pytest.approx(estimate)
