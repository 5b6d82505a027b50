"""Seven motions that are no drill: the model must name them and decline to judge."""

from typing import Final

import numpy as np

from data_prep.drills.idle import POSTURES, idle, posture, settle, stance, vary, walk
from data_prep.drills.performer import Performer
from data_prep.drills.take import Take, setup_seconds
from data_prep.drills.tracks import Score

DISTRACTORS: Final = ("stand", "walk", "wave", "jump", "sit_down", "balance", "random_motion")
STEPS: Final = ("set_up", "action", "rest")
GRAVITY: Final = 9.81


def perform(performer: Performer, seed: int, activity: str) -> Take:
    """The score of one distractor clip."""
    rng = np.random.default_rng([seed, 3])
    take = Take(Score(), STEPS)
    feet = stance((0.0, 0.0), 0.0, performer.stature * rng.uniform(0.1, 0.22), rng.uniform(0, 25))
    take.score.place(*feet)
    writers = {
        "stand": _stand,
        "walk": _walk,
        "wave": _wave,
        "jump": _jump,
        "sit_down": _sit_down,
        "balance": _balance,
        "random_motion": _random,
    }
    time = 0.0
    if activity not in ("stand", "random_motion", "walk"):
        time = setup_seconds(rng)
        idle(take.score, rng, 0.0, time - 0.4)
        settle(take.score, time - 0.4, time)
        if activity != "balance":
            posture(take.score, time - 0.4, time, vary(rng, POSTURES["hang"]))
    take.mark(time, "action")
    end = writers[activity](take, rng, time, performer)
    take.mark(end, "rest")
    rest = rng.uniform(0.2, 2.5)
    if activity not in ("stand", "random_motion"):
        idle(take.score, rng, end, end + rest)
    take.end = end + rest
    return take


def _stand(take: Take, rng: np.random.Generator, time: float, performer: Performer) -> float:
    end = time + rng.uniform(2.0, 12.0)
    idle(take.score, rng, time, end, str(rng.choice(list(POSTURES))), liveliness=rng.uniform(0, 2))
    return end


def _walk(take: Take, rng: np.random.Generator, time: float, performer: Performer) -> float:
    score = take.score
    here, angle = np.zeros(2), rng.uniform(-180, 180)
    for _ in range(int(rng.integers(1, 4))):
        angle += rng.normal(0, 70)
        here = here + rng.uniform(1.2, 4.0) * np.array(
            [np.cos(np.radians(angle)), np.sin(np.radians(angle))]
        )
        to = (float(here[0]), float(here[1]))
        pace = rng.uniform(0.42, 0.65) * performer.tempo
        stride = performer.stature * rng.uniform(0.28, 0.42)
        time = walk(score, rng, time, to, angle, stance(to, angle, 0.2, 8.0), pace, stride)
        time += rng.uniform(0.0, 0.8)
    return time


def _wave(take: Take, rng: np.random.Generator, time: float, performer: Performer) -> float:
    score = take.score
    sides = str(rng.choice(["l", "r", "lr"], p=[0.35, 0.45, 0.2]))
    up = (rng.uniform(0.1, 0.4), rng.uniform(0.2, 0.5), rng.uniform(0.3, 0.8), 40.0, 0.3)
    posture(score, time, time + 0.6, up, sides)
    time += 0.6
    period, size = rng.uniform(0.3, 0.8), rng.uniform(0.12, 0.3)
    for n in range(int(rng.integers(3, 12))):
        sign = 1 if n % 2 else -1
        score.move(time, time + period / 2, **{f"hand_y_{s}": up[1] + sign * size for s in sides})
        time += period / 2
    posture(score, time, time + 0.6, POSTURES["hang"], sides)
    return time + 0.6


