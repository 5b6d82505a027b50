"""Cameras project as the pinhole formula says, and stand where they should."""

import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.skeleton import LEFT_ANKLE, NOSE, RIGHT_ANKLE
from data_prep.drills.cameras import (
    ANKLE_HEIGHT,
    SHIFTED,
    STANDARD,
    Camera,
    calibration_record,
    facing,
    grounded,
    place_cameras,
)
from prompts.vocabulary import VIEWS

# Standing, facing +x, left is +y; metres.
STANDING = np.array(
    [
        [0.12, 0, 1.62], [0.1, 0.035, 1.66], [0.1, -0.035, 1.66], [0, 0.075, 1.64],
        [0, -0.075, 1.64], [0, 0.19, 1.42], [0, -0.19, 1.42], [0.05, 0.24, 1.14],
        [0.05, -0.24, 1.14], [0.22, 0.22, 0.95], [0.22, -0.22, 0.95], [0, 0.1, 0.92],
        [0, -0.1, 0.92], [0.03, 0.11, 0.5], [0.03, -0.11, 0.5], [-0.02, 0.12, 0.08],
        [-0.02, -0.12, 0.08],
    ]
)  # fmt: skip
TIMES = np.array([0.0, 0.2, 0.4])


def standing(frames: int = 15, world: bool = True) -> PoseSequence:
    joints = np.repeat(STANDING[None], frames, axis=0).astype(np.float32)
    joints[:, :, 0] += np.linspace(0, 0.2, frames)[:, None]
    return PoseSequence(joints, np.ones((frames, 17), np.float32), 30.0, world=world)


def test_projection_is_the_pinhole_formula() -> None:
    camera = place_cameras(standing(), ["exo2"], TIMES, size=80, seed=3)["exo2"]
    point = np.array([0.3, -0.2, 1.1])
    x, y, z = camera.rotation[0] @ point + camera.translation[0]
    focal = camera.intrinsics[0, 0]
    expected = [focal * x / z + 40, focal * y / z + 40]
    assert camera.project(point[None, None])[0, 0] == pytest.approx(expected)


@pytest.mark.parametrize("style", [STANDARD, SHIFTED])
@pytest.mark.parametrize("seed", range(5))
def test_fixed_cameras_see_the_whole_body_upright(style, seed: int) -> None:
    pose = standing()
    cameras = place_cameras(pose, VIEWS[1:], TIMES, size=64, seed=seed, style=style)
    for camera in cameras.values():
        pixels = camera.project(pose.joints[[0, 6, 12]].astype(float))
        assert pixels.min() > 0 and pixels.max() < 64
        assert (pixels[:, NOSE, 1] < pixels[:, LEFT_ANKLE, 1]).all()
        # The motion fills the promised share of the half picture, less the margin of the flesh.
        assert np.abs(pixels - 32).max() > 32 * (style.fill[0] - 0.2)
        assert np.linalg.det(camera.rotation[0]) == pytest.approx(1)


def test_front_and_back_cameras_disagree_on_left_and_right() -> None:
    cameras = place_cameras(standing(), ["exo1", "exo3"], TIMES, seed=0)
    front, back = (cameras[v].project(STANDING[None])[0] for v in ("exo1", "exo3"))
    assert front[LEFT_ANKLE, 0] > front[RIGHT_ANKLE, 0]
    assert back[LEFT_ANKLE, 0] < back[RIGHT_ANKLE, 0]


def test_the_ego_camera_moves_with_the_head_and_looks_forward_and_down() -> None:
    camera = place_cameras(standing(), ["ego"], TIMES, seed=0)["ego"]
    forward = camera.rotation[:, 2]
    assert (forward[:, 0] > 0.5).all() and (forward[:, 2] < -0.3).all()
    position = -np.einsum("nij,ni->nj", camera.rotation, camera.translation)
    assert (np.diff(position[:, 0]) > 0).all()


def test_a_view_does_not_depend_on_the_other_views() -> None:
    alone = place_cameras(standing(), ["exo2"], TIMES, seed=5)["exo2"]
    among = place_cameras(standing(), VIEWS, TIMES, seed=5)["exo2"]
    other = place_cameras(standing(), ["exo2"], TIMES, seed=6)["exo2"]
    assert np.array_equal(alone.rotation, among.rotation)
    assert not np.array_equal(alone.rotation, other.rotation)


def test_the_record_rebuilds_the_camera() -> None:
    record = calibration_record(place_cameras(standing(), ["ego", "exo1"], TIMES, seed=1))
    assert np.shape(record["ego"]["R"]) == (3, 3, 3) and np.shape(record["exo1"]["R"]) == (3, 3)
    exo = record["exo1"]
    again = Camera("exo1", 64, np.array(exo["K"]), np.array([exo["R"]]), np.array([exo["t"]]))
    direct = place_cameras(standing(), ["exo1"], TIMES, seed=1)["exo1"]
    assert again.project(STANDING[None]) == pytest.approx(direct.project(STANDING[None] * 1.0)[:1])


def test_a_pose_without_a_root_path_is_stood_on_the_floor() -> None:
    lifted = standing(world=False)
    lifted.joints[5:, :, 2] += 0.7
    ankles = grounded(lifted).joints[:, [LEFT_ANKLE, RIGHT_ANKLE], 2]
    assert ankles.min(axis=1) == pytest.approx(np.full(15, ANKLE_HEIGHT), abs=1e-5)
    real = standing()
    assert grounded(real) is real


def test_facing_is_forward() -> None:
    assert facing(STANDING[None])[0] == pytest.approx([1, 0, 0])


def test_an_unknown_view_is_named() -> None:
    with pytest.raises(PoiseError, match=r"exo9.*ego, exo1"):
        place_cameras(standing(), ["exo9"], TIMES)
