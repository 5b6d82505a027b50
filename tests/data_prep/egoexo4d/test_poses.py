"""Which pose a span gets, and which poses no person could take."""

import numpy as np
import pytest

from assistant.clip import PoseSequence
from data_prep.drills.performer import sample_performer
from data_prep.drills.simulate import simulate
from data_prep.egoexo4d.plausible import implausible
from data_prep.egoexo4d.poses import TakePose, gaze_over, pose_over, read_gaze


@pytest.fixture(scope="module")
def walk():
    rng = np.random.default_rng(3)
    return simulate("walk", None, sample_performer(rng, "train", "p"), rng, sample_id="s").pose


def counting(frames, fps, seen=None):
    """A pose whose frame i stands at x = i."""
    joints = np.zeros((frames, 17, 3), np.float32)
    joints[..., 0] = np.arange(frames)[:, None]
    confidence = np.ones((frames, 17), np.float32)
    if seen is not None:
        confidence[np.setdiff1d(np.arange(frames), seen)] = 0
    return PoseSequence(joints, confidence, fps)


def test_a_span_takes_its_frames_and_marks_those_outside():
    pose = TakePose("manual", counting(30, 10.0), start=5.0)
    cut = pose.over(4.5, 5.5)
    assert cut.joints[:, 0, 0].tolist() == [0, 0, 0, 0, 0, 0, 1, 2, 3, 4]
    assert cut.confidence[:, 0].tolist() == [0] * 5 + [1] * 5
    late = pose.over(7.8, 8.2)
    assert late.joints[:, 0, 0].tolist() == [28, 29, 29, 29]
    assert late.confidence[:, 3].tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("span", "share"), [((5, 8), 1), ((2, 8), 0.5), ((8, 9), 0), ((0, 5), 0), ((4, 6), 0.5)]
)
def test_coverage_of_a_pose_with_all_frames(span, share):
    assert TakePose("manual", counting(30, 10.0), 5.0).coverage(*span) == pytest.approx(share)


def test_coverage_counts_seen_frames_only():
    assert TakePose("a", counting(90, 30.0, np.arange(30, 60)), 0.0).coverage(
        0, 3
    ) == pytest.approx(1 / 3, abs=0.05)
    # Two frames a second stand for the time between them.
    assert TakePose("a", counting(6, 2.0), 0.0).coverage(0, 3) == 1


def test_manual_wins_unless_it_covers_much_less():
    automatic = TakePose("automatic", counting(90, 30.0), 0.0)
    for seconds, winner in ((3.0, "manual"), (2.4, "manual"), (2.0, "automatic")):
        manual = TakePose("manual", counting(round(10 * seconds), 10.0), 0.0)
        assert pose_over([manual, automatic], 0, 3, 0.5)[1] == winner
    assert pose_over([], 0, 3, 0.0) is None
    assert pose_over([automatic], 50, 53, 0.0) is None
    assert pose_over([automatic], 1, 7, 0.5) is None
    assert pose_over([automatic], 1, 7, 0.3)[1] == "automatic"


def test_gaze_by_hand(tmp_path):
    path = tmp_path / "g.csv"
    path.write_text("tracking_timestamp_us,frame_num,x,y\n9,0,704,704\n9,1,,\n9,2,0,1408\n")
    times, degrees = read_gaze(path)
    np.testing.assert_allclose(times, [0.0, 0.2])
    np.testing.assert_allclose(degrees, [[0, 0], [55, -55]])
    between = gaze_over((times, degrees), 0.0, 0.3, 10.0, 3)
    np.testing.assert_allclose(between, [[0, 0], [27.5, -27.5], [55, -55]])
    assert gaze_over((times, degrees), 0.0, 1.0, 10.0, 10) is None


def test_a_person_is_plausible(walk):
    assert implausible(walk) == []


def scaled(pose):
    return PoseSequence(pose.joints * 1.6, pose.confidence, pose.fps)


def jumping(pose):
    joints = pose.joints.copy()
    joints[::10] += 4.0
    return PoseSequence(joints, pose.confidence, pose.fps)


def rubber(pose):
    joints = pose.joints.copy()
    joints[::3, 9] += (joints[::3, 9] - joints[::3, 7]) * 0.6
    return PoseSequence(joints, pose.confidence, pose.fps)


def lopsided(pose):
    joints = pose.joints.copy()
    joints[:, 15] = joints[:, 13] + (joints[:, 15] - joints[:, 13]) * 0.75
    return PoseSequence(joints, pose.confidence, pose.fps)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (scaled, "thigh"),
        (jumping, "the hips faster than 12 m/s"),
        (rubber, "left forearm between"),
        (lopsided, "shins of"),
    ],
)
def test_what_no_person_could_be(walk, damage, word):
    assert any(word in fault for fault in implausible(damage(walk)))


def test_joints_that_were_not_seen_are_not_judged(walk):
    pose = jumping(walk)
    confidence = pose.confidence.copy()
    confidence[::10] = 0
    assert implausible(PoseSequence(pose.joints, confidence, pose.fps)) == []
