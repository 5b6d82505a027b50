"""The basketball free throw: style of a person, and the score of one clip.

Phases and ranges: Knudson (1993, JOPERD 64(2)), Okazaki, Rodacki and Satern (2015, Sports Biomech
14(2)): preparation with flexed knees, ball lifted to a set point near the forehead, release with
the elbow nearly straight at 50 to 75 degrees above the horizontal, arm held after release. The
shooter may hop; sideways lean toward the guide hand of a few degrees is normal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from data_prep.drills.body import swivel_for
from data_prep.drills.faults import spec
from data_prep.drills.idle import (
    POSTURES,
    Feet,
    idle,
    posture,
    reposition,
    settle,
    stance,
    vary,
    walk,
)
from data_prep.drills.performer import Performer
from data_prep.drills.take import Rep, Take, clip_to, setup_seconds
from data_prep.drills.tracks import Score

ACTIVITY: Final = "basketball_free_throw"
STEPS: Final = ("set_up", "dip", "rise", "release", "follow_through", "rest")
GRAVITY: Final = 9.81
DROP: Final = 0.36  # seconds for the arm to come down
TO_EYES: Final = 0.135  # of which the wrist needs this long to pass the eyes


@dataclass(frozen=True)
class Style:
    """How a person shoots when nothing is wrong; metres, degrees, seconds."""

    width: float
    toe: float
    ahead: float  # shooting foot in front
    flexion: float
    lean: float  # at the dip
    release_lean: float
    side: float  # toward the guide hand
    flare: float
    dip_hand: tuple[float, float, float]
    set_hand: tuple[float, float, float]
    one_hand_dip: bool
    elevation: float
    reach: float
    hold: float
    guide_stays: float  # share of the hold during which the guide hand stays up
    hop: float
    heel: float
    travel: float
    head: float
    dribbles: int
    bend: float  # trunk lean while dribbling
    dip_time: float
    dip_hold: float
    rise: float
    release: float
    lag: float  # the ball starts this much before the legs
    twist: float
    knee_late: float  # the knees are lowest at this share of the lift
    dip_flare: float  # share of the flare already shown at the dip
    release_out: float  # where the shooting hand ends, outward
    guide_ahead: float  # guide hand in front of the shooting hand
    guide_elbow: float
    guide_hand: tuple[float, float, float]  # at the release


def style(performer: Performer) -> Style:
    """The person's own way."""
    rng = performer.style_rng(ACTIVITY)
    hops = rng.random() < 0.55
    hop = rng.uniform(0.02, 0.20) if hops else 0.0
    if hops and rng.random() < 0.5:
        hop = rng.uniform(0.02, 0.08)
    high = rng.random() < 0.25
    return Style(
        width=float(np.clip(performer.stature * rng.uniform(0.125, 0.25), 0.22, 0.45)),
        toe=rng.uniform(-4, 18),
        ahead=rng.uniform(-0.04, 0.16) if rng.random() < 0.5 else rng.normal(0.02, 0.03),
        flexion=rng.uniform(49, 85),
        lean=rng.uniform(2, 21),
        release_lean=rng.uniform(-8, 5),
        side=rng.uniform(-1, 8),
        flare=rng.uniform(4, 23),
        dip_hand=(
            rng.uniform(0.40, 0.82),
            rng.uniform(-0.24, -0.02),
            rng.uniform(-0.15, 0.15) if high else rng.uniform(-0.70, -0.15),
        ),
        set_hand=(rng.uniform(0.36, 0.68), rng.uniform(-0.26, -0.02), rng.uniform(0.18, 0.58)),
        one_hand_dip=bool(rng.random() < 0.15),
        elevation=rng.uniform(50, 79),
        reach=rng.uniform(0.95, 0.997),
        hold=rng.uniform(0.62, 1.6),
        guide_stays=rng.uniform(0.0, 1.0) ** 1.6,
        hop=hop,
        heel=rng.uniform(0.02, 0.085),
        travel=rng.uniform(0.0, 0.25) if hops else rng.uniform(0.0, 0.03),
        head=rng.uniform(-17, 5),
        dribbles=int(rng.choice([0, 1, 2, 3, 4], p=[0.3, 0.2, 0.2, 0.2, 0.1])),
        bend=rng.uniform(4, 26),
        dip_time=rng.uniform(0.3, 0.9),
        dip_hold=0.05 if rng.random() < 0.45 else rng.uniform(0.1, 0.9),
        rise=rng.uniform(0.17, 0.42),
        release=rng.uniform(0.13, 0.28),
        lag=rng.uniform(-0.05, 0.34),
        twist=rng.uniform(-4, 14),
        dip_flare=rng.uniform(0.2, 1.1),
        knee_late=rng.uniform(0.0, 0.9),
        release_out=rng.uniform(-0.12, 0.08),
        guide_ahead=rng.uniform(-0.06, 0.20),
        guide_elbow=rng.uniform(-8, 45),
        guide_hand=(rng.uniform(0.24, 0.48), rng.uniform(-0.12, 0.14), rng.uniform(0.48, 0.80)),
    )


