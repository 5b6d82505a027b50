"""PA-MPJPE: joint distance after the best similarity of each frame."""

from typing import Any

from assistant.pose.alignment import pa_mpjpe
from eval.metrics import base


class PaMpjpe(base.PoseMetric):
    """Millimetres, mean over joints and frames, then over clips; size fitted, no mirror image."""

    SOURCE = "Umeyama 1991; ExpertAF, section 3.2"

    def _compute(self, predictions: Any, references: Any) -> dict[str, Any]:
        pairs = base.motion_pairs(predictions, references)
        return base.mean_result("pa_mpjpe", [pa_mpjpe(a, b).mean() for a, b in pairs])
