"""The pose of one person seen by several calibrated cameras at once.

Every view goes through the detector, `triangulate` joins them, and the same outlier, gap and
smoothing steps as for one view follow (`tracking`). The figures in `Quality` are measured on the
pose that comes out, after smoothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.pose.camera import Camera
from assistant.pose.estimate import (
    MAX_FPS,
    FilmDetections,
    PoseEstimate,
    detect_film,
    frames_to_read,
)
from assistant.pose.read import fill_gaps
from assistant.pose.tracking import main_track, outliers, smooth
from assistant.pose.triangulate import Triangulation, triangulate
from assistant.pose.views_geometry import agreement_limits, reproject
from assistant.progress import Progress, shifted
from assistant.skeleton import BONES
from assistant.video import decode

# A landmark that the detector takes for hidden still counts a little.
_MIN_VISIBILITY: Final = 0.05
_RATE_TOLERANCE: Final = 0.01
# Below this share of agreeing observations the views show different people, times or places.
_MIN_KEPT: Final = 0.3
# The number of views from which a joint is as sure as it gets.
_SURE_VIEWS: Final = 3


@dataclass(frozen=True)
class Quality:
    """How well the views agree on the pose.

    Attributes:
        views: number of views.
        observations: landmarks of the person in all views and frames.
        kept_share: share of the observations that a joint rests on.
        reprojection_px_median: pixels between kept observations and the joints, median.
        reprojection_px_median_all: the same over all observations.
        bone_std_mm: standard deviation over time of the length of the limb bone that varies most.
        swapped: observations in which left and right were put back.
    """

    views: int
    observations: int
    kept_share: float
    reprojection_px_median: float
    reprojection_px_median_all: float
    bone_std_mm: float
    swapped: int

    def to_json(self) -> dict[str, Any]:
        """For `provenance.triangulation`."""
        return asdict(self)


@dataclass(frozen=True)
class MultiViewPose:
    """The pose and what it was made of.

    Attributes:
        pose: source "triangulated", world True.
        cameras: view name to camera, fitted to the film.
        films: view name to detections.
        triangulation: of every frame, before smoothing.
        quality: figures of the smoothed pose.
    """

    pose: PoseSequence
    cameras: dict[str, Camera]
    films: dict[str, FilmDetections]
    triangulation: Triangulation
    quality: Quality

    def in_view(self, view: str) -> PoseEstimate:
        """The pose with its projection into one view."""
        film, camera = self.films[view], self.cameras[view]
        raw = self.triangulation
        return PoseEstimate(
            pose=self.pose,
            overlay=camera.project(self.pose.joints.astype(np.float64)).astype(np.float32),
            times=film.times,
            width=film.info.width,
            height=film.info.height,
            detected_share=float(film.raw.found.mean()),
            swapped={"joints": int(raw.swapped[list(self.films).index(view)].sum())},
        )

    @property
    def best_view(self) -> str:
        """The view whose observations agree best."""
        shares = self.triangulation.kept.mean(axis=(1, 2))
        return list(self.films)[int(shares.argmax())]


def detect_views(
    films: Mapping[str, Path],
    *,
    progress: Progress | None = None,
    model_path: Path | None = None,
    max_fps: float = MAX_FPS,
) -> dict[str, FilmDetections]:
    """Run the detector over synchronised films.

    Args:
        films: view name to film.
        progress: called with frames done and frames in all.
        model_path: a MediaPipe `.task` file.
        max_fps: of films with more frames per second, every k-th is read.

    Raises:
        PoiseError: fewer than two films, films of different rate or number of frames, or a fault of
            `estimate.detect_film`.
    """
    _check_synchronised(films)
    counts = [frames_to_read(path) for path in films.values()]
    found = {}
    for i, (view, path) in enumerate(films.items()):
        before, total = sum(counts[:i]), sum(counts)
        step = None if progress is None else shifted(progress, before, total)
        found[view] = detect_film(path, progress=step, model_path=model_path, max_fps=max_fps)
    return found


def triangulate_views(
    films: Mapping[str, FilmDetections], cameras: Mapping[str, Camera]
) -> MultiViewPose:
    """One pose from the detections of all views.

    Args:
        films: from `detect_views`.
        cameras: view name to camera (`calibration.match_cameras`).

    Raises:
        PoiseError: a camera does not fit its film, or the views do not agree.
    """
    fitted = {v: cameras[v].fitted(f.info.width, f.info.height) for v, f in films.items()}
    pixels = np.stack([film.raw.image for film in films.values()])
    weights = np.stack(
        [
            np.maximum(film.raw.visibility, _MIN_VISIBILITY) * main_track(film.raw)[:, None]
            for film in films.values()
        ]
    )
    lenses = list(fitted.values())
    fps = next(iter(films.values())).fps
    found = triangulate(pixels, weights, lenses, fps)
    kept_share = float(found.kept.sum() / max(found.observed.sum(), 1))
    if kept_share < _MIN_KEPT:
        raise PoiseError(
            "the views do not agree on one person",
            got=f"{kept_share:.0%} of the observations agree",
            expected=f"at least {_MIN_KEPT:.0%}",
            remedy="check that the films start together, show one person, and that each view is "
            "the film of its camera in the calibration",
        )
    joints, mark = _tidy(found, fps)
    pose = PoseSequence(
        joints=joints.astype(np.float32),
        confidence=(_confidence(found, lenses) * mark).astype(np.float32),
        fps=fps,
        source="triangulated",
        world=True,
    )
    quality = _quality(found, joints, mark, lenses)
    return MultiViewPose(pose, fitted, dict(films), found, quality)


def _tidy(found: Triangulation, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Smooth joints [F, 17, 3] without gaps, and which were seen [F, 17]."""
    mark = (found.views > 0).astype(float)
    mark[outliers(fill_gaps(found.joints, mark), fps)] = 0.0
    return smooth(fill_gaps(found.joints, mark), fps), mark


