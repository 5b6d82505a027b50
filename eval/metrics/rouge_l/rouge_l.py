"""ROUGE-L: F1 of the longest common subsequence (Lin 2004), by Google's rouge_score."""

from typing import Any

from eval.metrics import base


class RougeL(base.TextMetric):
    """ROUGE-L F1, 0 to 1, without stemming, mean over clips; the best of several references."""

    SOURCE = "Lin 2004, ROUGE: A Package for Automatic Evaluation of Summaries; rouge_score"

    def _compute(self, predictions: Any, references: Any) -> dict[str, Any]:
        from rouge_score.rouge_scorer import RougeScorer

        scorer = RougeScorer(["rougeL"], use_stemmer=False)
        rows = zip(predictions, base.reference_lists(references), strict=True)
        scores = [scorer.score_multi(texts, said)["rougeL"].fmeasure for said, texts in rows]
        return base.mean_result("rouge_l", scores)
