"""The forward lunge: one leg steps out, the hips sink between the feet, the leg pushes back.

Step length, depth and trunk in the ranges of Riemann et al. (2013) and Escamilla et al. (2008), see
`faults_gym`: front knee near 90 degrees over its foot, rear knee close to the ground with the heel
up, trunk upright. Draws are made in the same order whatever the faults are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from assistant.skeleton import RIGHT_KNEE
from data_prep.drills.around import finish, set_up
from data_prep.drills.body import assemble
from data_prep.drills.faults import spec
from data_prep.drills.idle import POSTURES, Posture, idle, posture, stance, vary
from data_prep.drills.performer import Performer
from data_prep.drills.take import Rep, Take, clip_to
from data_prep.drills.tracks import CONTROLS, DEFAULTS, Score

ACTIVITY: Final = "forward_lunge"
STEPS: Final = ("set_up", "step", "descent", "bottom", "push_back", "rest")
ARMS: Final = ("hips", "hang", "clasped", "crossed")
CHANCES: Final = (0.40, 0.34, 0.16, 0.10)
LANDING: Final = 0.52  # share of the way down at which the front foot lands


@dataclass(frozen=True)
class Style:
    """How a person lunges when nothing is wrong; lengths in metres, angles in degrees."""

    arms: str
    width: float
    toe: float
    clearance: float  # of the rear knee over the ground at the deepest point
    step: float
    lean: float
    head: float
    knee_out: float
    heel: float  # of the rear foot, share of the highest
    lift: float
    down: float
    pause: float
    up: float
    gap: float
    look: float  # elevation of the gaze
    legs: str  # "alternate" or "same"


def style(performer: Performer) -> Style:
    """The person's own way."""
    rng = performer.style_rng(ACTIVITY)
    leg = performer.lengths["thigh"] + performer.lengths["shank"]
    return Style(
        arms=str(rng.choice(ARMS, p=CHANCES)),
        width=float(np.clip(performer.stature * rng.uniform(0.09, 0.15), 0.14, 0.28)),
        toe=rng.uniform(0, 8),
        clearance=rng.uniform(0.05, 0.13),
        step=float(np.clip(leg * rng.uniform(0.78, 0.92), 0.64, 0.98)),
        lean=rng.uniform(1, 14),
        head=rng.uniform(-8, 17),
        knee_out=rng.uniform(2, 9),
        heel=rng.uniform(0.75, 0.95),
        lift=rng.uniform(0.05, 0.13),
        down=rng.uniform(1.0, 1.7),
        pause=0.08 if rng.random() < 0.55 else rng.uniform(0.15, 0.8),
        up=rng.uniform(0.75, 1.25),
        gap=0.15 if rng.random() < 0.4 else rng.uniform(0.3, 1.5),
        look=rng.uniform(-14, 4),
        legs="alternate" if rng.random() < 0.65 else "same",
    )


def perform(
    performer: Performer,
    seed: int,
    variability: float,
    repetitions: int,
    faults: Mapping[str, tuple[float, frozenset[int]]],
) -> Take:
    """The score of one clip; arguments as in `squat.perform`."""
    rng = np.random.default_rng([seed, 11])
    own = style(performer)
    score = Score()
    take = Take(score, STEPS)
    arms = vary(rng, POSTURES[own.arms], 0.03)
    for name, value in zip(("hand_x", "hand_y", "hand_z", "elbow", "follow"), arms, strict=True):
        score.initial |= {f"{name}_l": value, f"{name}_r": value}
    time = set_up(score, rng, stance((0.0, 0.0), 0.0, own.width, own.toe), arms)
    lunger = _Lunger(take, rng, own, performer, variability, arms)
    first = int(rng.integers(2))
    for n in range(repetitions):
        active = {k: s for k, (s, reps) in faults.items() if n in reps}
        lead = first if own.legs == "same" else (first + n) % 2
        time = lunger.repetition(time, lead, active)
        take.mark(time, "rest")
        pause = min(own.gap * rng.uniform(0.5, 1.5) * (3 if rng.random() < 0.12 else 1), 5.0)
        if n < repetitions - 1:
            if pause > 1.4:
                idle(score, rng, time + 0.2, time + pause - 0.4, arms=False, liveliness=0.5)
                score.move(time + pause - 0.4, time + pause, com_x=0.0, com_y=0.0, side=0.0)
                score.move(time + pause - 0.4, time + pause, head_yaw=0.0, twist=0.0, knee=5.0)
            time += pause
    finish(take, rng, time)
    return take


