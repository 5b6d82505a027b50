"""What the video encoder learns from: short windows of drills, rendered and cached as uint8."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from assistant.processes import spread
from assistant.skeleton import pelvis
from assistant.tasks.window import window_around
from assistant.video.sampling import uniform_times
from data_prep.drills.cameras import place_cameras
from data_prep.drills.raster import NEAR
from data_prep.drills.records import Drill
from data_prep.drills.render import render_views
from prompts.vocabulary import NEEDS_IMPROVEMENT, REGIONS, VIEWS

IGNORE: Final = -100
REPETITION_SHARE: Final = 0.25  # windows that span a whole repetition
JITTER: Final = 0.3  # seconds by which a window moves


@dataclass(frozen=True)
class Windows:
    """N windows of one view each, one row a window in every array.

    Attributes:
        frames: uint8 [N, T, S, S, 3].
        joints: float32 [N, T, 17, 3], camera axes, centred on the pelvis, metres.
        places: float32 [N, T, 17, 2], where the joints fall, 0..1 across the picture; outside of
            that range they are not seen.
        activity: [N]; level: [N], IGNORE for distractors.
        polarity: [N, 6], IGNORE where the window does not decide it.
        participant: [N] strings; view: [N] 0 for ego, 1 for exo.
    """

    frames: np.ndarray
    joints: np.ndarray
    places: np.ndarray
    activity: np.ndarray
    level: np.ndarray
    polarity: np.ndarray
    participant: np.ndarray
    view: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def select(self, rows: np.ndarray) -> "Windows":
        """The given rows."""
        return Windows(**{name: value[rows] for name, value in vars(self).items()})


def render_windows(
    drills: Sequence[Drill],
    activities: Sequence[str],
    *,
    frames: int,
    size: int,
    seed: int,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Windows:
    """One window a drill, seen by the ego camera and by one of the four others (2 rows a drill).

    The same seed gives the same rows whatever the number of workers.
    """
    tasks = [(drill, [seed, i]) for i, drill in enumerate(drills)]
    render = partial(_render_one, activities=tuple(activities), frames=frames, size=size)
    arrays: dict[str, np.ndarray] = {}
    for i, row in enumerate(spread(render, tasks, workers, chunk=16)):
        if not arrays:  # in place, since the pictures fill hundreds of megabytes
            rows_of = 2 * len(tasks)
            arrays = {k: np.empty((rows_of, *v.shape[1:]), v.dtype) for k, v in row.items()}
        for name, value in row.items():
            arrays[name][2 * i : 2 * i + 2] = value
        if progress:
            progress(i + 1, len(tasks))
    return Windows(**arrays)


def window_of(drill: Drill, rng: np.random.Generator) -> tuple[float, float]:
    """Where a clip is looked at: as in coaching, 2 s around a moment that decides the level; for a
    share of the clips a whole repetition; anywhere in a clip that has neither."""
    duration = drill.pose.duration
    if drill.repetitions and rng.random() < REPETITION_SHARE:
        start, end = drill.repetitions[rng.integers(len(drill.repetitions))]
        start, end = np.array([start, end]) + rng.uniform(-JITTER, JITTER, 2)
        return max(float(start), 0.0), min(float(end), duration)
    if drill.moments:
        moment = drill.moments[rng.integers(len(drill.moments))]
        centre = sum(moment) / 2 + rng.uniform(-JITTER, JITTER)
    else:
        centre = rng.uniform(0, duration)
    return window_around(centre, duration)


def window_polarity(drill: Drill, span: tuple[float, float]) -> np.ndarray:
    """Polarity of the six regions [6] in a window: a fault counts where at least half of its span
    lies inside; regions whose faults all lie outside are IGNORE, and so are distractors'."""
    polarity = np.full(len(REGIONS), IGNORE)
    if drill.level is None:
        return polarity
    seen, all_faulty = set(), set()
    for fault in drill.faults:
        overlap = min(fault.end, span[1]) - max(fault.start, span[0])
        all_faulty.add(fault.region)
        if overlap >= 0.5 * (fault.end - fault.start):
            seen.add(fault.region)
    for row, region in enumerate(REGIONS):
        if region in seen:
            polarity[row] = NEEDS_IMPROVEMENT
        elif region not in all_faulty:
            polarity[row] = drill.regions[region]
    return polarity


