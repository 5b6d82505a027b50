"""Normalisation: invariant under yaw and translation, gap-free, and reversible."""

import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.pose import normalise as n
from assistant.skeleton import LEFT_ANKLE, LEFT_HIP, LEFT_WRIST, MIRROR, RIGHT_HIP, RIGHT_WRIST


def walking(frames: int = 60, seed: int = 0) -> PoseSequence:
    rng = np.random.default_rng(seed)
    t = np.arange(frames) / 30
    joints = np.repeat(n.REST_POSE[None], frames, axis=0)
    sway = rng.normal(0, 0.015, (4, 17, 3))
    for k in range(4):
        joints = joints + np.sin(2 * t * (k + 1) + k)[:, None, None] * sway[k]
    joints += np.stack([0.3 * t, 0.05 * np.sin(t), 0.91 + 0 * t], axis=-1)[:, None]
    return PoseSequence(joints.astype(np.float32), np.ones((frames, 17), np.float32), 30.0)


def moved(pose: PoseSequence, angle: float, offset: tuple[float, float, float]) -> PoseSequence:
    joints = n.rotate_yaw(pose.joints.astype(np.float64), angle) + offset
    return PoseSequence(joints.astype(np.float32), pose.confidence, pose.fps, pose.source)


@pytest.mark.parametrize("angle", [0.5, 2.0, -3.0])
def test_yaw_and_translation_change_nothing(angle: float) -> None:
    pose = walking()
    a = n.normalise(pose)
    b = n.normalise(moved(pose, angle, (4.0, -2.0, 1.5)))
    np.testing.assert_allclose(a.joints, b.joints, atol=1e-5)
    np.testing.assert_allclose(a.heights, b.heights, atol=1e-5)
    np.testing.assert_allclose(a.root_path, b.root_path, atol=1e-5)
    np.testing.assert_allclose(n.frame_features(a), n.frame_features(b), atol=1e-4)
    assert np.cos(b.yaw - a.yaw - angle) == pytest.approx(1.0, abs=1e-5)


def test_faces_x_with_left_at_y() -> None:
    pose = n.normalise(moved(walking(), 2.0, (0, 0, 0)))
    assert np.median(pose.joints[:, LEFT_HIP, 1]) > 0.05 > np.median(pose.joints[:, RIGHT_HIP, 1])
    assert np.median(pose.joints[:, 0, 0]) > 0.05  # the nose is in front
    np.testing.assert_allclose(n.pelvis(pose.joints), 0, atol=1e-6)


def test_a_mirrored_body_is_not_the_same() -> None:
    pose = walking()
    flipped = PoseSequence(
        (pose.joints[:, MIRROR] * [1, -1, 1]).astype(np.float32), pose.confidence, 30.0
    )
    assert np.abs(n.normalise(flipped).joints - n.normalise(pose).joints).max() > 0.02


def test_a_turn_in_the_setup_does_not_pull_the_heading() -> None:
    pose = walking(90)
    joints = pose.joints.copy()
    joints[:25] = n.rotate_yaw(joints[:25], 1.6)
    turned = PoseSequence(joints, pose.confidence, 30.0)
    assert abs(n.normalise(turned).yaw - n.normalise(pose.crop(25 / 30, 3)).yaw) < 0.12


def test_heights_are_measured_with_a_world_and_rebuilt_without() -> None:
    pose = walking()
    joints = pose.joints.copy()
    joints[30:40, :, 2] += 0.3  # a jump
    world = n.normalise(PoseSequence(joints, pose.confidence, 30.0))
    single = n.normalise(PoseSequence(joints, pose.confidence, 30.0, world=False))
    assert world.heights[35, 1:].min() > 0.15
    assert single.heights[:, 1:].min(axis=1) == pytest.approx(0, abs=1e-6)
    assert single.root_path is None
    np.testing.assert_allclose(
        n.normalise(PoseSequence(joints, pose.confidence, 30.0), contact_heights=True).heights,
        single.heights,
        atol=1e-5,
    )