def _jump(take: Take, rng: np.random.Generator, time: float, performer: Performer) -> float:
    score = take.score
    height, flexion = rng.uniform(0.08, 0.45), rng.uniform(45, 100)
    swing, travel = rng.random() < 0.7, rng.choice([0.0, rng.uniform(0.0, 0.8)])
    gap = rng.choice([0.0, rng.uniform(0.2, 1.2)])
    jack = rng.random() < 0.15
    for _ in range(int(rng.integers(1, 9))):
        down, up = rng.uniform(0.25, 0.6), rng.uniform(0.18, 0.3)
        score.move(time, time + down, knee=flexion, lean=rng.uniform(10, 42))
        if swing:
            score.both(time, time + down, hand_x=-0.4, hand_z=-0.85)
            score.both(time + down, time + down + up, hand_x=0.55, hand_z=rng.uniform(-0.2, 0.8))
        if jack:
            score.both(time + down, time + down + up, hand_x=0.1, hand_y=0.5, hand_z=0.8)
        score.move(time + down, time + down + up, knee=5.0, lean=0.0)
        score.both(time + down + 0.5 * up, time + down + up, heel=0.06)
        flight = 2 * np.sqrt(2 * height / GRAVITY)
        off = time + down + up
        score.move(off - 1 / 30, off, lift=0.0)
        for p in np.linspace(0, 1, 9)[1:-1]:
            score.keys["lift"].append((off + p * flight, 4 * height * p * (1 - p), True))
        score.keys["lift"].append((off + flight, 0.0, False))
        for side in (0, 1):
            x, y, toe = score.feet[side]
            score.step(off, off + flight, side, (x + float(travel), y, toe), 0.0)
        land = off + flight
        score.both(land - 0.05, land + 0.15, heel=0.0)
        score.move(land - 0.03, land + 0.2, knee=20 + 90 * height, lean=12.0)
        score.both(land, land + 0.4, hand_x=0.1, hand_y=0.12, hand_z=-0.9)
        time = land + 0.2 + gap
    score.move(time, time + 0.5, knee=6.0, lean=1.0)
    return time + 0.5


def _sit_down(take: Take, rng: np.random.Generator, time: float, performer: Performer) -> float:
    score = take.score
    flexion = rng.uniform(78, 102)
    back = performer.stature * rng.uniform(0.10, 0.15)
    lean = rng.uniform(20, 45)
    hands = (0.45, rng.uniform(-0.15, 0.1), -0.62, 25.0, 0.6)
    for _ in range(int(rng.integers(1, 4))):
        down, up = rng.uniform(0.9, 1.8), rng.uniform(0.8, 1.6)
        seated = rng.uniform(0.5, 4.0)
        score.move(time, time + 0.65 * down, lean=lean)
        score.move(time, time + down, knee=flexion, com_x=-back)
        posture(score, time, time + down, vary(rng, hands))
        score.move(time + 0.75 * down, time + down + 0.4, lean=rng.uniform(-12, 8))
        time += down
        if seated > 1.2:
            score.move(time + 0.4, time + 1.1, head_yaw=rng.normal(0, 20), twist=rng.normal(0, 6))
        time += seated
        score.move(time, time + 0.4 * up, lean=lean)
        score.move(time + 0.15 * up, time + up, knee=6.0, com_x=0.0)
        score.move(time + 0.4 * up, time + up, lean=1.0, twist=0.0, head_yaw=0.0)
        posture(score, time + 0.2 * up, time + up, vary(rng, POSTURES["hang"]))
        time += up + rng.uniform(0.2, 1.5)
    return time


def _balance(take: Take, rng: np.random.Generator, time: float, performer: Performer) -> float:
    score = take.score
    spread = (rng.uniform(0.0, 0.2), rng.uniform(0.75, 0.97), rng.uniform(-0.35, 0.15), 10.0, 1.0)
    posture(score, time, time + 0.7, vary(rng, spread))
    if rng.random() < 0.5:
        return _beam(score, rng, time + 0.4)
    for _ in range(int(rng.integers(1, 4))):
        side = int(rng.integers(2))
        sign = -1.0 if side == 0 else 1.0  # the weight goes over the other foot
        x, y, toe = score.feet[side]
        stay = score.feet[1 - side]
        shift = abs(stay[1] - y) / 2
        hold = rng.uniform(1.0, 5.0)
        lifted = (x + rng.uniform(-0.35, 0.3), stay[1] - sign * rng.uniform(0.08, 0.2), toe)
        height = rng.uniform(0.12, 0.5)
        score.move(time, time + 0.6, com_y=sign * shift * 0.9)
        _raise_foot(score, time + 0.4, side, lifted, height, hold)
        score.move(time + 1.0, time + 0.6 + hold, side=rng.normal(0, 5), lean=rng.normal(4, 8))
        end = time + 0.9 + hold + 0.5
        score.move(end - 0.5, end, com_y=0.0, side=0.0, lean=1.0)
        time = end + rng.uniform(0.1, 0.8)
    posture(score, time, time + 0.6, POSTURES["hang"])
    return time + 0.6


