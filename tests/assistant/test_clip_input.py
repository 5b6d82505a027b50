import importlib.util
from pathlib import Path

import numpy as np
import pytest

from assistant import clip_input
from assistant.clip import Clip, PoseSequence
from assistant.clip_input import load_clip, resolve_pose
from assistant.errors import PoiseError
from assistant.pose.read import write_pose

ACCEPTED = (
    "expected: a video (.mp4, .mov, .webm), a pose file (.npz, .trc, .c3d) "
    "or an Ego-Exo4D body JSON (.json)"
)
END = (
    "expected: a video (mp4, mov or webm) that plays to its end; "
    "remedy: export or copy the film again and check that it plays"
)


@pytest.fixture
def pose(standing) -> PoseSequence:
    joints = np.repeat(standing[None], 20, axis=0).astype("float32")
    return PoseSequence(joints, np.ones((20, 17), "float32"), 30.0)


def line(clip=None, views=None, pose=None) -> str:
    with pytest.raises(PoiseError) as caught:
        load_clip(clip, views or {}, pose)
    return str(caught.value)


def test_a_lone_video_is_the_view_exo1(tmp_path, film):
    path = film(tmp_path / "swing.MP4".lower())
    clip = load_clip(path, {}, None)
    assert (clip.clip_id, clip.views, clip.pose) == ("swing", {"exo1": path}, None)


def test_endings_may_be_upper_case(tmp_path, film):
    path = film(tmp_path / "swing.mov").rename(tmp_path / "swing.MOV")
    assert load_clip(path, {}, None).views == {"exo1": path}


def test_a_pose_file_is_a_clip(tmp_path, pose):
    write_pose(tmp_path / "swing.npz", pose)
    clip = load_clip(tmp_path / "swing.npz", {}, None)
    assert (clip.clip_id, clip.views) == ("swing", {})
    np.testing.assert_array_equal(clip.pose.joints, pose.joints)


def test_the_npz_of_the_same_stem_is_the_pose_of_a_video(tmp_path, film, pose):
    path = film(tmp_path / "swing.mp4")
    write_pose(tmp_path / "swing.npz", pose)
    np.testing.assert_array_equal(load_clip(path, {}, None).pose.joints, pose.joints)
    assert load_clip(None, {"ego": path}, None).pose is not None


def test_an_option_goes_before_the_pose_beside_the_video(tmp_path, film, pose, standing):
    path = film(tmp_path / "swing.mp4")
    write_pose(tmp_path / "swing.npz", pose)
    other = PoseSequence(pose.joints + 1, pose.confidence, 30.0)
    write_pose(tmp_path / "other.npz", other)
    clip = load_clip(path, {}, tmp_path / "other.npz")
    np.testing.assert_array_equal(clip.pose.joints, other.joints)


def test_views_keep_their_fixed_order(tmp_path, film):
    films = {view: film(tmp_path / f"{view}.mp4") for view in ("exo4", "exo2", "ego")}
    clip = load_clip(film(tmp_path / "a.mp4"), films, None)
    assert list(clip.views) == ["ego", "exo1", "exo2", "exo4"]


def test_pose_option_alone(tmp_path, pose):
    write_pose(tmp_path / "swing.npz", pose)
    assert load_clip(None, {}, tmp_path / "swing.npz").clip_id == "swing"


# Bad input: the whole line.


def test_missing_file(tmp_path):
    assert line(tmp_path / "a.mp4") == (
        f"cannot read clip {tmp_path}/a.mp4; got: no such file; {ACCEPTED}; remedy: check the path"
    )


def test_empty_file(tmp_path):
    (tmp_path / "a.mp4").touch()
    assert line(tmp_path / "a.mp4") == (
        f"cannot read clip {tmp_path}/a.mp4; got: an empty file (0 bytes); {ACCEPTED}; "
        "remedy: export or copy it again"
    )


def test_folder(tmp_path):
    assert line(tmp_path) == (
        f"cannot read clip {tmp_path}; got: a folder; {ACCEPTED}; remedy: name the file itself"
    )


