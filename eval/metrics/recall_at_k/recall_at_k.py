"""Recall@k of retrieved demonstrations."""

from typing import Any

import numpy as np

from assistant.errors import PoiseError
from eval.metrics import base, ranks


class RecallAtK(ranks.RankingMetric):
    """Share of clips whose right item is among the first k, 0 to 1.

    `recall_at_k_chance` is that of a random order of as many candidates as each ranking has.
    """

    SOURCE = "ExpertAF, section 5 (recall@50)"

    def _compute(self, predictions: Any, references: Any, k: int = 50) -> dict[str, Any]:
        if k < 1:
            raise PoiseError("no recall@k", got=f"k = {k}", expected="k of 1 or more")
        found = ranks.ranks(predictions, references)
        chance = float(np.mean([min(1.0, k / len(row)) for row in predictions]))
        hits = [float(ranks.ABSENT < rank <= k) for rank in found]
        return base.mean_result("recall_at_k", hits) | {"recall_at_k_chance": chance, "k": k}
