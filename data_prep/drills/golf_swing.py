"""The golf swing: address, backswing with the turn of the trunk, downswing, impact, finish.

Ranges after Hume, Keogh and Reid (2005), Myers et al. (2008) and Zheng et al. (2008), see
`faults_ball`: trunk inclined 30 to 45 degrees from the hips, shoulders turned about 90 and
pelvis about 45 degrees at the top, backswing about 0.8 to 1 s and downswing a third of it, the
pelvis ahead of the trunk on the way down. The golfer faces +x, the target is on the lead side.
Both hands hold one grip. Draws are made in the same order whatever the faults are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from data_prep.drills.faults import spec
from data_prep.drills.idle import idle, reposition, stance, walk
from data_prep.drills.performer import Performer
from data_prep.drills.take import Rep, Take, clip_to, setup_seconds
from data_prep.drills.tracks import Score

ACTIVITY: Final = "golf_swing"
STEPS: Final = ("set_up", "backswing", "downswing", "follow_through", "finish", "rest")
WAITING: Final = (0.34, -0.30, -0.86)  # the lead hand of a person who stands with the club

Direction = tuple[float, float, float]


@dataclass(frozen=True)
class Style:
    """How a person swings when nothing is wrong; metres, degrees, seconds."""

    width: float
    toe: float
    knee: float
    lean: float
    tilt: float  # trunk away from the target
    turn: float
    hip_turn: float
    lead_arm: float  # elbow angle at the top
    high_top: float  # how high the hands go at the top
    sway: float  # centimetres away from the target
    drive: float  # metres toward the target at impact
    open_hips: float
    open_trunk: float
    face: float
    head: float
    finish: float  # centimetres over the shoulders
    end_turn: float
    back: float
    pause: float
    down: float
    through: float
    hold: float
    waggles: int


def style(performer: Performer) -> Style:
    """The person's own way."""
    rng = performer.style_rng(ACTIVITY)
    return Style(
        width=performer.stature * rng.uniform(0.20, 0.28),
        toe=rng.uniform(4, 18),
        knee=rng.uniform(17, 28),
        lean=rng.uniform(31, 43),
        tilt=rng.uniform(1, 6),
        turn=rng.uniform(85, 101),
        hip_turn=rng.uniform(34, 50),
        lead_arm=rng.uniform(158, 173),
        high_top=rng.uniform(0.22, 0.50),
        sway=rng.uniform(-2.5, 2.5),
        drive=rng.uniform(0.05, 0.10),
        open_hips=rng.uniform(30, 46),
        open_trunk=rng.uniform(12, 30),
        face=rng.uniform(-8, 7),
        head=rng.uniform(48, 62),
        finish=rng.uniform(6, 26),
        end_turn=rng.uniform(92, 112),
        back=rng.uniform(0.78, 1.1),
        pause=rng.uniform(0.03, 0.12),
        down=rng.uniform(0.26, 0.34),
        through=rng.uniform(0.42, 0.60),
        hold=rng.uniform(0.5, 1.6),
        waggles=int(rng.choice([0, 1, 2, 3], p=[0.35, 0.25, 0.25, 0.15])),
    )


def perform(
    performer: Performer,
    seed: int,
    variability: float,
    repetitions: int,
    faults: Mapping[str, tuple[float, frozenset[int]]],
) -> Take:
    """The score of one clip; arguments as in `squat.perform`."""
    rng = np.random.default_rng([seed, 14])
    take = Take(Score(), STEPS)
    golfer = _Golfer(take, rng, style(performer), performer, variability)
    time = golfer.arrive()
    for n in range(repetitions):
        active = {k: s for k, (s, reps) in faults.items() if n in reps}
        time = golfer.address(time)
        time = golfer.swing(time, active)
        time = golfer.rest(time, last=n == repetitions - 1)
    take.end = time
    return take


@dataclass(frozen=True)
class _Times:
    """Instants of one swing, seconds."""

    start: float
    top: float
    leave: float  # the arms start down
    impact: float
    finish: float
    end: float