def test_missing_joints_are_bridged_in_time() -> None:
    pose = walking()
    joints, confidence = pose.joints.copy(), pose.confidence.copy()
    joints[20:24, LEFT_WRIST] = 99.0
    confidence[20:24, LEFT_WRIST] = 0
    whole = n.normalise(pose)
    filled = n.normalise(PoseSequence(joints, confidence, 30.0))
    assert np.abs(filled.joints - whole.joints).max() < 0.05
    local = whole.joints[:, LEFT_WRIST]
    expected = local[19] + (local[24] - local[19]) * 2 / 5
    np.testing.assert_allclose(filled.joints[21, LEFT_WRIST], expected, atol=1e-5)


def test_never_seen_joints_rest_and_missing_hips_stay_finite() -> None:
    pose = moved(walking(), 1.0, (2.0, 0.0, 0.0))
    confidence = pose.confidence.copy()
    confidence[:, RIGHT_WRIST] = 0
    filled = n.normalise(PoseSequence(pose.joints, confidence, 30.0))
    np.testing.assert_allclose(filled.joints[5, RIGHT_WRIST], n.REST_POSE[RIGHT_WRIST], atol=1e-5)
    confidence[:, [LEFT_HIP, RIGHT_HIP, LEFT_ANKLE]] = 0
    features = n.frame_features(n.normalise(PoseSequence(pose.joints, confidence, 30.0)))
    assert np.isfinite(features).all() and np.abs(features[:, n.JOINT_SLICE]).max() < 2


def test_nothing_seen_is_an_error() -> None:
    pose = walking(5)
    with pytest.raises(PoiseError, match="without any seen joint"):
        n.normalise(PoseSequence(pose.joints, pose.confidence * 0, 30.0))


def test_features_ignore_stature_and_name_their_columns() -> None:
    pose = walking()
    small = PoseSequence(pose.joints * np.float32(0.7), pose.confidence, 30.0)
    a, b = n.normalise(pose), n.normalise(small)
    assert b.scale == pytest.approx(0.7 * a.scale, rel=1e-5)
    features = n.frame_features(a)
    assert features.shape == (30, n.FEATURE_DIM) and features.dtype == np.float32
    np.testing.assert_allclose(features, n.frame_features(b), atol=1e-4)
    assert np.abs(features - n.frame_features(b, stature=False)).max() > 0.05
    factor = n.REFERENCE_SCALE / a.scale
    half = a.resample(15.0)
    np.testing.assert_allclose(features[:, n.HEIGHT_SLICE], half.heights * factor, atol=1e-6)
    speed = (half.joints[11, 9] - half.joints[9, 9]) * factor / 2 * 15 * n.VELOCITY_SCALE
    np.testing.assert_allclose(features[10, n.JOINT_VELOCITY_SLICE][27:30], speed, atol=1e-5)
    assert features[:, n.ROOT_PRESENT_COLUMN].all()


def test_without_root_the_path_columns_are_empty() -> None:
    features = n.frame_features(n.normalise(walking()), root=False)
    assert not features[:, n.ROOT_PRESENT_COLUMN : n.CONFIDENCE_COLUMN].any()
    assert features[:, n.CONFIDENCE_COLUMN].all()


def test_crop_resample_and_the_way_back() -> None:
    pose = moved(walking(), 0.7, (1.0, 2.0, 0.0))
    whole = n.normalise(pose)
    np.testing.assert_allclose(whole.to_pose().joints, pose.joints, atol=1e-5)
    part = whole.crop(0.5, 1.5)
    assert len(part) == 30 and part.yaw == whole.yaw
    np.testing.assert_array_equal(part.heights, whole.heights[15:45])
    assert len(whole.resample(5.0)) == 10
    assert len(whole.crop(9.0, 10.0)) == 1
