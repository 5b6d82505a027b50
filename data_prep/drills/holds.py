"""Hands that hold one thing: a bar with a fixed distance between them, or a grip side by side."""

from typing import Final

import numpy as np

GRIP: Final = 0.075  # metres between the wrists on a grip


def hold_together(
    line: np.ndarray,
    shoulders: np.ndarray,
    curves: dict[str, np.ndarray],
    left: np.ndarray,
    up: np.ndarray,
) -> np.ndarray:
    """Lines [F, 2, 3] from the shoulders to the hands, changed where the hands hold one thing.

    On a bar (`bar`) both hands are `bar_half` from their middle, the bar parallel to the line of
    the shoulders. A hand that joins (`join`) lies a hand's width down the grip from the other:
    along the other forearm and towards its own side.
    """
    bar = curves["bar"]
    if bar.any():
        target = shoulders + line
        middle = target.mean(1, keepdims=True)
        side = np.array([1.0, -1.0])[None, :, None] * curves["bar_half"][:, None, None]
        line = line + bar[:, None, None] * (middle + side * left - target)
    for side, name in enumerate("lr"):
        join = curves[f"join_{name}"]
        if not join.any():
            continue
        other = 1 - side
        along = line[:, other] / np.maximum(
            np.linalg.norm(line[:, other], axis=-1, keepdims=True), 1e-6
        )
        own = left[:, side] * (1.0 if side == 0 else -1.0)
        grip = 0.6 * along + 0.8 * own
        grip = GRIP * grip / np.linalg.norm(grip, axis=-1, keepdims=True)
        target = shoulders[:, other] + line[:, other] + grip
        line = line.copy()
        line[:, side] += join[:, None] * (target - shoulders[:, side] - line[:, side])
    return line
