"""Mean absolute error of proficiency levels."""

from typing import Any

from eval.levels import level_error
from eval.metrics import base


class MeanAbsoluteError(base.LevelMetric):
    """Mean distance in levels, 0 to 3; a clip that is not judged counts as the farthest level."""

    SOURCE = "sklearn.metrics.mean_absolute_error"

    def _compute(self, predictions: Any, references: Any) -> dict[str, Any]:
        return base.mean_result("mae", level_error(*base.check_levels(predictions, references)))
