"""MediaPipe behind one interface: the old `mp.solutions` (bundled model) or the Tasks API.

Only this module imports mediapipe. Its 33 landmarks become COCO-17, its camera axes (x right,
y down, z away from the camera) become z up; the camera is taken to be level.
"""

import contextlib
import importlib.util
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from assistant.errors import PoiseError
from assistant.files import check_file

INSTALL_REMEDY: Final = (
    "run: pip install 'poise[pose]' (and give its model by --pose-model FILE), or: pip install "
    "absl-py attrs flatbuffers matplotlib opencv-python-headless && pip install --no-deps "
    "mediapipe==0.10.21 (brings its model); or give the pose by --pose FILE"
)
# Landmark of MediaPipe for each COCO-17 joint.
COCO_OF_BLAZE: Final = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
_BLANK: Final = np.zeros((256, 256, 3), dtype=np.uint8)

Found = tuple[np.ndarray, np.ndarray, np.ndarray]
"""World [17, 3] metres z up, image [17, 2] as shares of width and height, visibility [17]."""


class Detector(Protocol):
    """Finds one person in pictures given in order of time."""

    def detect(self, picture: np.ndarray, seconds: float) -> Found | None:
        """The person in an RGB picture [H, W, 3], None where there is none."""

    def close(self) -> None:
        """Free the model."""


def open_detector(model: Path | None = None) -> Detector:
    """The detector that is installed; a model file asks for the Tasks API.

    Raises:
        PoiseError: mediapipe is not installed, or the model is missing or not one.
    """
    if importlib.util.find_spec("mediapipe") is None:
        raise PoiseError(
            "no pose estimator is installed",
            got="no module mediapipe",
            expected="mediapipe",
            remedy=INSTALL_REMEDY,
        )
    with quiet_stderr():
        import mediapipe

    bundled = getattr(mediapipe, "solutions", None) is not None
    if model is None and not bundled:
        raise PoiseError(
            "the installed pose estimator needs a model",
            got=f"mediapipe {mediapipe.__version__} and no --pose-model",
            expected="a pose_landmarker .task file",
            remedy="give it by --pose-model FILE (docs: MediaPipe Pose Landmarker), or "
            + INSTALL_REMEDY,
        )
    return _SolutionsDetector(mediapipe) if model is None else _TasksDetector(mediapipe, model)


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Send to nowhere what native code writes to stderr, itself or through Python."""
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


class _SolutionsDetector:
    """`mp.solutions.pose` (mediapipe up to 0.10.21), model of complexity 1."""

    def __init__(self, mediapipe: Any) -> None:
        with quiet_stderr():
            # Its own filter would lag, and blur the frames in which left and right change places.
            self._pose = mediapipe.solutions.pose.Pose(model_complexity=1, smooth_landmarks=False)
            self._pose.process(_BLANK)  # some native notices come late, from other threads

    def detect(self, picture: np.ndarray, seconds: float) -> Found | None:
        with quiet_stderr():
            result = self._pose.process(picture)
        if result.pose_landmarks is None or result.pose_world_landmarks is None:
            return None
        return _found(result.pose_landmarks.landmark, result.pose_world_landmarks.landmark)

    def close(self) -> None:
        with quiet_stderr():
            self._pose.close()


class _TasksDetector:
    """`mp.tasks.vision.PoseLandmarker` with a model file."""

    def __init__(self, mediapipe: Any, model: Path) -> None:
        check_file(model, "pose model")
        vision = mediapipe.tasks.vision
        self._image = lambda picture: mediapipe.Image(
            image_format=mediapipe.ImageFormat.SRGB, data=picture
        )
        try:
            with quiet_stderr():
                self._landmarker = vision.PoseLandmarker.create_from_options(
                    vision.PoseLandmarkerOptions(
                        base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(model)),
                        running_mode=vision.RunningMode.VIDEO,
                    )
                )
                self._landmarker.detect_for_video(self._image(_BLANK), 0)
        except TypeError as fault:  # its Tasks API wants an older protobuf than Poise's
            raise PoiseError(
                f"cannot use pose model {model} with mediapipe {mediapipe.__version__}",
                got="a version whose Tasks API does not run beside the installed protobuf",
                expected="mediapipe 0.10.30 or newer, or no --pose-model",
                remedy="leave --pose-model out: this version brings its own model",
            ) from fault
        except (RuntimeError, ValueError, OSError) as fault:
            raise PoiseError(
                f"cannot use pose model {model}",
                got=(str(fault).splitlines() or [type(fault).__name__])[0][:120],
                expected="a pose_landmarker .task file",
                remedy="download the file again",
            ) from fault
        self._last = 0

    def detect(self, picture: np.ndarray, seconds: float) -> Found | None:
        # Milliseconds must grow from call to call.
        self._last = max(round(seconds * 1000), self._last + 1)
        with quiet_stderr():
            result = self._landmarker.detect_for_video(self._image(picture), self._last)
        if not result.pose_landmarks:
            return None
        return _found(result.pose_landmarks[0], result.pose_world_landmarks[0])

    def close(self) -> None:
        with quiet_stderr():
            self._landmarker.close()


def _found(image: Any, world: Any) -> Found:
    body = np.array([(world[i].x, world[i].z, -world[i].y) for i in COCO_OF_BLAZE])
    flat = np.array([(image[i].x, image[i].y) for i in COCO_OF_BLAZE])
    seen = np.array([image[i].visibility or 0.0 for i in COCO_OF_BLAZE])
    return body, flat, np.clip(seen, 0.0, 1.0)
