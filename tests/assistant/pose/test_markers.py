"""TRC and C3D in and out: names, units, axes, gaps; and one line for what is no such file."""

import json

import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.pose.c3d import write_c3d
from assistant.pose.marker_names import map_markers
from assistant.pose.markers import TURNS, read_markers, write_markers
from assistant.pose.read import read_pose
from assistant.pose.trc import trc_text
from assistant.skeleton import INDEX, JOINTS

SUFFIXES = (".trc", ".c3d")


@pytest.fixture
def pose(standing):
    """A body that walks ahead (+x), 30 frames at 50 fps; the left wrist is hidden at times."""
    walk = np.arange(30)[:, None, None] * np.array([0.02, 0.0, 0.0])
    confidence = np.ones((30, 17), np.float32)
    confidence[5:9, INDEX["left_wrist"]] = 0
    return PoseSequence((standing[None] + walk).astype(np.float32), confidence, 50.0)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(tmp_path, pose, suffix):
    path = tmp_path / f"a{suffix}"
    write_markers(path, pose)
    back = read_markers(path)
    assert (back.markers.missing, back.markers.unused) == ((), ())
    assert (back.pose.fps, back.pose.world, len(back.pose)) == (50.0, True, 30)
    np.testing.assert_array_equal(back.pose.confidence, pose.confidence)
    seen = pose.confidence > 0
    np.testing.assert_allclose(back.pose.joints[seen], pose.joints[seen], atol=2e-6)
    assert read_pose(path).joints.tolist() == back.pose.joints.tolist()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_trc_is_y_up_in_metres_as_opensim_reads_it(tmp_path, pose):
    path = tmp_path / "a.trc"
    write_markers(path, pose)
    lines = path.read_text().split("\n")
    assert lines[1].split("\t")[4] == "Units" and lines[2].split("\t")[4] == "m"
    first = dict(zip(lines[3].split("\t")[2::3], np.array(lines[5].split("\t")[2:]).reshape(-1, 3),
                     strict=False))  # fmt: skip
    # Standing at (2, 3), facing +x: x ahead stays, y is the height, z is to the right (-y).
    assert [float(v) for v in first["nose"]] == pytest.approx([2.1, 1.6, -3.0], abs=1e-6)
    assert lines[5 + 6].split("\t")[2 + 3 * INDEX["left_wrist"]] == ""


def test_c3d_is_in_millimetres_z_up_for_other_programs(tmp_path, pose):
    ezc3d = pytest.importorskip("ezc3d")
    write_markers(tmp_path / "a.c3d", pose)
    file = ezc3d.c3d(str(tmp_path / "a.c3d"))
    assert file["parameters"]["POINT"]["UNITS"]["value"] == ["mm"]
    assert file["parameters"]["POINT"]["LABELS"]["value"] == list(JOINTS)
    assert file["data"]["points"][:3, 0, 0] == pytest.approx([2100, 3000, 1600], abs=1e-2)
    assert file["data"]["meta_points"]["residuals"][0, INDEX["left_wrist"], 6] == -1


def save(path, names, points, rate=50.0, unit="m"):
    """A foreign TRC: points [F, M, 3] in its own axes and unit."""
    path.write_text(trc_text(path.name, names, points, rate).replace("\tm\t", f"\t{unit}\t", 1))
    return path


@pytest.mark.parametrize("up", list(TURNS))
def test_any_axis_may_point_up(tmp_path, pose, up):
    turned = pose.joints @ np.array(TURNS[up])
    back = read_markers(save(tmp_path / "a.trc", list(JOINTS), turned))
    assert back.up == up
    np.testing.assert_allclose(back.pose.joints, pose.joints, atol=2e-6)
    assert np.linalg.det(np.array(TURNS[up])) == pytest.approx(1)  # nobody is mirrored


def test_a_lying_body_is_turned_as_the_format_says(tmp_path, pose):
    lying = pose.joints[..., [2, 1, 0]] * [1, -1, 1]  # head towards +x
    y_up = lying @ np.array(TURNS["y"])
    path = save(tmp_path / "a.trc", list(JOINTS), y_up)
    with pytest.raises(PoiseError, match="points along x"):
        read_markers(path, up="y")


@pytest.mark.parametrize(("unit", "scale"), [("m", 1), ("cm", 100), ("mm", 1000)])
def test_units(tmp_path, pose, unit, scale):
    path = save(tmp_path / "a.trc", list(JOINTS), scale * pose.joints, unit=unit)
    np.testing.assert_allclose(read_pose(path).joints, pose.joints, atol=2e-6)


def test_a_wrong_unit_is_said(tmp_path, pose):
    path = save(tmp_path / "a.trc", list(JOINTS), 1000 * pose.joints, unit="m")
    with pytest.raises(PoiseError, match="as if in millimetres"):
        read_pose(path)
    with pytest.raises(PoiseError, match="unit 'inch'; expected: one of m"):
        read_pose(save(tmp_path / "b.trc", list(JOINTS), pose.joints, unit="inch"))


def _words(text):
    return text.split()


POSE2SIM = _words(
    "Hip RHip RKnee RAnkle RBigToe RHeel LHip LKnee LAnkle LBigToe Neck Head Nose "
    "RShoulder RElbow RWrist LShoulder LElbow LWrist"
)
PLUG_IN = _words(
    "Anna:LFHD Anna:LSHO Anna:LELB Anna:LWRA Anna:LWRB Anna:LASI Anna:LKNE Anna:LANK Anna:RSHO "
    "Anna:RELB Anna:RWRA Anna:RWRB Anna:RKNE Anna:RANK Anna:RHJC Anna:LHJC"
)
OPENCAP = _words(
    "Neck RShoulder midHip RHip r_knee_study r_mknee_study L_knee_study r_ankle_study RHJC_study "
    "r_lelbow_study r_melbow_study r_lwrist_study r_mwrist_study r.ASIS_study"
)