def _confidence(found: Triangulation, cameras: Sequence[Camera]) -> np.ndarray:
    """[F, 17]: 1 for three views or more that agree exactly, half of it for two; it falls with the
    mean squared error of the kept observations and is 0 for a joint without a position."""
    limits = agreement_limits(cameras)[:, None, None]
    counts = np.maximum(found.views, 1)
    spread = np.where(found.kept, (found.error / limits) ** 2, 0.0).sum(axis=0) / counts
    known = np.minimum((found.views - 1) / (_SURE_VIEWS - 1), 1.0)
    return np.where(found.views > 0, known * (1 - spread), 0.0)


def _quality(
    found: Triangulation, joints: np.ndarray, mark: np.ndarray, cameras: Sequence[Camera]
) -> Quality:
    gaps = np.linalg.norm(reproject(joints, cameras) - found.pixels, axis=-1)
    kept = found.kept & (mark > 0)
    return Quality(
        views=len(cameras),
        observations=int(found.observed.sum()),
        kept_share=float(kept.sum() / found.observed.sum()),
        reprojection_px_median=float(np.median(gaps[kept])),
        reprojection_px_median_all=float(np.median(gaps[found.observed])),
        bone_std_mm=float(bone_spread_mm(joints, mark).max()),
        swapped=int(found.swapped.sum()),
    )


def bone_spread_mm(joints: np.ndarray, mark: np.ndarray | None = None) -> np.ndarray:
    """Standard deviation over time [8] of the limb bones' lengths, over frames where both ends are
    seen.

    Args:
        joints: [F, 17, 3] metres.
        mark: [F, 17], above 0 where seen; None: everywhere.
    """
    seen = np.ones(joints.shape[:2]) if mark is None else mark
    spreads = []
    for a, b in BONES:
        both = (seen[:, a] > 0) & (seen[:, b] > 0)
        lengths = np.linalg.norm(joints[both, a] - joints[both, b], axis=-1)
        spreads.append(float(lengths.std()) * 1000 if len(lengths) else 0.0)
    return np.array(spreads)


def _check_synchronised(films: Mapping[str, Path]) -> None:
    if len(films) < 2:
        raise PoiseError(
            "too few views to triangulate",
            got=", ".join(films) or "none",
            expected="at least two exo views",
            remedy="add --exo2 FILE, or leave --calibration out",
        )
    infos = {view: decode.probe(path) for view, path in films.items()}
    first = next(iter(infos.values()))
    for info in infos.values():
        if info.frames != first.frames or abs(info.fps / first.fps - 1) > _RATE_TOLERANCE:
            raise PoiseError(
                "the views are not synchronised",
                got=", ".join(f"{v} {i.frames} frames at {i.fps:g} fps" for v, i in infos.items()),
                expected="the same number of frames at the same rate",
                remedy="cut the films to the same start and end and export them at one rate",
            )