def perform(
    performer: Performer,
    seed: int,
    variability: float,
    repetitions: int,
    faults: Mapping[str, tuple[float, frozenset[int]]],
) -> Take:
    """The score of one clip; arguments as in `squat.perform`."""
    rng = np.random.default_rng([seed, 2])
    own = style(performer)
    take = Take(Score(), STEPS)
    shooter = _Shooter(take, rng, own, performer, variability)
    time = shooter.arrive(repetitions)
    for n in range(repetitions):
        active = {k: s for k, (s, reps) in faults.items() if n in reps}
        time = shooter.routine(time, active, first=n == 0)
        time = shooter.shoot(time, active)
        time = shooter.rest(time, last=n == repetitions - 1)
    take.end = time
    return take


class _Shooter:
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
        self.hand, self.guide = ("l", "r") if performer.left_handed else ("r", "l")
        # Toward the guide hand is to the left of a right-handed shooter.
        self.inner = -1.0 if performer.left_handed else 1.0
        self.spot = (0.0, 0.0)

    def feet(self, width: float) -> Feet:
        """Places of the feet on the present spot."""
        return stance(self.spot, 0.0, width, self.own.toe, -self.inner * self.own.ahead)

    def arrive(self, repetitions: int) -> float:
        """Stand about, walk to the line; returns the time of arrival."""
        score, rng = self.score, self.rng
        duration = max(setup_seconds(rng) - 0.5 * repetitions, 0.2)
        width = self.own.width * rng.uniform(0.75, 1.1)
        if rng.random() < 0.5 and duration > 1.2:
            distance = rng.uniform(0.3, 2.5)
            angle = np.radians(rng.uniform(-180, 180))
            away = (distance * np.cos(angle), distance * np.sin(angle))
            facing = rng.uniform(-40, 40) if distance < 0.9 else rng.uniform(-180, 180)
            score.initial["yaw"] = facing
            score.place(*stance(away, facing, 0.18, 6.0))
            wait = rng.uniform(0.0, max(duration - 1.0, 0.1))
            idle(score, rng, 0.0, wait, "hang", liveliness=0.8)
            return walk(score, rng, wait, self.spot, 0.0, self.feet(width))
        score.place(*self.feet(width))
        with_ball = rng.random() < 0.5
        if with_ball:
            posture(score, 0.0, 0.05, vary(rng, POSTURES["ball"], 0.04))
        idle(score, rng, 0.0, duration, "hang", arms=not with_ball)
        return duration

    def routine(self, time: float, active: Mapping[str, float], first: bool) -> float:
        """Take the ball, place the feet, dribble, hold; returns the start of the dip."""
        score, rng, own = self.score, self.rng, self.own
        self.take.mark(time, "set_up")
        jitter = rng.normal(size=6)
        width = clip_to(ACTIVITY, "narrow_stance", 100 * own.width + 1.2 * self.v * jitter[0], 0.8)
        self.width = width
        shown = spec(ACTIVITY, "narrow_stance").size(active.get("narrow_stance", 0.0), width) / 100
        ball = vary(rng, POSTURES["ball"], 0.05)
        posture(score, time, time + 0.55, ball)
        settle(score, time, time + 0.5, 6.0)
        pace = rng.uniform(0.28, 0.42)
        placed = reposition(score, rng, time + rng.uniform(0.0, 0.3), self.feet(shown), pace)
        time = max(time + 0.55, placed)
        if rng.random() < 0.15:
            return time + 0.15
        dribbles = int(np.clip(own.dribbles + (rng.random() < 0.2), 0, 5))
        both = rng.random() < 0.4
        if dribbles:
            time = self._dribble(time, dribbles, both)
        pause = rng.uniform(0.05, 1.0) * self.tempo
        score.move(time, time + 0.35, knee=9.0)
        score.move(time, time + 0.5, lean=0.5 * own.lean + 1.5, head_pitch=own.head * 0.5)
        return time + pause

    def _dribble(self, time: float, count: int, both: bool) -> float:
        """Bounce the ball with a bent trunk; returns the end."""
        score, rng, own = self.score, self.rng, self.own
        period = rng.uniform(0.5, 0.85) * self.tempo
        bend = own.bend * rng.uniform(0.8, 1.2)
        sides = "lr" if both else self.hand
        high, low = rng.uniform(-0.58, -0.42), rng.uniform(-0.95, -0.80)
        score.move(time, time + 0.6, lean=bend, knee=rng.uniform(8, 32), head_pitch=12 + bend)
        score.move(time, time + 0.4, **{f"follow_{s}": 0.3 for s in sides})
        for _ in range(count):
            for s in sides:
                score.move(time, time + 0.4 * period, **{f"hand_z_{s}": low, f"hand_x_{s}": 0.36})
                score.move(
                    time + 0.5 * period,
                    time + 0.95 * period,
                    **{f"hand_z_{s}": high, f"hand_x_{s}": 0.48},
                )
            time += period
        return time

    def shoot(self, time: float, active: Mapping[str, float]) -> float:
        """Dip to the end of the follow-through; returns its time."""
        own, v, rng = self.own, self.v, self.rng
        draw = rng.normal(size=14)
        values = {
            "insufficient_knee_bend": own.flexion + 3.0 * v * draw[0],
            "elbow_flare": own.flare + 1.8 * v * draw[1],
            "off_balance": max(own.side + 1.0 * v * draw[2], -0.5),
            "short_follow_through": own.hold * np.exp(0.10 * v * draw[3]),
        }
        margins = {"off_balance": 0.5, "short_follow_through": 0.04}
        values = {k: clip_to(ACTIVITY, k, x, margins.get(k, 1.0)) for k, x in values.items()}
        shown = {
            k: spec(ACTIVITY, k).size(active.get(k, 0.0), value) for k, value in values.items()
        }
        # Which way the body sways: mostly the way it leans anyway.
        way = self.inner if rng.random() < 0.65 else -self.inner
        if active.get("off_balance", 0.0) < 0.25:
            way = self.inner
        paces = np.exp(0.09 * v * draw[4:8]) * self.tempo
        dip = time + own.dip_time * paces[0]
        low = dip + own.dip_hold * paces[1]
        top = low + own.rise * np.clip(paces[2], 0.7, 1.4)
        release = top + own.release * np.clip(paces[3], 0.75, 1.3)
        self._legs(time, dip, low, top, release, shown["insufficient_knee_bend"], draw)
        self._trunk(time, dip, low, release, way * shown["off_balance"], active, draw)
        hold = values["short_follow_through"]
        finish = release + hold + 0.1
        fall = max(release + shown["short_follow_through"] - TO_EYES, release - 0.02)
        self._hands(time, dip, low, top, release, fall, hold, shown["elbow_flare"], draw)
        for start, name in (
            (time, "dip"),
            (low, "rise"),
            (top, "release"),
            (release, "follow_through"),
            (finish, "rest"),
        ):
            self.take.mark(start, name)
        values["narrow_stance"] = self.width
        values["head"] = own.head
        self.take.repetitions.append(Rep(time, finish, release, values))
        spans = {
            "insufficient_knee_bend": (dip - 0.3 * (dip - time), low + 0.6 * (top - low)),
            "elbow_flare": (top - 0.7 * (top - low), release),
            "off_balance": (top, release + 0.6),
            "short_follow_through": (release, release + min(hold, 0.9)),
            "narrow_stance": (time, release + 0.2),
        }
        for name in active:
            self.take.spans.append((name, *spans[name]))
        return finish

    def _legs(
        self,
        time: float,
        dip: float,
        low: float,
        top: float,
        release: float,
        flexion: float,
        draw: np.ndarray,
    ) -> None:
        score, own = self.score, self.own
        settle_in = 0.82 * flexion if own.dip_hold > 0.1 else flexion
        score.move(time, dip, knee=settle_in)
        lowest = low + own.knee_late * (top - low)
        score.move(dip, lowest, knee=flexion)
        score.move(lowest, release - 0.02, knee=5.0)
        heel = own.heel * float(np.exp(0.1 * self.v * draw[8]))
        score.both(top - 0.06, release, heel=heel)
        flight = 2 * np.sqrt(2 * max(own.hop, 0.0) / GRAVITY)
        takeoff = release - 0.35 * flight
        if own.hop > 0:
            self._hop(takeoff, flight, own.hop)
        land = takeoff + flight if own.hop > 0 else release + 0.15
        score.both(max(land - 0.05, release), land + 0.25, heel=0.0)
        if own.hop > 0:
            give = 12 + 90 * own.hop
            score.move(land - 0.03, land + 0.16, knee=give)
            score.move(land + 0.2, land + 0.6, knee=5.0)

    def _hop(self, takeoff: float, flight: float, height: float) -> None:
        """Ballistic lift of both feet, which move forward in the air."""
        score = self.score
        times = takeoff + flight * np.linspace(0, 1, 9)
        phase = np.linspace(0, 1, 9)
        score.move(takeoff - 1 / 30, takeoff, lift=0.0)
        for t, p in zip(times[1:-1], phase[1:-1], strict=True):
            score.keys["lift"].append((float(t), float(4 * height * p * (1 - p)), True))
        score.keys["lift"].append((float(times[-1]), 0.0, False))
        self.spot = (self.spot[0] + self.own.travel, self.spot[1])
        for side in (0, 1):
            x, y, toe = score.feet[side]
            score.step(takeoff, takeoff + flight, side, (x + self.own.travel, y, toe), 0.0)

    def _trunk(
        self,
        time: float,
        dip: float,
        low: float,
        release: float,
        side: float,
        active: Mapping[str, float],
        draw: np.ndarray,
    ) -> None:
        score, own = self.score, self.own
        off = active.get("off_balance", 0.0)
        lean = float(np.clip(own.lean + 1.5 * self.v * draw[9], 0, 24))
        back = own.release_lean + 0.8 * self.v * draw[10] - 7 * off
        score.move(time, dip, lean=lean, side=0.0, twist=self.inner * 0.3 * own.twist)
        score.move(dip, low, lean=lean)
        score.move(low, release, lean=back, twist=self.inner * own.twist)
        score.move(low + 0.4 * (release - low), release + 0.12, side=side)
        score.move(low, release + 0.15, com_y=np.sign(side) * 0.06 * off)
        score.move(release + 0.15, release + 0.5, side=side * (0.9 if off == 0 else 0.8))
        score.move(release + 0.5, release + 1.0, side=0.6 * side * (1 - 0.5 * off), com_y=0.0)
        score.move(time, dip, head_pitch=0.6 * own.head + 2, head_yaw=0.0)
        score.move(low, release, head_pitch=own.head)

    def _hands(
        self,
        time: float,
        dip: float,
        low: float,
        top: float,
        release: float,
        fall: float,
        hold: float,
        flare: float,
        draw: np.ndarray,
    ) -> None:
        score, own, v = self.score, self.own, self.v
        h, g = self.hand, self.guide
        x, y, z = own.dip_hand
        bent = swivel_for(self.performer, own.dip_hand, own.dip_flare * min(flare, 30.0))
        guide_away = 0.5 if own.one_hand_dip else 0.0
        score.move(
            time,
            dip,
            **{f"hand_x_{h}": x, f"hand_y_{h}": y, f"hand_z_{h}": z, f"elbow_{h}": bent},
        )
        score.move(
            time,
            dip,
            **{
                f"hand_x_{g}": x + own.guide_ahead - 0.3 * guide_away,
                f"hand_y_{g}": y + guide_away,
                f"hand_z_{g}": z - 0.3 * guide_away,
                f"elbow_{g}": 10 + 0.5 * own.guide_elbow,
            },
        )
        score.both(time, dip, follow=0.35)
        excess = max(flare - 25.0, 0.0) / 35.0
        sx, sy, sz = own.set_hand
        sy = sy + 0.42 * excess + 0.02 * v * draw[11]
        sz = sz - 0.08 * excess
        sx = sx - 0.10 * excess
        swivel = swivel_for(self.performer, (sx, sy, sz), flare)
        begin = max(low - own.lag, time + 0.15)
        for side in (h, g):
            score.hold(begin, *(f"{n}_{side}" for n in ("hand_x", "hand_y", "hand_z", "elbow")))
        score.via(
            top,
            **{f"hand_x_{h}": sx, f"hand_y_{h}": sy, f"hand_z_{h}": sz, f"elbow_{h}": swivel},
        )
        angle = np.radians(own.elevation + 1.5 * v * draw[12])
        score.reach(
            release,
            **{
                f"hand_x_{h}": own.reach * np.cos(angle),
                f"hand_y_{h}": own.release_out + 0.1 * excess,
                f"hand_z_{h}": own.reach * np.sin(angle),
                f"elbow_{h}": 20.0 + 0.4 * max(swivel - 20.0, 0.0),
                f"follow_{h}": 0.2,
            },
        )
        score.via(
            top,
            **{
                f"hand_x_{g}": sx + 0.7 * own.guide_ahead,
                f"hand_y_{g}": own.set_hand[1] + 0.06,
                f"hand_z_{g}": sz + 0.02,
                f"elbow_{g}": own.guide_elbow,
            },
        )
        score.reach(
            release - 0.02,
            **{
                f"hand_x_{g}": own.guide_hand[0],
                f"hand_y_{g}": own.guide_hand[1],
                f"hand_z_{g}": own.guide_hand[2],
                f"elbow_{g}": own.guide_elbow,
            },
        )
        self._drop(release, fall, hold)

    def _drop(self, release: float, fall: float, hold: float) -> None:
        """Bring down the guide hand, then the shooting hand at `fall`."""
        score, own = self.score, self.own
        guide = release + 0.08 + own.guide_stays * max(min(fall - release, hold) - 0.1, 0.0)
        for side, start, via in ((self.guide, guide, 0.0), (self.hand, fall, 1.0)):
            names = [f"{n}_{side}" for n in ("hand_x", "hand_y", "hand_z", "elbow", "follow")]
            score.hold(max(start, release), *names)
            end = max(start, release) + DROP * (1.35 if via == 0.0 else 1.0)
            score.via(
                (max(start, release) + end) / 2, **{f"hand_x_{side}": 0.55, f"hand_z_{side}": -0.05}
            )
            score.reach(
                end,
                **{
                    f"hand_x_{side}": 0.16,
                    f"hand_y_{side}": 0.12,
                    f"hand_z_{side}": -0.92,
                    f"elbow_{side}": 15.0,
                    f"follow_{side}": 0.3,
                },
            )

    def rest(self, time: float, last: bool) -> float:
        """After the shot; returns the end, or the start of the next routine."""
        score, rng = self.score, self.rng
        settle(score, time, time + 0.6, 2.0)
        if not last:
            pause = rng.uniform(0.3, 3.0)
            idle(score, rng, time + 0.4, time + pause, "hang", liveliness=0.7)
            return time + max(pause, 0.6)
        pause = rng.uniform(0.1, 0.8) if rng.random() < 0.4 else rng.uniform(0.8, 3.5)
        if rng.random() < 0.35 and pause > 1.5:
            distance, angle = rng.uniform(0.3, 1.5), rng.uniform(-170, 170)
            a = np.radians(angle)
            to = (self.spot[0] + distance * np.cos(a), self.spot[1] + distance * np.sin(a))
            facing = float(np.clip(angle, -60, 60)) if distance < 0.9 else angle
            done = walk(score, rng, time + 0.5, to, facing, stance(to, facing, 0.2, 8.0))
            return max(time + pause, done + 0.1)
        idle(score, rng, time + 0.4, time + pause, "hang", arms=pause > 1.4)
        return time + pause
