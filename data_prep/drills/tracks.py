"""Motion as curves of a few named controls: keys in time, joined by minimum-jerk segments.

All activities write keys; `Score.sample` turns them into one array a control, plus the paths of
the two feet, which move only inside footsteps and hops, so that planted feet cannot slide.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

FPS: Final = 30.0

# Control: value when nothing is keyed. Angles in degrees, lengths in metres, hands in arm lengths
# (forward, outward, up from the own shoulder). Names ending in _l, _r exist for both sides.
REST: Final = {
    "yaw": 0.0,  # heading, counter-clockwise
    "knee": 6.0,  # knee flexion of the supporting leg
    "lean": 1.0,  # trunk from the vertical, forward positive
    "side": 0.0,  # trunk from the vertical, left positive
    "twist": 0.0,  # shoulders against pelvis, left positive
    "list": 0.0,  # pelvis, left side up positive
    "com_x": 0.0,  # where the centre of mass stands over the feet, forward
    "com_y": 0.0,  # and to the left
    "lift": 0.0,  # both feet off the ground
    "head_pitch": 4.0,  # from the horizontal, down positive
    "head_yaw": 0.0,  # against the trunk, left positive
    "swing": 0.0,  # how far the arms swing with the steps
    "hip_turn": 0.0,  # pelvis about the vertical, left positive
    "head_free": 0.0,  # 0..1, the head does not turn with the trunk
    "bar": 0.0,  # 0..1, both hands on one bar
    "bar_half": 0.28,  # half the distance between the hands on it, metres
}
SIDED: Final = {
    "hand_x": 0.06,
    "hand_y": 0.10,
    "hand_z": -0.96,
    "elbow": 12.0,  # swivel of the elbow, outward positive
    "follow": 0.3,  # how far the arm's frame follows the trunk's lean
    "heel": 0.0,  # heel off the ground
    "knee_out": 0.0,  # knee swivel away from the direction of the toes, outward positive
    "inward": 0.0,  # knee valgus, 0..1 of `inward_size`
    "inward_size": 0.05,  # how far inside the ankle the knee goes, metres
    "carry": 1.0,  # share of the pelvis height that follows this leg's knee flexion
    "free": 0.0,  # 0..1, the leg swings from the hip by the three angles below
    "thigh": 0.0,  # thigh from the vertical, forward positive
    "splay": 4.0,  # thigh from the vertical, outward positive
    "bend": 5.0,  # its knee flexion
    "join": 0.0,  # 0..1, this hand holds on beside the other hand
}
CONTROLS: Final = tuple(REST) + tuple(f"{name}_{side}" for name in SIDED for side in "lr")
DEFAULTS: Final = REST | {f"{name}_{side}": value for name, value in SIDED.items() for side in "lr"}


@dataclass
class Step:
    """One foot's move from where it stands to (x, y, yaw), `height` metres high on the way."""

    start: float
    end: float
    side: int  # 0 left, 1 right
    x: float
    y: float
    toe: float  # direction of the foot against +x, degrees
    height: float = 0.07


@dataclass(frozen=True)
class Meeting:
    """A swinging foot is at a place at `time`, its angles bent towards that from `start` to `end`.

    The place is `point` (x, y, z of the ankle), which the foot passes along +x, or, where that is
    None, wherever the foot's own track is: so it leaves the ground and lands.
    """

    start: float
    time: float
    end: float
    side: int
    point: tuple[float, float, float] | None = None


