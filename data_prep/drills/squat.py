"""The bodyweight squat: style of a person, and the score of one clip.

Repetition time 1.5 to 5 s, peak knee flexion and trunk lean in the ranges of Schoenfeld (2010) and
Fry et al. (2003), see `faults`. All draws are made in the same order whatever the faults are, so
that the twin (no faults) is the same performance.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from data_prep.drills.around import finish, set_up
from data_prep.drills.faults import spec
from data_prep.drills.idle import POSTURES, Posture, idle, posture, reposition, settle, stance, vary
from data_prep.drills.performer import Performer
from data_prep.drills.take import Rep, Take, clip_to
from data_prep.drills.tracks import Score

ACTIVITY: Final = "bodyweight_squat"
STEPS: Final = ("set_up", "descent", "bottom", "ascent", "rest")

# At the bottom and at the top of the movement: hand_x, hand_y, hand_z, elbow, follow.
ARMS: Final = {
    "forward": ((0.96, -0.02, 0.02, 15.0, 0.15), POSTURES["hang"]),
    "forward_held": ((0.96, -0.02, 0.02, 15.0, 0.15), (0.95, -0.02, 0.0, 15.0, 0.15)),
    "clasped": ((0.42, -0.28, -0.20, 25.0, 0.8), (0.42, -0.28, -0.25, 25.0, 0.8)),
    "clasp_forward": ((0.55, -0.28, -0.12, 25.0, 0.5), POSTURES["hang"]),
    "crossed": ((0.34, -0.52, 0.02, 30.0, 1.0), (0.34, -0.52, 0.0, 30.0, 1.0)),
    "bar": ((-0.02, 0.34, 0.04, 20.0, 1.0), (-0.02, 0.34, 0.04, 20.0, 1.0)),
    "behind_head": ((0.02, -0.12, 0.40, 70.0, 1.0), (0.02, -0.12, 0.40, 70.0, 1.0)),
    "hips": (POSTURES["hips"], POSTURES["hips"]),
    "hang": ((0.22, 0.10, -0.92, 12.0, 0.1), POSTURES["hang"]),
    "overhead": ((0.15, 0.25, 0.95, 10.0, 0.8), (0.05, 0.25, 0.97, 10.0, 0.8)),
}
KNEE_ROOM: Final = 0.04  # metres, kept between knee and ankle at the bottom
CHANCES: Final = (0.24, 0.10, 0.14, 0.08, 0.12, 0.14, 0.07, 0.05, 0.04, 0.02)


@dataclass(frozen=True)
class Style:
    """How a person squats when nothing is wrong; lengths in metres, angles in degrees."""

    arms: str
    width: float
    toe: float
    flexion: float
    lean: float
    head: float
    knee_out: float
    descent: float
    pause: float
    ascent: float
    gap: float


def style(performer: Performer) -> Style:
    """The person's own way."""
    rng = performer.style_rng(ACTIVITY)
    arms = str(rng.choice(list(ARMS), p=CHANCES))
    flexion = rng.uniform(107, 135)
    back_heavy = arms in ("bar", "behind_head", "hips", "crossed", "hang")
    lean = 19 + 0.25 * (flexion - 104) + rng.uniform(0, 13) + (4 if back_heavy else 0)
    width = performer.stature * rng.uniform(0.15, 0.29)
    toe, knee_out = rng.uniform(4, 34), rng.uniform(0, 10)
    # Faultless knees pass outside the ankles: the wider the stance, the more the toes point out.
    inside = 0.25 * (width - performer.lengths["hip_width"]) + KNEE_ROOM
    least = np.degrees(np.arcsin(np.clip(inside / (0.62 * performer.lengths["shank"]), 0, 0.8)))
    return Style(
        arms=arms,
        width=width,
        toe=float(max(toe, least - knee_out)),
        flexion=flexion,
        lean=float(np.clip(lean, 18, 40)),
        head=rng.uniform(-8, 17),
        knee_out=knee_out,
        descent=rng.uniform(0.8, 1.8),
        pause=0.08 if rng.random() < 0.55 else rng.uniform(0.15, 0.9),
        ascent=rng.uniform(0.65, 1.4),
        gap=0.15 if rng.random() < 0.4 else rng.uniform(0.3, 1.6),
    )


