"""Which estimator is chosen, against stand-ins for the two kinds of mediapipe."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from assistant.errors import PoiseError
from assistant.pose import mediapipe_detector
from assistant.pose.mediapipe_detector import open_detector

PICTURE = np.zeros((4, 4, 3), np.uint8)
LANDMARKS = [SimpleNamespace(x=0.5, y=0.25, z=0.0, visibility=0.9)] * 33


class Landmarker:
    def __init__(self, options):
        self.options, self.milliseconds = options, []

    def detect_for_video(self, image, milliseconds):
        assert not self.milliseconds or milliseconds > self.milliseconds[-1]
        self.milliseconds.append(milliseconds)
        people = [LANDMARKS] if milliseconds > 0 else []
        return SimpleNamespace(pose_landmarks=people, pose_world_landmarks=people)

    def close(self):
        pass


class Pose:
    def __init__(self, **options):
        assert options == {"model_complexity": 1, "smooth_landmarks": False}

    def process(self, picture):
        marks = SimpleNamespace(landmark=LANDMARKS) if picture is PICTURE else None
        return SimpleNamespace(pose_landmarks=marks, pose_world_landmarks=marks)

    def close(self):
        pass


def mediapipe(monkeypatch, *, solutions, create=Landmarker):
    module = ModuleType("mediapipe")
    module.__spec__ = SimpleNamespace(name="mediapipe")
    module.__version__ = "0.0"
    if solutions:
        module.solutions = SimpleNamespace(pose=SimpleNamespace(Pose=Pose))
    module.Image = lambda image_format, data: data
    module.ImageFormat = SimpleNamespace(SRGB=1)
    module.tasks = SimpleNamespace(
        BaseOptions=lambda model_asset_path: model_asset_path,
        vision=SimpleNamespace(
            PoseLandmarker=SimpleNamespace(create_from_options=create),
            PoseLandmarkerOptions=lambda base_options, running_mode: base_options,
            RunningMode=SimpleNamespace(VIDEO="video"),
        ),
    )
    monkeypatch.setitem(sys.modules, "mediapipe", module)
    return module


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "pose.task"
    path.write_bytes(b"model")
    return path


def test_bundled_model_is_taken_where_there_is_one(monkeypatch):
    mediapipe(monkeypatch, solutions=True)
    detector = open_detector()
    body, flat, seen = detector.detect(PICTURE, 0.0)
    np.testing.assert_array_equal(body[0], (0.5, 0.0, -0.25))
    np.testing.assert_array_equal(flat[0], (0.5, 0.25))
    assert seen[0] == 0.9
    assert detector.detect(PICTURE.copy(), 0.1) is None
    detector.close()


@pytest.mark.parametrize("solutions", [True, False])
def test_model_file_asks_for_the_tasks_api(monkeypatch, model, solutions):
    mediapipe(monkeypatch, solutions=solutions)
    detector = open_detector(model)
    for seconds in (0.0, 0.0, 0.0004, 0.033):  # equal milliseconds would stop the real one
        body, _, _ = detector.detect(PICTURE, seconds)
        np.testing.assert_array_equal(body[0], (0.5, 0.0, -0.25))
    detector.close()


def test_tasks_api_without_a_model(monkeypatch):
    mediapipe(monkeypatch, solutions=False)
    with pytest.raises(PoiseError) as caught:
        open_detector()
    assert str(caught.value) == (
        "the installed pose estimator needs a model; got: mediapipe 0.0 and no --pose-model; "
        "expected: a pose_landmarker .task file; remedy: give it by --pose-model FILE "
        "(docs: MediaPipe Pose Landmarker), or " + mediapipe_detector.INSTALL_REMEDY
    )


def test_tasks_api_that_does_not_run_here(monkeypatch, model):
    def create(options):
        raise TypeError("create(): incompatible function arguments")

    mediapipe(monkeypatch, solutions=True, create=create)
    with pytest.raises(PoiseError) as caught:
        open_detector(model)
    assert str(caught.value) == (
        f"cannot use pose model {model} with mediapipe 0.0; got: a version whose Tasks API does "
        "not run beside the installed protobuf; expected: mediapipe 0.10.30 or newer, or no "
        "--pose-model; remedy: leave --pose-model out: this version brings its own model"
    )


def test_file_that_is_no_model(monkeypatch, model):
    def create(options):
        raise RuntimeError("Unable to open zip archive.\nmore")

    mediapipe(monkeypatch, solutions=False, create=create)
    with pytest.raises(PoiseError) as caught:
        open_detector(model)
    assert str(caught.value) == (
        f"cannot use pose model {model}; got: Unable to open zip archive.; "
        "expected: a pose_landmarker .task file; remedy: download the file again"
    )
