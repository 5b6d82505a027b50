import json

import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.pose.read import fill_gaps, read_egoexo_body, read_pose, write_pose
from assistant.skeleton import JOINTS, pelvis

NPZ = "joints [frames, 17, 3] in metres with z up, fps, optionally confidence [frames, 17]"
AGAIN = "remedy: write the file again as the README shows"


@pytest.fixture
def moving(standing):
    """A body that sways for 30 frames, [30, 17, 3]."""
    sway = 0.05 * np.sin(np.arange(30) / 5)[:, None, None] * np.array([1.0, 0.0, 0.0])
    return standing[None] + sway


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def line(path):
    with pytest.raises(PoiseError) as caught:
        read_pose(path)
    return str(caught.value)


def test_npz_round_trip(tmp_path, moving):
    confidence = np.linspace(0, 1, 30 * 17).reshape(30, 17).astype("float32")
    pose = PoseSequence(moving.astype("float32"), confidence, 29.97, "triangulated")
    write_pose(tmp_path / "a.npz", pose)
    back = read_pose(tmp_path / "a.npz")
    np.testing.assert_array_equal(back.joints, pose.joints)
    np.testing.assert_array_equal(back.confidence, pose.confidence)
    assert (back.fps, back.source, back.world) == (29.97, "triangulated", True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_confidence_is_optional(tmp_path, moving):
    pose = read_pose(save(tmp_path / "a.npz", joints=moving, fps=30))
    assert pose.confidence.min() == 1
    assert (pose.source, pose.joints.dtype) == ("file", np.float32)


def test_a_pose_is_without_world_only_when_every_frame_is_centred(tmp_path, moving):
    centred = moving - pelvis(moving)[:, None]
    assert read_pose(save(tmp_path / "a.npz", joints=centred, fps=30)).world is False
    centred[7] += 0.01
    assert read_pose(save(tmp_path / "a.npz", joints=centred, fps=30)).world is True


def test_write_leaves_nothing_behind_where_it_cannot_write(tmp_path, moving):
    pose = PoseSequence(moving.astype("float32"), np.ones((30, 17), "float32"), 30.0)
    with pytest.raises(PoiseError) as caught:
        write_pose(tmp_path / "no" / "a.npz", pose)
    assert str(caught.value) == (
        f"cannot write pose file {tmp_path}/no/a.npz; got: no such file or directory; "
        "expected: a folder that can be written; remedy: name another place"
    )
    (tmp_path / "taken.npz").mkdir()
    with pytest.raises(PoiseError):
        write_pose(tmp_path / "taken.npz", pose)
    assert [path.name for path in tmp_path.iterdir()] == ["taken.npz"]


def test_nan_is_counted_and_located(tmp_path, moving):
    moving[5, 9] = np.nan
    moving[8:10, 4, 2] = np.inf
    path = save(tmp_path / "a.npz", joints=moving, fps=30)
    assert line(path) == (
        f"cannot use pose file {path}; got: NaN or infinite joints at 3 of 510 joints in 3 of 30 "
        "frames, first left_wrist in frame 5; expected: finite numbers; "
        "remedy: give missing joints confidence 0 and any finite position"
    )


def test_wrong_joint_count(tmp_path, moving):
    path = save(tmp_path / "a.npz", joints=moving[:, :13], fps=30)
    assert line(path) == (
        f"cannot use pose file {path}; got: 13 joints; expected: 17 joints in COCO order "
        f"(nose, left_eye, ..., right_ankle); {AGAIN}"
    )


@pytest.mark.parametrize("fps", [0, -30, np.nan, np.inf])
def test_fps_that_is_no_rate(tmp_path, moving, fps):
    path = save(tmp_path / "a.npz", joints=moving, fps=float(fps))
    assert line(path) == (
        f"cannot use pose file {path}; got: fps {float(fps)}; expected: one number above 0; {AGAIN}"
    )


def test_one_frame(tmp_path, moving):
    path = save(tmp_path / "a.npz", joints=moving[:1], fps=30)
    assert line(path) == (
        f"pose file {path} is too short; got: 1 frame at 30 fps; "
        "expected: at least 10 frames and 0.5 s; remedy: give the whole movement"
    )


def test_no_frame(tmp_path):
    path = save(tmp_path / "a.npz", joints=np.zeros((0, 17, 3)), fps=30)
    assert "got: 0 frames at 30 fps" in line(path)


def test_wrong_keys(tmp_path, moving):
    path = save(tmp_path / "a.npz", poses=moving, rate=30)
    assert line(path) == (
        f"cannot use pose file {path}; got: no joints and no fps; it holds poses, rate; "
        f"expected: {NPZ}; {AGAIN}"
    )


def test_wrong_dimensions(tmp_path, moving):
    path = save(tmp_path / "a.npz", joints=moving[..., :2], fps=30)
    assert line(path) == (
        f"cannot use pose file {path}; got: joints of shape (30, 17, 2) and type float64; "
        f"expected: {NPZ}; {AGAIN}"
    )


def test_pickled_objects_are_refused(tmp_path):
    path = save(tmp_path / "a.npz", joints=np.array([{"a": 1}]), fps=30)
    assert (
        line(path) == f"cannot use pose file {path}; got: Python objects; expected: an .npz file "
        f"with {NPZ}; {AGAIN}"
    )


@pytest.mark.parametrize("content", [b"text", b"PK\x03\x04broken", b"\x93NUMPY"])
def test_no_archive(tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    assert line(path) == (
        f"cannot use pose file {path}; got: no readable .npz archive; expected: an .npz file with "
        f"{NPZ}; {AGAIN}"
    )


def test_truncated_archive(tmp_path, moving):
    path = save(tmp_path / "a.npz", joints=moving, fps=30)
    path.write_bytes(path.read_bytes()[:3000])
    assert "got: no readable .npz archive" in line(path)


def test_damaged_member(tmp_path, moving):
    path = save(tmp_path / "a.npz", joints=moving, fps=30)
    data = bytearray(path.read_bytes())
    data[2000:2100] = bytes(100)
    path.write_bytes(data)
    assert "got: no readable .npz archive" in line(path)


def test_missing_and_empty(tmp_path):
    assert line(tmp_path / "a.npz") == (
        f"cannot read pose file {tmp_path}/a.npz; got: no such file; "
        "expected: a pose file with content; remedy: check the path"
    )
    (tmp_path / "a.npz").touch()
    assert line(tmp_path / "a.npz") == (
        f"cannot read pose file {tmp_path}/a.npz; got: an empty file (0 bytes); "
        "expected: a pose file with content; remedy: export or copy it again"
    )


@pytest.mark.parametrize(
    ("confidence", "got"),
    [
        (np.full((30, 16), 1.0), "confidence of shape (30, 16)"),
        (np.full((30, 17), 1.5), "confidence 1.5 to 1.5"),
        (np.full((30, 17), -1.0), "confidence -1 to -1"),
        (np.full((30, 17), np.nan), "NaN or infinite confidence at 510 of 510 joints"),
        (np.zeros((30, 17)), "confidence 0 at every joint of every frame"),
    ],
)
def test_bad_confidence(tmp_path, moving, confidence, got):
    path = save(tmp_path / "a.npz", joints=moving, fps=30, confidence=confidence)
    assert f"got: {got}" in line(path)


@pytest.mark.parametrize(("scale", "unit"), [(1000, "millimetres"), (100, "centimetres")])
def test_other_units_in_npz(tmp_path, moving, scale, unit):
    path = save(tmp_path / "a.npz", joints=moving * scale, fps=30)
    assert line(path) == (
        f"cannot use pose file {path}; got: legs {0.841 * scale:.3g} long, as if in {unit}; "
        f"expected: metres (legs of 0.35 to 1.25); {AGAIN}"
    )


@pytest.mark.parametrize(
    ("turn", "direction"),
    [
        (np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]), "y"),
        (np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]), "-y"),
        (np.array([[1, 0, 0], [0, -1, 0], [0, 0, -1]]), "-z"),
        (np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]]), "x"),
    ],
)
def test_axes_that_do_not_point_up(tmp_path, moving, turn, direction):
    path = save(tmp_path / "a.npz", joints=moving @ turn.T, fps=30)
    assert line(path) == (
        f"cannot use pose file {path}; got: from ankles to shoulders the body points along "
        f"{direction}; expected: z up, gravity along -z; remedy: turn the axes so that z is up"
    )


