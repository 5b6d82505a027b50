"""What people do before and after: stand, shift weight, look about, change the arms, walk."""

from typing import Final

import numpy as np

from data_prep.drills.tracks import Score

# An arm: hand_x, hand_y, hand_z, elbow, follow. Both feet: x, y, toe direction of left and right.
Posture = tuple[float, float, float, float, float]
Feet = tuple[tuple[float, float, float], tuple[float, float, float]]

POSTURES: Final[dict[str, Posture]] = {
    "hang": (0.08, 0.12, -0.95, 12.0, 0.3),
    "hips": (0.08, 0.16, -0.66, 85.0, 1.0),
    "clasped": (0.42, -0.26, -0.42, 25.0, 0.9),
    "front": (0.30, -0.20, -0.80, 15.0, 0.5),
    "crossed": (0.36, -0.34, -0.26, 18.0, 1.0),
    "back": (-0.22, -0.10, -0.80, 30.0, 0.8),
    "ball": (0.52, -0.16, -0.52, 22.0, 0.7),
    "phone": (0.40, -0.05, -0.25, 10.0, 0.8),
}


def posture(
    score: Score,
    start: float,
    end: float,
    values: Posture,
    sides: str = "lr",
) -> None:
    """Bring one or both arms into a posture."""
    names = ("hand_x", "hand_y", "hand_z", "elbow", "follow")
    for side in sides:
        score.move(start, end, **{f"{n}_{side}": v for n, v in zip(names, values, strict=True)})


def vary(rng: np.random.Generator, values: Posture, size: float = 0.05) -> Posture:
    """The same posture as another person holds it."""
    x, y, z, elbow, follow = values
    dx, dy, dz, de = rng.normal(size=4)
    return (x + size * dx, y + size * dy, z + 0.5 * size * dz, elbow + 6 * de, follow)


def idle(
    score: Score,
    rng: np.random.Generator,
    start: float,
    end: float,
    favourite: str = "hang",
    arms: bool = True,
    liveliness: float = 1.0,
) -> None:
    """Stand and fidget from `start` to `end`; ends wherever it is, heading unchanged."""
    time = start
    if arms and end - start > 0.35:
        posture(score, time, min(time + 0.6, end), vary(rng, POSTURES[favourite]))
    while end - time > 1.0:
        span = min(rng.uniform(0.9, 3.0), end - time)
        quick = min(0.8, span)
        if arms and rng.random() < 0.45:
            name = str(rng.choice(["hang", "hips", "clasped", "front", "crossed", "back"]))
            sides = str(rng.choice(["lr", "lr", "l", "r"]))
            posture(score, time, time + quick, vary(rng, POSTURES[name]), sides)
        if rng.random() < 0.6:
            score.move(
                time,
                time + quick,
                head_yaw=liveliness * rng.normal(0, 18),
                head_pitch=4 + liveliness * rng.normal(4, 9),
            )
        if rng.random() < 0.6:
            score.move(
                time,
                time + span,
                com_y=rng.normal(0, 0.025),
                com_x=rng.normal(0, 0.012),
                side=rng.normal(0, 1.5),
                twist=liveliness * rng.normal(0, 5),
                lean=1 + rng.normal(0, 2.5),
                knee=float(np.clip(rng.normal(6, 4), 3, 18)),
            )
        time += span


def settle(score: Score, start: float, end: float, head_pitch: float = 3.0) -> None:
    """Come back to a straight stand."""
    score.move(
        start,
        end,
        com_x=0.0,
        com_y=0.0,
        side=0.0,
        twist=0.0,
        list=0.0,
        lean=1.5,
        knee=6.0,
        head_yaw=0.0,
        head_pitch=head_pitch,
    )


def stance(
    middle: tuple[float, float], facing: float, width: float, toe: float, ahead: float = 0.0
) -> Feet:
    """Places of both feet about a point: ankles `width` metres apart, left foot `ahead`."""
    angle = np.radians(facing)
    forward, left = (np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))
    feet = []
    for sign in (1.0, -1.0):
        x = middle[0] + sign * (0.5 * width * left[0] + 0.5 * ahead * forward[0])
        y = middle[1] + sign * (0.5 * width * left[1] + 0.5 * ahead * forward[1])
        feet.append((float(x), float(y), float(facing + sign * toe)))
    return feet[0], feet[1]


def reposition(
    score: Score,
    rng: np.random.Generator,
    start: float,
    feet: Feet,
    pace: float = 0.4,
) -> float:
    """Step both feet to new places without turning; returns the end time."""
    order = (0, 1) if rng.random() < 0.5 else (1, 0)
    for n, side in enumerate(order):
        begin = start + n * pace
        score.step(begin, begin + 0.85 * pace, side, feet[side], rng.uniform(0.02, 0.06))
    return start + 2 * pace


def walk(
    score: Score,
    rng: np.random.Generator,
    start: float,
    to: tuple[float, float],
    facing: float,
    feet: Feet,
    pace: float = 0.52,
    stride: float = 0.58,
) -> float:
    """Walk to `to` and stand on `feet` facing `facing` degrees; returns the end time."""
    left, right = score.feet
    here = np.array([(left[0] + right[0]) / 2, (left[1] + right[1]) / 2])
    way = np.array(to) - here
    distance = float(np.hypot(*way))
    now = score.value("yaw")
    facing = now + (facing - now + 180) % 360 - 180
    heading = now
    turn = distance > 0.9
    if turn:
        toward = float(np.degrees(np.arctan2(way[1], way[0])))
        heading = now + (toward - now + 180) % 360 - 180
        facing = heading + (facing - heading + 180) % 360 - 180
    count = max(int(np.ceil(distance / (stride if turn else 0.3))) - 1, 0)
    width = 0.17 if turn else 0.24
    if turn:
        score.move(start, start + max(0.6, abs(heading - now) / 160), yaw=heading)
    score.move(start, start + 0.4, swing=0.55 if turn else 0.1, knee=10.0)
    side = int(rng.integers(2))
    time = start
    for n in range(1, count + 1):
        middle = here + way * n / (count + 1)
        place = stance((middle[0], middle[1]), heading, width, 6.0)[side]
        score.step(time, time + 0.8 * pace, side, place, rng.uniform(0.06, 0.11))
        time += pace
        side = 1 - side
    score.move(time, time + max(0.8, abs(facing - heading) / 160), yaw=facing)
    for _ in range(2):
        score.step(time, time + 0.85 * pace, side, feet[side], 0.06)
        time += pace
        side = 1 - side
    score.move(time - 0.3, time + 0.2, swing=0.0, knee=6.0)
    return time
