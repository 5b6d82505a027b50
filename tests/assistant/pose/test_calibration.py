"""Each calibration format from a small file, and one clear line for what is wrong with one."""

import json
from pathlib import Path

import numpy as np
import pytest

from assistant.errors import PoiseError
from assistant.pose.calibration import match_cameras, read_calibration

# Two cameras 3 m from the origin on -x and -y, 1 m high, level, looking at the z axis.
ROTATIONS = {
    "cam01": np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]),
    "cam02": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]),
}
POSITIONS = {"cam01": np.array([-3.0, 0.0, 1.0]), "cam02": np.array([0.0, -3.0, 1.0])}
POINT = np.array([0.5, 0.25, 1.5])
# What the two see of it with f = 1000 and the centre at (960, 540): worked out by hand.
# cam01: x right is -y = -0.25, y down is -0.5, depth 3.5. cam02: x 0.5, y -0.5, depth 3.25.
PIXELS = {
    "cam01": (960 - 1000 * 0.25 / 3.5, 540 - 1000 * 0.5 / 3.5),
    "cam02": (960 + 1000 * 0.5 / 3.25, 540 - 1000 * 0.5 / 3.25),
}


def qualisys(path: Path, **changes: str) -> Path:
    rows = []
    for name in ROTATIONS:
        turn = np.diag([1.0, -1.0, -1.0]) @ ROTATIONS[name]
        place = " ".join(f'r{i + 1}{j + 1}="{turn[i, j]}"' for i in range(3) for j in range(3))
        x, y, z = POSITIONS[name] * 1000
        rows.append(
            f'<camera serial="{name}" viewrotation="{changes.get("view", "0")}">'
            '<fov_video left="0" right="1919" top="0" bottom="1079"/>'
            f'<transform {place} x="{x}" y="{y}" z="{z}"/>'
            f'<intrinsic focalLengthU="{changes.get("focal", "64000")}" focalLengthV="64000" '
            'centerPointU="61440" centerPointV="34560" skew="0" radialDistortion1="0" '
            'radialDistortion2="0" tangentalDistortion1="0" tangentalDistortion2="0"/></camera>'
        )
    body = "".join(rows[: int(changes.get("count", "2"))])
    path.write_text(f"<?xml version='1.0'?><calibration><cameras>{body}</cameras></calibration>")
    return path


def pose2sim(path: Path, **changes: str) -> Path:
    from scipy.spatial.transform import Rotation

    text, matrix = "", "[[1000.0, 0, 960.0], [0, 1000.0, 540.0], [0, 0, 1]]"
    for name, turn in ROTATIONS.items():
        rotation = Rotation.from_matrix(turn).as_rotvec().tolist()
        translation = (-turn @ POSITIONS[name]).tolist()
        text += (
            f'[{name}]\nname = "{name}"\nsize = [1920.0, 1080.0]\n'
            f"matrix = {changes.get('matrix', matrix)}\n"
            f"distortions = [0.0, 0.0, 0.0, 0.0]\nrotation = {rotation}\n"
            f"translation = {translation}\nfisheye = false\n\n"
        )
    path.write_text(text + "[metadata]\nadjusted = false\nerror = 0.0\n")
    return path


def egoexo(path: Path, **changes: object) -> Path:
    record: dict[str, object] = {"metadata": {"take_uid": "u", "take_name": "t"}}
    for name, turn in ROTATIONS.items():
        record[name] = {
            "camera_intrinsics": [[1000.0, 0, 1920.0], [0, 1000.0, 1080.0], [0, 0, 1]],
            "camera_extrinsics": np.c_[turn, -turn @ POSITIONS[name]].tolist(),
            "distortion_coeffs": [0.1, 0.0, 0.0, 0.0],
            **changes,
        }
    record["aria01"] = {
        "camera_intrinsics": [[150, 0, 255], [0, 150, 255], [0, 0, 1]],
        "camera_extrinsics": {"0": np.eye(4)[:3].tolist()},
    }
    path.write_text(json.dumps(record))
    return path


@pytest.mark.parametrize("write", [qualisys, pose2sim])
def test_qualisys_and_pose2sim_see_a_point_where_it_is(tmp_path, write):
    cameras = read_calibration(write(tmp_path / "calibration.txt"))
    assert [camera.name for camera in cameras] == ["cam01", "cam02"]
    for camera in cameras:
        assert camera.size == (1920.0, 1080.0) and not camera.fisheye
        np.testing.assert_allclose(camera.project(POINT), PIXELS[camera.name], atol=1e-6)


def test_egoexo_is_a_fisheye_and_leaves_moving_cameras_out(tmp_path):
    cameras = read_calibration(egoexo(tmp_path / "take.json"))
    assert [camera.name for camera in cameras] == ["cam01", "cam02"]
    x, y, depth = 0.5, -0.5, 3.25  # in cam02, as above
    radius = np.hypot(x, y) / depth
    theta = np.arctan(radius)
    ratio = (theta + 0.1 * theta**3) / radius
    expected = (1920 + 1000 * ratio * x / depth, 1080 + 1000 * ratio * y / depth)
    np.testing.assert_allclose(cameras[1].project(POINT), expected, atol=1e-6)
    # the downscaled films of the release, 796 x 448
    half = cameras[1].fitted(796, 448).project(POINT)
    np.testing.assert_allclose(half, np.array(expected) * 448 / 2160, atol=0.1)


