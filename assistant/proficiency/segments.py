"""Segments of a clip, after Sparse Skill Extractor section 2.2, and its moments in seconds.

A clip is split into N partitions; each gives one segment of K frames with a stride of f frames
that starts at a random frame. Segments of a comparison clip start at the linearly mapped frames.
"""

from dataclasses import dataclass

import numpy as np

from assistant.errors import PoiseError


@dataclass(frozen=True)
class SegmentPlan:
    """How a clip is cut.

    Attributes:
        partitions: N; a clip of fewer frames gets one segment for each frame.
        frames: K, frames of a segment.
        stride: f, frames from one frame of a segment to the next.
    """

    partitions: int = 24
    frames: int = 4
    stride: int = 2

    def __post_init__(self) -> None:
        if min(self.partitions, self.frames, self.stride) < 1:
            raise PoiseError(
                "segments of a clip",
                got=f"{self.partitions} of {self.frames} frames, stride {self.stride}",
                expected="at least 1 of each",
            )

    @property
    def span(self) -> int:
        """Frames from the first to the last of a segment, both counted."""
        return (self.frames - 1) * self.stride + 1


def partition_borders(length: int, plan: SegmentPlan) -> np.ndarray:
    """Borders [n + 1] float64 of the partitions of a clip of `length` frames, in frames.

    Raises:
        PoiseError: a clip without frames.
    """
    if length < 1:
        raise PoiseError("a clip without frames has no segments", got=f"{length} frames")
    return np.linspace(0, length, min(plan.partitions, length) + 1)


def segment_starts(length: int, plan: SegmentPlan, rng: np.random.Generator) -> np.ndarray:
    """One random first frame in each partition [n]; a segment leaves its partition only when it
    is longer."""
    borders = partition_borders(length, plan)
    low = np.floor(borders[:-1]).astype(int)
    high = np.maximum(np.floor(borders[1:]).astype(int) - plan.span, low)
    return rng.integers(low, high, endpoint=True)


def mapped_starts(starts: np.ndarray, length: int, other_length: int) -> np.ndarray:
    """First frames [n] in a comparison clip: the same share of its length."""
    return starts * other_length // length


def segment_frames(starts: np.ndarray, length: int, plan: SegmentPlan) -> np.ndarray:
    """Frame numbers [n, K]; past the end the last frame stands again."""
    frames = starts[:, None] + plan.stride * np.arange(plan.frames)
    return np.minimum(frames, length - 1)


def key_moments(
    importance: np.ndarray, seconds: float, *, count: int = 3
) -> list[tuple[float, float, float]]:
    """The partitions that the prediction rests on, neighbours joined.

    Args:
        importance: [n] weight of each partition.
        seconds: length of the clip.
        count: partitions taken, the heaviest first.
    Returns:
        (start s, end s, share of all importance), the heaviest first.
    """
    weights = importance / max(float(importance.sum()), 1e-12)
    size = seconds / len(weights)
    chosen = sorted(np.argsort(-weights, kind="stable")[:count].tolist())
    groups: list[list[int]] = []
    for index in chosen:
        if groups and index == groups[-1][-1] + 1:
            groups[-1].append(index)
        else:
            groups.append([index])
    found = [(g[0] * size, (g[-1] + 1) * size, float(weights[g].sum())) for g in groups]
    return sorted(found, key=lambda moment: -moment[2])
