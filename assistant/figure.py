"""A pose as a small drawing of braille dots, for terminals."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.skeleton import DRAWN_BONES, LEFT_HIP, RIGHT_HIP

# Bit of each dot in a braille character, by row and column.
_DOTS: Final = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_BLANK: Final = 0x2800
TURN: Final = np.radians(35.0)  # of the camera from the side: both arms and legs can be seen


def draw_motion(pose: PoseSequence, *, moments: int = 3, rows: int = 10) -> str:
    """Moments of a motion side by side, evenly spaced, first to last; `rows` lines of text."""
    places = np.linspace(0, len(pose.joints) - 1, moments).round().astype(int)
    flat = [_flat(pose.joints[place]) for place in places]
    span = max(*(float(np.ptp(points[:, 1])) for points in flat), 1e-6)
    return beside([_draw(points, span, rows) for points in flat])


def beside(drawings: Sequence[Sequence[str]], gap: str = "   ") -> str:
    """Drawings of equally many lines side by side."""
    return "\n".join(gap.join(lines).rstrip() for lines in zip(*drawings, strict=True))


def _flat(joints: np.ndarray) -> np.ndarray:
    """[17, 3] metres -> [17, 2], right and up, as seen from ahead and to the side."""
    middle = joints[[LEFT_HIP, RIGHT_HIP], :2].mean(0)
    x, y = (joints[:, :2] - middle).T
    return np.column_stack([x * np.cos(TURN) + y * np.sin(TURN), joints[:, 2]])


def _draw(points: np.ndarray, span: float, rows: int) -> list[str]:
    """The skeleton of points [17, 2] metres, `span` high at most: its lowest point on the last
    line, its middle in the middle. Dots are square."""
    height, width, low = 4 * rows, 3 * rows // 2 * 2, points[:, 1].min()
    scale = (height - 1) / span
    canvas = np.zeros((height, width), dtype=bool)
    for a, b in DRAWN_BONES:
        steps = np.linspace(0, 1, 2 * height)[:, None]
        line = points[a] * (1 - steps) + points[b] * steps
        column = np.round(width / 2 + line[:, 0] * scale).astype(int).clip(0, width - 1)
        row = height - 1 - np.round((line[:, 1] - low) * scale).astype(int).clip(0, height - 1)
        canvas[row, column] = True
    cells = canvas.reshape(rows, 4, width // 2, 2).transpose(0, 2, 1, 3)  # [rows, columns, 4, 2]
    codes = _BLANK + (cells * _DOTS).sum((2, 3))
    return ["".join(chr(code) for code in row) for row in codes]
