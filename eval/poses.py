"""How far one motion is from another over a correction window, in millimetres.

All motions are compared without the root's path: every frame is centred on the pelvis.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assistant.clip import PoseSequence
from assistant.pose.alignment import clip_aligned_mpjpe, pa_mpjpe, pair_pa_mpjpe, procrustes
from assistant.skeleton import pelvis
from assistant.tasks.window import WINDOW_FPS, window_times


@dataclass(frozen=True)
class Distance:
    """Mean per-frame PA-MPJPE, and the error after one rigid alignment for the whole window."""

    frame_mm: float
    clip_mm: float


def window_joints(pose: PoseSequence, start: float) -> np.ndarray:
    """[10, 17, 3] root-centred joints of the window that starts at `start` seconds of the clip."""
    joints = pose.at_times(window_times(start), WINDOW_FPS).joints
    return centred(joints)


def centred(joints: np.ndarray) -> np.ndarray:
    """Every frame on its pelvis, [..., 17, 3]."""
    return joints - pelvis(joints)[..., None, :]


def distance(a: np.ndarray, b: np.ndarray) -> Distance:
    """From motion a to motion b, both [F, 17, 3]."""
    return Distance(float(pa_mpjpe(a, b).mean()), clip_aligned_mpjpe(a, b))


def overlaps(start: float, end: float, spans: Sequence[tuple[float, float]]) -> bool:
    """Does any of the spans share time with [start, end)?"""
    return any(a < end and b > start for a, b in spans)


def best_windows(experts: Sequence[np.ndarray], motion: np.ndarray) -> list[np.ndarray]:
    """Of each expert the stretch as long as `motion` that is nearest to it by PA-MPJPE.

    Args:
        experts: [F_i, 17, 3] at the rate of `motion`, F_i >= its length.
        motion: [W, 17, 3].
    """
    frames = len(motion)
    found = []
    for expert in experts:
        if len(expert) == frames:
            found.append(expert)
            continue
        cost = pair_pa_mpjpe(expert, motion)  # [F_i, W]
        starts = np.arange(len(expert) - frames + 1)
        totals = cost[starts[:, None] + np.arange(frames), np.arange(frames)].mean(axis=1)
        first = int(totals.argmin())
        found.append(expert[first : first + frames])
    return found


def mean_motion(windows: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """The mean of windows [N, W, 17, 3], each turned, moved and sized onto `motion` first."""
    flat = windows.reshape(len(windows), -1, 3)
    fit = procrustes(flat, motion.reshape(1, -1, 3))
    return fit.apply(flat).mean(axis=0).reshape(motion.shape)


def rank_of(item: int, distances: np.ndarray) -> int:
    """Rank, from 1, of `item` when sorted by rising distance; ties count against it."""
    return int(np.sum(distances <= distances[item]))
