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
    without an error step are left out and counted; `error_recall_chance` is that of random steps.
    """

    PREDICTIONS = Sequence(Value("float64"))
    REFERENCES = Sequence(Value("bool"))
    SOURCE = "Sparse Skill Extractor, section 3.1"

    def _compute(self, predictions: Any, references: Any) -> dict[str, Any]:
        rows = []
        for i, (weights, errors) in enumerate(zip(predictions, references, strict=True)):
            if len(weights) != len(errors):
                raise PoiseError(
                    f"steps of item {i} are not aligned",
                    got=f"{len(weights)} weights and {len(errors)} steps",
                    expected="as many of both",
                )
            if any(errors):
                rows.append((np.asarray(weights, dtype=np.float64), np.asarray(errors, dtype=bool)))
        if not rows:
            raise PoiseError("no error recall", got="no clip with an error step")
        result = base.mean_result("error_recall", [error_recall(w, e) for w, e in rows])
        chance = [chance_recall(e, np.ones_like(e)) for _, e in rows]
        return result | {
            "error_recall_chance": float(np.mean(chance)),
            "error_recall_n": len(rows),
            "error_recall_left_out": len(predictions) - len(rows),
        }
