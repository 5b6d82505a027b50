"""Spearman's rank correlation, by SciPy."""

from typing import Any

import numpy as np
from datasets import Value

from assistant.errors import PoiseError
from eval.metrics import base


class Spearman(base.PoiseMetric):
    """Rank correlation of scores with levels or ratings, -1 to 1, ties by mean ranks.

    0 where either side is constant, which ranks nothing.
    """

    PREDICTIONS = Value("float64")
    REFERENCES = Value("float64")
    SOURCE = "Spearman 1904; scipy.stats.spearmanr"

    def _compute(self, predictions: Any, references: Any) -> dict[str, Any]:
        from scipy.stats import spearmanr

        said, true = np.asarray(predictions), np.asarray(references)
        if not (np.isfinite(said).all() and np.isfinite(true).all()):
            raise PoiseError("scores that are not finite have no rank")
        if len(said) < 2 or np.ptp(said) == 0 or np.ptp(true) == 0:
            return {"spearman": 0.0}
        return {"spearman": float(spearmanr(said, true).statistic)}
