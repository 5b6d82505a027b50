"""A small picture of a demonstration: a frame of its film, or the skeleton where there is none."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from assistant.demos.library import Demonstration
from assistant.errors import PoiseError
from assistant.pose.normalise import rotate_yaw
from assistant.web.animation import stage
from assistant.web.report import report_name
from assistant.web.strip import ReportFrame, jpeg, person_box

LONG_SIDE: Final = 240  # pixels
GROUND: Final = 32  # grey of 255
TURN: Final = 0.9  # radians of the body's heading away from the viewer's right
REACH: Final = 2.3  # metres over the floor that the picture shows


def film_thumbnail(picture: np.ndarray, points: np.ndarray | None) -> bytes:
    """A film's frame, cut to the person where its joints are known, as JPEG.

    Args:
        picture: uint8 [H, W, 3]; points: [17, 2] pixels, or None.
    """
    frame = ReportFrame(0.0, picture, points)
    return jpeg(frame, person_box([frame]), LONG_SIDE)


def pose_thumbnail(item: Demonstration) -> bytes:
    """The skeleton in the middle of the demonstration as JPEG."""
    joints = stage(item.pose())[len(item.joints) // 2]
    seen = rotate_yaw(joints[None], TURN)[0]  # [17, 3]
    scale = LONG_SIDE / REACH
    middle = seen[:, 0].min() + np.ptp(seen[:, 0]) / 2
    across = LONG_SIDE / 2 + scale * (seen[:, 0] - middle)
    down = LONG_SIDE - scale * (seen[:, 2] + 0.1)
    canvas = np.full((LONG_SIDE, LONG_SIDE, 3), GROUND, np.uint8)
    return jpeg(ReportFrame(0.0, canvas, np.column_stack([across, down])), None, LONG_SIDE)


def thumbnail(item: Demonstration) -> bytes:
    """The demonstration's own picture, or one that is drawn from its pose."""
    return item.thumbnail or pose_thumbnail(item)


def write_thumbnails(items: Sequence[Demonstration], folder: Path) -> list[Path]:
    """Write every picture as `<id>.jpg`; returns their paths.

    Raises:
        PoiseError: the folder cannot be written.
    """
    names = [report_name(item.demonstration_id).removesuffix(".html") + ".jpg" for item in items]
    paths = [folder / name for name in names]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for item, path in zip(items, paths, strict=True):
            path.write_bytes(thumbnail(item))
    except OSError as fault:
        raise PoiseError(
            f"cannot write pictures into {folder}",
            got=fault.strerror or str(fault),
            remedy="name a writable folder",
        ) from fault
    return paths
