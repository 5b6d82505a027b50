"""Macro-F1 of proficiency levels, by scikit-learn."""

from typing import Any

from eval.metrics import base


class MacroF1(base.LevelMetric):
    """Mean F1 over the levels that are said or true, 0 to 1; -1 (not judged) is no level."""

    SOURCE = "sklearn.metrics.f1_score(average='macro')"

    def _compute(self, predictions: Any, references: Any) -> dict[str, Any]:
        from sklearn.metrics import f1_score

        said, true = base.check_levels(predictions, references)
        levels = sorted((set(said.tolist()) | set(true.tolist())) - {-1})
        score = f1_score(true, said, labels=levels, average="macro", zero_division=0)
        return {"macro_f1": float(score)}
