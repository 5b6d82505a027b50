"""Where one repetition ends and the next begins, on the joints alone.

A fault may show in one repetition of five: an extreme over the whole clip is then that of a good
one. So evidence is measured repetition by repetition.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Final

import numpy as np
from scipy.signal import find_peaks

from assistant.pose.motion import Motion, hands, mean_knee_flexion, smooth, speed
from assistant.pose.quantities_ball import forward_speed
from assistant.pose.quantity import FREE_THROW, GOLF, KICK, LUNGE, PRESS, SQUAT
from assistant.skeleton import LEFT_WRIST

APART_SECONDS: Final = 1.0  # two repetitions peak at least so far apart


def _throwing_wrist_height(motion: Motion) -> np.ndarray:
    return motion.joints[:, :, LEFT_WRIST + motion.throw_side, 2]


def _hands_height(motion: Motion) -> np.ndarray:
    return hands(motion)[..., 2]


def _hands_speed(motion: Motion) -> np.ndarray:
    return speed(hands(motion))


def _kicking_speed(motion: Motion) -> np.ndarray:
    return np.maximum(*(forward_speed(motion, side) for side in (0, 1)))


# Activity: a track [S, F] with one peak a repetition, and how far the peak must stand out of the
# track, as a share of its range. Running steps before a kick reach half of the kick's speed.
TRACKS: Final[dict[str, tuple[Callable[[Motion], np.ndarray], float]]] = {
    SQUAT: (mean_knee_flexion, 0.4),
    LUNGE: (mean_knee_flexion, 0.4),
    PRESS: (_hands_height, 0.4),
    FREE_THROW: (_throwing_wrist_height, 0.4),
    KICK: (_kicking_speed, 0.6),
    GOLF: (_hands_speed, 0.4),
}


def repetitions(motion: Motion, activity: str | None) -> list[np.ndarray]:
    """Windows [F] bool of the repetitions in the motion's window, in order.

    Peaks of the first version's track; they are divided half-way between them. One window, the
    motion's own, for an unknown activity or where no peak is found.
    """
    if activity not in TRACKS:
        return [motion.window]
    track, prominence = TRACKS[activity]
    inside = np.flatnonzero(motion.window)
    values = smooth(track(motion)[:1], motion.fps)[0, inside]
    # A clip may begin or end at its peak: the frames beside the window count as low.
    padded = np.pad(values, 1, constant_values=values.min())
    peaks, _ = find_peaks(
        padded,
        prominence=max(prominence * float(np.ptp(values)), 1e-9),
        distance=max(round(APART_SECONDS * motion.fps), 1),
    )
    if len(peaks) < 2:
        return [motion.window]
    at = inside[peaks - 1]
    edges = [inside[0], *((at[:-1] + at[1:] + 1) // 2), inside[-1] + 1]
    frame = np.arange(len(motion.window))
    return [motion.window & (frame >= a) & (frame < b) for a, b in pairwise(edges)]
