"""The report's frame strip: video frames with the tracked skeleton drawn on, as JPEG data URLs."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from assistant.errors import PoiseError
from assistant.skeleton import DRAWN_BONES, JOINTS, N_JOINTS

LONG_SIDE = 420  # pixels of a frame in the page
QUALITY = 78
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
    width = max(2, round(max(image.size) / 75))
    bones = [(a, b) for a, b in DRAWN_BONES if seen[a] and seen[b]]
    for rim in (True, False):
        for a, b in bones:
            ends = [tuple(points[a].tolist()), tuple(points[b].tolist())]
            colour = RIM if rim else side_colour(a, b)
            draw.line(ends, fill=colour, width=width + 3 * rim)
            for x, y in ends:
                radius = (width + 3 * rim) / 2
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def data_url(frame: ReportFrame) -> str:
    """The frame, at most LONG_SIDE pixels on its long side, with its skeleton."""
    image = Image.fromarray(frame.image)
    scale = min(1.0, LONG_SIDE / max(image.size))
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    if frame.points is not None:
        draw_skeleton(image, np.asarray(frame.points, dtype=np.float64) * scale)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
