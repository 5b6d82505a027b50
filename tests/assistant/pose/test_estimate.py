import importlib.util

import numpy as np
import pytest

from assistant.errors import PoiseError
from assistant.pose import estimate
from assistant.pose.estimate import estimate_pose, frames_to_read
from assistant.pose.mediapipe_detector import COCO_OF_BLAZE, _found, quiet_stderr
from assistant.skeleton import (
    LEFT_ANKLE,
    LEFT_HIP,
    LEFT_KNEE,
    NOSE,
    RIGHT_ANKLE,
    RIGHT_HIP,
    RIGHT_KNEE,
    pelvis,
)

needs_mediapipe = pytest.mark.skipif(
    importlib.util.find_spec("mediapipe") is None, reason="mediapipe is not installed"
)


class Mark:
    def __init__(self, x, y, z, visibility=1.0):
        self.x, self.y, self.z, self.visibility = x, y, z, visibility


def test_landmarks_become_coco_with_z_up():
    world = [Mark(i, 100 + i, 200 + i) for i in range(33)]
    image = [Mark(i / 33, i / 66, 0, 2.0 if i == 0 else None) for i in range(33)]
    body, flat, seen = _found(image, world)
    i = np.array(COCO_OF_BLAZE)
    # camera: x right, y down, z away; Poise: x right, y away, z up
    np.testing.assert_array_equal(body, np.stack([i, 200.0 + i, -(100.0 + i)], axis=1))
    np.testing.assert_allclose(flat, np.stack([i / 33, i / 66], axis=1))
    np.testing.assert_array_equal(seen, [1.0] + [0.0] * 16)
    frame = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    assert np.linalg.det(frame) == 1  # no mirror image


class FakeDetector:
    """Sees `standing` in the frames for which `found(i)` holds."""

    def __init__(self, body, found):
        self.body, self.found, self.calls, self.closed = body, found, 0, False

    def detect(self, picture, seconds):
        self.calls += 1
        if not self.found(self.calls - 1):
            return None
        return self.body, np.full((17, 2), 0.5) + self.body[:, ::2] * (0.1, -0.1), np.ones(17)

    def close(self):
        self.closed = True


@pytest.fixture
def fake(monkeypatch, standing):
    def install(found):
        detector = FakeDetector(standing - pelvis(standing), found)
        monkeypatch.setattr(estimate, "open_detector", lambda model: detector)
        return detector

    return install


def test_estimate_of_sixty_frames_a_second_reads_every_second_one(tmp_path, film, fake):
    path = film(tmp_path / "a.mp4", 60, fps=60)
    detector = fake(lambda i: True)
    steps = []
    result = estimate_pose(path, progress=lambda done, total: steps.append((done, total)))
    assert detector.calls == 30 == frames_to_read(path)
    assert detector.closed
    assert steps == [(i + 1, 30) for i in range(30)]
    assert (result.pose.fps, result.pose.source, result.pose.world) == (30.0, "mediapipe", False)
    assert (result.width, result.height, result.detected_share) == (64, 48, 1.0)
    np.testing.assert_allclose(result.times, np.arange(30) / 30)
    assert result.overlay.shape == (30, 17, 2)
    np.testing.assert_allclose(pelvis(result.overlay[3]), (32, 24), atol=0.1)


def test_a_person_seen_seldom_is_no_person(tmp_path, film, fake):
    path = film(tmp_path / "a.mp4", 50)
    detector = fake(lambda i: i < 9)
    with pytest.raises(PoiseError) as caught:
        estimate_pose(path)
    assert str(caught.value) == (
        f"no person found in video {path}; got: a person in 18% of 50 frames; "
        "expected: one in at least 20%; remedy: film one person, whole body in the picture, "
        "camera level and still, in good light, or give the pose by --pose FILE"
    )
    assert detector.closed
    fake(lambda i: i < 10)
    result = estimate_pose(path)
    assert result.detected_share == 0.2
    np.testing.assert_array_equal(result.pose.confidence.max(axis=1), np.arange(50) < 10)


