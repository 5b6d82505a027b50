"""Camera models: projection by its equation, undistortion back to the ray, other resolutions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.errors import PoiseError
from assistant.pose.camera import Camera

BROWN = np.array([-0.25, 0.09, 0.001, -0.0015, -0.02])
FISHEYE = np.array([0.04, -0.01, 0.004, -0.001])


def camera(fisheye: bool = False, **changes: object) -> Camera:
    turn = 0.3
    settings = {
        "name": "cam01",
        "size": (1920.0, 1080.0),
        "matrix": np.array([[1400.0, 2.0, 950.0], [0.0, 1390.0, 545.0], [0.0, 0.0, 1.0]]),
        "distortion": FISHEYE if fisheye else BROWN,
        "fisheye": fisheye,
        "rotation": np.array(
            [
                [math.cos(turn), -math.sin(turn), 0.0],
                [math.sin(turn), math.cos(turn), 0.0],
                [0.0, 0.0, 1.0],
            ]
        ),
        "translation": np.array([0.1, -0.2, 3.0]),
    }
    return Camera(**{**settings, **changes})


def by_hand(lens: Camera, point: np.ndarray) -> tuple[float, float]:
    """Brown 1966 and Kannala and Brandt 2006 (equation 6 with k1 = 1), one point, plain floats."""
    inside = [
        sum(lens.rotation[i, k] * point[k] for k in range(3)) + lens.translation[i]
        for i in range(3)
    ]
    x, y = inside[0] / inside[2], inside[1] / inside[2]
    r = math.hypot(x, y)
    if lens.fisheye:
        theta = math.atan(r)
        k1, k2, k3, k4 = lens.distortion
        bent = theta + k1 * theta**3 + k2 * theta**5 + k3 * theta**7 + k4 * theta**9
        x, y = x * bent / r, y * bent / r
    else:
        k1, k2, p1, p2, k3 = lens.distortion
        radial = 1 + k1 * r**2 + k2 * r**4 + k3 * r**6
        x, y = (
            x * radial + 2 * p1 * x * y + p2 * (r**2 + 2 * x**2),
            y * radial + p1 * (r**2 + 2 * y**2) + 2 * p2 * x * y,
        )
    (fx, skew, cx), (_, fy, cy), _ = lens.matrix
    return fx * x + skew * y + cx, fy * y + cy


@pytest.mark.parametrize("fisheye", [False, True])
def test_projection_equals_the_equations(fisheye):
    lens = camera(fisheye)
    points = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    expected = [by_hand(lens, point) for point in points]
    np.testing.assert_allclose(lens.project(points), expected, atol=1e-9)


@pytest.mark.parametrize("fisheye", [False, True])
@settings(deadline=None, max_examples=40)
@given(x=st.floats(-0.6, 0.6), y=st.floats(-0.4, 0.4), depth=st.floats(0.5, 8))
def test_rays_undo_projection(fisheye, x, y, depth):
    lens = camera(fisheye)
    inside = np.array([x * depth, y * depth, depth])
    point = lens.rotation.T @ (inside - lens.translation)
    np.testing.assert_allclose(lens.rays(lens.project(point)), (x, y), atol=1e-9)


def test_the_optical_axis_is_the_principal_point():
    for fisheye in (False, True):
        lens = camera(fisheye)
        axis = lens.rotation.T @ (np.array([0.0, 0.0, 2.0]) - lens.translation)
        np.testing.assert_allclose(lens.project(axis), (950, 545), atol=1e-6)
        np.testing.assert_allclose(lens.rays(np.array([950.0, 545.0])), (0, 0), atol=1e-12)


def test_a_point_behind_the_camera_is_finite_and_far_out():
    lens = camera(distortion=np.zeros(5))
    behind = lens.rotation.T @ (np.array([0.1, 0.1, -1.0]) - lens.translation)
    pixel = lens.project(behind)
    assert np.isfinite(pixel).all() and np.abs(pixel).max() > 1e6


def test_half_the_resolution_gives_half_the_pixels():
    lens = camera()
    points = np.random.default_rng(1).uniform(-1, 1, (5, 3))
    half = lens.fitted(960, 540)
    np.testing.assert_allclose(half.project(points), lens.project(points) / 2, atol=1e-9)


def test_a_film_cut_at_a_codec_block_keeps_its_pixels():
    """1088 rows are stored for 1080 that are shown; the rest is cut, not squeezed."""
    lens = camera(size=(1920.0, 1088.0))
    points = np.random.default_rng(1).uniform(-1, 1, (5, 3))
    np.testing.assert_array_equal(lens.fitted(1920, 1080).project(points), lens.project(points))


def test_a_film_of_another_shape_is_one_line():
    with pytest.raises(PoiseError) as caught:
        camera().fitted(1080, 1920)
    assert str(caught.value) == (
        "camera cam01 does not fit its film; got: a film of 1080 x 1920 pixels; "
        "expected: the shape of the calibrated pictures, 1920 x 1080; "
        "remedy: give the views in the order of the cameras, and this take's calibration"
    )
