"""Drills as films: the few frames that the video encoder reads, and whole mp4 files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from assistant.clip import PoseSequence
from assistant.video.sampling import grid_times, uniform_times
from data_prep.drills.cameras import STANDARD, CameraStyle
from data_prep.drills.render import render_views


def span_pictures(
    pose: PoseSequence,
    views: Sequence[str],
    span: tuple[float, float],
    *,
    frames: int = 8,
    size: int = 64,
    seed: int = 0,
    style: CameraStyle = STANDARD,
) -> np.ndarray:
    """Uniform frames of a span as the encoder takes them, uint8 [V, T, size, size, 3].

    Args:
        pose: the performance.
        views: their order is the order of V.
        span: (start, end) seconds, clamped to the clip.
        frames: T.
        size: side in pixels.
        seed: cameras, clothes and light; one seed a clip, whatever its spans.
        style: ranges of the cameras.
    """
    times = uniform_times(*span, frames)
    films = render_views(pose, views, times, size=size, seed=seed, style=style)
    return np.stack([films[view] for view in views])


def write_drill_film(
    pose: PoseSequence,
    path: str | Path,
    *,
    view: str = "exo1",
    size: int = 256,
    fps: float = 30.0,
    seed: int = 0,
) -> None:
    """Write one view of the whole performance as mp4 (`size` even, in pixels)."""
    from assistant.video.decode import write_video

    times = grid_times(pose.duration, fps)
    write_video(Path(path), render_views(pose, [view], times, size=size, seed=seed)[view], fps)
