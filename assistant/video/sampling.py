"""Which moments of a film are looked at."""

import numpy as np


def uniform_times(start: float, end: float, count: int) -> np.ndarray:
    """Middles of `count` equal parts of [start, end] seconds, [count] float64.

    A span of no length gives its start `count` times.

    Raises:
        ValueError: the span ends before it starts, or count below 1.
    """
    if not (np.isfinite(start) and np.isfinite(end) and end >= start and count >= 1):
        raise ValueError(f"{count} times in [{start}, {end}], expected start <= end and count >= 1")
    return start + (np.arange(count) + 0.5) * (end - start) / count


def grid_times(duration: float, fps: float) -> np.ndarray:
    """Times 0, 1/fps, 2/fps, ... below `duration` seconds, at least one, float64."""
    return np.arange(max(round(duration * fps), 1)) / fps


def thinned_rate(fps: float, limit: float) -> float:
    """The highest rate of at most `limit` (5% over allowed) that keeps every k-th frame of `fps`.

    60 -> 30, 59.94 -> 29.97, 50 -> 25, 24 -> 24 for a limit of 30.
    """
    return fps / max(np.ceil(fps / limit - 0.05), 1.0)