def test_the_three_formats_agree_on_the_same_cameras(tmp_path):
    one = read_calibration(qualisys(tmp_path / "a"))
    two = read_calibration(pose2sim(tmp_path / "b"))
    three = read_calibration(egoexo(tmp_path / "c"))
    for a, b, c in zip(one, two, three, strict=True):
        np.testing.assert_allclose(a.pose, b.pose, atol=1e-9)
        np.testing.assert_allclose(a.pose, c.pose, atol=1e-9)


def turned(path: Path) -> Path:
    """A world with y up."""
    swap = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
    record = {
        name: {
            "camera_intrinsics": [[1000.0, 0, 1920.0], [0, 1000.0, 1080.0], [0, 0, 1]],
            "camera_extrinsics": np.c_[turn @ swap, -turn @ POSITIONS[name]].tolist(),
        }
        for name, turn in ROTATIONS.items()
    }
    path.write_text(json.dumps(record))
    return path


def written(text: str):
    def write(path: Path) -> Path:
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    ("write", "part"),
    [
        (written(""), "an empty file (0 bytes)"),
        (written("hello there\n"), "neither XML, JSON nor TOML"),
        (written("<calibration><cameras>"), "broken XML"),
        (written('<!DOCTYPE a [<!ENTITY b "c">]><calibration/>'), "entities"),
        (written("<calibration/>"), "0 static cameras"),
        (written('{"cam01": '), "broken JSON"),
        (written('{"cam01": {"camera_intrinsics": [[1, 0], [0, 1]]}}'), "camera_intrinsics"),
        (written("[cam01]\nname = 'cam01'\n"), "no field size"),
        (lambda path: qualisys(path, count="1"), "1 static cameras"),
        (lambda path: qualisys(path, focal="wide"), "could not convert string to float: 'wide'"),
        (lambda path: qualisys(path, focal="nan"), "infinite or NaN"),
        (lambda path: qualisys(path, focal="-64000"), "focal length 0 or below"),
        (lambda path: qualisys(path, view="90"), "viewrotation 90"),
        (lambda path: pose2sim(path, matrix="[1.0, 2.0]"), "matrix of camera cam01 of shape (2,)"),
        (lambda path: egoexo(path, camera_extrinsics=[[1]]), "camera_extrinsics of camera cam01"),
        (
            lambda path: egoexo(path, camera_extrinsics=np.ones((3, 4)).tolist()),
            "whose rotation is none",
        ),
        (
            lambda path: egoexo(
                path, camera_intrinsics=[[500.0, 0, 398], [0, 500.0, 224], [0, 0, 1]]
            ),
            "3840 x 2160",
        ),
        (turned, "a world with z up"),
    ],
)
def test_a_faulty_file_is_one_line(tmp_path, write, part):
    path = write(tmp_path / "calibration")
    with pytest.raises(PoiseError) as caught:
        read_calibration(path)
    said = str(caught.value)
    assert said.startswith(f"cannot read calibration {path}; got: ")
    assert part in said and "expected: " in said and "remedy: " in said and "\n" not in said


def test_a_missing_file_and_bytes_are_one_line(tmp_path):
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00\x80" * 10)
    for name, part in (("none", "no such file"), ("bytes", "no text")):
        with pytest.raises(PoiseError, match=part):
            read_calibration(tmp_path / name)


@pytest.fixture
def cameras(tmp_path):
    return read_calibration(qualisys(tmp_path / "calibration"))


def names(cameras, **films: str) -> dict[str, str]:
    found = match_cameras(cameras, {view: Path(name) for view, name in films.items()})
    return {view: camera.name for view, camera in found.items()}


def test_a_film_belongs_to_the_camera_in_its_name(cameras):
    assert names(cameras, exo1="take_cam02.mp4", exo2="CAM01-4k.mp4") == {
        "exo1": "cam02",
        "exo2": "cam01",
    }


def test_without_names_the_number_of_the_view_counts(cameras):
    assert names(cameras, exo1="front.mp4", exo2="cam011.mp4") == {"exo1": "cam01", "exo2": "cam02"}
    assert names(cameras, exo2="side.mp4") == {"exo2": "cam02"}


@pytest.mark.parametrize(
    ("films", "said"),
    [
        ({"exo1": "cam01.mp4", "exo2": "side.mp4"}, "no camera for view exo2 (side.mp4)"),
        ({"exo1": "a.mp4", "exo3": "b.mp4"}, "no camera for view exo3 (b.mp4)"),
        ({"exo1": "cam01_a.mp4", "exo2": "cam01_b.mp4"}, "two views of camera cam01"),
    ],
)
def test_a_view_without_its_own_camera_is_one_line(cameras, films, said):
    with pytest.raises(PoiseError) as caught:
        names(cameras, **films)
    assert str(caught.value).startswith(said)
