"""The pose of one person in a film, by MediaPipe.

One camera sees no path over the ground: every frame is centred on the pelvis (`world=False`). The
camera is taken to be level. A film is read at 30 fps at most; the steps after detection (one track,
left and right, outliers, gaps, smoothing over 0.25 s) are in `tracking`. Errors of such poses are
slow and biased, worst at wrists and ankles; `multiview` joins several calibrated views.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.files import check_length
from assistant.pose.mediapipe_detector import open_detector
from assistant.pose.tracking import Detections, clean
from assistant.progress import Progress
from assistant.skeleton import N_JOINTS
from assistant.video import decode
from assistant.video.sampling import grid_times, thinned_rate

MAX_FPS: Final = 30.0
MAX_SIDE: Final = 1280
MIN_DETECTED_SHARE: Final = 0.2
HOW_TO_FILM: Final = (
    "film one person, whole body in the picture, camera level and still, in good light"
)


class NoPersonError(PoiseError):
    """A film shows nobody, or too seldom."""


@dataclass(frozen=True)
class PoseEstimate:
    """A pose and where it lies in the film.

    Attributes:
        pose: source "mediapipe", world False.
        overlay: [F, 17, 2] pixels of the film as shown (x right, y down).
        times: [F] seconds in the film.
        width: pixels of the film.
        height: pixels of the film.
        detected_share: share of the frames in which the person was found.
        swapped: frames in which left and right were put back, of arms and legs.
    """

    pose: PoseSequence
    overlay: np.ndarray
    times: np.ndarray
    width: int
    height: int
    detected_share: float
    swapped: dict[str, int]


@dataclass(frozen=True)
class FilmDetections:
    """What the detector saw in one film, before anything is tidied.

    Attributes:
        path: the film.
        info: its size, rate and length.
        fps: frames per second that were read.
        times: [F] seconds in the film.
        raw: F frames.
    """

    path: Path
    info: decode.VideoInfo
    fps: float
    times: np.ndarray
    raw: Detections


def frames_to_read(path: Path) -> int:
    """How many frames of a film `estimate_pose` looks at."""
    info = decode.probe(path)
    return len(grid_times(info.duration, thinned_rate(info.fps, MAX_FPS)))


def estimate_pose(
    path: Path,
    *,
    progress: Progress | None = None,
    model_path: Path | None = None,
    max_fps: float = MAX_FPS,
) -> PoseEstimate:
    """Estimate the motion of the one person who is seen most in a film.

    Args:
        path: the film.
        progress: called after each frame.
        model_path: a MediaPipe `.task` file; None uses the model that comes with mediapipe.
        max_fps: of a film with more frames per second, every k-th is read.

    Raises:
        PoiseError: the film cannot be read, is too short, shows no person in 80% of its frames, or
            no estimator is installed.
    """
    return estimate_from(
        detect_film(path, progress=progress, model_path=model_path, max_fps=max_fps)
    )


def detect_film(
    path: Path,
    *,
    progress: Progress | None = None,
    model_path: Path | None = None,
    max_fps: float = MAX_FPS,
) -> FilmDetections:
    """Run the detector over a film; arguments and errors of `estimate_pose`."""
    info = decode.probe(path)
    check_length(path, "video", info.frames, info.fps)
    fps = thinned_rate(info.fps, max_fps)
    times = grid_times(info.duration, fps)
    raw = _detect(path, times, info, progress, model_path)
    share = float(raw.found.mean())
    if share < MIN_DETECTED_SHARE:
        raise NoPersonError(
            f"no person found in video {path}",
            got=f"a person in {round(100 * share)}% of {len(times)} frames",
            expected=f"one in at least {round(100 * MIN_DETECTED_SHARE)}%",
            remedy=f"{HOW_TO_FILM}, or give the pose by --pose FILE",
        )
    return FilmDetections(path, info, fps, times, raw)


def estimate_from(film: FilmDetections) -> PoseEstimate:
    """The motion of the one person who is seen most, from what the detector saw."""
    tidy, swapped = clean(film.raw, film.fps)
    pose = PoseSequence(
        joints=tidy.world.astype(np.float32),
        confidence=tidy.visibility.astype(np.float32),
        fps=film.fps,
        source="mediapipe",
        world=False,
    )
    return PoseEstimate(
        pose=pose,
        overlay=tidy.image.astype(np.float32),
        times=film.times,
        width=film.info.width,
        height=film.info.height,
        detected_share=float(tidy.found.mean()),
        swapped=swapped,
    )


def _detect(
    path: Path,
    times: np.ndarray,
    info: decode.VideoInfo,
    progress: Progress | None,
    model_path: Path | None,
) -> Detections:
    """Run the detector over the frames nearest to `times` [F]."""
    count = len(times)
    raw = Detections(
        found=np.zeros(count, dtype=bool),
        world=np.zeros((count, N_JOINTS, 3)),
        image=np.zeros((count, N_JOINTS, 2)),
        visibility=np.zeros((count, N_JOINTS)),
    )
    detector = open_detector(model_path)
    try:
        pictures = decode.frames(path, times, max_side=MAX_SIDE)
        for i, (_, picture) in enumerate(pictures):
            found = detector.detect(picture, float(times[i]))
            if found is not None:
                raw.found[i] = True
                raw.world[i], shares, raw.visibility[i] = found
                raw.image[i] = shares * (info.width, info.height)
            if progress is not None:
                progress(i + 1, count)
    finally:
        detector.close()
    return raw