def _render_one(
    task: tuple[Drill, Sequence[int]], *, activities: tuple[str, ...], frames: int, size: int
) -> dict[str, np.ndarray]:
    """The two rows of one drill."""
    drill, seed = task
    rng = np.random.default_rng(seed)
    span = window_of(drill, rng)
    views = [VIEWS[0], VIEWS[int(rng.integers(1, len(VIEWS)))]]
    times = uniform_times(*span, frames)
    scene = int(rng.integers(2**31))
    cameras = place_cameras(drill.pose, views, times, size=size, seed=scene)
    films = render_views(drill.pose, views, times, size=size, seed=scene, cameras=cameras)
    world = drill.pose.at_times(times, drill.pose.fps).joints
    joints = [cameras[view].to_camera(world) for view in views]
    places = [
        np.where(j[..., 2:] > NEAR, cameras[view].project(world) / size, -1.0)
        for j, view in zip(joints, views, strict=True)
    ]
    return {
        "frames": np.stack([films[view] for view in views]),
        "joints": np.stack([j - pelvis(j)[:, None] for j in joints]).astype(np.float32),
        "places": np.clip(np.stack(places), -1, 2).astype(np.float32),
        "activity": np.full(2, activities.index(drill.activity)),
        "level": np.full(2, IGNORE if drill.level is None else drill.level),
        "polarity": np.repeat(window_polarity(drill, span)[None], 2, axis=0),
        "participant": np.array([drill.participant_id] * 2, dtype="U64"),
        "view": np.array([0, 1]),
    }


def foreign_films(films: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pictures that are no renderings, made from renderings and noise, uint8 [B, T, S, S, 3].

    Noise at several scales, shuffled patches, negatives and blends of a rendering with noise:
    they teach the encoder to tell its own world from others without any real film.
    """
    out = np.empty_like(films)
    for row, film in enumerate(films):
        out[row] = FOREIGN[rng.integers(len(FOREIGN))](film, rng)
    return out


def _noise(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Coloured blocks of a random size, still or changing, as a base colour plus contrast."""
    frames, side = film.shape[:2]
    cell = int(rng.choice([1, 2, 4, 8, 16]))
    cells = -(-side // cell)
    still = rng.random() < 0.5
    grid = rng.normal(size=(1 if still else frames, cells, cells, 1 if rng.random() < 0.4 else 3))
    grid = np.broadcast_to(grid, (frames, cells, cells, 3))
    blocks = grid.repeat(cell, axis=1).repeat(cell, axis=2)[:, :side, :side]
    picture = rng.uniform(20, 235, 3) + rng.uniform(5, 90) * blocks
    return np.clip(picture, 0, 255).astype(np.uint8)


def _shuffled(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The rendering's tiles in another order, the same in all frames."""
    frames, side = film.shape[:2]
    tile = min(int(rng.choice([4, 8, 16])), side // 2)
    count = side // tile
    tiles = film[:, : count * tile, : count * tile].reshape(frames, count, tile, count, tile, 3)
    tiles = tiles.transpose(1, 3, 0, 2, 4, 5).reshape(count * count, frames, tile, tile, 3)
    tiles = tiles[rng.permutation(len(tiles))].reshape(count, count, frames, tile, tile, 3)
    mixed = tiles.transpose(2, 0, 3, 1, 4, 5).reshape(frames, count * tile, count * tile, 3)
    out = film.copy()
    out[:, : count * tile, : count * tile] = mixed
    return out


def _blended(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A rendering under texture, as cluttered rooms and compressed films are."""
    share = rng.uniform(0.35, 0.8)
    mixed = (1 - share) * film.astype(np.float32) + share * _noise(film, rng)
    return mixed.astype(np.uint8)


def _turned(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Upside down or lying, or a negative."""
    if rng.random() < 0.5:
        return 255 - film
    return np.rot90(film, int(rng.integers(1, 4)), axes=(1, 2))


FOREIGN: Final = (_noise, _shuffled, _blended, _turned)
