"""The soccer penalty kick: run-up at an angle, standing foot beside the ball, kick, follow-through.

Phases and ranges after Kellis and Katis (2007) and Lees et al. (2010), see `faults_ball`: an
oblique approach of a few strides, the last one the longest; the kicking leg swings back with a
flexed knee while the opposite arm goes up and back; the knee extends into the ball. The ball lies
at the origin, the kick goes along +x. Draws are made in the same order whatever the faults are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from data_prep.drills.body import raise_for
from data_prep.drills.faults import spec
from data_prep.drills.idle import idle, settle, stance, walk
from data_prep.drills.performer import Performer
from data_prep.drills.take import Rep, Take, clip_to, setup_seconds
from data_prep.drills.tracks import Meeting, Score

ACTIVITY: Final = "soccer_penalty_kick"
STEPS: Final = ("set_up", "run_up", "backswing", "strike", "follow_through", "rest")
TOE_OFF: Final = 0.10  # seconds from the kicking foot's last push to the standing foot's contact


@dataclass(frozen=True)
class Style:
    """How a person kicks when nothing is wrong; metres, degrees, seconds."""

    strides: int
    stride: float
    angle: float  # of the run-up against the kick
    pace: float
    lateral: float  # standing foot beside the ball
    plant: float  # standing foot behind the ball
    flexion: float  # of the kicking knee in the backswing
    thigh_back: float
    thigh_up: float  # in the follow-through
    support: float  # knee flexion of the standing leg
    swing: float  # seconds from the standing foot's contact to the ball
    lean: float  # backward at the contact
    side: float
    head: float
    arm: float  # elevation of the opposite arm
    arm_back: float
    turn: float  # pelvis in the backswing
    run_lean: float
    landing: float  # kicking foot beyond the ball
    look: float
    aim: float  # direction of the chosen corner


def style(performer: Performer) -> Style:
    """The person's own way."""
    rng = performer.style_rng(ACTIVITY)
    return Style(
        strides=int(rng.choice([2, 3, 4, 5], p=[0.15, 0.3, 0.35, 0.2])),
        stride=performer.stature * rng.uniform(0.54, 0.66),
        angle=rng.uniform(15, 45),
        pace=rng.uniform(0.27, 0.34),
        lateral=performer.stature * rng.uniform(0.14, 0.19),
        plant=rng.uniform(-6, 13),
        flexion=rng.uniform(91, 113),
        thigh_back=rng.uniform(14, 30),
        thigh_up=rng.uniform(48, 82),
        support=rng.uniform(14, 27),
        swing=rng.uniform(0.21, 0.27),
        lean=rng.uniform(-9, 4),
        side=rng.uniform(6, 17),
        head=rng.uniform(33, 54),
        arm=rng.uniform(63, 98),
        arm_back=rng.uniform(0.1, 0.5),
        turn=rng.uniform(14, 32),
        run_lean=rng.uniform(5, 14),
        landing=rng.uniform(0.35, 0.75),
        look=rng.uniform(-4, 16),
        aim=rng.uniform(-15, 15),
    )


def perform(
    performer: Performer,
    seed: int,
    variability: float,
    repetitions: int,
    faults: Mapping[str, tuple[float, frozenset[int]]],
) -> Take:
    """The score of one clip; arguments as in `squat.perform`."""
    rng = np.random.default_rng([seed, 13])
    take = Take(Score(), STEPS)
    kicker = _Kicker(take, rng, style(performer), performer, variability)
    time = kicker.arrive()
    for n in range(repetitions):
        active = {k: s for k, (s, reps) in faults.items() if n in reps}
        time = kicker.kick(time, active)
        time = kicker.rest(time, last=n == repetitions - 1)
    take.end = time
    return take


@dataclass(frozen=True)
class _Times:
    """Instants of one kick, seconds."""

    start: float
    push: float  # the kicking foot leaves the ground
    plant: float
    cocked: float  # deepest knee flexion
    contact: float
    high: float  # end of the upward swing
    landed: float
    end: float