class _Lunger:
    """Writes the repetitions of one clip."""

    def __init__(
        self,
        take: Take,
        rng: np.random.Generator,
        own: Style,
        performer: Performer,
        variability: float,
        arms: Posture,
    ) -> None:
        self.take, self.score, self.rng, self.own = take, take.score, rng, own
        self.performer, self.length = performer, performer.lengths
        self.v, self.arms = variability, arms
        self.tempo = performer.tempo * float(np.exp(rng.normal(0, 0.08)))
        height, foot = self.length["ankle_height"], self.length["foot"]
        radius = np.hypot(foot, height)
        self.heel = own.heel * (radius - height)
        # The rear ankle comes forward as its heel rises about the ball of the foot.
        self.forward = foot - np.sqrt(radius**2 - (height + self.heel) ** 2)

    def repetition(self, time: float, lead: int, active: Mapping[str, float]) -> float:
        """One lunge with leg `lead` (0 left, 1 right) from `time`; returns its end."""
        own, v = self.own, self.v
        draw = self.rng.normal(size=12)
        values = {
            "forward_lean": (own.lean + 1.8 * v * draw[1], 2.5),
            "short_step": (100 * own.step + 2.2 * v * draw[2], 2.5),
            "head_drop": (own.head + 2.5 * v * draw[3], 2.0),
        }
        kept = {k: clip_to(ACTIVITY, k, x, margin) for k, (x, margin) in values.items()}
        flexion = self._deepest(kept["short_step"] / 100, kept["forward_lean"])
        flexion -= 2.6 * v * abs(draw[0])
        kept["shallow_lunge"] = clip_to(ACTIVITY, "shallow_lunge", flexion, 1.5)
        shown = {k: spec(ACTIVITY, k).size(active.get(k, 0.0), x) for k, x in kept.items()}
        down = float(np.clip(own.down * self.tempo * np.exp(0.10 * v * draw[4]), 0.8, 2.6))
        hold = float(own.pause * np.exp(0.15 * v * draw[5]))
        up = float(np.clip(own.up * self.tempo * np.exp(0.10 * v * draw[6]), 0.6, 2.2))
        low, rise = time + down, time + down + hold
        end = rise + up
        self._legs(time, low, rise, end, lead, shown, draw)
        self._valgus(time, low, rise, end, lead, active.get("front_knee_valgus", 0.0))
        self._body(time, low, rise, end, shown, draw)
        take = self.take
        landing = time + LANDING * down
        for start, name in (
            (time, "step"),
            (landing, "descent"),
            (low - 0.04, "bottom"),
            (rise + 0.04, "push_back"),
        ):
            take.mark(start, name)
        take.repetitions.append(Rep(time, end, low + hold / 2, kept))
        take.fixations.append((time, end, 0.0, own.look))
        spans = {
            "shallow_lunge": (low - 0.3 * down, rise + 0.3 * up),
            "front_knee_valgus": (low - 0.35 * down, rise + 0.4 * up),
            "forward_lean": (low - 0.5 * down, rise + 0.5 * up),
            "short_step": (landing, rise + 0.25 * up),
            "head_drop": (low - 0.6 * down, rise + 0.6 * up),
        }
        for name in active:
            take.spans.append((name, *spans[name]))
        return end

    def _deepest(self, step: float, lean: float) -> float:
        """Flexion of the front knee, degrees, at which the rear knee is `clearance` high."""
        flexions = np.linspace(78.0, 114.0, 25)
        curves = {name: np.full(len(flexions), DEFAULTS[name]) for name in CONTROLS}
        curves["knee"], curves["com_x"] = flexions, curves["com_x"] + self._balance(lean)
        curves["lean"] = curves["lean"] * 0 + lean
        curves["carry_r"], curves["heel_r"] = 0 * flexions, 0 * flexions + self.heel
        feet = np.zeros((len(flexions), 2, 4))
        half = self.own.width / 2
        across = min(self.own.width, 0.9 * step)
        feet[:, 0, 0] = self.forward + np.sqrt(step**2 - across**2)
        feet[:, :, 1] = half, -half
        joints = assemble(self.performer, curves, feet, np.ones((len(flexions), 2)))
        low = joints[:, RIGHT_KNEE, 2] < self.own.clearance
        return float(flexions[max(int(np.argmax(low)) - 1, 0)] if low.any() else flexions[-1])

    @staticmethod
    def _balance(lean: float) -> float:
        """Where the weight is carried, metres: a trunk that leans brings it over the front foot."""
        return -0.01 + 0.0016 * max(lean - 10.0, 0.0)

    def _legs(
        self,
        time: float,
        low: float,
        rise: float,
        end: float,
        lead: int,
        shown: Mapping[str, float],
        draw: np.ndarray,
    ) -> None:
        score, own = self.score, self.own
        down, up = low - time, end - rise
        front, rear = "lr"[lead], "lr"[1 - lead]
        x, y, toe = score.feet[lead]
        heel = self.heel
        step = shown["short_step"] / 100
        across = score.feet[lead][1] - score.feet[1 - lead][1]
        ahead = score.feet[1 - lead][0] + self.forward + np.sqrt(step**2 - across**2)
        landing = time + LANDING * down
        score.step(time, landing, lead, (ahead, y, toe * 0.5), own.lift)
        score.move(time, time + 0.3 * down, knee=16.0)
        score.move(time + 0.3 * down, low, knee=shown["shallow_lunge"])
        score.move(time + 0.25 * down, low - 0.1 * down, **{f"heel_{rear}": heel})
        score.move(time + 0.35 * down, low, **{f"carry_{rear}": 0.0})
        score.move(time + 0.35 * down, low, **{f"knee_out_{front}": own.knee_out})
        score.move(rise, rise + 0.6 * up, **{f"carry_{rear}": 1.0})
        score.move(rise, end - 0.05 * up, knee=5.0)
        score.move(rise, end - 0.15 * up, **{f"heel_{rear}": 0.0})
        score.move(rise, end - 0.2 * up, **{f"knee_out_{front}": 0.0})
        score.step(rise + 0.28 * up, end - 0.08 * up, lead, (x, y, toe), 0.8 * own.lift)

    def _valgus(
        self, time: float, low: float, rise: float, end: float, lead: int, severity: float
    ) -> None:
        if severity <= 0:
            return
        score, front = self.score, "lr"[lead]
        fault = spec(ACTIVITY, "front_knee_valgus")
        score.initial[f"inward_size_{front}"] = fault.size(max(severity, 0.25), 0.0) / 100
        weight = min(1.0, severity / 0.25)
        begin = time + LANDING * (low - time)
        score.move(begin, low, **{f"inward_{front}": weight})
        score.move(rise, rise + 0.28 * (end - rise), **{f"inward_{front}": 0.0})

    def _body(
        self,
        time: float,
        low: float,
        rise: float,
        end: float,
        shown: Mapping[str, float],
        draw: np.ndarray,
    ) -> None:
        score, v = self.score, self.v
        score.move(time + 0.15 * (low - time), low, lean=shown["forward_lean"])
        score.move(time, low, head_pitch=shown["head_drop"], head_yaw=0.0)
        score.move(time, low, side=1.0 * v * draw[7], twist=1.5 * v * draw[8])
        score.move(time, low, com_x=self._balance(shown["forward_lean"]))
        posture(score, time, low, self.arms)
        score.move(rise, end, lean=1.5, side=0.0, twist=0.0, com_x=0.0)
        score.move(rise, end, head_pitch=3.0 + 0.2 * self.own.head)
