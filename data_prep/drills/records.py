"""The simulated clip and its ground truth."""

from dataclasses import dataclass

import numpy as np

from assistant.clip import PoseSequence


@dataclass(frozen=True)
class Fault:
    """A fault in one repetition; a fault shown in three repetitions stands three times.

    Attributes:
        name: as in `faults.FAULTS`.
        region: body region.
        severity: 0..1, the same in all repetitions of a clip.
        start, end: when it can be seen, seconds.
    """

    name: str
    region: str
    severity: float
    start: float
    end: float


@dataclass(frozen=True)
class Drill:
    """One simulated clip.

    Attributes:
        sample_id: unique name.
        participant_id: who performs; splits never share one.
        activity: a known drill or a distractor.
        level: 0..3, None for distractors.
        rating: 1..10, None for distractors.
        pose: clean motion in world coordinates.
        twin: the same performer's fault-free motion with the same step boundaries and frame
            count; None for distractors.
        steps: [F] int, index into `step_names`.
        step_names: "set_up" first, "rest" last.
        faults: one entry per fault and repetition.
        moments: (start, end) seconds of what decides the level: the faulty spans, or the key
            phases of a fault-free clip.
        regions: six regions to polarity 0 needs improvement, 1 correct, 2 not mentioned.
        repetitions: active span of each repetition, seconds.
        gaze: [F, 2] degrees: azimuth against the clip's heading (left positive), elevation.
        correct_points: names in `faults.GOOD_POINTS` worth praising.
        seed: source of the texts.
        split: train, validation, test or shifted.
    """

    sample_id: str
    participant_id: str
    activity: str
    level: int | None
    rating: int | None
    pose: PoseSequence
    twin: PoseSequence | None
    steps: np.ndarray
    step_names: tuple[str, ...]
    faults: tuple[Fault, ...]
    moments: tuple[tuple[float, float], ...]
    regions: dict[str, int]
    repetitions: tuple[tuple[float, float], ...]
    gaze: np.ndarray
    correct_points: tuple[str, ...]
    seed: int
    split: str

    @property
    def distinct_faults(self) -> tuple[Fault, ...]:
        """Each fault once, the most severe first (the first repetition that shows it)."""
        first: dict[str, Fault] = {}
        for fault in self.faults:
            first.setdefault(fault.name, fault)
        return tuple(sorted(first.values(), key=lambda f: (-f.severity, f.name)))