def test_a_film_that_is_too_short_loads_no_model(tmp_path, film, monkeypatch):
    monkeypatch.setattr(estimate, "open_detector", lambda model: pytest.fail("opened"))
    path = film(tmp_path / "a.mp4", 9)
    with pytest.raises(PoiseError) as caught:
        estimate_pose(path)
    assert str(caught.value) == (
        f"video {path} is too short; got: 9 frames at 30 fps; "
        "expected: at least 10 frames and 0.5 s; remedy: give the whole movement"
    )


def test_quiet_stderr_hides_native_output_and_gives_stderr_back(capfd):
    import os

    with quiet_stderr():
        os.write(2, b"noise")
    os.write(2, b"signal")
    assert capfd.readouterr().err == "signal"


def flexion(pose):
    """Knee flexion in degrees, mean of both legs, [F]."""
    angles = []
    for hip, knee, ankle in (
        (LEFT_HIP, LEFT_KNEE, LEFT_ANKLE),
        (RIGHT_HIP, RIGHT_KNEE, RIGHT_ANKLE),
    ):
        up, down = pose.joints[:, hip] - pose.joints[:, knee], pose.joints[:, ankle]
        down = down - pose.joints[:, knee]
        cosine = (up * down).sum(-1) / np.linalg.norm(up, axis=-1) / np.linalg.norm(down, axis=-1)
        angles.append(180 - np.degrees(np.arccos(cosine)))
    return np.mean(angles, axis=0)


def bouts(signal, low, high):
    """Stretches (first, last frame) above `low` that reach `high`."""
    edges = np.flatnonzero(np.diff(np.r_[0, (signal > low).astype(int), 0]))
    return [
        (first, last - 1) for first, last in edges.reshape(-1, 2) if signal[first:last].max() > high
    ]


@needs_mediapipe
@pytest.mark.real
def test_squat_film_shows_its_repetitions(shared_data, capfd):
    """Two, by eye: down at 8.8 and 15.3 s, lowest at 10.5 and 17.3 s, up at 11.3 and 18.1 s."""
    result = estimate_pose(shared_data / "video" / "squat_side_gym.mp4", max_fps=6)
    assert capfd.readouterr().err == ""
    assert result.detected_share > 0.95
    bend = flexion(result.pose)
    found = bouts(bend, 25, 70)
    times = [(result.times[first], result.times[last]) for first, last in found]
    np.testing.assert_allclose(times, [(8.9, 11.2), (15.4, 18.0)], atol=0.4)
    assert bend[result.times < 8].max() < 25
    lowest = [result.times[first + bend[first : last + 1].argmax()] for first, last in found]
    np.testing.assert_allclose(lowest, [10.5, 17.3], atol=0.5)
    # The overlay lies on the film: at the bottom of the squat the hips are at knee height.
    frame = int(np.argmin(np.abs(result.times - 10.5)))
    hips, knees = pelvis(result.overlay[frame])[1], result.overlay[frame, [13, 14], 1].mean()
    assert abs(hips - knees) < 40
    standing = int(np.argmin(np.abs(result.times - 5)))
    assert result.overlay[standing, NOSE, 1] < pelvis(result.overlay[standing])[1] - 200


@needs_mediapipe
@pytest.mark.real
def test_beam_film_is_portrait_and_follows_the_one_person(shared_data):
    result = estimate_pose(shared_data / "video" / "multiview_cam01.mp4", max_fps=15)
    assert (result.width, result.height, result.detected_share) == (1080, 1920, 1.0)
    centre = pelvis(result.overlay)
    np.testing.assert_allclose(centre[0], (416, 737), atol=40)
    np.testing.assert_allclose(centre[-1], (616, 865), atol=40)
    assert np.linalg.norm(np.diff(centre, axis=0), axis=1).max() < 40


@needs_mediapipe
@pytest.mark.real
def test_outdoor_film_stays_with_one_of_two_people(shared_data):
    result = estimate_pose(shared_data / "video" / "outdoor_two_people.mp4", max_fps=10)
    assert 0.5 < result.detected_share < 1
    seen = result.pose.confidence.max(axis=1) > 0
    steps = np.linalg.norm(np.diff(pelvis(result.overlay), axis=0), axis=1)
    assert steps[seen[1:] & seen[:-1]].max() < 150
