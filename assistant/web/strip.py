"""The report's frame strip: video frames with the tracked skeleton drawn on, as JPEG data URLs."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from assistant.errors import PoiseError
from assistant.skeleton import DRAWN_BONES, JOINTS, LEFT_SHOULDER, N_JOINTS

LONG_SIDE = 420  # pixels of a frame in the page
QUALITY = 78
MIN_CROP = 48  # pixels; a smaller person is shown in the whole frame
RIM = (20, 20, 25)
LEFT, RIGHT, MIDDLE = (90, 190, 255), (255, 150, 50), (245, 245, 245)


@dataclass(frozen=True)
class ReportFrame:
    """One video frame.

    Attributes:
        time: seconds from the clip's start.
        image: uint8 [H, W, 3], RGB.
        points: [17, 2] pixels of `image` (x, y), not finite where a joint is missing; or None.
    """

    time: float
    image: np.ndarray
    points: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise PoiseError(
                "not a report frame",
                got=f"image {self.image.dtype} {self.image.shape}",
                expected="uint8 [H, W, 3]",
            )
        if self.points is not None and self.points.shape != (N_JOINTS, 2):
            raise PoiseError(
                "not a report frame",
                got=f"points {self.points.shape}",
                expected=f"[{N_JOINTS}, 2]",
            )


def side_colour(a: int, b: int) -> tuple[int, int, int]:
    """Blue for a bone of the left side, orange for the right, white across the middle."""
    sides = {JOINTS[joint].split("_")[0] for joint in (a, b)} - {"nose"}
    return {"left": LEFT, "right": RIGHT}[sides.pop()] if len(sides) == 1 else MIDDLE


def draw_skeleton(image: Image.Image, points: np.ndarray) -> None:
    """Draw the bones of `points` [17, 2] pixels on the image, bright lines over dark rims."""
    draw = ImageDraw.Draw(image)
    seen = np.isfinite(points).all(axis=1)
    limb = max(2, round(max(image.size) / 80))
    bones = [(a, b) for a, b in DRAWN_BONES if seen[a] and seen[b]]
    for rim in (True, False):
        for a, b in bones:
            face = max(a, b) < LEFT_SHOULDER
            width = (max(1, limb // 2) if face else limb) + 3 * rim
            ends = [tuple(points[a].tolist()), tuple(points[b].tolist())]
            colour = RIM if rim else side_colour(a, b)
            draw.line(ends, fill=colour, width=width)
            for x, y in ends:
                radius = width / 2
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def person_box(frames: Sequence[ReportFrame]) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom pixels around the person in all frames, with a margin.

    None where no frame has points, where sizes differ, or where the person is tiny.
    """
    sizes = {frame.image.shape for frame in frames}
    points = [frame.points for frame in frames if frame.points is not None]
    if len(sizes) != 1 or not points:
        return None
    found = np.concatenate(points).astype(np.float64)
    found = found[np.isfinite(found).all(axis=1)]
    if len(found) == 0:
        return None
    height, width = frames[0].image.shape[:2]
    low, high = found.min(axis=0), found.max(axis=0)
    margin = 0.18 * (high - low).max()
    centre = (low + high) / 2
    half = (high - low) / 2 + margin
    half = np.maximum(half, half[::-1] * (0.6, 0.75))  # no slivers
    left, top = np.maximum(np.floor(centre - half), 0).astype(int).tolist()
    right, bottom = np.ceil(centre + half).astype(int).tolist()
    right, bottom = min(right, width), min(bottom, height)
    if right - left < MIN_CROP or bottom - top < MIN_CROP:
        return None
    return (left, top, right, bottom)


def data_url(frame: ReportFrame, box: tuple[int, int, int, int] | None = None) -> str:
    """`jpeg` as a data URL."""
    return jpeg_url(jpeg(frame, box))


def jpeg_url(picture: bytes) -> str:
    """A JPEG picture as a data URL."""
    return "data:image/jpeg;base64," + base64.b64encode(picture).decode("ascii")


def jpeg(
    frame: ReportFrame, box: tuple[int, int, int, int] | None = None, long_side: int = LONG_SIDE
) -> bytes:
    """The frame's `box`, at most `long_side` pixels on its long side, with its skeleton."""
    left, top, right, bottom = box or (0, 0, frame.image.shape[1], frame.image.shape[0])
    image = Image.fromarray(frame.image[top:bottom, left:right])
    scale = min(1.0, long_side / max(image.size))
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    if frame.points is not None:
        points = np.asarray(frame.points, dtype=np.float64) - (left, top)
        draw_skeleton(image, points * scale)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()