@pytest.mark.parametrize(
    ("name", "got"), [("a.avi", "a name ending in .avi"), ("a", "a name without an ending")]
)
def test_unknown_ending(tmp_path, name, got):
    (tmp_path / name).write_text("x")
    assert line(tmp_path / name) == (
        f"cannot use {tmp_path}/{name} as a clip; got: {got}; {ACCEPTED}; "
        "remedy: convert it, or name another file"
    )


def test_text_renamed_to_mp4(tmp_path):
    (tmp_path / "a.mp4").write_text("hello " * 99)
    assert line(tmp_path / "a.mp4") == (
        f"cannot read video {tmp_path}/a.mp4; got: no readable video data; {END}"
    )


def test_truncated_mp4(tmp_path, film):
    path = film(tmp_path / "a.mp4", 60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert line(path) == f"cannot read video {path}; got: no readable video data; {END}"


def test_one_frame_video(tmp_path, film):
    path = film(tmp_path / "a.mp4", 1)
    assert line(path) == (
        f"video {path} is too short; got: 1 frame at 25 fps; "
        "expected: at least 10 frames and 0.5 s; remedy: give the whole movement"
    )


def test_one_frame_video_with_a_pose_beside_it(tmp_path, film, pose):
    path = film(tmp_path / "a.mp4", 1)
    write_pose(tmp_path / "a.npz", pose)
    assert f"video {path} is too short; got: 1 frame" in line(path)


def test_bad_pose_beside_a_video(tmp_path, film, pose):
    path = film(tmp_path / "a.mp4")
    np.savez(tmp_path / "a.npz", joints=pose.joints, fps=0)
    assert line(path) == (
        f"cannot use pose file {tmp_path}/a.npz; got: fps 0; expected: one number above 0; "
        "remedy: write the file again as the README shows"
    )


def test_nothing():
    assert line() == f"no clip; got: no file; {ACCEPTED}; remedy: name one"


def test_unknown_view(tmp_path, film):
    path = film(tmp_path / "a.mp4")
    assert line(None, {"exo9": path}) == (
        "unknown view exo9; got: exo9; expected: one of ego, exo1, exo2, exo3, exo4; "
        "remedy: name the view as listed"
    )


def test_pose_file_as_a_view(tmp_path, pose):
    write_pose(tmp_path / "a.npz", pose)
    assert line(None, {"ego": tmp_path / "a.npz"}) == (
        f"cannot use {tmp_path}/a.npz as a view; got: a pose file; "
        "expected: a video (.mp4, .mov, .webm); remedy: give a pose by --pose FILE"
    )


def test_video_as_a_pose(tmp_path, film):
    path = film(tmp_path / "a.mp4")
    assert line(path, {}, path) == (
        f"cannot use {path} as a pose; got: a video; expected: a pose file (.npz, .trc, .c3d) or "
        "an Ego-Exo4D body JSON (.json); remedy: give a video as the clip or by --exo1 FILE"
    )


def test_two_poses_or_two_videos_for_one_view(tmp_path, film, pose):
    video = film(tmp_path / "a.mp4")
    write_pose(tmp_path / "a.npz", pose)
    assert line(tmp_path / "a.npz", {}, tmp_path / "a.npz") == (
        f"two poses for one clip; got: {tmp_path}/a.npz and {tmp_path}/a.npz; expected: one; "
        "remedy: name one of them"
    )
    assert line(video, {"exo1": video}) == (
        f"two videos for the view exo1; got: {video} and {video}; expected: one; "
        "remedy: name all views by options, or leave this option out"
    )


# From clip to pose.


def test_a_given_pose_is_taken_as_it_is(pose):
    result = resolve_pose(Clip("a", {"exo1": Path("never-opened.mp4")}, pose))
    assert (result.pose, result.estimate, result.view) == (pose, None, None)


def test_an_ego_view_alone_shows_no_body(tmp_path, film):
    clip = load_clip(None, {"ego": film(tmp_path / "a.mp4")}, None)
    with pytest.raises(PoiseError) as caught:
        resolve_pose(clip)
    assert str(caught.value) == (
        "no pose for clip a; got: an ego view only, which does not show the body; "
        "expected: an exo view or a pose; remedy: add --exo1 FILE or --pose FILE"
    )


def test_without_an_estimator_the_error_prints_the_command(tmp_path, film, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "mediapipe" else find(name)
    )
    with pytest.raises(PoiseError) as caught:
        resolve_pose(load_clip(film(tmp_path / "a.mp4"), {}, None))
    assert str(caught.value) == (
        "no pose estimator is installed; got: no module mediapipe; expected: mediapipe; "
        "remedy: run: pip install 'poise[pose]' (and give its model by --pose-model FILE), or: "
        "pip install absl-py attrs flatbuffers matplotlib opencv-python-headless && "
        "pip install --no-deps mediapipe==0.10.21 (brings its model); "
        "or give the pose by --pose FILE"
    )


def test_the_view_with_the_best_confidence_is_taken(tmp_path, film, pose, monkeypatch):
    from assistant.pose import estimate

    films = {view: film(tmp_path / f"{view}.mp4", 20) for view in ("exo1", "exo2", "exo3")}
    monkeypatch.setattr(estimate, "estimate_pose", fake_estimator(pose))
    steps = []
    clip = load_clip(None, films, None)
    result = resolve_pose(clip, progress=lambda done, total: steps.append((done, total)))
    assert result.view == "exo2"
    assert result.pose.confidence.mean() == pytest.approx(0.9)
    assert steps == [(20, 60), (40, 60), (60, 60)]


def test_views_without_a_person_are_passed_over(tmp_path, film, pose, monkeypatch):
    from assistant.pose import estimate

    films = {"exo1": film(tmp_path / "exo4.mp4"), "exo3": film(tmp_path / "exo3.mp4")}
    monkeypatch.setattr(estimate, "estimate_pose", fake_estimator(pose))
    assert resolve_pose(load_clip(None, films, None)).view == "exo3"
    with pytest.raises(estimate.NoPersonError, match="nobody"):
        resolve_pose(load_clip(films["exo1"], {}, None))


def fake_estimator(pose):
    """Confidence by file name: exo1 0.5, exo2 0.9, exo3 0.7, nobody in exo4."""
    from assistant.pose.estimate import NoPersonError, PoseEstimate

    def estimate(path, *, progress=None, model_path=None):
        if path.stem == "exo4":
            raise NoPersonError("nobody")
        share = {"exo1": 0.5, "exo2": 0.9, "exo3": 0.7}[path.stem]
        if progress is not None:
            progress(20, 20)
        sure = PoseSequence(pose.joints, pose.confidence * np.float32(share), 30.0)
        flat = np.zeros((20, 17, 2), "float32")
        return PoseEstimate(sure, flat, np.arange(20) / 30, 64, 48, 1.0, {})

    return estimate


needs_mediapipe = pytest.mark.skipif(
    importlib.util.find_spec("mediapipe") is None, reason="mediapipe is not installed"
)


@needs_mediapipe
def test_a_video_without_a_person(tmp_path, film):
    path = film(tmp_path / "a.mp4", 20, size=(320, 240))
    with pytest.raises(PoiseError) as caught:
        resolve_pose(load_clip(path, {}, None))
    assert str(caught.value) == (
        f"no person found in video {path}; got: a person in 0% of 20 frames; "
        "expected: one in at least 20%; remedy: film one person, whole body in the picture, "
        "camera level and still, in good light, or give the pose by --pose FILE"
    )


@needs_mediapipe
@pytest.mark.parametrize("content", [b"no model at all", b""])
def test_a_pose_model_that_is_none(tmp_path, film, content):
    model = tmp_path / "pose.task"
    model.write_bytes(content)
    clip = load_clip(film(tmp_path / "a.mp4", 20), {}, None)
    with pytest.raises(PoiseError) as caught:
        resolve_pose(clip, pose_model=model)
    assert str(caught.value).startswith(
        (f"cannot use pose model {model}", f"cannot read pose model {model}; got: an empty file")
    )
    assert "remedy: " in str(caught.value)


def test_module_needs_no_heavy_import():
    assert "av" not in vars(clip_input)
