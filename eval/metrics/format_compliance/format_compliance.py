"""Format compliance of whole answers (ProfVLM section 5.4.4 and Table 9, in its text form)."""

from typing import Any

from eval.metrics import base
from prompts.parse import parse_feedback


class FormatCompliance(base.PoiseMetric):
    """Share of answers with a known level first and then a commentary that is not empty, 0 to 1.

    Also printed: the share with each field, and with nothing in it that breaks the grammar.
    An empty answer complies with nothing.
    """

    REFERENCES = None
    SOURCE = "ProfVLM, section 5.4.4"

    def _compute(self, predictions: Any) -> dict[str, Any]:
        parsed = [parse_feedback(text) for text in predictions]
        label = [p.level is not None for p in parsed]
        commentary = [bool(p.commentary) for p in parsed]
        both = [a and b for a, b in zip(label, commentary, strict=True)]
        result = base.mean_result("format_compliance", both)
        parts = {
            "label": label,
            "commentary": commentary,
            "grammar": [not p.problems for p in parsed],
        }
        for name, rows in parts.items():
            result[f"format_compliance_{name}"] = sum(rows) / len(rows)
        return result
