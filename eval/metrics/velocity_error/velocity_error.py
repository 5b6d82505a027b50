"""Velocity error: difference of the joints' velocities."""

from typing import Any

import numpy as np

from assistant.errors import PoiseError
from eval.metrics import base


class VelocityError(base.PoseMetric):
    """Millimetres a second at `fps` frames a second, mean over joints, frame steps, then clips.

    With `fps=1` it is the millimetres a frame that papers print as MPJVE.
    """

    SOURCE = "Pavllo et al. 2019, 3D human pose estimation in video (MPJVE)"

    def _compute(self, predictions: Any, references: Any, fps: float = 30.0) -> dict[str, Any]:
        pairs = base.motion_pairs(predictions, references)
        if any(len(a) < 2 for a, _ in pairs):
            raise PoiseError("no velocity", got="a clip of one frame", expected="two or more")
        errors = [
            1000 * fps * np.linalg.norm(np.diff(a, axis=0) - np.diff(b, axis=0), axis=-1).mean()
            for a, b in pairs
        ]
        return base.mean_result("velocity_error", errors) | {"velocity_error_fps": fps}
