"""A leg that swings freely from its hip, and the places that its foot meets."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from data_prep.drills.tracks import FPS, Meeting, smooth

STRAIGHT_SECONDS: Final = 0.075  # before and after the point the foot moves along its line
LEAST_BEND: Final = 6.0  # degrees of knee flexion that are left

Leg = tuple[np.ndarray, np.ndarray, np.ndarray]  # thigh, splay and bend in radians


def swing_legs(
    length: dict[str, float],
    curves: dict[str, np.ndarray],
    hips: np.ndarray,
    base: np.ndarray,
    yaw: np.ndarray,
    planned: np.ndarray,
    meetings: Sequence[Meeting],
) -> tuple[np.ndarray, np.ndarray]:
    """Ankles and unit vectors of the thighs, both [F, 2, 3], of legs set by their angles.

    Args:
        length: the performer's segments.
        curves: `thigh_*`, `splay_*`, `bend_*` in degrees, [F].
        hips: [F, 2, 3] in the axes of the heading, about `base`.
        base: [F, 2] the body's middle in the clip; yaw: [F] heading, radians.
        planned: [F, 2, 3] ankles on the feet's own tracks, in the axes of the hips.
        meetings: places that a foot meets.
    """
    ankles, thighs = np.empty_like(hips), np.empty_like(hips)
    for side, name in enumerate("lr"):
        leg = tuple(np.radians(curves[f"{part}_{name}"]) for part in ("thigh", "splay", "bend"))
        met = [meeting for meeting in meetings if meeting.side == side]
        for meeting in met:
            frame = min(round(meeting.time * FPS), len(yaw) - 1)
            if meeting.point is None:
                place = planned[frame, side]
            else:
                place = _local(np.array(meeting.point), base[frame], yaw[frame])
            leg = _aim(length, leg, hips[:, side], place, frame, meeting)
        thighs[:, side] = _along(leg[0], leg[1], side)
        shank = _along(leg[0] - leg[2], leg[1], side)
        ankles[:, side] = (
            hips[:, side] + length["thigh"] * thighs[:, side] + length["shank"] * shank
        )
        for meeting in met:
            if meeting.point is not None:
                _straighten(ankles[:, side], base, yaw, meeting.time, meeting.point[1])
    return ankles, thighs


def _along(angle: np.ndarray, splay: np.ndarray, side: int) -> np.ndarray:
    """Unit vectors [F, 3] that hang down, turned forward and to their own side."""
    out = splay if side == 0 else -splay
    return np.stack([np.sin(angle), np.cos(angle) * np.sin(out), -np.cos(angle) * np.cos(out)], -1)


def _local(point: np.ndarray, base: np.ndarray, yaw: float) -> np.ndarray:
    """A point of the clip in the axes of the heading, about `base`."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    dx, dy = point[:2] - base
    return np.array([cos * dx + sin * dy, cos * dy - sin * dx, point[2]])


def _aim(
    length: dict[str, float],
    leg: Leg,
    hip: np.ndarray,
    place: np.ndarray,
    frame: int,
    meeting: Meeting,
) -> Leg:
    """The leg's angles, changed smoothly so that the ankle is at the place at its time."""
    x, y, down = (place - hip[frame]) * [1, 1 if meeting.side == 0 else -1, -1]
    first, second = length["thigh"], length["shank"]
    low = first**2 + second**2 + 2 * first * second * np.cos(np.radians(140))
    high = first**2 + second**2 + 2 * first * second * np.cos(np.radians(LEAST_BEND))
    square = float(np.clip(x**2 + y**2 + down**2, low, high))
    bend = np.arccos((square - first**2 - second**2) / (2 * first * second))
    offset = np.arcsin(second * np.sin(bend) / np.sqrt(square))
    wanted = (np.arctan2(x, np.hypot(y, down)) + offset, np.arctan2(y, down), bend)
    times = np.arange(len(hip)) / FPS
    rise = smooth(np.clip((times - meeting.start) / (meeting.time - meeting.start), 0, 1))
    fall = smooth(np.clip((meeting.end - times) / (meeting.end - meeting.time), 0, 1))
    weight = np.minimum(rise, fall)
    changed = [now + weight * (aim - now[frame]) for now, aim in zip(leg, wanted, strict=True)]
    return changed[0], changed[1], changed[2]


def _straighten(
    ankle: np.ndarray, base: np.ndarray, yaw: np.ndarray, time: float, line: float
) -> None:
    """Let the path [F, 3] join the line y = `line` of the clip about a time, in place."""
    apart = np.abs(np.arange(len(ankle)) / FPS - time) / STRAIGHT_SECONDS
    weight = 1 - smooth(np.clip(apart - 1, 0, 1))
    cos, sin = np.cos(yaw), np.sin(yaw)
    x = base[:, 0] + cos * ankle[:, 0] - sin * ankle[:, 1]
    y = base[:, 1] + sin * ankle[:, 0] + cos * ankle[:, 1]
    y = y + weight * (line - y)
    dx, dy = x - base[:, 0], y - base[:, 1]
    ankle[:, 0], ankle[:, 1] = cos * dx + sin * dy, cos * dy - sin * dx
