"""`poise bench align`: window alignment and time warping beside the usual ways to do them.

Every round times the same kind of work in turns: `windows.window_errors` on all cores, one SVD a
pair of frames in a Python loop, and batched NumPy SVD (`alignment.pa_mpjpe`, thousands of frames a
call) on one core and on all. Unit: frame alignments a second.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import numpy as np

from assistant.bench import BY_RATE, compared, in_turns, spread
from assistant.pose.alignment import pa_mpjpe
from assistant.pose.dtw import dtw, frame_distances
from assistant.pose.normalise import REST_POSE
from assistant.pose.windows import cores, window_errors

ROUNDS: Final = 7
FPS: Final = 30
WINDOW, EXPERT = 2 * FPS, 4 * FPS  # frames
POSITIONS: Final = EXPERT - WINDOW + 1
LEARNERS, EXPERTS = 8, 200
BATCHED, ONE_BY_ONE = 12_000, 1_200  # frame alignments a round
GOAL: Final = (25_000, 200)  # learners, experts each: the whole of Ego-Exo4D
DTW_FRAMES: Final = 300


def run() -> dict[str, Any]:
    """Frame alignments a second of ours and of two baselines, the time of DTW, a projection."""
    rng = np.random.default_rng(0)
    learners = _motions(rng, LEARNERS, WINDOW)
    experts = list(_motions(rng, EXPERTS, EXPERT))
    a, b = _motions(rng, 1, BATCHED)[0], _motions(rng, 1, BATCHED)[0]
    window_errors(learners[:1], experts[:1])  # compile
    works: list[Callable[[], object]] = [
        partial(window_errors, learners, experts),
        partial(window_errors, learners[:2], experts, threads=1),
        partial(_one_by_one, a[:ONE_BY_ONE], b[:ONE_BY_ONE]),
        partial(pa_mpjpe, a, b),
        partial(_batched_on_all_cores, a, b),
    ]
    frames = LEARNERS * EXPERTS * POSITIONS * WINDOW
    sizes = [frames, frames * 2 // LEARNERS, ONE_BY_ONE, BATCHED, BATCHED]
    times = in_turns(works, ROUNDS)
    rates = [[n / t for t in spent] for n, spent in zip(sizes, times, strict=True)]
    ours, one_core, *baselines = rates
    pairs = [LEARNERS * EXPERTS / t for t in times[0]]
    hours = [GOAL[0] * GOAL[1] / rate / 3600 for rate in pairs]
    names = (
        "one SVD a pair in a loop",
        "batched NumPy SVD",
        f"batched NumPy SVD, {cores()} threads",
    )
    form: dict[str, Any] = {"unit": "frame alignments/s", "ratio_is": BY_RATE}
    others = dict(zip(names, baselines, strict=True))
    return {
        "measured": f"windows of {WINDOW} frames in experts' {EXPERT}",
        **compared(ours, others, ours_is=f"window_errors, {cores()} threads", **form),
        "parts": {
            "the same": compared(one_core, others, ours_is="window_errors, 1 thread", **form)
        },
        "dtw": _time_warping(rng),
        "projection": {
            "learners": GOAL[0],
            "experts_each": GOAL[1],
            "window_frames": WINDOW,
            "expert_frames": EXPERT,
            "hours": spread(hours),
            "measured_pairs_a_round": LEARNERS * EXPERTS,
        },
    }


def _time_warping(rng: np.random.Generator) -> dict[str, Any]:
    """Milliseconds of `dtw` on 300 x 300 frames, and of the distances it reads."""
    a, b = _motions(rng, 2, DTW_FRAMES)
    cost = frame_distances(a, b)
    dtw(cost)
    warped, compared = in_turns([partial(dtw, cost), partial(frame_distances, a, b)], 30)
    return {
        "frames": [DTW_FRAMES, DTW_FRAMES],
        "ms": spread([1000 * t for t in warped]),
        "distances_ms": spread([1000 * t for t in compared]),
        "rounds": len(warped),
    }


def _motions(rng: np.random.Generator, count: int, frames: int) -> np.ndarray:
    """[count, frames, 17, 3] metres: bodies that wander smoothly about the standing pose."""
    steps = rng.normal(0, 0.02, (count, frames, *REST_POSE.shape))
    motion: np.ndarray = REST_POSE + 0.15 * np.tanh(steps.cumsum(axis=1))
    return motion


def _batched_on_all_cores(a: np.ndarray, b: np.ndarray) -> None:
    """The batched baseline with a part of the frames on every core."""
    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(pa_mpjpe, np.array_split(a, cores()), np.array_split(b, cores())))


def _one_by_one(a: np.ndarray, b: np.ndarray) -> list[float]:
    """The usual loop: centre, SVD, determinant, scale, distances, one pair of frames at a time."""
    errors = []
    for x, y in zip(a, b, strict=True):
        mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
        x0, y0 = x - mean_x, y - mean_y
        u, s, vt = np.linalg.svd(x0.T @ y0)
        sign = np.sign(np.linalg.det(u @ vt))
        rotation = (u * [1.0, 1.0, sign]) @ vt
        scale = (s[0] + s[1] + sign * s[2]) / (x0**2).sum()
        moved = scale * x0 @ rotation + mean_y
        errors.append(1000 * float(np.linalg.norm(moved - y, axis=-1).mean()))
    return errors
