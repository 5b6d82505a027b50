"""A simple model of where the eyes go, with skill-dependent timing.

Skilled free throwers fixate the rim early and long, the quiet eye (Vickers 1996, J Exp Psychol
Hum Percept Perform 22(2)): about 0.9 s against 0.3 s. In the squat the skilled look at one point.
In the penalty kick they look at the goal, then at the ball until it is hit (Wood & Wilson 2011,
Cogn Process 12(3)), in the golf swing at the ball until after impact (Vickers 1992, Perception
21(1)); the less skilled come late and leave early.
"""

import numpy as np

from data_prep.drills.take import Take
from data_prep.drills.tracks import FPS, wobble


def gaze_path(
    rng: np.random.Generator, activity: str, variability: float, take: Take
) -> np.ndarray:
    """Gaze [F, 2] in degrees: azimuth (left positive) and elevation against the clip's heading."""
    frames = take.frames
    wander = np.stack([wobble(rng, frames, 0.2, 2.0), wobble(rng, frames, 0.2, 2.0)], 1)
    gaze = wander * np.array([12.0, 8.0]) * (0.4 + 0.6 * variability)
    if take.fixations:
        return _fixated(gaze, variability, take)
    throwing = activity == "basketball_free_throw"
    target = np.array([0.0, 14.0 if throwing else rng.uniform(-12, 6)])
    onset = 0.9 - 0.45 * variability if throwing else 0.0
    times = np.arange(frames) / FPS
    for rep in take.repetitions:
        start = rep.key - max(onset, 0.15) if throwing else rep.start
        end = rep.key + 0.5 if throwing else rep.end
        near = np.clip(np.minimum(times - start, end - times) / 0.12 + 1, 0, 1)[:, None]
        steady = target + 0.12 * variability * gaze
        gaze = gaze * (1 - near) + steady * near
    return gaze.astype(np.float32)


def _fixated(gaze: np.ndarray, variability: float, take: Take) -> np.ndarray:
    """The wandering gaze [F, 2], held at the take's fixations, the shorter the less skilled."""
    times = np.arange(len(gaze)) / FPS
    wander = gaze
    for start, end, azimuth, elevation in take.fixations:
        lost = 0.25 * variability * (end - start)
        inside = np.minimum(times - start - lost, end - 0.4 * lost - times)
        near = np.clip(inside / 0.12 + 1, 0, 1)[:, None]
        steady = np.array([azimuth, elevation]) + 0.12 * variability * wander
        gaze = gaze * (1 - near) + steady * near
    return gaze.astype(np.float32)