def _raise_foot(
    score: Score,
    time: float,
    side: int,
    place: tuple[float, float, float],
    height: float,
    hold: float,
) -> None:
    """Lift one foot, keep it, and put it back: three overlapping steps make the plateau."""
    x, y, toe = score.feet[side]
    score.airborne(time, time + 0.5, time + 0.5 + hold, time + 1.0 + hold, side, height)
    score.step(time, time + 0.5, side, place, 0.0)
    score.step(time + 0.5 + hold, time + 1.0 + hold, side, (x, y, toe), 0.0)


def _beam(score: Score, rng: np.random.Generator, time: float) -> float:
    """Walk heel to toe along a line with the arms out."""
    x = (score.feet[0][0] + score.feet[1][0]) / 2
    pace, stride = rng.uniform(0.6, 1.3), rng.uniform(0.18, 0.34)
    side = int(rng.integers(2))
    for _ in range(int(rng.integers(4, 11))):
        x += stride
        lateral = 0.02 if side == 0 else -0.02
        score.step(time, time + 0.8 * pace, side, (x, lateral, 4.0), rng.uniform(0.05, 0.2))
        score.move(time, time + 0.8 * pace, side=rng.normal(0, 5), twist=rng.normal(0, 6))
        score.move(
            time,
            time + 0.8 * pace,
            hand_z_l=rng.uniform(-0.4, 0.3),
            hand_z_r=rng.uniform(-0.4, 0.3),
            knee=rng.uniform(6, 30),
            lean=rng.normal(4, 6),
        )
        time += pace
        side = 1 - side
    return time


def _random(take: Take, rng: np.random.Generator, time: float, performer: Performer) -> float:
    """Smooth random poses on planted feet, with now and then a step."""
    score = take.score
    end = time + rng.uniform(2.5, 10.0)
    while time < end:
        span = rng.uniform(0.4, 1.6)
        score.move(
            time,
            time + span,
            knee=abs(rng.normal(0, 35)) + 4,
            lean=rng.normal(8, 18),
            side=rng.normal(0, 12),
            twist=rng.normal(0, 20),
            head_pitch=rng.normal(5, 20),
            head_yaw=rng.normal(0, 25),
            com_x=rng.normal(0, 0.03),
            com_y=rng.normal(0, 0.03),
        )
        for s in "lr":
            direction = rng.normal(size=3)
            direction = direction / np.linalg.norm(direction) * rng.uniform(0.5, 0.98)
            score.move(
                time,
                time + span,
                **{
                    f"hand_x_{s}": direction[0],
                    f"hand_y_{s}": abs(direction[1]) - 0.15,
                    f"hand_z_{s}": direction[2],
                    f"elbow_{s}": rng.uniform(0, 60),
                    f"heel_{s}": max(rng.normal(-0.02, 0.03), 0.0),
                    f"knee_out_{s}": rng.normal(0, 10),
                },
            )
        if rng.random() < 0.3:
            side = int(rng.integers(2))
            x, y, toe = score.feet[side]
            move = rng.normal(0, 0.1, 2)
            sign = 1.0 if side == 0 else -1.0
            y = sign * max(sign * (y + move[1]), 0.06)
            score.step(time, time + 0.45, side, (x + move[0], y, toe), rng.uniform(0.03, 0.15))
        time += span
    return time
