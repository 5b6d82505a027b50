"""The rasteriser draws what the cameras see: place, depth order, colour; and repeats itself."""

import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.skeleton import LEFT_WRIST
from data_prep.drills.cameras import Camera, place_cameras
from data_prep.drills.figure import sample_look
from data_prep.drills.raster import AMBIENT, OVERSAMPLING, draw_capsules, rasterise
from data_prep.drills.render import render_views

STANDING = np.array(
    [
        [0.12, 0, 1.62], [0.1, 0.035, 1.66], [0.1, -0.035, 1.66], [0, 0.075, 1.64],
        [0, -0.075, 1.64], [0, 0.19, 1.42], [0, -0.19, 1.42], [0.05, 0.24, 1.14],
        [0.05, -0.24, 1.14], [0.22, 0.22, 0.95], [0.22, -0.22, 0.95], [0, 0.1, 0.92],
        [0, -0.1, 0.92], [0.03, 0.11, 0.5], [0.03, -0.11, 0.5], [-0.02, 0.12, 0.08],
        [-0.02, -0.12, 0.08],
    ]
)  # fmt: skip
TIMES = np.array([0.0, 0.1, 0.2])


def standing(frames: int = 9) -> PoseSequence:
    joints = np.repeat(STANDING[None], frames, axis=0).astype(np.float32)
    return PoseSequence(joints, np.ones((frames, 17), np.float32), 30.0)


def with_arm_up() -> PoseSequence:
    pose = standing()
    pose.joints[:, 7] += [0.1, 0.0, 0.4]
    pose.joints[:, 9] += [0.0, 0.0, 0.9]
    return pose


def front_camera(size: int) -> Camera:
    """Looks along world +z (camera axes are world axes) with a focal length of `size`."""
    intrinsics = np.array([[size, 0, size / 2], [0, size, size / 2], [0, 0, 1.0]])
    return Camera("exo1", size, intrinsics, np.eye(3)[None], np.zeros((1, 3)))


def test_shapes_types_and_determinism() -> None:
    first = render_views(standing(), ["ego", "exo1", "exo4"], TIMES, size=48, seed=7)
    again = render_views(standing(), ["exo4", "ego"], TIMES, size=48, seed=7)
    assert list(first) == ["ego", "exo1", "exo4"]
    for view, pictures in first.items():
        assert pictures.shape == (3, 48, 48, 3) and pictures.dtype == np.uint8
        assert view not in again or np.array_equal(pictures, again[view])
    other = render_views(standing(), ["exo4"], TIMES, size=48, seed=8)
    assert not np.array_equal(first["exo4"], other["exo4"])


def test_a_sphere_covers_its_disc_and_is_lit_from_the_light() -> None:
    # Radius 0.5 m at 4 m with focal 64: a disc of 8 pixels around the middle.
    seen = np.array([[[0.0, 0.0, 4.0]]])
    light = np.array([[-1.0, 0.0, 0.0]])
    look = sample_look(0)
    body, coverage = draw_capsules(
        seen, ((0, 0, 0.5, 0.5, 0),), 1.0, front_camera(64), look.colours, light
    )
    assert coverage.sum() == pytest.approx(np.pi * 8**2, rel=0.02)
    assert coverage[0, 32, 32] == 1 and coverage[0, 32, 45] == 0
    assert body[0, 32, 26, 1] > body[0, 32, 32, 1] >= body[0, 32, 37, 1]
    # The side away from the light has only the ambient part and a little towards the camera.
    dark = body[0, 32, 38] / look.colours[0]
    assert (dark < AMBIENT + 0.08).all()


def test_the_nearer_capsule_hides_the_farther() -> None:
    look = sample_look(1)
    points = np.array([[[-1.0, 0, 3], [1.0, 0, 3], [0, -1.0, 5], [0, 1.0, 5]]])
    parts = ((0, 1, 0.2, 0.2, 0), (2, 3, 0.2, 0.2, 1))
    light = np.array([[0.0, 0.0, -1.0]])
    camera = front_camera(32)
    for order in (parts, parts[::-1]):
        body, coverage = draw_capsules(points, order, 1.0, camera, look.colours, light)
        assert coverage[0, 16, 16] == 1
        near = look.colours[0] / look.colours[0].sum()
        assert body[0, 16, 16] / body[0, 16, 16].sum() == pytest.approx(near, abs=1e-3)


def test_rasterising_equals_a_loop_over_all_pixels() -> None:
    rng = np.random.default_rng(0)
    side = 24
    for _ in range(30):
        a, b = rng.uniform(-6, 30, 2), rng.uniform(-6, 30, 2)
        ra, rb = rng.uniform(0.5, 6, 2)
        capsule = np.array([[*a, *b, ra, rb, 2, 3, 0.1]], np.float32)
        pixel = rasterise(capsule, side)[0]
        expected = []
        for y in range(side):
            for x in range(side):
                p = np.array([x + 0.5, y + 0.5])
                along = np.clip((p - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
                distance = np.linalg.norm(p - a - along * (b - a))
                if distance < ra + along * (rb - ra):
                    expected.append(y * side + x)
        assert len(set(pixel) ^ set(expected)) <= 1  # one pixel of float32 rounding


def test_the_hand_is_drawn_where_the_camera_projects_it() -> None:
    low, high = standing(), with_arm_up()
    cameras = place_cameras(high, ["exo1"], TIMES, size=96, seed=2)
    one, two = (
        render_views(p, ["exo1"], TIMES, size=96, seed=2, cameras=cameras)["exo1"][0].astype(int)
        for p in (low, high)
    )
    x, y = cameras["exo1"].project(high.joints[:1].astype(float))[0, LEFT_WRIST].astype(int)
    changed = np.abs(one - two).sum(axis=-1) > 20
    assert changed[y - 1 : y + 2, x - 1 : x + 2].any()
    assert changed.mean() < 0.2


def test_the_ego_view_sees_the_raised_hands_and_not_the_head() -> None:
    low = render_views(standing(), ["ego"], TIMES, seed=0)["ego"].astype(int)
    forward = standing()
    forward.joints[:, 9:11] += [0.3, 0.0, 0.4]
    forward.joints[:, 7:9] += [0.2, 0.0, 0.2]
    high = render_views(forward, ["ego"], TIMES, seed=0)["ego"].astype(int)
    assert (np.abs(low - high).sum(axis=-1) > 30).mean() > 0.01
    skin_everywhere = np.abs(low - low[:, :1, :1]).sum(axis=-1) > 60
    assert skin_everywhere.mean() < 0.9


def test_edges_are_smooth() -> None:
    seen = np.array([[[0.03, 0.0, 4.0]]])
    _, coverage = draw_capsules(
        seen, ((0, 0, 0.5, 0.5, 0),), 1.0, front_camera(32), sample_look(0).colours, np.ones((1, 3))
    )
    assert len(np.unique(coverage)) == 1 + OVERSAMPLING**2


@pytest.mark.parametrize("z", [0.0, -1.0])
def test_what_is_behind_the_camera_is_not_drawn(z: float) -> None:
    seen = np.array([[[0.0, 0.0, z], [0.1, 0.0, z - 1]]])
    light = np.array([[0.0, 0.0, -1.0]])
    _, coverage = draw_capsules(
        seen, ((0, 1, 0.1, 0.1, 0),), 1.0, front_camera(32), sample_look(0).colours, light
    )
    assert coverage.sum() == 0