def found(names):
    chosen = map_markers(names)
    return {j: [names[i] for i in places] for j, places in chosen.joints.items()}, chosen


def test_names_in_any_spelling():
    for spelling in (
        lambda j: j, lambda j: j.replace("_", "-"), lambda j: j.upper(),
        lambda j: j.replace("left_", "L.").replace("right_", "R."),
        lambda j: "Subject 1:" + j.title().replace("_", " "),
        lambda j: "_".join(j.split("_")[::-1]),
    ):  # fmt: skip
        joints, chosen = found([spelling(joint) for joint in JOINTS])
        assert list(joints) == list(JOINTS)
        assert joints["right_elbow"] == [spelling("right_elbow")]
        assert not chosen.missing and not chosen.unused


def test_pose2sim_names():
    joints, chosen = found(POSE2SIM)
    assert chosen.missing == ("left_eye", "right_eye", "left_ear", "right_ear")
    assert chosen.unused == ("Hip", "RBigToe", "RHeel", "LBigToe", "Neck", "Head")
    assert joints["nose"] == ["Nose"]
    assert joints["left_ankle"] == ["LAnkle"]


def test_plug_in_gait_names():
    joints, chosen = found(PLUG_IN)
    assert joints["left_wrist"] == ["Anna:LWRA", "Anna:LWRB"]
    assert joints["right_hip"] == ["Anna:RHJC"]
    assert joints["left_knee"] == ["Anna:LKNE"]
    assert chosen.unused == ("Anna:LFHD", "Anna:LASI")


def test_opencap_names():
    joints, chosen = found(OPENCAP)
    assert joints["right_knee"] == ["r_knee_study", "r_mknee_study"]
    assert joints["left_knee"] == ["L_knee_study"]
    assert joints["right_elbow"] == ["r_lelbow_study", "r_melbow_study"]
    assert joints["right_hip"] == ["RHJC_study"]
    assert "left_elbow" in chosen.missing
    assert chosen.unused == ("Neck", "midHip", "RHip", "r.ASIS_study")


def test_missing_joints_have_no_confidence_and_pairs_are_halved(tmp_path, pose):
    names = [j for j in JOINTS if "ear" not in j and "wrist" not in j]
    rows = [INDEX[j] for j in names]
    wrist = pose.joints[:, [INDEX["left_wrist"]]]
    points = np.concatenate([pose.joints[:, rows], wrist - 0.03, wrist + 0.03], axis=1)
    points[0, 0] = 0  # a marker at the origin was not seen
    back = read_markers(save(tmp_path / "a.trc", [*names, "LWRA", "LWRB"], points, unit="m"), "z")
    assert back.markers.missing == ("left_ear", "right_ear", "right_wrist")
    unseen = back.pose.confidence == 0
    assert unseen.all(axis=0).tolist() == [j in back.markers.missing for j in JOINTS]
    assert back.pose.confidence[0, INDEX["nose"]] == 0
    row = INDEX["left_wrist"]
    np.testing.assert_allclose(back.pose.joints[:, row], pose.joints[:, row], atol=2e-6)
    assert np.isfinite(back.pose.joints).all()


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.trc", b"hello\n" * 9, "got: no TRC header; expected: a TRC file"),
        ("a.trc", b"", "got: an empty file (0 bytes)"),
        ("a.c3d", b"hello\n" * 99, "got: no C3D header; expected: a C3D file with 3D points"),
        ("a.c3d", b"\x02\x50" + bytes(3000), "expected: a C3D file with 3D points"),
    ],
)
def test_bad_files_are_one_line(tmp_path, name, content, line):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(PoiseError) as caught:
        read_pose(path)
    assert str(path) in str(caught.value)
    assert line in str(caught.value)


def test_damaged_tables_are_one_line(tmp_path, pose):
    path = save(tmp_path / "a.trc", list(JOINTS), pose.joints)
    text = path.read_text()
    path.write_text(text.replace("\t2.1", "\tx2.1", 1))
    with pytest.raises(PoiseError, match="cannot use pose file"):
        read_pose(path)
    path.write_text("\n".join(text.split("\n")[:7]))
    with pytest.raises(PoiseError, match="too short"):
        read_pose(path)
    with pytest.raises(PoiseError, match="markers A, B; expected: names such as LShoulder"):
        read_pose(save(path, ["A", "B"], pose.joints[:, :2]))


def test_truncated_c3d_is_one_line(tmp_path, pose):
    path = tmp_path / "a.c3d"
    write_c3d(path, list(JOINTS), pose.joints.astype(float), 50.0)
    path.write_bytes(path.read_bytes()[:1400])
    with pytest.raises(PoiseError) as caught:
        read_pose(path)
    assert "cannot use pose file" in str(caught.value) or "too short" in str(caught.value)


def test_coach_reads_marker_files(tmp_path, stub_coach, squat, capsys, monkeypatch):
    from assistant.cli import run_command
    from assistant.coach import Coach

    monkeypatch.setattr(Coach, "from_pretrained", lambda *_, **__: stub_coach)
    for suffix in SUFFIXES:
        write_markers(tmp_path / f"squat{suffix}", squat)
        assert run_command("coach", [str(tmp_path / f"squat{suffix}"), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["judged"]
