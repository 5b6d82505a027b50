"""The overhead press: a bar from the front of the shoulders to straight arms above the head.

Bar path and lockout after Kroell and Mike (2017) and Waller et al. (2009), see `faults_gym`: the
bar passes close to the face while the head leans back a little, and ends above shoulders and
hips; legs and trunk stay still. Draws are made in the same order whatever the faults are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from data_prep.drills.around import finish, set_up
from data_prep.drills.faults import spec
from data_prep.drills.idle import Posture, idle, stance
from data_prep.drills.performer import Performer
from data_prep.drills.take import Rep, Take, clip_to
from data_prep.drills.tracks import Score

ACTIVITY: Final = "overhead_press"
STEPS: Final = ("set_up", "press", "lockout", "lower", "rest")
LEAVING: Final = 0.9  # seconds to put the bar down


@dataclass(frozen=True)
class Style:
    """How a person presses when nothing is wrong; lengths in metres, angles in degrees."""

    width: float
    toe: float
    grip: float  # hands outside the shoulder joints
    rack: tuple[float, float]  # hands ahead of and above the shoulders at the start, arm lengths
    swivel: float  # elbows outward
    lockout: float
    arch: float
    knee: float
    forward: float
    head: float
    pull_back: float  # how far the head gives way to the bar, degrees
    up: float
    hold: float
    down: float
    gap: float
    look: float  # elevation of the gaze


def style(performer: Performer) -> Style:
    """The person's own way."""
    rng = performer.style_rng(ACTIVITY)
    return Style(
        width=performer.stature * rng.uniform(0.13, 0.22),
        toe=rng.uniform(2, 16),
        grip=performer.stature * rng.uniform(0.025, 0.065),
        rack=(rng.uniform(0.22, 0.34), rng.uniform(-0.06, 0.10)),
        swivel=rng.uniform(-8, 22),
        lockout=rng.uniform(165, 176),
        arch=rng.uniform(-2, 5),
        knee=rng.uniform(4, 9),
        forward=rng.uniform(-3, 4),
        head=rng.uniform(-8, 15),
        pull_back=rng.uniform(3, 14),
        up=rng.uniform(0.75, 1.4),
        hold=0.15 if rng.random() < 0.5 else rng.uniform(0.25, 1.0),
        down=rng.uniform(0.8, 1.7),
        gap=0.2 if rng.random() < 0.5 else rng.uniform(0.3, 1.6),
        look=rng.uniform(-6, 10),
    )


def perform(
    performer: Performer,
    seed: int,
    variability: float,
    repetitions: int,
    faults: Mapping[str, tuple[float, frozenset[int]]],
) -> Take:
    """The score of one clip; arguments as in `squat.perform`."""
    rng = np.random.default_rng([seed, 12])
    own = style(performer)
    score = Score()
    take = Take(score, STEPS)
    presser = _Presser(take, rng, own, performer, variability)
    feet = stance((0.0, 0.0), 0.0, own.width, own.toe, rng.normal(0, 0.01))
    score.initial["bar_half"] = presser.half
    time = presser.pick_up(set_up(score, rng, feet, presser.hang()))
    for n in range(repetitions):
        active = {k: s for k, (s, reps) in faults.items() if n in reps}
        time = presser.repetition(time, active)
        take.mark(time, "rest")
        pause = min(own.gap * rng.uniform(0.5, 1.5) * (3 if rng.random() < 0.12 else 1), 5.0)
        if n < repetitions - 1:
            if pause > 1.4:
                idle(score, rng, time + 0.2, time + pause - 0.4, arms=False, liveliness=0.4)
                presser.compose(time + pause - 0.4, time + pause)
            time += pause
    time = presser.put_down(time)
    finish(take, rng, time)
    return take


