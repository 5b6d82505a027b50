"""Hallucination rate: remarks that the known faults of a clip contradict (eval.hallucinations)."""

from typing import Any

from datasets import Value

from eval.hallucinations import is_contradicted
from eval.metrics import base

WORD = Value("string")


class HallucinationRate(base.PoiseMetric):
    """Share of all remarks that the truth contradicts, 0 to 1, lower is better; null without one.

    `hallucination_rate_n` counts the remarks, `hallucination_rate_clips` the clips with one.
    Predictions are lists of remarks {region, polarity, text}; a reference is {activity, faults},
    the faults a list of {name, region}.
    """

    PREDICTIONS = [{"region": WORD, "polarity": WORD, "text": WORD}]
    REFERENCES = {"activity": WORD, "faults": [{"name": WORD, "region": WORD}]}
    SOURCE = "docs/proficiency/evidence.md"

    def _compute(self, predictions: Any, references: Any) -> dict[str, Any]:
        counts = []
        for remarks, truth in zip(predictions, references, strict=True):
            faults = {fault["name"]: fault["region"] for fault in truth["faults"]}
            wrong = [is_contradicted(r, truth["activity"], faults) for r in remarks]
            counts.append((sum(wrong), len(wrong)))
        total = sum(n for _, n in counts)
        return {
            "hallucination_rate": sum(bad for bad, _ in counts) / total if total else None,
            "hallucination_rate_n": total,
            "hallucination_rate_clips": sum(n > 0 for _, n in counts),
            "hallucination_rate_per_sample": [bad / n if n else None for bad, n in counts],
        }
