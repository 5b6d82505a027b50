"""Bone-length drift: how far a motion's bones are from the person's own."""

from typing import Any

from assistant.pose.bones import bone_length_drift_mm, bone_lengths
from eval.metrics import base


class BoneLengthDrift(base.PoseMetric):
    """Millimetres between the bones in all frames and the median bones of the reference, mean
    over bones and frames, then over clips, of COCO-17 bodies; the frames need not be in step."""

    SOURCE = "assistant.pose.bones"

    def _compute(self, predictions: Any, references: Any) -> dict[str, Any]:
        pairs = base.motion_pairs(predictions, references)
        drifts = [bone_length_drift_mm(a, bone_lengths(b)) for a, b in pairs]
        return base.mean_result("bone_length_drift", drifts)