class _Golfer:
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
        self.length, self.v = performer.lengths, variability
        self.tempo = performer.tempo * float(np.exp(rng.normal(0, 0.06)))
        self.lead_side = 1 if performer.left_handed else 0
        self.lead, self.trail = "lr"[self.lead_side], "lr"[1 - self.lead_side]
        # +1 where the target is to the left, as for a right-handed golfer.
        self.m = -1.0 if performer.left_handed else 1.0
        self.arm = self.length["upper_arm"] + self.length["forearm"]
        self.feet = stance((0.0, 0.0), 0.0, own.width, own.toe, 0.0)

    def hand(self, direction: Direction, reach: float, swivel: float = 10.0) -> dict[str, float]:
        """Targets that put the lead hand at `reach` arm lengths in a direction."""
        unit = np.array(direction) / np.linalg.norm(direction)
        axes = {f"hand_{axis}_{self.lead}": reach * u for axis, u in zip("xyz", unit, strict=True)}
        return axes | {f"elbow_{self.lead}": swivel}

    def arrive(self) -> float:
        """Stand with the club, or step up to the ball; returns the time of arrival."""
        score, rng = self.score, self.rng
        duration = setup_seconds(rng)
        score.initial |= {f"join_{self.trail}": 1.0, f"follow_{self.lead}": 1.0}
        score.initial |= {f"elbow_{self.trail}": 8.0, f"follow_{self.trail}": 1.0}
        score.initial |= self.hand(WAITING, 0.97)
        if rng.random() < 0.35 and duration > 1.4:
            away = (-rng.uniform(0.5, 1.3), self.m * rng.uniform(-0.8, 0.1))
            facing = rng.uniform(-20, 20)
            score.initial["yaw"] = facing
            score.place(*stance(away, facing, 0.2, 8.0))
            return walk(score, rng, rng.uniform(0.2, 0.6), (0.0, 0.0), 0.0, self.feet) + 0.2
        score.place(*self.feet)
        idle(score, rng, 0.0, duration, arms=False, liveliness=0.8)
        if rng.random() < 0.4:
            return reposition(score, rng, duration, self.feet) + 0.1
        return duration

    def address(self, time: float) -> float:
        """Bend over the ball, waggle, look at the target; returns the start of the backswing."""
        score, rng, own = self.score, self.rng, self.own
        self.take.mark(time, "set_up")
        bent = time + rng.uniform(0.7, 1.1)
        score.move(time, bent, lean=own.lean, knee=own.knee, side=-self.m * own.tilt, twist=0.0)
        score.move(time, bent, com_x=0.0, com_y=0.0, list=0.0, head_yaw=0.0, head_pitch=own.head)
        score.move(time, bent, head_free=1.0)
        ready = self.hand((0.64, -0.31, -0.68), 0.975)
        score.move(time, bent, **ready)
        look = rng.random() < 0.5
        time = bent + rng.uniform(0.15, 0.6)
        if look:
            score.move(time, time + 0.4, head_yaw=self.m * 62.0, head_pitch=14.0)
            score.move(time + 0.6, time + 1.0, head_yaw=0.0, head_pitch=own.head)
            time += 1.1
        for _ in range(own.waggles):
            side = rng.uniform(0.10, 0.20)
            away = self.hand((0.64, -0.31 - side, -0.66), 0.96)
            score.move(time, time + 0.22, **away)
            score.move(time + 0.22, time + 0.45, **ready)
            time += 0.5
        return time + rng.uniform(0.1, 0.4)

    def swing(self, time: float, active: Mapping[str, float]) -> float:
        """Backswing to the end of the finish; returns its time."""
        own, v = self.own, self.v
        draw = self.rng.normal(size=14)
        values = {
            "bent_lead_arm": (own.lead_arm + 1.8 * v * draw[0], 3.0),
            "restricted_turn": (own.turn + 2.0 * v * draw[1], 3.0),
            "hip_sway": (own.sway + 0.7 * v * draw[2], 2.0),
            "head_up_early": (own.face + 1.8 * v * draw[3], 8.0),
            "low_finish": (own.finish + 2.0 * v * draw[4], 3.0),
        }
        kept = {k: clip_to(ACTIVITY, k, x, margin) for k, (x, margin) in values.items()}
        shown = {k: spec(ACTIVITY, k).size(active.get(k, 0.0), x) for k, x in kept.items()}
        quick = self.tempo**0.5
        paces = np.exp(0.07 * v * draw[5:9]) * quick
        top = time + float(own.back * paces[0])
        leave = top + own.pause
        impact = leave + float(np.clip(own.down * paces[1], 0.23, 0.40))
        finish = impact + float(own.through * paces[2])
        at = _Times(time, top, leave, impact, finish, finish + own.hold)
        self._trunk(at, shown, draw)
        self._legs(at, shown["hip_sway"])
        self._hands(at, shown)
        self._head(at, shown["head_up_early"])
        for start, name in (
            (at.start, "backswing"),
            (at.top, "downswing"),
            (at.impact, "follow_through"),
            (at.finish, "finish"),
        ):
            self.take.mark(start, name)
        self.take.mark(at.end, "rest")
        self.take.repetitions.append(Rep(at.start, at.end, at.impact, kept))
        self.take.fixations += [
            (at.start - 0.5, at.impact + 0.12, 0.0, -60.0),  # the ball
            (at.impact + 0.35, at.end, self.m * 88.0, 8.0),  # its flight
        ]
        half = at.start + 0.5 * (at.top - at.start)
        spans = {
            "bent_lead_arm": (half, at.leave + 0.4 * (at.impact - at.leave)),
            "restricted_turn": (half, at.leave + 0.3 * (at.impact - at.leave)),
            "hip_sway": (half - 0.1, at.leave + 0.2),
            "head_up_early": (at.leave, at.impact + 0.2),
            "low_finish": (at.impact + 0.15, at.end),
        }
        for name in active:
            self.take.spans.append((name, *spans[name]))
        return at.end

    def _trunk(self, at: _Times, shown: Mapping[str, float], draw: np.ndarray) -> None:
        score, own, m = self.score, self.own, self.m
        late = at.start + 0.12 * (at.top - at.start)
        first = at.top - 0.04  # the pelvis turns back before the arms do
        score.move(at.start, at.top, twist=-m * shown["restricted_turn"])
        score.move(late, first, hip_turn=-m * min(own.hip_turn, 0.62 * shown["restricted_turn"]))
        score.move(at.leave, at.leave + 0.03, twist=-m * shown["restricted_turn"])
        score.via(at.impact, twist=m * own.open_trunk, hip_turn=m * own.open_hips)
        score.reach(at.finish, twist=m * own.end_turn, hip_turn=m * 0.8 * own.end_turn)
        side = -m * (own.tilt + 5.0)
        score.move(at.leave, at.impact, side=side)
        score.move(at.impact + 0.04, at.finish, side=0.0)
        score.move(at.impact + 0.06, at.finish, lean=3.0 + 0.3 * (own.lean - 30))

    def _legs(self, at: _Times, sway: float) -> None:
        score, own, m = self.score, self.own, self.m
        score.move(at.start, at.top, com_y=-m * sway / 100)
        score.move(at.leave - 0.03, at.impact + 0.05, com_y=m * own.drive)
        shift = 0.42 * own.width
        score.move(at.impact + 0.05, at.finish, com_y=m * max(shift, own.drive))
        score.move(at.leave, at.impact, knee=own.knee - 4)
        score.move(at.impact, at.finish, knee=7.0)
        lead, trail, side = self.lead, self.trail, 1 - self.lead_side
        # The weight leaves the trail foot, which rolls onto its toes and turns to the target.
        score.move(at.impact - 0.02, at.finish, **{f"carry_{trail}": 0.0})
        foot = self.length["foot"]
        score.move(at.impact - 0.06, at.finish - 0.05, **{f"heel_{trail}": 0.74 * foot})
        x, y, toe = score.feet[side]
        turned = toe + m * 62.0
        a, b = np.radians(toe), np.radians(turned)
        pivot = (
            x + foot * (np.cos(a) - np.cos(b)),
            y + foot * (np.sin(a) - np.sin(b)),
            turned,
        )
        score.step(at.impact + 0.08, at.finish, side, pivot, 0.0)
        score.move(at.start, at.top, **{f"knee_out_{lead}": -9.0, f"knee_out_{trail}": 2.0})
        score.move(at.leave, at.impact, **{f"knee_out_{lead}": 4.0, f"knee_out_{trail}": -14.0})
        score.move(at.impact, at.finish, **{f"knee_out_{lead}": 8.0, f"knee_out_{trail}": -4.0})
        self.home = (x, y, toe)

    def _hands(self, at: _Times, shown: Mapping[str, float]) -> None:
        score, own, lead = self.score, self.own, self.lead
        first, second = self.length["upper_arm"], self.length["forearm"]
        angle = np.radians(min(shown["bent_lead_arm"], 176.0))
        reach = np.sqrt(first**2 + second**2 - 2 * first * second * np.cos(angle)) / self.arm
        names = [f"hand_{axis}_{lead}" for axis in "xyz"] + [f"elbow_{lead}"]
        score.hold(at.start, *names)
        half = at.start + 0.5 * (at.top - at.start)
        score.via(half, **self.hand((0.80, -0.60, -0.28), 0.985 - 0.4 * (0.985 - reach)))
        score.reach(at.top, **self.hand((0.42, -0.78, own.high_top), reach, 20.0))
        score.hold(at.leave, *names)
        way = at.impact - at.leave
        score.via(at.leave + 0.55 * way, **self.hand((0.74, -0.62, -0.30), 0.985, 15.0))
        score.via(at.impact, **self.hand((0.66, -0.27, -0.69), 0.985))
        up = shown["low_finish"] / 100 / self.arm
        low = min(-0.42, up - 0.18)  # a swing that is cut short never rises above its end
        score.via(
            at.impact + 0.10,
            **self.hand((np.sqrt(0.95 - low**2), -0.12, low), 0.975),
        )
        # Hands beside the lead shoulder, or low in front of it when the swing is cut short.
        ahead = 0.32 + 0.35 * float(np.clip((0.1 - up) / 0.6, 0, 1))
        end = np.array([ahead, -0.04, up])
        score.reach(
            at.finish, **self.hand((end[0], end[1], end[2]), float(np.linalg.norm(end)), 25.0)
        )
        score.move(at.impact + 0.05, at.finish, **{f"follow_{lead}": 0.0})

    def _head(self, at: _Times, face: float) -> None:
        score, own, m = self.score, self.own, self.m
        # The wanted turn is seen from above; the head turns about its own inclined axis.
        lowered = np.cos(np.radians(own.head))
        yaw = np.degrees(np.arctan2(np.sin(np.radians(face)) * lowered, np.cos(np.radians(face))))
        score.move(at.leave, at.impact - 0.05, head_yaw=m * yaw)
        score.move(at.impact + 0.10, at.finish, head_yaw=m * 74.0, head_pitch=4.0)

    def rest(self, time: float, last: bool) -> float:
        """After the finish; returns the end, or the start of the next address."""
        score, rng = self.score, self.rng
        side, trail = 1 - self.lead_side, self.trail
        back = time + 0.9
        score.move(time, back, twist=0.0, hip_turn=0.0, lean=3.0, side=0.0, com_y=0.0, knee=7.0)
        score.move(time, back, head_yaw=self.m * 20.0, head_pitch=6.0)
        score.step(time + 0.05, back - 0.25, side, self.home, 0.0)
        score.move(time + 0.3, back, **{f"heel_{trail}": 0.0, f"carry_{trail}": 1.0})
        score.both(time, back, knee_out=0.0)
        score.move(time + 0.1, back + 0.1, **self.hand(WAITING, 0.97))
        score.move(time + 0.1, back + 0.1, **{f"follow_{self.lead}": 1.0})
        pause = rng.uniform(0.2, 1.0) if rng.random() < 0.4 else rng.uniform(1.0, 3.0)
        end = back + 0.1 + pause
        idle(score, rng, back + 0.1, end, arms=False, liveliness=0.8)
        if not last:
            score.move(end - 0.3, end, head_free=0.0)
        return end
