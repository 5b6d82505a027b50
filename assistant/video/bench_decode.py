"""`poise bench decode`: a window late in a film, by seeking and by decoding from frame 0.

The film is made here: 70 s of moving texture at 640 x 360 and 30 fps, H.264 with B-frames and the
encoder's own key frame distance (at most 250 frames). Both ways end with the same pictures, which
is checked. Ours includes the scan of the whole file that makes times exact and finds truncation.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.bench import compared, in_turns
from assistant.video.decode import forget_films, frames, write_video
from assistant.video.sampling import uniform_times

FILM_SECONDS: Final = 70
FPS: Final = 30
SIDES: Final = (360, 640)
WINDOW: Final = (60.0, 62.0)
# Every frame of the window, as pose estimation reads it, and the few that a video encoder takes.
COUNTS: Final = {"all 60 frames": 60, "8 frames": 8}
ROUNDS: Final = 5
GRAIN: Final = 5.0  # standard deviation in levels of 256


def run() -> dict[str, Any]:
    """Milliseconds a window; `ratio` is how many times faster ours is, the median of the rounds."""
    with tempfile.TemporaryDirectory() as folder:
        film = make_film(Path(folder) / "film.mp4", FILM_SECONDS)
        size = film.stat().st_size
        (first, whole), (second, few) = (
            (name, _time(film, count)) for name, count in COUNTS.items()
        )
    return {
        "measured": first,
        **whole,
        "parts": {second: few},
        "window_s": list(WINDOW),
        "film": f"{FILM_SECONDS} s, {SIDES[1]} x {SIDES[0]}, {FPS} fps, {size / 1e6:.1f} MB, H.264",
    }


def _time(film: Path, count: int) -> dict[str, Any]:
    """Both ways for `count` frames of the window."""
    fast, slow = (reader(film, count, seek) for seek in (True, False))
    for (_, a), (_, b) in zip(fast(), slow(), strict=True):
        assert np.array_equal(a, b)
    ours, baseline = in_turns([fast, slow], ROUNDS)
    return compared(
        [1000 * t for t in ours],
        {"decoding from frame 0": [1000 * t for t in baseline]},
        ours_is="seeking",
        unit="ms",
    )


def make_film(path: Path, seconds: float, sides: tuple[int, int] = SIDES) -> Path:
    """A film of coloured squares that drift under camera noise, so that it takes as many bits as a
    film of people; a bar tells the time."""
    rng = np.random.default_rng(0)
    height, width = sides
    coarse = rng.integers(40, 216, (height // 8, width // 8, 3), dtype=np.uint8)
    texture = coarse.repeat(8, axis=0).repeat(8, axis=1)
    grain = rng.normal(0, GRAIN, (2 * height, 2 * width, 1)).round().astype(np.int8)
    pictures = np.empty((round(seconds * FPS), *texture.shape), np.uint8)
    for number, picture in enumerate(pictures):
        row, column = rng.integers(height), rng.integers(width)
        noise = grain[row : row + height, column : column + width]
        picture[:] = np.roll(texture, (number, 2 * number), axis=(0, 1)) + noise
        picture[:16, : 1 + number * (width - 1) // len(pictures)] = 255
    write_video(path, pictures, FPS)
    return path


def reader(film: Path, count: int, seek: bool) -> Callable[[], list[tuple[float, np.ndarray]]]:
    """A reading of the window's frames by a process that has not seen the film yet."""
    times = uniform_times(*WINDOW, count)

    def read() -> list[tuple[float, np.ndarray]]:
        forget_films()
        return list(frames(film, times, seek=seek))

    return read