def perform(
    performer: Performer,
    seed: int,
    variability: float,
    repetitions: int,
    faults: Mapping[str, tuple[float, frozenset[int]]],
) -> Take:
    """The score of one clip.

    Args:
        performer: who.
        seed: source of everything that differs from clip to clip.
        variability: spread from repetition to repetition (0.2 expert to 1.4 novice).
        repetitions: how many.
        faults: fault name to severity and the repetitions (0-based) that show it.
    """
    rng = np.random.default_rng([seed, 1])
    own = style(performer)
    score = Score()
    take = Take(score, STEPS)
    arms = own.arms if rng.random() < 0.75 else str(rng.choice(list(ARMS), p=CHANCES))
    top = vary(rng, ARMS[arms][1], 0.03)
    bottom = vary(rng, ARMS[arms][0], 0.03)
    feet = stance((0.0, 0.0), 0.0, own.width, own.toe, rng.normal(0, 0.012))
    time = set_up(score, rng, feet, top)
    tempo = performer.tempo * float(np.exp(rng.normal(0, 0.08)))
    for n in range(repetitions):
        active = {k: s for k, (s, reps) in faults.items() if n in reps}
        time = _repetition(take, rng, time, own, tempo, variability, active, (top, bottom), n)
        last = n == repetitions - 1
        gap = own.gap * rng.uniform(0.5, 1.5) * (3 if rng.random() < 0.12 else 1)
        pause = min(gap, 5.0)
        restless = rng.random() < 0.15
        if not last:
            take.mark(time, "rest")
            if restless and pause > 1.4:
                reposition(score, rng, time + 0.2, feet)
                idle(score, rng, time + 0.2, time + pause - 0.4, arms=False, liveliness=0.6)
                settle(score, time + pause - 0.4, time + pause, own.head * 0.4)
            time += pause
    take.mark(time, "rest")
    finish(take, rng, time)
    return take


def _repetition(
    take: Take,
    rng: np.random.Generator,
    time: float,
    own: Style,
    tempo: float,
    variability: float,
    active: Mapping[str, float],
    arms: tuple[Posture, Posture],
    index: int,
) -> float:
    """One squat from `time`; returns its end."""
    score = take.score
    v = variability
    draw = rng.normal(size=10)
    flexion = clip_to(ACTIVITY, "shallow_depth", own.flexion + 3.5 * v * draw[0], 2.0)
    lean = clip_to(ACTIVITY, "forward_lean", own.lean + 2.2 * v * draw[1], 1.5)
    head = clip_to(ACTIVITY, "head_drop", own.head + 2.5 * v * draw[2], 2.0)
    down, hold, up = _durations(own, tempo, v, draw)
    start, low = time, time + down
    rise, end = low + hold, low + hold + up
    values = {"shallow_depth": flexion, "forward_lean": lean, "head_drop": head}
    shown = {
        name: spec(ACTIVITY, name).size(active.get(name, 0.0), value)
        for name, value in values.items()
    }
    score.move(start, low, knee=shown["shallow_depth"], lean=shown["forward_lean"])
    score.both(start, low, knee_out=own.knee_out + 1.2 * v * draw[6])
    score.move(start, low, com_x=-0.022)
    score.move(rise, end, com_x=0.0)
    score.move(start, low, side=1.0 * v * draw[7], twist=1.2 * v * draw[8], head_yaw=0.0)
    score.move(start + 0.1 * down, low, head_pitch=shown["head_drop"])
    posture(score, start, low, arms[1])
    heel, valgus = active.get("heel_rise", 0.0), active.get("knee_valgus", 0.0)
    heel_size = spec(ACTIVITY, "heel_rise").size(heel, 0.0) / 100
    score.both(start + 0.35 * down, low, heel=heel_size)
    valgus_weight = min(1.0, valgus / 0.25)
    if valgus > 0:
        size = max(spec(ACTIVITY, "knee_valgus").size(max(valgus, 0.25), 0.0) / 100, 0.0)
        score.initial["inward_size_l"] = score.initial["inward_size_r"] = size
    score.both(start + 0.3 * down, low, inward=valgus_weight)
    standing = float(np.clip(5 + 2 * v * abs(draw[9]), 3, 12))
    score.move(rise, end, knee=standing, lean=1.5, side=0.0, twist=0.0)
    score.move(rise, end, head_pitch=3.0 + 0.2 * own.head)
    score.both(rise, rise + 0.75 * up, inward=0.0)
    score.both(rise, rise + 0.8 * up, heel=0.0)
    score.both(rise, end, knee_out=0.0)
    posture(score, rise, end, arms[0])
    take.mark(start, "descent")
    take.mark(low - 0.04, "bottom")
    take.mark(rise + 0.04, "ascent")
    take.repetitions.append(Rep(start, end, low + hold / 2, values | {"knee_out": own.knee_out}))
    spans = {
        "shallow_depth": (low - 0.4 * down, rise + 0.4 * up),
        "knee_valgus": (low - 0.5 * down, rise + 0.55 * up),
        "forward_lean": (low - 0.5 * down, rise + 0.5 * up),
        "heel_rise": (low - 0.45 * down, rise + 0.55 * up),
        "head_drop": (low - 0.6 * down, rise + 0.6 * up),
    }
    for name in active:
        take.spans.append((name, *spans[name]))
    return end


def _durations(own: Style, tempo: float, v: float, draw: np.ndarray) -> tuple[float, float, float]:
    """Descent, pause and ascent, together between 1.5 and 5 s."""
    down = own.descent * tempo * np.exp(0.10 * v * draw[3])
    up = own.ascent * tempo * np.exp(0.10 * v * draw[4])
    hold = own.pause * np.exp(0.15 * v * draw[5])
    total = down + hold + up
    scale = np.clip(total, 1.5, 5.0) / total
    return float(down * scale), float(hold * scale), float(up * scale)
