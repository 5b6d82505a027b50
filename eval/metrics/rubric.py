"""Specificity and actionability of coaching texts: a judge's rubric, and an offline proxy of each.

The proxies count words of `rubric_words.yaml` sentence by sentence (docs/metrics.md). They were
not checked against human raters; a shuffled pairing does not change them, so a table prints the
references' own score beside them.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np
import yaml

from eval.metrics.base import TEXT, PoiseMetric
from eval.metrics.judge import JudgeSettings, judge
from eval.metrics.words import sentences

PROXY: Final = "offline word proxy (not checked against human raters)"
_HALF: Final = 0.5


class RubricMetric(PoiseMetric):
    """One rubric. With `endpoint` and `model` a language model judges, else the proxy does."""

    PREDICTIONS = TEXT
    REFERENCES = None
    RUBRIC = ""

    def _compute(self, predictions: Any, **judge_settings: Any) -> dict[str, Any]:
        name = self.RUBRIC
        if not judge_settings:
            rows: list[float | None] = [PROXIES[name](text) for text in predictions]
            more: dict[str, Any] = {"method": PROXY}
        else:
            found = judge(name, predictions, JudgeSettings(**judge_settings))
            rows, more = found.pop("scores"), found | {"method": "judge"}
        known = [row for row in rows if row is not None]
        result = {name: float(np.mean(known)) if known else None, f"{name}_per_sample": rows}
        return result | {f"{name}_{key}": value for key, value in more.items()}


def specificity(text: str) -> float:
    """Mean over sentences: 0.5 for a named body part or object, 1 with a place, moment, direction
    or measure in the same sentence; an empty text 0."""
    scores = []
    for sentence in sentences(text):
        named = _has("body", sentence)
        scores.append((_HALF + _HALF * _has("detail", sentence)) if named else 0.0)
    return float(np.mean(scores)) if scores else 0.0


def actionability(text: str) -> float:
    """Share of sentences that tell the learner to do something: they begin, or a clause in them
    does, with an instruction's verb, or hold a phrase of advice; an empty text 0."""
    told = []
    for sentence in sentences(text):
        clauses = re.split(r"[,;:]\s*(?:so |and |then |to learn to )?", sentence)
        begins = any(_begins("instruction", clause) for clause in clauses)
        told.append(begins or _has("advice", sentence))
    return float(np.mean(told)) if told else 0.0


PROXIES: Final = {"specificity": specificity, "actionability": actionability}


def _has(group: str, text: str) -> bool:
    return _patterns()[group].search(text.lower()) is not None


def _begins(group: str, text: str) -> bool:
    return _patterns()[group].match(text.strip().lower()) is not None


@cache
def _patterns() -> Mapping[str, re.Pattern[str]]:
    text = resources.files("eval.metrics").joinpath("rubric_words.yaml").read_text("utf-8")
    groups: Mapping[str, Sequence[str]] = yaml.safe_load(text)
    return {
        name: re.compile(r"\b(?:" + "|".join(phrases) + r")\b") for name, phrases in groups.items()
    }
