"""Body poses and gaze of a take, cut to a span of seconds.

Manual and automatic poses are never mixed in one sequence: they differ by centimetres, and the seam
would read as speed. A span takes the manual pose unless that covers less than three quarters of
what the automatic one covers.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.files import check_file
from assistant.pose.read import EGOEXO_FPS, read_egoexo_body
from data_prep.egoexo4d.findings import Findings
from data_prep.egoexo4d.layout import POSE_SOURCES, Layout

ENOUGH: Final = 0.5
"""Share of a comment's window that its pose or gaze must cover to be kept."""
_MANUAL_SHARE: Final = 0.75
SOURCE_NAMES: Final = {"annotation": "manual", "automatic": "automatic"}
_CELL: Final = 0.1  # seconds

# Aria's RGB camera: 1408 x 1408 pixels over 110 x 110 degrees, nearly even in angle (a fisheye).
GAZE_PIXELS: Final = 1408
GAZE_DEGREES: Final = 110.0
GAZE_FPS: Final = 10.0


@dataclass(frozen=True)
class TakePose:
    """One pose file of a take.

    Attributes:
        source: "manual" or "automatic".
        pose: from the first annotated frame on.
        start: its time in the take, seconds.
    """

    source: str
    pose: PoseSequence
    start: float

    def coverage(self, start: float, end: float) -> float:
        """Share of the span's tenths of a second in which any joint was seen."""
        cells = max(round((end - start) / _CELL), 1)
        seen = np.flatnonzero((self.pose.confidence > 0).any(axis=1)) / self.pose.fps + self.start
        # Sparse frames stand for the time to the next one.
        width = max(1 / self.pose.fps, _CELL)
        edges = start + _CELL * np.arange(cells)
        at = np.searchsorted(seen, edges - width + 1e-6)
        inside = at < len(seen)
        hit = np.zeros(cells, bool)
        hit[inside] = seen[at[inside]] < edges[inside] + _CELL - 1e-6
        return float(hit.mean())

    def over(self, start: float, end: float) -> PoseSequence:
        """The span's frames; those outside the file hold its ends at confidence 0."""
        fps = self.pose.fps
        wanted = round((start - self.start) * fps) + np.arange(max(round((end - start) * fps), 1))
        held = np.clip(wanted, 0, len(self.pose) - 1)
        confidence = self.pose.confidence[held] * (held == wanted)[:, None]
        return PoseSequence(self.pose.joints[held], confidence, fps, "file", self.pose.world)


def read_poses(layout: Layout, take_uid: str, findings: Findings) -> list[TakePose]:
    """The pose files of a take, manual first; unreadable ones are named and left out."""
    found = []
    for source in POSE_SOURCES:
        path = layout.pose(take_uid, source)
        if path is None:
            continue
        fault = None
        try:
            pose, first = read_egoexo_body(path)
            found.append(TakePose(SOURCE_NAMES[source], pose, first / EGOEXO_FPS))
        except PoiseError as error:
            fault = error
        findings.read("poses", fault)
    return found


def pose_over(
    poses: list[TakePose], start: float, end: float, least: float
) -> tuple[PoseSequence, str] | None:
    """The pose of a span and its source, None where no file covers the share `least` of it."""
    shares = [pose.coverage(start, end) for pose in poses]
    for pose, share in zip(poses, shares, strict=True):
        if share > 0 and share >= least and share >= _MANUAL_SHARE * max(shares):
            return pose.over(start, end), pose.source
    return None


def read_gaze(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Times [N] in seconds of the take and gaze [N, 2] in degrees of an `*_eye_gaze_2d.csv`.

    The file gives pixels of the ego camera at 10 Hz. Azimuth is positive to the left, elevation
    upwards, both against the camera's axis: relative to the head, unlike the simulated gaze.

    Raises:
        PoiseError: no such table, or no usable row.
    """
    check_file(path, "gaze file")
    times, points = [], []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.DictReader(file)):
                if row["x"] and row["y"]:
                    times.append(float(row.get("frame_num") or number) / GAZE_FPS)
                    points.append((float(row["x"]), float(row["y"])))
    except (KeyError, ValueError, TypeError, csv.Error) as fault:
        raise _no_gaze(path, f"{type(fault).__name__}: {fault}") from fault
    pixels = np.array(points, dtype=np.float64).reshape(-1, 2)
    order = np.argsort(times, kind="stable")
    good = order[np.isfinite(pixels[order]).all(axis=1)]
    if not len(good):
        raise _no_gaze(path, "no row with a point")
    degrees = (GAZE_PIXELS / 2 - pixels[good]) * (GAZE_DEGREES / GAZE_PIXELS)
    return np.array(times)[good], degrees.astype(np.float32)


def gaze_over(
    gaze: tuple[np.ndarray, np.ndarray], start: float, end: float, fps: float, frames: int
) -> np.ndarray | None:
    """Gaze [frames, 2] at the frames of a span; None where less than half of it was tracked."""
    times, degrees = gaze
    inside = (times >= start) & (times < end)
    if inside.sum() < ENOUGH * (end - start) * GAZE_FPS:
        return None
    at = start + np.arange(frames) / fps
    return np.stack([np.interp(at, times, degrees[:, axis]) for axis in (0, 1)], axis=1)


def _no_gaze(path: Path, got: str) -> PoiseError:
    return PoiseError(
        f"cannot read gaze file {path}",
        got=got,
        expected="a table with the columns frame_num, x, y",
        remedy="download it again",
    )
