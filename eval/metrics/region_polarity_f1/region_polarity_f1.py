"""Region-polarity F1: assistant.feedback's one function, as a metric."""

from typing import Any

from datasets import Sequence, Value

from assistant.feedback import region_polarity_f1
from eval.metrics import base


class RegionPolarityF1(base.PoiseMetric):
    """Micro-averaged F1, precision and recall of each clip's set of items, 0 to 1.

    An item is what must agree, say "legs:needs_improvement"; every item counts once a clip.
    """

    PREDICTIONS = Sequence(Value("string"))
    REFERENCES = Sequence(Value("string"))
    SOURCE = "sklearn.metrics.f1_score(average='micro') over indicators"

    def _compute(self, predictions: Any, references: Any) -> dict[str, Any]:
        scores = region_polarity_f1(predictions, references)
        return {
            "region_polarity_f1": scores.f1,
            "region_polarity_f1_precision": scores.precision,
            "region_polarity_f1_recall": scores.recall,
            "region_polarity_f1_per_sample": [
                region_polarity_f1([said], [true]).f1 if said or true else 1.0
                for said, true in zip(predictions, references, strict=True)
            ],
        }
