"""Accuracy of proficiency levels."""

from typing import Any

from eval.levels import correct
from eval.metrics import base


class Accuracy(base.LevelMetric):
    """Share of right levels, 0 to 1; a clip that is not judged (-1) is wrong."""

    SOURCE = "sklearn.metrics.accuracy_score"

    def _compute(self, predictions: Any, references: Any) -> dict[str, Any]:
        return base.mean_result("accuracy", correct(*base.check_levels(predictions, references)))