@dataclass
class Score:
    """The keys and footsteps of one clip; times in seconds."""

    initial: dict[str, float] = field(default_factory=dict)
    keys: dict[str, list[tuple[float, float, bool]]] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    feet: list[list[float]] = field(
        default_factory=lambda: [[0.0, 0.14, 10.0], [0.0, -0.14, -10.0]]
    )  # now: x, y, toe of left and right
    first_feet: list[list[float]] | None = None
    raised: list[tuple[float, float, float, float, int, float]] = field(default_factory=list)
    meetings: list[Meeting] = field(default_factory=list)

    def value(self, name: str) -> float:
        """The last keyed value of a control."""
        if self.keys.get(name):
            return self.keys[name][-1][1]
        return self.initial.get(name, DEFAULTS[name])

    def move(self, start: float, end: float, **targets: float) -> None:
        """Bring controls to `targets` between two times; a later move starts where one ended."""
        for name, target in targets.items():
            keys = self.keys.setdefault(name, [])
            last, value = keys[-1][:2] if keys else (-1.0, self.value(name))
            begin = max(start, last)
            if begin > last:
                keys.append((begin, value, False))
            keys.append((max(end, begin + 1 / FPS), float(target), False))

    def via(self, time: float, **targets: float) -> None:
        """Pass through `targets` without stopping, on the way to a later `reach`."""
        for name, target in targets.items():
            keys = self.keys.setdefault(name, [])
            keys.append((max(time, keys[-1][0] + 1 / FPS), float(target), True))

    def reach(self, time: float, **targets: float) -> None:
        """Come to rest at `targets` after the last key or `via`."""
        for name, target in targets.items():
            keys = self.keys.setdefault(name, [])
            keys.append((max(time, keys[-1][0] + 1 / FPS), float(target), False))

    def hold(self, time: float, *names: str) -> None:
        """Let controls stay as they are until `time`."""
        for name in names:
            self.move(time - 1 / FPS, time, **{name: self.value(name)})

    def both(self, start: float, end: float, **targets: float) -> None:
        """`move` for the controls of both sides."""
        self.move(start, end, **{f"{n}_{s}": v for n, v in targets.items() for s in "lr"})

    def pulse(self, start: float, peak: float, until: float, end: float, **targets: float) -> None:
        """Go to `targets` by `peak`, hold `until`, and come back to the present value."""
        before = {name: self.value(name) for name in targets}
        self.move(start, peak, **targets)
        self.move(until, end, **before)

    def place(self, left: tuple[float, float, float], right: tuple[float, float, float]) -> None:
        """Where the feet stand at the start of the clip."""
        self.feet = [list(left), list(right)]
        self.first_feet = [list(left), list(right)]

    def step(
        self,
        start: float,
        end: float,
        side: int,
        to: tuple[float, float, float],
        height: float = 0.07,
    ) -> None:
        """Move one foot."""
        self.steps.append(Step(start, end, side, *to, height))
        self.feet[side] = list(to)

    def airborne(
        self, start: float, up: float, until: float, end: float, side: int, height: float
    ) -> None:
        """Keep one foot off the ground by `height` between `up` and `until`."""
        self.raised.append((start, up, until, end, side, height))

    def sample(self, frames: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """Curves at 30 fps.

        Returns:
            controls name -> [F]; feet [F, 2, 4] x, y, toe, height; grounded [F, 2] in 0..1.
        """
        times = np.arange(frames) / FPS
        curves = {}
        for name in CONTROLS:
            keys = self.keys.get(name)
            if keys:
                curves[name] = _minimum_jerk(times, keys)
            else:
                curves[name] = np.full(frames, self.initial.get(name, DEFAULTS[name]))
        feet, grounded = self._sample_feet(times)
        return curves, feet, grounded

    def _sample_feet(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        first = self.first_feet if self.first_feet is not None else self.feet
        feet = np.zeros((len(times), 2, 4))
        feet[:, :, :3] = np.array(first)[None]
        grounded = np.ones((len(times), 2))
        for step in sorted(self.steps, key=lambda s: s.start):
            phase = np.clip((times - step.start) / max(step.end - step.start, 1e-6), 0, 1)
            blend = smooth(phase)
            target = np.array([step.x, step.y, step.toe])
            now = feet[:, step.side, :3]
            feet[:, step.side, :3] = now + blend[:, None] * (target - now)
            arc = np.sin(np.pi * phase) ** 2
            feet[:, step.side, 3] += step.height * arc
            grounded[:, step.side] = np.minimum(grounded[:, step.side], 1 - arc**0.5)
        for start, up, until, end, side, height in self.raised:
            rise = smooth(np.clip((times - start) / (up - start), 0, 1))
            fall = smooth(np.clip((times - until) / (end - until), 0, 1))
            share = rise * (1 - fall)
            feet[:, side, 3] += height * share
            grounded[:, side] = np.minimum(grounded[:, side], 1 - np.minimum(share * 4, 1))
        return feet, grounded


def smooth(phase: np.ndarray) -> np.ndarray:
    """Minimum-jerk blend 0..1 of a phase in 0..1 (Flash and Hogan 1985, J. Neurosci.)."""
    return phase**3 * (10 - 15 * phase + 6 * phase**2)


def _minimum_jerk(times: np.ndarray, keys: list[tuple[float, float, bool]]) -> np.ndarray:
    """Quintic segments between keys: at rest at each key, or passing with a mean velocity."""
    knots = np.array([k[0] for k in keys])
    values = np.array([k[1] for k in keys])
    slopes = np.zeros(len(keys))
    for i in range(1, len(keys) - 1):
        before, after = values[i] - values[i - 1], values[i + 1] - values[i]
        if keys[i][2] and before * after > 0:
            slopes[i] = (before + after) / (knots[i + 1] - knots[i - 1])
    low = np.clip(np.searchsorted(knots, times, side="right") - 1, 0, len(knots) - 1)
    high = np.minimum(low + 1, len(knots) - 1)
    span = np.where(high > low, knots[high] - knots[low], 1.0)
    p = np.clip((times - knots[low]) / span, 0, 1)
    curve = values[low] + smooth(p) * (values[high] - values[low])
    leaving = p - 6 * p**3 + 8 * p**4 - 3 * p**5
    arriving = -4 * p**3 + 7 * p**4 - 3 * p**5
    return curve + span * (slopes[low] * leaving + slopes[high] * arriving)


def wobble(
    rng: np.random.Generator, frames: int, low: float = 0.15, high: float = 0.9, waves: int = 4
) -> np.ndarray:
    """A smooth random curve [F] of about unit standard deviation, slow frequencies in Hz."""
    frequency = rng.uniform(low, high, waves)
    phase = rng.uniform(0, 2 * np.pi, waves)
    size = rng.uniform(0.5, 1.0, waves)
    times = np.arange(frames)[:, None] / FPS
    waves_ = np.sin(2 * np.pi * times * frequency + phase) * size
    return waves_.sum(1) / np.sqrt((size**2).sum() / 2)
