"""MPJPE: joint distance without any alignment but of the pelvis."""

from typing import Any

import numpy as np

from eval.metrics import base
from eval.poses import centred


class Mpjpe(base.PoseMetric):
    """Millimetres, mean over joints and frames, then over clips, of COCO-17 bodies.

    Both pelves are laid on the origin in every frame, unless `centre=False`.
    """

    SOURCE = "Ionescu et al. 2014, Human3.6M"

    def _compute(self, predictions: Any, references: Any, centre: bool = True) -> dict[str, Any]:
        pairs = base.motion_pairs(predictions, references)
        if centre:
            pairs = [(centred(a), centred(b)) for a, b in pairs]
        errors = [1000 * np.linalg.norm(a - b, axis=-1).mean() for a, b in pairs]
        return base.mean_result("mpjpe", errors)
