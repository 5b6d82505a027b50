"""Pose noise: its stated size, its slowness, its profile."""

import numpy as np
import pytest

from assistant.errors import PoiseError
from assistant.skeleton import LEFT_ANKLE, LEFT_SHOULDER, LEFT_WRIST, pelvis
from data_prep.drills.noise import add_pose_noise
from data_prep.drills.simulate import simulate_many


@pytest.fixture(scope="module")
def poses():
    return [drill.pose for drill in simulate_many(6, 2, 41)]


def test_slow_noise_has_exactly_the_stated_size(poses):
    rng = np.random.default_rng(0)
    for pose in poses:
        noisy = add_pose_noise(pose, rng, millimetres=15.0)
        length = np.linalg.norm(noisy.joints - pose.joints, axis=-1)
        assert abs(1000 * length.mean() - 15.0) < 0.01
        assert noisy.world
        assert noisy.fps == pose.fps


def test_noise_is_slow_and_worst_at_wrists_and_ankles(poses):
    rng = np.random.default_rng(1)
    errors, jitter = [], []
    for pose in poses:
        error = add_pose_noise(pose, rng, millimetres=15.0).joints - pose.joints
        errors.append(np.linalg.norm(error, axis=-1).mean(0))
        jitter.append(np.linalg.norm(np.diff(error, axis=0), axis=-1).mean())
    mean = 1000 * np.mean(errors, 0)
    assert 1000 * np.mean(jitter) < 2.0
    assert mean[LEFT_WRIST] > mean[LEFT_ANKLE] > 1.5 * mean[LEFT_SHOULDER]


def test_single_view_noise_is_what_was_measured_on_film(poses):
    """FACTS: PA-MPJPE about 80 mm, jitter 1 to 5 mm a frame, bone lengths wander 5 to 15%."""
    rng = np.random.default_rng(2)
    error, jitter, wander = [], [], []
    for pose in poses:
        noisy = add_pose_noise(pose, rng, millimetres=80.0, kind="single_view")
        assert not noisy.world
        np.testing.assert_allclose(pelvis(noisy.joints), 0.0, atol=1e-5)
        a, b = noisy.joints[::6].astype(np.float64), pose.joints[::6].astype(np.float64)
        error += [aligned_error(x, y) for x, y in zip(a, b, strict=True)]
        moved = np.diff(noisy.joints - pose.joints + pelvis(pose.joints)[:, None], axis=0)
        jitter.append(np.median(np.linalg.norm(moved, axis=-1)))
        shank = np.linalg.norm(noisy.joints[:, 13] - noisy.joints[:, 15], axis=-1)
        wander.append(shank.std() / shank.mean())
    assert 70 < 1000 * np.mean(error) < 90
    assert 1 < 1000 * np.mean(jitter) < 5.5
    assert 0.05 < np.mean(wander) < 0.15


def aligned_error(x, y):
    """Mean joint distance after the best similarity (Umeyama 1991), metres."""
    x, y = x - x.mean(0), y - y.mean(0)
    u, s, vt = np.linalg.svd(x.T @ y)
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    turned = (s * sign).sum() / (x**2).sum() * x @ u @ np.diag(sign) @ vt
    return np.linalg.norm(turned - y, axis=-1).mean()


def test_zero_noise_changes_nothing_and_the_generator_decides(poses):
    pose = poses[0]
    same = add_pose_noise(pose, np.random.default_rng(3), millimetres=0.0)
    np.testing.assert_allclose(same.joints, pose.joints, atol=1e-6)
    one = add_pose_noise(pose, np.random.default_rng(4))
    two = add_pose_noise(pose, np.random.default_rng(4))
    assert np.array_equal(one.joints, two.joints)


def test_bad_arguments(poses):
    rng = np.random.default_rng(0)
    with pytest.raises(PoiseError, match="slow, single_view"):
        add_pose_noise(poses[0], rng, kind="white")
    with pytest.raises(PoiseError, match="0 or more"):
        add_pose_noise(poses[0], rng, millimetres=-1.0)
