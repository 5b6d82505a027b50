"""What an activity's module writes: the score, its steps, repetitions and fault spans."""

from dataclasses import dataclass, field

import numpy as np

from data_prep.drills.faults import spec
from data_prep.drills.tracks import FPS, Score


@dataclass
class Rep:
    """One repetition: its span, its key instant, and the faultless quantities by fault name."""

    start: float
    end: float
    key: float
    values: dict[str, float]


@dataclass
class Take:
    """A clip being written; times in seconds."""

    score: Score
    step_names: tuple[str, ...]
    marks: list[tuple[float, str]] = field(default_factory=list)
    repetitions: list[Rep] = field(default_factory=list)
    spans: list[tuple[str, float, float]] = field(default_factory=list)
    end: float = 1.0
    # Where a skilled performer looks: start, end (seconds), azimuth, elevation (degrees against
    # the clip's +x); empty where the gaze model needs the repetitions only.
    fixations: list[tuple[float, float, float, float]] = field(default_factory=list)

    def mark(self, time: float, step: str) -> None:
        """From `time` on the clip is in `step`."""
        self.marks.append((time, step))

    @property
    def frames(self) -> int:
        """Length of the clip at 30 fps."""
        return max(round(self.end * FPS), 2)

    def labels(self) -> np.ndarray:
        """Step index per frame [F]."""
        steps = np.zeros(self.frames, dtype=np.int8)
        for time, name in self.marks:
            first = max(round(time * FPS), 0)
            steps[first:] = self.step_names.index(name)
        return steps


def clip_to(activity: str, fault: str, value: float, margin: float) -> float:
    """A faultless quantity, kept inside the normal range of its fault by `margin`."""
    low, high = spec(activity, fault).normal
    return float(np.clip(value, low + margin, high - margin))


def setup_seconds(rng: np.random.Generator) -> float:
    """Time before the first repetition: 0.5 to 10 s, mostly short."""
    kind = rng.random()
    if kind < 0.35:
        return float(rng.uniform(0.5, 1.2))
    if kind < 0.85:
        return float(rng.uniform(1.2, 4.5))
    return float(rng.uniform(4.5, 10.0))
