"""Cohen's kappa with quadratic weights, by scikit-learn."""

from typing import Any

import numpy as np

from assistant.levels import N_LEVELS
from eval.metrics import base


class QuadraticKappa(base.LevelMetric):
    """Agreement beyond chance of the levels, -1 to 1; clips that are not judged are refused.

    0 where all levels, said and true, are one and the same: chance then explains all.
    """

    SOURCE = "Cohen 1968; sklearn.metrics.cohen_kappa_score(weights='quadratic')"

    def _compute(self, predictions: Any, references: Any) -> dict[str, Any]:
        from sklearn.metrics import cohen_kappa_score

        said, true = base.check_levels(predictions, references, not_judged=False)
        if len(np.unique(np.concatenate([said, true]))) == 1:
            return {"quadratic_kappa": 0.0}
        levels = list(range(N_LEVELS))
        kappa = cohen_kappa_score(true, said, labels=levels, weights="quadratic")
        return {"quadratic_kappa": float(kappa)}
