"""Small films and bodies that several tests need."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from assistant.skeleton import INDEX

CODECS = {".mp4": "libx264", ".mov": "libx264", ".webm": "libvpx-vp9"}
GREY_STEP = 4
"""Frame i of a film is grey of brightness (GREY_STEP * i) % 240, its left upper corner white."""


def write_film(
    path: Path,
    frames: int = 30,
    *,
    fps: Fraction | int = 30,
    size: tuple[int, int] = (64, 48),
    rotation: int = 0,
    every: int = 12,
    times: list[int] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A film of `frames` grey pictures with a white corner, a key frame `every` so many.

    `times` gives presentation times in frames of `fps`, for a variable rate.
    """
    width, height = size
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(CODECS[path.suffix], rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = every
        if path.suffix != ".webm":
            stream.codec_context.options = {"crf": "10"}
        if rotation:
            stream.set_display_rotation(rotation)
        for i in range(frames):
            picture = np.full((height, width, 3), GREY_STEP * i % 240, dtype=np.uint8)
            picture[: height // 4, : width // 4] = 255
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = i if times is None else times[i]
            frame.time_base = 1 / Fraction(fps)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.fixture
def film() -> Callable[..., Path]:
    return write_film


STANDING = {
    "nose": (0.10, 0.0, 1.60),
    "left_eye": (0.08, 0.03, 1.64),
    "left_ear": (0.0, 0.07, 1.62),
    "left_shoulder": (0.0, 0.18, 1.42),
    "left_elbow": (0.0, 0.20, 1.13),
    "left_wrist": (0.05, 0.20, 0.88),
    "left_hip": (0.0, 0.10, 0.92),
    "left_knee": (0.02, 0.11, 0.50),
    "left_ankle": (0.0, 0.12, 0.08),
}


@pytest.fixture
def standing() -> np.ndarray:
    """A body that stands at (2, 3) facing +x, [17, 3] metres, z up."""
    joints = np.zeros((17, 3))
    for name, (x, y, z) in STANDING.items():
        joints[INDEX[name]] = (x, y, z)
        if name.startswith("left"):
            joints[INDEX[name.replace("left", "right")]] = (x, -y, z)
    return joints + np.array([2.0, 3.0, 0.0])