class _Kicker:
    """Writes one clip; keeps the draws in the same order with and without faults."""

    def __init__(
        self,
        take: Take,
        rng: np.random.Generator,
        own: Style,
        performer: Performer,
        variability: float,
    ) -> None:
        self.take, self.score, self.rng, self.own = take, take.score, rng, own
        self.performer, self.v = performer, variability
        self.tempo = performer.tempo * float(np.exp(rng.normal(0, 0.06)))
        self.kick_side = 0 if performer.left_handed else 1
        self.k, self.s = "lr"[self.kick_side], "lr"[1 - self.kick_side]  # kicking, standing
        # The run-up comes from the side of the standing leg: +y for a right-footed kick.
        self.m = -1.0 if performer.left_handed else 1.0
        self.heading = -self.m * own.angle
        growth = np.linspace(0.55, 1.0, own.strides)
        self.ends = np.cumsum(growth) / growth.sum()  # share of the way at each footfall
        self.far = float(own.stride * growth.sum())
        way = np.radians(self.heading)
        self.to = np.array([-own.plant / 100, self.m * own.lateral])
        self.spot = self.to - self.far * np.array([np.cos(way), np.sin(way)])

    def feet(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Where the feet stand before the run-up."""
        return stance((self.spot[0], self.spot[1]), self.heading, 0.22, 8.0)

    def arrive(self) -> float:
        """Stand at the start of the run-up, or walk there; returns the time of arrival."""
        score, rng = self.score, self.rng
        duration = setup_seconds(rng)
        score.initial["yaw"] = self.heading
        if rng.random() < 0.3 and duration > 1.5:
            away = self.spot + rng.uniform(0.7, 1.6) * np.array(
                [np.cos(np.radians(self.heading)), np.sin(np.radians(self.heading))]
            )
            facing = self.heading + rng.uniform(-30, 30)
            score.initial["yaw"] = facing
            score.place(*stance((away[0], away[1]), facing, 0.2, 8.0))
            there = (float(self.spot[0]), float(self.spot[1]))
            return walk(score, rng, 0.3, there, self.heading, self.feet()) + 0.4
        score.place(*self.feet())
        idle(score, rng, 0.0, duration - 0.3, str(rng.choice(["hang", "hips"])))
        settle(score, duration - 0.4, duration, self.own.look)
        return duration

    def kick(self, time: float, active: Mapping[str, float]) -> float:
        """Run-up to the landing of the kicking foot; returns its time."""
        own, v = self.own, self.v
        draw = self.rng.normal(size=14)
        values = {
            "short_backswing": (own.flexion + 2.2 * v * draw[0], 4.0),
            "lean_back": (own.lean + 1.3 * v * draw[1], 2.0),
            "plant_behind": (own.plant + 1.6 * v * draw[2], 2.5),
            "head_up": (own.head + 2.5 * v * draw[3], 4.0),
            "idle_arm": (own.arm + 3.0 * v * draw[4], 5.0),
        }
        kept = {k: clip_to(ACTIVITY, k, x, margin) for k, (x, margin) in values.items()}
        shown = {k: spec(ACTIVITY, k).size(active.get(k, 0.0), x) for k, x in kept.items()}
        at = self._times(time, draw)
        # Whole turns that walking back has added to the heading.
        self.turns = 360.0 * round((self.score.value("yaw") - self.heading) / 360)
        self._run(at, shown["plant_behind"] / 100, draw)
        self._leg(at, shown["short_backswing"], draw)
        self._trunk(at, shown["lean_back"], shown["head_up"], draw)
        self._arms(at, shown["idle_arm"], draw)
        for start, name in (
            (at.start, "run_up"),
            (at.push, "backswing"),
            (at.cocked, "strike"),
            (at.contact, "follow_through"),
        ):
            self.take.mark(start, name)
        self.take.mark(at.end, "rest")
        self.take.repetitions.append(Rep(at.start, at.end, at.contact, kept))
        aim = own.aim
        self.take.fixations += [
            (at.start - 0.6, at.start + 0.4, aim, -1.0),  # the goal
            (at.contact - 0.9, at.contact + 0.1, 0.0, -52.0),  # the ball
            (at.contact + 0.3, at.end, aim, 2.0),
        ]
        spans = {
            "short_backswing": (at.push, at.contact),
            "lean_back": (at.plant, at.contact + 0.3),
            "plant_behind": (at.plant, at.contact + 0.15),
            "head_up": (at.plant - 0.1, at.contact + 0.2),
            "idle_arm": (at.push, at.contact + 0.1),
        }
        for name in active:
            self.take.spans.append((name, *spans[name]))
        return at.end

    def _times(self, time: float, draw: np.ndarray) -> _Times:
        own = self.own
        quick = self.tempo**0.5  # a kick scales less with a person's tempo than a stroll
        self.pace = own.pace * quick * float(np.exp(0.05 * self.v * draw[5]))
        plant = time + 0.15 + (own.strides + 0.35) * self.pace
        swing = own.swing * quick * float(np.exp(0.05 * self.v * draw[6]))
        contact = plant + float(np.clip(swing, 0.20, 0.31))
        high = contact + 0.26 * quick
        landed = high + 0.30 * quick
        return _Times(
            start=time,
            push=plant - TOE_OFF,
            plant=plant,
            cocked=plant + 0.35 * (contact - plant),
            contact=contact,
            high=high,
            landed=landed,
            end=landed + 0.35,
        )

    def _run(self, at: _Times, behind: float, draw: np.ndarray) -> None:
        """The strides, the standing foot's place last; then the path of the kicking foot."""
        score, own, m = self.score, self.own, self.m
        way = np.radians(self.heading)
        ahead = np.array([np.cos(way), np.sin(way)])
        left = np.array([-ahead[1], ahead[0]])
        count = own.strides
        for n in range(count):
            side = (1 - self.kick_side) if (count - n) % 2 == 1 else self.kick_side
            begin = at.start + 0.15 + n * self.pace
            if n == count - 1:
                place = (-behind, m * own.lateral, self.turns + m * 4.0)
                score.step(begin, at.plant, side, place, 0.13)
                continue
            middle = self.spot + self.far * self.ends[n] * ahead
            x, y = middle + (0.06 if side == 0 else -0.06) * left
            score.step(
                begin, begin + 1.35 * self.pace, side, (x, y, self.turns + self.heading), 0.15
            )
        k = self.kick_side
        # While the leg swings freely this path only carries the body along.
        score.step(at.push, at.contact, k, (-0.25 - 0.3 * behind, 0.0, self.turns), 0.02)
        land = (own.landing - 0.4 * max(behind, 0.0), -m * 0.02, self.turns + m * 5.0)
        score.step(at.contact + 0.05, at.landed, k, land, 0.02)
        follow = (land[0] + 0.05, m * 0.2, self.turns + m * 8.0)
        score.step(at.landed - 0.08, at.landed + 0.4, 1 - k, follow, 0.07)
        height = self.performer.lengths["ankle_height"] + 0.045
        score.meetings += [
            Meeting(at.push - 0.1, at.push, at.cocked, k),
            Meeting(at.cocked, at.contact, at.high, k, (0.0, 0.0, height)),
            Meeting(at.high, at.landed, at.landed + 0.1, k),
        ]

    def _leg(self, at: _Times, flexion: float, draw: np.ndarray) -> None:
        """Angles of the kicking leg from its last push to its landing."""
        score, own, k = self.score, self.own, self.k
        back, up = own.thigh_back, own.thigh_up + 3 * self.v * draw[7]
        names = (f"free_{k}", f"thigh_{k}", f"splay_{k}", f"bend_{k}")
        score.move(
            at.push - 0.06, at.push - 0.02, **dict(zip(names[1:], (-12, 4, 16), strict=True))
        )
        score.move(at.push - 0.03, at.push + 0.05, **{names[0]: 1.0})
        score.move(at.push - 0.14, at.push, **{f"heel_{k}": 0.06})
        score.move(at.contact, at.high, **{f"heel_{k}": 0.0})
        thigh, bend = names[1], names[3]
        score.hold(at.push, thigh, bend)
        score.reach(at.plant, **{thigh: -back})
        score.reach(at.cocked, **{bend: flexion})
        score.move(at.plant, at.plant + 0.02, **{thigh: -back})
        score.via(at.contact, **{thigh: 26.0})
        score.reach(at.high, **{thigh: up})
        # The thigh slows down as the shank whips through.
        score.via(at.contact, **{bend: 26.0})
        score.reach(at.contact + 0.09, **{bend: 8.0})
        score.move(at.contact + 0.12, at.high, **{bend: 24.0})
        score.move(at.high, at.landed, **{thigh: 14.0, bend: 18.0})
        score.move(at.landed - 0.16, at.landed, **{names[0]: 0.0})
        score.move(at.start, at.start + 0.3, knee=24.0)
        score.move(at.plant - 0.08, at.plant + 0.08, knee=own.support)
        score.move(at.contact, at.high, knee=14.0)
        score.move(at.landed - 0.1, at.landed + 0.12, knee=26.0)
        score.move(at.landed + 0.15, at.end + 0.3, knee=7.0)
        rise = 0.05
        score.move(at.contact + 0.04, at.high, **{f"heel_{self.s}": rise})
        score.move(at.high + 0.05, at.landed, **{f"heel_{self.s}": 0.0})

    def _trunk(self, at: _Times, back: float, head: float, draw: np.ndarray) -> None:
        score, own, m = self.score, self.own, self.m
        score.move(at.start, at.start + 0.4, lean=own.run_lean, swing=0.28)
        score.move(at.start, at.start + 0.4, head_pitch=own.look + 10.0, head_yaw=0.0, side=0.0)
        score.move(at.push - 0.1, at.plant, lean=0.4 * own.run_lean - 0.6 * back)
        score.move(at.push - 0.1, at.push + 0.1, swing=0.0)
        score.move(at.plant, at.contact - 0.02, lean=-back)
        score.move(at.contact + 0.04, at.high, lean=max(12.0 - back, 2.0))
        score.move(at.push, at.contact - 0.02, side=m * (own.side + self.v * draw[8]))
        score.move(at.contact + 0.05, at.landed, side=0.0)
        score.move(at.push - 0.15, at.contact - 0.02, yaw=self.turns)
        score.move(at.contact + 0.05, at.high, yaw=self.turns + m * 9.0)
        score.move(at.push - 0.1, at.plant + 0.02, hip_turn=-m * own.turn, twist=m * 0.7 * own.turn)
        score.via(at.contact, hip_turn=m * 4.0, twist=m * 2.0)
        score.reach(at.high, hip_turn=m * own.turn, twist=-m * 0.6 * own.turn)
        score.move(at.high + 0.05, at.end, hip_turn=0.0, twist=0.0)
        score.move(at.push - 0.15, at.push, head_free=1.0)
        score.move(at.push - 0.12, at.contact - 0.04, head_pitch=head)
        score.move(at.contact + 0.06, at.high + 0.1, head_pitch=6.0)
        score.move(at.high, at.end, head_free=0.0, lean=4.0)

    def _arms(self, at: _Times, elevation: float, draw: np.ndarray) -> None:
        score, own = self.score, self.own
        score.both(at.start, at.start + 0.35, hand_x=0.30, hand_y=0.10, hand_z=-0.62)
        score.both(at.start, at.start + 0.35, elbow=18.0, follow=0.7)
        s, k = self.s, self.k
        x, y, z = raise_for(self.performer, elevation, own.arm_back, 0.97)
        raised = {f"hand_x_{s}": x, f"hand_y_{s}": y, f"hand_z_{s}": z, f"elbow_{s}": 20.0}
        score.move(at.push - 0.06, at.plant + 0.01, **raised, **{f"follow_{s}": 1.0})
        away = {f"hand_x_{k}": 0.38, f"hand_y_{k}": 0.16, f"hand_z_{k}": -0.72}
        score.move(at.push - 0.06, at.plant + 0.04, **away)
        # Across the body, against the leg that swings up.
        low = min(elevation / 90, 1.0)
        across = {f"hand_x_{s}": 0.62, f"hand_y_{s}": -0.22, f"hand_z_{s}": -0.72 + 0.25 * low}
        score.move(at.contact - 0.03, at.high, **across)
        behind = {f"hand_x_{k}": -0.42, f"hand_y_{k}": 0.42, f"hand_z_{k}": -0.70}
        score.move(at.plant + 0.06, at.high, **behind)
        score.both(at.high + 0.08, at.end + 0.2, hand_x=0.12, hand_y=0.14, hand_z=-0.93)
        score.both(at.high + 0.08, at.end + 0.2, elbow=12.0, follow=0.3)

    def rest(self, time: float, last: bool) -> float:
        """After the kick; returns the end, or the start of the next run-up."""
        score, rng = self.score, self.rng
        settle(score, time, time + 0.5, 4.0)
        score.move(time, time + 0.5, yaw=self.turns)
        if last:
            pause = rng.uniform(0.2, 0.9) if rng.random() < 0.4 else rng.uniform(0.9, 3.0)
            idle(score, rng, time + 0.5, time + pause, "hang", arms=pause > 1.6)
            return time + max(pause, 0.5)
        time += rng.uniform(0.6, 1.2)
        time = self._walk_back(time)
        settle(score, time, time + 0.4, self.own.look)
        return time + rng.uniform(0.5, 1.6)

    def _walk_back(self, time: float) -> float:
        """Walk to the start of the run-up; returns the time of arrival."""
        score = self.score
        middle = np.mean([foot[:2] for foot in score.feet], axis=0)
        way = self.spot - middle
        # `walk` turns to the way and then to the run-up, each time by less than half a turn.
        heading = _nearest(float(np.degrees(np.arctan2(way[1], way[0]))), score.value("yaw"))
        turns = _nearest(self.heading, heading) - self.heading
        left, right = ((x, y, toe + turns) for x, y, toe in self.feet())
        there = (float(self.spot[0]), float(self.spot[1]))
        feet = (left, right)
        return walk(score, self.rng, time, there, self.heading, feet, pace=0.45, stride=0.75)


def _nearest(angle: float, to: float) -> float:
    """The angle, with whole turns added, that is nearest to another; degrees."""
    return to + (angle - to + 180) % 360 - 180
