"""Median rank of the right demonstration."""

from typing import Any

import numpy as np

from assistant.errors import PoiseError
from eval.metrics import ranks
from eval.statistics import chance_median_rank, median_rank


class MedianRank(ranks.RankingMetric):
    """Median rank, from 1, of the right item in whole rankings, and that of a random order."""

    SOURCE = "ExpertAF, section 5"

    def _compute(self, predictions: Any, references: Any) -> dict[str, Any]:
        found = ranks.ranks(predictions, references)
        missing = sum(rank == ranks.ABSENT for rank in found)
        if missing:
            raise PoiseError(
                "no median rank",
                got=f"{missing} of {len(found)} rankings without the right item",
                expected="rankings of all candidates",
            )
        chance = [chance_median_rank(len(row)) for row in predictions]
        return {
            "median_rank": median_rank(found),
            "median_rank_per_sample": [float(rank) for rank in found],
            "median_rank_chance": float(np.median(chance)),
        }