class _Presser:
    """Writes the repetitions of one clip."""

    def __init__(
        self,
        take: Take,
        rng: np.random.Generator,
        own: Style,
        performer: Performer,
        variability: float,
    ) -> None:
        self.take, self.score, self.rng, self.own = take, take.score, rng, own
        self.length, self.v = performer.lengths, variability
        self.tempo = performer.tempo * float(np.exp(rng.normal(0, 0.08)))
        self.arm = self.length["upper_arm"] + self.length["forearm"]
        self.half = self.length["shoulder_width"] / 2 + own.grip

    def outward(self, x: float, z: float) -> float:
        """`hand_y` at which the hand is `half` from the middle; `body` brings shoulders closer."""
        closer = 1 - 0.08 * np.clip(x, 0, 1) - 0.05 * np.clip(z, 0, 1)
        return float((self.half - closer * self.length["shoulder_width"] / 2) / self.arm)

    def hang(self) -> Posture:
        """The bar in front of the thighs."""
        x, z = 0.24, -0.93
        return (x, self.outward(x, z), z, 12.0, 0.3)

    def rack(self) -> Posture:
        """The bar in front of the shoulders, elbows below it."""
        x, z = self.own.rack
        return (x, self.outward(x, z), z, self.own.swivel, 0.4)

    def top(self, elbow: float, forward: float) -> Posture:
        """The bar overhead at an elbow angle, `forward` metres ahead of the shoulders."""
        first, second = self.length["upper_arm"], self.length["forearm"]
        reach = np.sqrt(
            first**2 + second**2 - 2 * first * second * np.cos(np.radians(min(elbow, 176.5)))
        )
        x, y = forward / self.arm, self.outward(forward / self.arm, 1.0)
        z = np.sqrt(max((reach / self.arm) ** 2 - x**2 - y**2, 0.01))
        return (x, y, float(z), self.own.swivel + 10, 0.0)

    def compose(self, start: float, end: float) -> None:
        """Stand still and straight below the bar."""
        score, own = self.score, self.own
        score.move(start, end, com_x=0.0, com_y=0.0, side=0.0, twist=0.0, head_yaw=0.0)
        score.move(start, end, knee=own.knee, lean=-own.arch, head_pitch=0.4 * own.head)

    def pick_up(self, time: float) -> float:
        """Bring the bar from the thighs to the shoulders; returns the time of readiness."""
        score = self.score
        pause = self.rng.uniform(0.2, 1.2)
        score.move(time, time + 0.35, bar=1.0)
        score.pulse(time + 0.1, time + 0.4, time + 0.4, time + 0.95, knee=28.0)
        score.pulse(time + 0.1, time + 0.4, time + 0.4, time + 0.9, lean=16.0)
        x, y, z, swivel, follow = self.hang()
        for name in "lr":
            score.hold(time + 0.35, *(f"hand_{axis}_{name}" for axis in "xyz"))
            score.via(time + 0.68, **{f"hand_x_{name}": 0.44, f"hand_z_{name}": -0.35})
            score.via(time + 0.68, **{f"hand_y_{name}": self.outward(0.44, -0.35)})
        end = time + 1.05
        x, y, z, swivel, follow = self.rack()
        for name in "lr":
            score.reach(end, **{f"hand_x_{name}": x, f"hand_y_{name}": y, f"hand_z_{name}": z})
        score.both(time + 0.4, end, elbow=swivel, follow=follow)
        self.compose(end, end + pause)
        return end + pause

    def put_down(self, time: float) -> float:
        """Lower the bar to the thighs; returns the end."""
        score = self.score
        start, middle, end = time + 0.1, time + 0.5, time + LEAVING
        x, y, z, swivel, follow = self.hang()
        for name in "lr":
            score.hold(start, *(f"hand_{axis}_{name}" for axis in "xyz"))
            score.via(middle, **{f"hand_x_{name}": 0.46, f"hand_z_{name}": -0.4})
            score.via(middle, **{f"hand_y_{name}": self.outward(0.46, -0.4)})
            score.reach(end, **{f"hand_x_{name}": x, f"hand_y_{name}": y, f"hand_z_{name}": z})
        score.both(start, end, elbow=swivel, follow=follow)
        score.move(end - 0.1, end + 0.2, bar=0.0)
        return end

    def repetition(self, time: float, active: Mapping[str, float]) -> float:
        """One press from `time`; returns its end, the bar at the shoulders again."""
        own, v = self.own, self.v
        draw = self.rng.normal(size=12)
        values = {
            "soft_lockout": (own.lockout + 1.5 * v * draw[0], 2.5),
            "back_arch": (own.arch + 0.8 * v * draw[1], 1.5),
            "knee_drive": (own.knee + 0.9 * v * abs(draw[2]), 3.0),
            "bar_forward": (own.forward + 0.9 * v * draw[3], 1.0),
            "head_back": (own.head + 2.0 * v * draw[4], 2.0),
        }
        kept = {k: clip_to(ACTIVITY, k, x, margin) for k, (x, margin) in values.items()}
        shown = {k: spec(ACTIVITY, k).size(active.get(k, 0.0), x) for k, x in kept.items()}
        up = float(np.clip(own.up * self.tempo * np.exp(0.10 * v * draw[5]), 0.6, 2.4))
        hold = float(own.hold * np.exp(0.15 * v * draw[6]))
        down = float(np.clip(own.down * self.tempo * np.exp(0.10 * v * draw[7]), 0.6, 2.6))
        top, fall = time + up, time + up + hold
        end = fall + down
        self._bar(time, top, fall, end, shown)
        self._body(time, top, fall, end, shown, draw)
        take = self.take
        for start, name in ((time, "press"), (top - 0.05, "lockout"), (fall + 0.05, "lower")):
            take.mark(start, name)
        take.repetitions.append(Rep(time, end, top + hold / 2, kept))
        take.fixations.append((time, end, 0.0, own.look))
        spans = {
            "soft_lockout": (top - 0.25 * up, fall + 0.2 * down),
            "back_arch": (time + 0.3 * up, fall + 0.2 * down),
            "knee_drive": (time, time + 0.55 * up),
            "bar_forward": (top - 0.35 * up, fall + 0.25 * down),
            "head_back": (top - 0.5 * up, fall + 0.3 * down),
        }
        for name in active:
            take.spans.append((name, *spans[name]))
        return end

    def _bar(
        self, time: float, top: float, fall: float, end: float, shown: Mapping[str, float]
    ) -> None:
        score = self.score
        # In the arms' own frame the bar passes the face in front of it.
        over = self.top(shown["soft_lockout"], shown["bar_forward"] / 100)
        rack, past = self.rack(), 0.30 + 0.5 * max(over[0] - 0.1, 0.0)
        up, down = top - time, end - fall
        for start, middle, stop, goal in (
            (time, time + 0.42 * up, top, over),
            (fall, fall + 0.58 * down, end, rack),
        ):
            half_way = 0.5 * (rack[2] + over[2]) - 0.03
            for name in "lr":
                score.hold(start, *(f"hand_{axis}_{name}" for axis in "xyz"))
                score.via(middle, **{f"hand_x_{name}": past, f"hand_z_{name}": half_way})
                score.via(middle, **{f"hand_y_{name}": self.outward(past, half_way)})
                x, y, z = goal[:3]
                score.reach(stop, **{f"hand_x_{name}": x, f"hand_y_{name}": y, f"hand_z_{name}": z})
            score.both(start, stop, elbow=goal[3], follow=goal[4])

    def _body(
        self,
        time: float,
        top: float,
        fall: float,
        end: float,
        shown: Mapping[str, float],
        draw: np.ndarray,
    ) -> None:
        score, own = self.score, self.own
        up, down = top - time, end - fall
        score.move(time, time + 0.55 * up, lean=-shown["back_arch"])
        # The drive of the legs comes before the bar passes the face.
        score.move(time, time + 0.22 * up, knee=shown["knee_drive"])
        score.move(time + 0.24 * up, time + 0.52 * up, knee=own.knee * 0.8)
        score.move(time, time + 0.4 * up, head_pitch=shown["head_back"] * 0.5 - own.pull_back)
        score.move(time + 0.55 * up, top, head_pitch=shown["head_back"])
        score.move(time, top, side=0.5 * self.v * draw[8], twist=0.7 * self.v * draw[9])
        score.move(fall, fall + 0.45 * down, head_pitch=-own.pull_back)
        score.move(fall + 0.55 * down, end, head_pitch=0.4 * own.head)
        score.move(fall + 0.2 * down, end, lean=-own.arch, side=0.0, twist=0.0, knee=own.knee)
