"""Before and after the repetitions of an exercise done on the spot: walk up, stand, walk off."""

import numpy as np

from data_prep.drills.idle import (
    POSTURES,
    Feet,
    Posture,
    idle,
    posture,
    reposition,
    settle,
    stance,
    walk,
)
from data_prep.drills.take import Take, setup_seconds
from data_prep.drills.tracks import Score


def set_up(
    score: Score,
    rng: np.random.Generator,
    feet: Feet,
    top: Posture,
) -> float:
    """Everything before the first repetition; returns its end."""
    duration = setup_seconds(rng)
    walks = rng.random() < 0.35 and duration > 2.5
    time = 0.0
    if walks:
        distance = rng.uniform(0.4, 2.2)
        angle = rng.uniform(-180, 180)
        away = (distance * np.cos(np.radians(angle)), distance * np.sin(np.radians(angle)))
        facing = rng.uniform(-180, 180) if distance > 0.9 else rng.uniform(-25, 25)
        score.initial["yaw"] = facing
        score.place(*stance(away, facing, 0.2, 8.0))
        wait = rng.uniform(0.0, 0.8)
        time = walk(score, rng, wait, (0.0, 0.0), 0.0, feet)
    elif rng.random() < 0.3 and duration > 1.6:
        score.place(*stance((rng.normal(0, 0.06), rng.normal(0, 0.06)), 0.0, 0.2, 8.0))
        time = reposition(score, rng, rng.uniform(0.1, max(duration - 1.4, 0.2)), feet)
    else:
        score.place(*feet)
    end = max(duration, time + 0.3)
    if rng.random() < 0.3:
        idle(score, rng, time if walks else 0.0, end - 0.6, liveliness=1.2)
    else:
        posture(score, 0.0, 0.1, top)
        idle(score, rng, time if walks else 0.0, end - 0.6, arms=False)
    posture(score, end - 0.6, end, top)
    settle(score, end - 0.5, end, 3.0)
    return end


def finish(take: Take, rng: np.random.Generator, time: float) -> None:
    """After the last repetition."""
    score = take.score
    end = time + rng.choice([rng.uniform(0.2, 0.8), rng.uniform(0.8, 4.0)], p=[0.4, 0.6])
    leaves = rng.random() < 0.2 and end - time > 1.8
    if leaves:
        posture(score, time + 0.1, time + 0.7, POSTURES["hang"])
        angle, distance = rng.uniform(-120, 120), rng.uniform(0.5, 1.5)
        to = (distance * np.cos(np.radians(angle)), distance * np.sin(np.radians(angle)))
        feet = stance(to, angle, 0.2, 8.0)
        end = max(end, walk(score, rng, time + 0.4, to, angle, feet) + 0.2)
    else:
        idle(score, rng, time + 0.1, end, "hang", arms=end - time > 1.0)
    take.end = end
