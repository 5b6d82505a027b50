"""The moments of a clip: windows in seconds, from frame weights that keep to the repetitions.

Frame weights come from Stage 1's global attention or from the Sparse Skill Extractor, whose rollout
(section 3.1 of its paper) says how much each segment brought to the prediction. They choose the
windows that `Assessment.moments` lists and, where asked for, those of the prototype margin.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from torch import Tensor, from_numpy

from assistant.errors import PoiseError
from assistant.pose.normalise import PERCEPTION_FPS
from assistant.proficiency.pdm import WINDOW_SECONDS, proposal_times
from assistant.proficiency.skill_reading import SkillReading, read_skill
from assistant.proficiency.sparse_skill import SparseSkillExtractor
from assistant.proficiency.stage1 import heaviest_windows

# Whose weights choose the moments, and which windows have a margin where no action times are known.
SOURCES: Final = ("attention", "sparse_skill")
PROPOSALS: Final = ("uniform", "weighted", "moments")
N_MOMENTS: Final = 3
_TINY: Final = 1e-12


@dataclass(frozen=True)
class MomentSettings:
    """Saved with the checkpoint.

    Attributes:
        source: "attention", Stage 1's global attention; "sparse_skill", the skill model's rollout
            within the repetitions.
        proposals: see `margin_windows`; the calibration was fitted with the same.
    """

    source: str = "attention"
    proposals: str = "uniform"

    def __post_init__(self) -> None:
        for name, known in (("source", SOURCES), ("proposals", PROPOSALS)):
            if getattr(self, name) not in known:
                raise PoiseError(
                    f"unknown {name} of moments",
                    got=repr(getattr(self, name)),
                    expected=", ".join(known),
                )


class Moment(NamedTuple):
    """A window in seconds from the clip's start and its share of the attention, 0..1."""

    start: float
    end: float
    weight: float


def moments_of(
    attention: Tensor, span: tuple[float, float], count: int = N_MOMENTS
) -> tuple[Moment, ...]:
    """The heaviest windows of attention [T] over the cut clip, in seconds of the whole clip."""
    windows = heaviest_windows(attention, PERCEPTION_FPS, count=count)
    start, end = span
    return tuple(
        Moment(min(a + start, end), min(b + start, end), weight) for a, b, weight in windows
    )


def frame_weights(reading: SkillReading, length: int) -> np.ndarray:
    """Rollout weights of the segments, laid on the frames that they were read from.

    A frame has the mean weight of all reads of it; frames that no segment read lie on the line
    between their neighbours.

    Args:
        reading: with weights [draws, n] of the segments and their frames [draws, n, K].
        length: T, frames of the clip.
    Returns:
        [T] float64, sum 1; all the same for a model that cannot say where (late fusion).
    """
    if not reading.weights.size:
        return np.full(length, 1 / length)
    frames = reading.frames.ravel()
    weights = np.broadcast_to(reading.weights[..., None], reading.frames.shape).ravel()
    reads = np.bincount(frames, minlength=length)
    total = np.bincount(frames, weights, minlength=length)
    read = np.flatnonzero(reads)
    return _shares(np.interp(np.arange(length), read, total[read] / reads[read]))


def restricted(weights: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Frame weights times the probability `inside` [T] of lying in a repetition: [T], sum 1."""
    return _shares(weights * inside)


def skill_weights(
    model: SparseSkillExtractor, features: np.ndarray, inside: np.ndarray
) -> np.ndarray:
    """Where the skill model looks, within the repetitions.

    Args:
        features: [T, F] as the model was trained on; inside: [T] probability of a repetition.
    Returns:
        [T], sum 1; the same for the same clip.
    """
    return restricted(frame_weights(read_skill(model, features), len(features)), inside)


def margin_windows(
    proposals: str, weights: np.ndarray, frames: int, fps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Centres [P] in seconds and shares [P] (sum 1) of the windows that a margin is the mean of.

    Args:
        proposals: "uniform", one every second, all alike; "weighted", the same by the weight that
            lies in them; "moments", the heaviest windows alone, by their weight.
        weights: [T] at `PERCEPTION_FPS`; frames, fps: of the stream that has the margin.
    """
    times = proposal_times(frames, fps)
    if proposals == "uniform":
        return times, np.full(len(times), 1 / len(times))
    if proposals == "weighted":
        at = np.arange(len(weights)) / PERCEPTION_FPS
        near = np.abs(at - times[:, None]) <= WINDOW_SECONDS / 2 + 1e-6
        return times, _shares((near * weights).sum(axis=1) / near.sum(axis=1).clip(1))
    found = heaviest_windows(from_numpy(weights), PERCEPTION_FPS, count=N_MOMENTS)
    middle = [(start + end - 1 / PERCEPTION_FPS) / 2 for start, end, _ in found]
    return np.array(middle), _shares(np.array([weight for _, _, weight in found]))


def _shares(weights: np.ndarray) -> np.ndarray:
    """Divided by their sum; equal where nothing weighs anything."""
    total = float(weights.sum())
    return weights / total if total > _TINY else np.full(len(weights), 1 / len(weights))
