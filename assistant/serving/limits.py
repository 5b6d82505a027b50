"""Limits of a clip, checked from headers before anything is decoded or unpacked."""

import math
import zipfile
import zlib
from dataclasses import dataclass
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
    """Raise PoiseError where a pose file is larger, would unpack to more, or states more frames or
    seconds than is allowed; formats other than .npz state no length before they are read."""
    size = path.stat().st_size
    if size > limits.unpacked_bytes:
        raise _too_large("pose file", f"{size} bytes", f"at most {limits.unpacked_bytes}")
    if path.suffix.lower() == ".npz" and zipfile.is_zipfile(path):
        stated = _stated(path)
        unpacked = sum(array.bytes for array in stated.values())
        if unpacked > limits.unpacked_bytes:
            raise _too_large(
                "pose file", f"{unpacked} bytes unpacked", f"at most {limits.unpacked_bytes}"
            )
        frames = stated["joints.npy"].length if "joints.npy" in stated else 0
        fps = stated["fps.npy"].number if "fps.npy" in stated else 0.0
        _check_length("pose", frames, frames / fps if fps > 0 else 0.0, limits)


def check_pose(pose: PoseSequence, limits: ClipLimits) -> None:
    """Raise PoiseError where a pose is longer than is allowed."""
    _check_length("pose", len(pose), pose.duration, limits)


@dataclass(frozen=True)
class _Array:
    """An array by its header.

    Attributes:
        bytes: by the header or by the archive's word, the larger: the header may promise far more
            than the member holds, and memory is taken by its word.
        length: of its first axis, 0 for a single number.
        number: its value where it is a single number, else 0.
    """

    bytes: int
    length: int
    number: float


def _stated(path: Path) -> dict[str, _Array]:
    """What the members of an archive state."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = {}
            for member in archive.infolist():
                with archive.open(member) as file:
                    found[member.filename] = _header(file, member.file_size)
            return found
    except (
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        OSError,
        EOFError,
        NotImplementedError,
    ) as fault:
        raise PoiseError(
            "cannot read pose file",
            got=f"an archive that does not open ({type(fault).__name__})",
            expected="an .npz file of plain arrays",
        ) from fault


def _header(file: Any, size: int) -> _Array:
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in read:
        raise ValueError(f"array version {version}")
    shape, _, dtype = read[version](file)
    single = math.prod(shape) == 1 and dtype.kind in "fiu"
    number = float(np.frombuffer(file.read(dtype.itemsize), dtype)[0]) if single else 0.0
    stated = max(math.prod(shape) * dtype.itemsize, size)
    return _Array(stated, shape[0] if shape else 0, number)


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
