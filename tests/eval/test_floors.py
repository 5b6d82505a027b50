"""The floors: an oracle by the count of faults, and boosting on joint angles."""

import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.skeleton import LEFT_ANKLE, LEFT_HIP, LEFT_KNEE
from eval import floors as f


def pose(knee: float) -> PoseSequence:
    """A body with the left knee bent by `knee` degrees (0 is straight)."""
    rng = np.random.default_rng(0)
    joints = np.tile(rng.normal(0, 0.3, (17, 3)), (12, 1, 1))
    joints[:, LEFT_HIP], joints[:, LEFT_KNEE] = [0, 0, 1], [0, 0, 0.5]
    bend = np.radians(knee)
    joints[:, LEFT_ANKLE] = joints[:, LEFT_KNEE] - 0.5 * np.array([np.sin(bend), 0, np.cos(bend)])
    joints = joints.astype(np.float32)
    return PoseSequence(joints, np.ones((12, 17), np.float32), 30.0)


@pytest.mark.parametrize("knee", [0.0, 35.0, 110.0])
def test_angles_by_hand(knee: float) -> None:
    np.testing.assert_allclose(f.angle_tracks(pose(knee))[:, 0], 180 - knee, atol=1e-3)


def test_oracle_counts_different_faults() -> None:
    fault = [{"name": "a"}, {"name": "a"}, {"name": "b"}]
    assert [f.oracle_level(fault[:n]) for n in range(4)] == [3, 2, 2, 1]
    assert f.oracle_level([{"name": str(n)} for n in range(6)]) == 0


def test_statistics_of_one_frame_are_finite() -> None:
    one = pose(20.0).crop(0, 0.01)
    assert np.isfinite(f.angle_statistics(one)).all()


def test_boosting_learns_a_joint_angle_and_not_a_shuffled_one() -> None:
    rng = np.random.default_rng(1)
    knees = rng.uniform(0, 120, 160)
    features = np.stack([f.angle_statistics(pose(k)) for k in knees])
    levels = (knees // 30.001).astype(int)
    faults = [{"legs"} if k < 60 else set() for k in knees]
    trees = f.BoostedTrees().fit(features[:120], levels[:120], faults[:120])
    assert (trees.levels(features[120:]) == levels[120:]).mean() > 0.8
    assert trees.faults(features[120:]) == faults[120:]
    shuffled = f.BoostedTrees().fit(features[:120], rng.permutation(levels[:120]), faults[:120])
    assert (shuffled.levels(features[120:]) == levels[120:]).mean() < 0.6
