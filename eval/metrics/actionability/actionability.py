"""Actionability of coaching texts, by rubric."""

from eval.metrics import rubric


class Actionability(rubric.RubricMetric):
    """How much a text tells what to do, 0 to 1: an offline word proxy, or with `endpoint` and
    `model` a language model's 1 to 5 laid on 0 to 1. An empty text scores 0."""

    RUBRIC = "actionability"
    SOURCE = "prompts/templates/judge_system.jinja; docs/metrics.md"
