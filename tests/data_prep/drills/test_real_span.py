"""The simulated free throw spans the real shooter of the development throws (0 to 19 only)."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from assistant.skeleton import LEFT_HIP, MIRROR, RIGHT_HIP, pelvis
from data_prep.drills.simulate import simulate_many

DEVELOPMENT = 20
LEG = (0.240 + 0.236) * 1.74  # thigh and shank of the mean performer, metres


@pytest.mark.real
def test_real_poses_lie_about_as_near_as_unseen_simulated_ones(shared_data):
    real = np.load(shared_data / "poses" / "basketball_free_throw_real.npz")["poses"]
    throws = simulate_many(70, 1, 51, activities=("basketball_free_throw",))
    known = [shape(p) for d in throws for p in (d.pose.joints, mirrored(d.pose.joints))]
    tree = cKDTree(np.concatenate(known))
    unseen = simulate_many(12, 1, 52, split="test", activities=("basketball_free_throw",))
    far_simulated = np.concatenate([distance(tree, d.pose.joints) for d in unseen])
    far_real = np.array([distance(tree, p) for p in real[:DEVELOPMENT:4]])
    assert np.median(far_real) < 1.1 * np.quantile(far_simulated, 0.95)
    assert np.quantile(far_real, 0.95) < 90
    # A body folded the wrong way is far from everything, so nearness means something.
    folded = real[:1].copy()
    folded[..., 13:15, :] = 2 * folded[..., 11:13, :] - folded[..., 13:15, :]
    assert np.median(distance(tree, folded[0])) > 1.5 * np.quantile(far_simulated, 0.95)


def mirrored(joints):
    return (joints * np.array([1, -1, 1]))[:, MIRROR]


def shape(joints):
    """Every third frame, centred on the pelvis, facing +x, in lengths of one leg; no head."""
    joints = joints[::3].astype(np.float64)
    across = (joints[:, LEFT_HIP] - joints[:, RIGHT_HIP]) * np.array([1, 1, 0])
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    ahead = np.cross(across, [0.0, 0.0, 1.0])
    leg = np.linalg.norm(joints[:, 12] - joints[:, 14], axis=-1)
    leg = (leg + np.linalg.norm(joints[:, 14] - joints[:, 16], axis=-1)).mean()
    centred = (joints - pelvis(joints)[:, None]) * LEG / leg
    x = (centred * ahead[:, None]).sum(-1)
    y = (centred * across[:, None]).sum(-1)
    return np.stack([x, y, centred[..., 2]], -1)[:, 5:].reshape(len(joints), -1)


def distance(tree, joints):
    """Root mean square over joints of the distance to the nearest known pose, millimetres."""
    return 1000 * tree.query(shape(joints))[0] / np.sqrt(12)
