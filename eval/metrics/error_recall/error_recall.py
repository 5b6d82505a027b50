"""Error recall of moments (Sparse Skill Extractor, section 3.1)."""

from typing import Any

import numpy as np
from datasets import Sequence, Value

from assistant.errors import PoiseError
from eval.metrics import base
from eval.moments import chance_recall, error_recall


class ErrorRecall(base.PoiseMetric):
    """Share of a clip's error steps among as many steps with most weight, mean over clips, 0 to 1.

    Predictions are the weights of a clip's steps, references whether each is an error. Clips
    without an error step are left out (null in the per-sample scores) and counted: `error_recall_n`
    are those with one; `error_recall_chance` is that of random steps. Both scores are null where no
    clip has one.
    """

    PREDICTIONS = Sequence(Value("float64"))
    REFERENCES = Sequence(Value("bool"))
    SOURCE = "Sparse Skill Extractor, section 3.1"

    def _compute(self, predictions: Any, references: Any) -> dict[str, Any]:
        rows, recalls = [], []
        for i, (weights, errors) in enumerate(zip(predictions, references, strict=True)):
            if len(weights) != len(errors):
                raise PoiseError(
                    f"steps of item {i} are not aligned",
                    got=f"{len(weights)} weights and {len(errors)} steps",
                    expected="as many of both",
                )
            wrong = np.asarray(errors, dtype=bool)
            known = wrong.any()
            recalls.append(error_recall(np.asarray(weights, np.float64), wrong) if known else None)
            if known:
                rows.append(wrong)
        known_recalls = [found for found in recalls if found is not None]
        chances = [chance_recall(errors, errors | True) for errors in rows]
        return {
            "error_recall": float(np.mean(known_recalls)) if rows else None,
            "error_recall_per_sample": recalls,
            "error_recall_chance": float(np.mean(chances)) if rows else None,
            "error_recall_n": len(rows),
            "error_recall_left_out": len(predictions) - len(rows),
        }
