"""Demonstrations like a clip: filtered, then the nearest vectors, then PA-MPJPE of those."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from assistant.demos.choice import Choice
from assistant.demos.library import Demonstration, Library
from assistant.pose.alignment import pa_mpjpe

# The vectors' nearest so many are aligned, at least, and so many times the results asked for.
LEAST_ALIGNED: Final = 50
ALIGNED_TIMES: Final = 5


@dataclass(frozen=True)
class Found:
    """A demonstration and its mean PA-MPJPE to the clip's window, frame by frame, millimetres."""

    demonstration: Demonstration
    pa_mpjpe_mm: float


def window_errors_mm(items: list[Demonstration], window: np.ndarray) -> np.ndarray:
    """Mean PA-MPJPE of each item's window onto `window` [10, 17, 3]: [items] millimetres."""
    if not items:
        return np.zeros(0)
    return pa_mpjpe(np.stack([item.window for item in items]), window[None]).mean(1)


def search(library: Library, window: np.ndarray, choice: Choice, limit: int) -> list[Found]:
    """The `limit` demonstrations nearest to a window, of those that `choice` allows.

    Args:
        window: [10, 17, 3] metres, heading removed, as `WindowFrames.joints`.
    """
    items = library.nearest(window, choice, max(LEAST_ALIGNED, ALIGNED_TIMES * limit))
    errors = window_errors_mm(items, window)
    found = [Found(item, float(error)) for item, error in zip(items, errors, strict=True)]
    return sorted(found, key=lambda f: (f.pa_mpjpe_mm, f.demonstration.demonstration_id))[:limit]