def test_a_bent_body_is_accepted(tmp_path, moving):
    angle = np.radians(55)
    bend = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    assert len(read_pose(save(tmp_path / "a.npz", joints=moving @ bend.T, fps=30))) == 30


# Ego-Exo4D body JSON


def body_json(path, joints, *, first=600, step=3, scale=1.0, drop=()):
    """Write joints [F, 17, 3] as one person every `step` frames, without (frame, joint) of drop."""
    data = {}
    for i, body in enumerate(joints * scale):
        marks = {
            name.replace("_", "-"): dict(zip("xyz", map(float, point), strict=True))
            | {"num_views_for_3d": 4}
            for name, point in zip(JOINTS, body, strict=True)
            if (i, name) not in drop
        }
        data[str(first + i * step)] = [{"annotation3D": marks, "annotation2D": {}}]
    path.write_text(json.dumps(data))
    return path


def test_body_json(tmp_path, moving):
    path = body_json(tmp_path / "take.json", moving)
    pose, first = read_egoexo_body(path)
    assert first == 600
    assert (pose.fps, pose.world, len(pose)) == (10.0, True, 30)
    np.testing.assert_allclose(pose.joints, moving, atol=1e-6)
    assert pose.confidence.min() == 1
    np.testing.assert_array_equal(read_pose(path).joints, pose.joints)


