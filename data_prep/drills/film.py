"""Drills as films: the few frames that the video encoder reads, and whole mp4 files."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.video.sampling import grid_times, uniform_times
from data_prep.drills.cameras import STANDARD, CameraStyle
from data_prep.drills.render import render_views
from prompts.vocabulary import VIEWS

FILMS: Final = "films"
FILM_SIZE: Final = 128
FILM_FPS: Final = 30.0


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
    write_drill_films(pose, {view: Path(path)}, size=size, fps=fps, seed=seed)


def write_drill_films(
    pose: PoseSequence, paths: Mapping[str, Path], *, size: int, fps: float, seed: int
) -> None:
    """Write several views of the whole performance, {view: path}, each as `write_drill_film`."""
    from assistant.video.decode import write_video

    times = grid_times(pose.duration, fps)
    films = render_views(pose, list(paths), times, size=size, seed=seed)
    for view, path in paths.items():
        write_video(path, films[view], fps)


def film_views(count: int) -> tuple[str, ...]:
    """The views of a dataset with `count` films a clip: 1 exo1, 2 ego and exo1, up to all."""
    return VIEWS[:count] if count > 1 else ("exo1",)[:count]


def film_clip(
    pose: PoseSequence, sample_id: str, views: Sequence[str], folder: Path, seed: int
) -> dict[str, str]:
    """Film a clip into `folder`; returns its field `views`, with paths relative to the dataset."""
    names = {view: f"{sample_id}.{view}.mp4" for view in views}
    paths = {view: folder / name for view, name in names.items()}
    write_drill_films(pose, paths, size=FILM_SIZE, fps=FILM_FPS, seed=seed)
    return {view: f"{FILMS}/{name}" for view, name in names.items()}


@contextmanager
def films_beside(folder: Path, wanted: bool) -> Iterator[Path | None]:
    """A scratch folder for a dataset's films; None where none are `wanted`.

    It lies beside the dataset's folder, which must be empty until the dataset is written, and
    becomes its folder `films` when the block ends well; a block that fails leaves none behind.
    """
    if not wanted:
        yield None
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        yield scratch
        scratch.chmod(0o755)
        scratch.rename(folder / FILMS)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
