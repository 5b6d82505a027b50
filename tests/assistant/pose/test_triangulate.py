"""Triangulation: against plain NumPy, exact without noise, and robust against what views do."""

import numpy as np
import pytest

from assistant.pose.sides import SIDE_PAIRS
from assistant.pose.triangulate import triangulate
from assistant.pose.views_geometry import dlt, refine, reproject
from assistant.skeleton import (
    LEFT_ANKLE,
    LEFT_KNEE,
    LEFT_WRIST,
    MIRROR,
    NOSE,
    RIGHT_ELBOW,
    RIGHT_KNEE,
    RIGHT_WRIST,
)

FPS = 30.0
FRAMES = 12


@pytest.fixture
def walk(standing) -> np.ndarray:
    """A body that moves 0.5 m/s along y and swings its limbs, [F, 17, 3]."""
    time = np.arange(FRAMES)[:, None, None] / FPS
    swing = np.zeros((1, 17, 3))
    swing[0, [LEFT_WRIST, RIGHT_KNEE, LEFT_ANKLE]] = (0.5, 0.1, 0.2)
    return standing + time * np.array([0.0, 0.5, 0.0]) + time * swing


def see(joints, cameras):
    return reproject(joints, cameras), np.ones((len(cameras), *joints.shape[:2]))


def miss_mm(found, joints) -> np.ndarray:
    return np.linalg.norm(found.joints - joints, axis=-1) * 1000


# Equations


def test_dlt_equals_the_null_vector_of_the_stacked_equations(ring):
    """Hartley and Zisserman 12.2: rows x P3 - P1, y P3 - P2, smallest singular vector."""
    rng = np.random.default_rng(0)
    cameras = ring(3)
    rays = rng.uniform(-0.2, 0.2, (3, 2))
    weights = np.array([1.0, 0.3, 0.6])
    rows = []
    for (x, y), weight, camera in zip(rays, weights, cameras, strict=True):
        first, second, third = camera.pose
        rows += [weight * (x * third - first), weight * (y * third - second)]
    null = np.linalg.svd(np.array(rows))[2][-1]
    expected = null[:3] / null[3]
    poses = np.stack([camera.pose for camera in cameras])
    np.testing.assert_allclose(dlt(rays, weights, poses), expected, rtol=1e-7)


def test_refinement_ends_where_the_weighted_squares_are_least(ring):
    from scipy.optimize import least_squares

    rng = np.random.default_rng(1)
    cameras = ring(3, distortion=False)
    truth = np.array([2.1, 3.2, 1.2])
    pixels = reproject(truth, cameras) + rng.normal(0, 8, (3, 2))
    weights = np.array([1.0, 0.4, 0.7])
    rays = np.stack([c.rays(p) for c, p in zip(cameras, pixels, strict=True)])

    def gaps(point):
        found = []
        for camera, ray, weight in zip(cameras, rays, weights, strict=True):
            inside = camera.rotation @ point + camera.translation
            flat = inside[:2] / inside[2]
            found += list(np.sqrt(weight) * camera.focal * (flat - ray))
        return found

    expected = least_squares(gaps, truth, xtol=1e-14, ftol=1e-14, gtol=1e-14).x
    point = truth + 0.05
    for _ in range(4):
        point = refine(point, rays, weights, cameras)
    np.testing.assert_allclose(point, expected, atol=1e-7)


# Exact recovery


@pytest.mark.parametrize("fisheye", [False, True])
@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_known_points_come_back_within_a_tenth_of_a_millimetre(walk, count, fisheye, ring):
    cameras = ring(count, fisheye=fisheye)
    if count == 2:  # two that look at each other see no depth
        cameras = ring(5, fisheye=fisheye)[:2]
    found = triangulate(*see(walk, cameras), cameras, FPS)
    assert miss_mm(found, walk).max() < 0.1
    assert (found.views == count).all() and found.kept.all() and not found.swapped.any()
    assert found.error.max() < 0.1


def test_noise_of_a_few_pixels_is_a_few_millimetres(walk, ring):
    cameras = ring(4)
    rng = np.random.default_rng(2)
    pixels, weights = see(walk, cameras)
    found = triangulate(pixels + rng.normal(0, 3, pixels.shape), weights, cameras, FPS)
    # 3 px at 4 m and f = 1200 are 10 mm a view and axis
    assert 3 < miss_mm(found, walk).mean() < 15
    assert found.kept.mean() > 0.97 and 2 < np.median(found.error) < 5


# What views do