@pytest.mark.parametrize("scale", [1.0, 100.0, 1000.0])
def test_body_json_in_any_unit(tmp_path, moving, scale):
    path = body_json(tmp_path / "take.json", moving, scale=scale)
    np.testing.assert_allclose(read_pose(path).joints, moving, atol=1e-6)


def test_body_json_in_no_unit(tmp_path, moving):
    path = body_json(tmp_path / "take.json", moving, scale=7.0)
    assert line(path) == (
        f"cannot use pose file {path}; got: legs of 5.89 units; expected: legs of a person in "
        f"metres, centimetres or millimetres; {AGAIN}"
    )


def test_gaps_get_confidence_zero_and_interpolated_positions(tmp_path, moving):
    path = body_json(tmp_path / "take.json", moving, drop={(4, "left_wrist"), (5, "left_wrist")})
    data = json.loads(path.read_text())
    del data[str(600 + 3 * 10)]
    data[str(600 + 3 * 20)] = []
    path.write_text(json.dumps(data))
    pose = read_pose(path)
    assert len(pose) == 30
    np.testing.assert_allclose(pose.joints[4, 9], (2 * moving[3, 9] + moving[6, 9]) / 3, atol=1e-6)
    np.testing.assert_allclose(pose.joints[20], (moving[19] + moving[21]) / 2, atol=1e-6)
    lost = np.zeros((30, 17), bool)
    lost[[4, 5], 9] = lost[[10, 20]] = True
    np.testing.assert_array_equal(pose.confidence == 0, lost)


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("hello", "broken JSON: lexical error: invalid char in json text."),
        ('{"1": [{"annotation3D": {', "broken JSON: parse error: premature EOF"),
        ("[1, 2]", "no frame with 3D joints"),
        ('{"1": [7]}', "AttributeError: 'int' object has no attribute 'get'"),
        ("{}", "no frame with 3D joints"),
        ('{"a": [{"annotation3D": {"nose": {"x": 0, "y": 0, "z": 0}}}]}', "ValueError: "),
        ('{"1": [{"annotation3D": {"tail": {"x": 0}}}]}', "ValueError: unknown joint 'tail'"),
        ('{"1": [{"annotation3D": {"nose": {"x": 0}}}]}', "KeyError: 'y'"),
    ],
)
def test_json_that_is_no_body(tmp_path, text, got):
    path = tmp_path / "take.json"
    path.write_text(text)
    assert line(path).startswith(f"cannot use pose file {path}; got: {got}")
    assert "expected: Ego-Exo4D body JSON" in line(path)


def test_fill_gaps_by_hand():
    joints = np.array([9.0, 1.0, 9.0, 9.0, 4.0, 9.0])[:, None, None]
    confidence = np.array([0, 1, 0, 0, 0.5, 0.0])[:, None]
    filled = fill_gaps(joints, confidence)
    np.testing.assert_allclose(filled[:, 0, 0], [1, 1, 2, 3, 4, 4])


def test_fill_gaps_of_a_joint_that_is_never_seen():
    joints = np.array([[[1.0], [3.0], [99.0]], [[2.0], [4.0], [99.0]]])
    confidence = np.array([[1.0, 1, 0], [1, 1, 0]])
    np.testing.assert_allclose(fill_gaps(joints, confidence)[:, 2, 0], [2.0, 3.0])


@pytest.mark.real
def test_a_real_throw_is_a_pose_file(tmp_path, shared_data):
    throws = np.load(shared_data / "poses" / "basketball_free_throw_real.npz")
    pose = read_pose(save(tmp_path / "a.npz", joints=throws["poses"][0], fps=30.0))
    assert (len(pose), pose.world) == (240, True)
