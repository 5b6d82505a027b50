"""Metrics as `evaluate` modules that work offline, one folder each.

    from eval.metrics import load
    load("meteor").compute(predictions=["Bend the knees."], references=["Bend your knees more."])

`evaluate.load("<repository>/eval/metrics/meteor")` gives the same. docs/metrics.md lists them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from assistant.errors import PoiseError

if TYPE_CHECKING:
    from eval.metrics.base import PoiseMetric

# Folder (and module in it) to its class.
METRICS: Final = {
    "bertscore": "BertScore",
    "meteor": "Meteor",
    "rouge_l": "RougeL",
    "bleu4": "Bleu4",
    "cider": "Cider",
    "accuracy": "Accuracy",
    "macro_f1": "MacroF1",
    "mae": "MeanAbsoluteError",
    "spearman": "Spearman",
    "quadratic_kappa": "QuadraticKappa",
    "ece": "ExpectedCalibrationError",
    "recall_at_k": "RecallAtK",
    "median_rank": "MedianRank",
    "pa_mpjpe": "PaMpjpe",
    "mpjpe": "Mpjpe",
    "velocity_error": "VelocityError",
    "bone_length_drift": "BoneLengthDrift",
    "region_polarity_f1": "RegionPolarityF1",
    "format_compliance": "FormatCompliance",
    "error_recall": "ErrorRecall",
    "hallucination_rate": "HallucinationRate",
    "specificity": "Specificity",
    "actionability": "Actionability",
}


def load(name: str) -> "PoiseMetric":
    """The metric `name`, which keeps its data in memory.

    Raises:
        PoiseError: no such metric.
    """
    if name not in METRICS:
        raise PoiseError("unknown metric", got=repr(name), expected=", ".join(METRICS))
    module = import_module(f"eval.metrics.{name}.{name}")
    return getattr(module, METRICS[name])(keep_in_memory=True)