def test_a_bad_view_of_a_joint_is_dropped(walk, ring):
    cameras = ring(4)
    pixels, weights = see(walk, cameras)
    pixels[1, :, RIGHT_ELBOW] += (250, -120)
    pixels[3, 5:8, NOSE] -= (90, 0)
    found = triangulate(pixels, weights, cameras, FPS)
    assert miss_mm(found, walk).max() < 0.5
    assert not found.kept[1, :, RIGHT_ELBOW].any()
    assert not found.kept[3, 5:8, NOSE].any()
    assert (found.views[:, RIGHT_ELBOW] == 3).all()
    assert found.kept.sum() == found.kept.size - FRAMES - 3
    np.testing.assert_allclose(found.error[1, :, RIGHT_ELBOW], np.hypot(250, 120), atol=2)


def test_a_whole_view_of_somewhere_else_is_dropped(walk, ring):
    cameras = ring(4)
    pixels, weights = see(walk, cameras)
    pixels[2] = pixels[2][:, ::-1] * 0.5 + 100
    found = triangulate(pixels, weights, cameras, FPS)
    assert np.quantile(miss_mm(found, walk), 0.9) < 1
    assert found.kept[2].mean() < 0.1 < 0.9 < found.kept[[0, 1, 3]].mean()


@pytest.mark.parametrize("frames", [slice(0, FRAMES), slice(4, 9)])
def test_a_view_that_mirrors_the_body_is_read_the_other_way(walk, frames, ring):
    cameras = ring(4)
    pixels, weights = see(walk, cameras)
    pixels[1, frames] = pixels[1, frames][:, MIRROR]
    found = triangulate(pixels, weights, cameras, FPS)
    assert miss_mm(found, walk).max() < 0.1
    pairs = np.array(SIDE_PAIRS).ravel()
    expected = np.zeros_like(found.swapped)
    expected[1, frames, pairs[:, None]] = True
    np.testing.assert_array_equal(found.swapped, expected)
    assert found.kept.all()


def test_one_swapped_pair_leaves_the_others_alone(walk, ring):
    cameras = ring(4)
    pixels, weights = see(walk, cameras)
    pixels[2, 3:6, [LEFT_WRIST, RIGHT_WRIST]] = pixels[2, 3:6, [RIGHT_WRIST, LEFT_WRIST]]
    found = triangulate(pixels, weights, cameras, FPS)
    assert miss_mm(found, walk).max() < 0.1
    assert found.swapped.sum() == 6 and found.swapped[2, 3:6, [LEFT_WRIST, RIGHT_WRIST]].all()


def test_two_views_notice_a_swap_by_the_bones(standing, ring):
    """Knees of one height meet in space whichever way two views are read; the bones tell."""
    cameras = ring(5)[:2]
    body = np.repeat(standing[None], 24, axis=0)
    pixels, weights = see(body, cameras)
    knees = [LEFT_KNEE, RIGHT_KNEE]
    pixels[1, :10, knees] = pixels[1, :10, knees[::-1]]
    found = triangulate(pixels, weights, cameras, FPS)
    assert found.swapped[1, :10, LEFT_KNEE].all() and found.swapped.sum() == 20
    assert miss_mm(found, body).max() < 0.1


def test_a_joint_seen_by_one_view_only_has_no_position(walk, ring):
    cameras = ring(4)
    pixels, weights = see(walk, cameras)
    weights[1:, 2:7, LEFT_KNEE] = 0
    weights[:, :, NOSE] = 0
    pixels[weights == 0] = np.nan
    found = triangulate(pixels, weights, cameras, FPS)
    assert (found.views[2:7, LEFT_KNEE] == 0).all() and (found.views[:, NOSE] == 0).all()
    assert not found.kept[:, :, NOSE].any() and not found.observed[:, :, NOSE].any()
    for part in (found.joints, found.error, found.pixels):
        assert np.isfinite(part).all()
    seen = found.views > 0
    assert seen.sum() == FRAMES * 16 - 5 and miss_mm(found, walk)[seen].max() < 0.1


def test_junk_at_weight_zero_changes_nothing(walk, ring):
    cameras = ring(4)
    pixels, weights = see(walk, cameras)
    weights[2, :, 7:] = 0
    plain = triangulate(pixels, weights, cameras, FPS)
    pixels[2, :, 7:] = 1e5
    junk = triangulate(pixels, weights, cameras, FPS)
    np.testing.assert_array_equal(plain.joints, junk.joints)
    np.testing.assert_array_equal(plain.kept, junk.kept)
