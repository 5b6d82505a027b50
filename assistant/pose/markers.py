"""Poses from and to marker files (TRC, C3D): names to COCO-17, units to metres, any axis to z up.

Neither format carries confidence: a joint is seen (1) or not (0). TRC is written y up, as OpenSim
reads it, C3D z up. Where a file does not say its axis, the body does: ankles are below shoulders.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.files import check_file
from assistant.pose.c3d import read_c3d, write_c3d
from assistant.pose.marker_names import MarkerMap, map_markers
from assistant.pose.read import bad_pose_file, checked_pose, fill_gaps
from assistant.pose.trc import read_trc, trc_text
from assistant.skeleton import (
    INDEX,
    JOINTS,
    LEFT_ANKLE,
    LEFT_SHOULDER,
    N_JOINTS,
    RIGHT_ANKLE,
    RIGHT_SHOULDER,
)

MARKER_SUFFIXES: Final = (".trc", ".c3d")
UNITS: Final = {
    "m": 1.0, "meters": 1.0, "metres": 1.0, "cm": 0.01, "mm": 0.001, "millimeters": 0.001,
}  # fmt: skip
# Axis that points up to the proper rotation that makes it z; y up is OpenSim's (x ahead, z right).
TURNS: Final = {
    "x": ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
    "y": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "z": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "-x": ((0, 0, 1), (0, 1, 0), (-1, 0, 0)),
    "-y": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "-z": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
}
_UPRIGHT: Final = 0.8  # cosine between body and axis from which the body tells what is up


@dataclass(frozen=True)
class MarkerPose:
    """A pose with what became of the file's markers.

    Attributes:
        pose: metres, z up; joints without a marker have confidence 0.
        markers: joints found, joints missing, markers not used.
        up: the file's axis that points up.
    """

    pose: PoseSequence
    markers: MarkerMap
    up: str


def read_markers(path: Path, up: str | None = None) -> MarkerPose:
    """The pose of a TRC or C3D file.

    Args:
        path: the file.
        up: its axis that points up, a key of `TURNS`; None finds it: by the body where it stands,
            else as the file says, else y for TRC and z for C3D.

    Raises:
        PoiseError: a damaged file, no known marker, an unknown unit, or a check of `read_pose`.
    """
    check_file(path, "pose file")
    if path.suffix.lower() == ".trc":
        names, points, rate, unit = read_trc(path)
        stated: str | None = None
        usual = "y"
    else:
        names, points, rate, unit, stated = read_c3d(path)
        usual = "z"
    if up is not None and up not in TURNS:
        raise PoiseError("unknown axis", got=repr(up), expected=", ".join(TURNS))
    if unit not in UNITS:
        raise bad_pose_file(path, f"unit {unit!r}", f"one of {', '.join(UNITS)}")
    markers = map_markers(names)
    if not markers.joints:
        raise bad_pose_file(
            path,
            f"markers {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}",
            "names such as LShoulder, left_hip or RKNE",
            "rename the markers",
        )
    joints, confidence = _joints(points * UNITS[unit], markers)
    axis = up or _body_axis(joints, confidence) or stated or usual
    joints = fill_gaps(joints @ np.array(TURNS[axis], np.float64).T, confidence)
    return MarkerPose(checked_pose(path, joints, confidence, rate, "file"), markers, axis)


def write_markers(path: Path, pose: PoseSequence) -> None:
    """Write a pose as TRC or C3D, by the suffix; the file appears whole or not at all.

    Raises:
        PoiseError: the file cannot be written.
    """
    points = np.where(pose.confidence[..., None] > 0, pose.joints.astype(np.float64), np.nan)
    names = list(JOINTS)
    try:
        # ezc3d adds the suffix to a name that has another.
        handle, part = tempfile.mkstemp(
            dir=path.parent, prefix=".part-", suffix=path.suffix.lower()
        )
        os.close(handle)
        try:
            if path.suffix.lower() == ".trc":
                y_up = points @ np.array(TURNS["y"], np.float64)  # the turn's inverse
                Path(part).write_text(trc_text(path.name, names, y_up, pose.fps), "utf-8")
            else:
                write_c3d(Path(part), names, points, pose.fps)
            os.chmod(part, 0o644)
            os.replace(part, path)
        finally:
            Path(part).unlink(missing_ok=True)
    except OSError as fault:
        raise PoiseError(
            f"cannot write pose file {path}", got=str(fault), remedy="name another place"
        ) from fault


def _joints(points: np.ndarray, markers: MarkerMap) -> tuple[np.ndarray, np.ndarray]:
    """Joints [F, 17, 3] and confidence [F, 17]: the middle of a joint's markers, all of them seen.

    A marker at exactly (0, 0, 0) is one that was not seen, as many programs write it.
    """
    seen = np.isfinite(points).all(axis=-1) & (points != 0).any(axis=-1)
    joints = np.zeros((len(points), N_JOINTS, 3))
    confidence = np.zeros((len(points), N_JOINTS))
    for joint, places in markers.joints.items():
        row = INDEX[joint]
        there = seen[:, places].all(axis=1)
        joints[there, row] = points[there][:, places].mean(axis=1)
        confidence[there, row] = 1.0
    return joints, confidence


def _body_axis(joints: np.ndarray, confidence: np.ndarray) -> str | None:
    """The axis along which shoulders lie above ankles, None where that is not clear."""
    ends = [LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ANKLE, RIGHT_ANKLE]
    seen = (confidence[:, ends] > 0).all(axis=1)
    if not seen.any():
        return None
    shown = joints[seen][:, ends]
    body = shown[:, :2].mean(axis=1) - shown[:, 2:].mean(axis=1)
    body = np.median(body / np.maximum(np.linalg.norm(body, axis=1, keepdims=True), 1e-9), axis=0)
    axis = int(np.abs(body).argmax())
    if abs(body[axis]) < _UPRIGHT:
        return None
    return ("" if body[axis] > 0 else "-") + "xyz"[axis]
