"""Limits of a clip, checked from headers before anything is decoded or unpacked."""

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.serving.settings import ClipLimits


def check_film(path: Path, limits: ClipLimits) -> None:
    """Raise PoiseError where a film's header or packets state more than is allowed."""
    from assistant.video.decode import header

    info = header(path)
    if info.width * info.height > limits.pixels:
        raise _too_large(
            "film", f"{info.width} x {info.height} pixels", f"at most {limits.pixels} in all"
        )
    _check_length("film", info.frames, info.duration, limits)


def check_pose_file(path: Path, limits: ClipLimits) -> None:
    """Raise PoiseError where a pose file is larger, or would unpack to more, than is allowed."""
    size = path.stat().st_size
    if size > limits.unpacked_bytes:
        raise _too_large("pose file", f"{size} bytes", f"at most {limits.unpacked_bytes}")
    if path.suffix.lower() == ".npz" and zipfile.is_zipfile(path):
        unpacked = sum(_stated_bytes(path))
        if unpacked > limits.unpacked_bytes:
            raise _too_large(
                "pose file", f"{unpacked} bytes unpacked", f"at most {limits.unpacked_bytes}"
            )


def check_pose(pose: PoseSequence, limits: ClipLimits) -> None:
    """Raise PoiseError where a pose is longer than is allowed."""
    _check_length("pose", len(pose), pose.duration, limits)


def _stated_bytes(path: Path) -> list[int]:
    """Bytes of each array by its header and of each member by the archive's word, the larger.

    An array's header may promise far more than its member holds, and memory is taken by its word.
    """
    sizes = []
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                with archive.open(member) as file:
                    sizes.append(max(_array_bytes(file), member.file_size))
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, NotImplementedError) as fault:
        raise PoiseError(
            "cannot read pose file",
            got=f"an archive that does not open ({type(fault).__name__})",
            expected="an .npz file of plain arrays",
        ) from fault
    return sizes


def _array_bytes(file: Any) -> int:
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in read:
        raise ValueError(f"array version {version}")
    shape, _, dtype = read[version](file)
    return math.prod(shape) * dtype.itemsize


def _check_length(what: str, frames: int, seconds: float, limits: ClipLimits) -> None:
    if frames > limits.frames:
        raise _too_large(what, f"{frames} frames", f"at most {limits.frames}")
    if seconds > limits.seconds:
        raise _too_large(what, f"{seconds:.1f} s", f"at most {limits.seconds:g} s")


def _too_large(what: str, got: str, expected: str) -> PoiseError:
    return PoiseError(
        f"the {what} is too large for this server",
        got=got,
        expected=expected,
        remedy="cut it to the movement, or make it smaller",
    )
