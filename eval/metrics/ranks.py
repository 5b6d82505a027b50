"""Ranks of the right item in rankings, for recall@k and the median rank."""

from collections.abc import Sequence
from typing import Any, Final

from datasets import Sequence as ListOf
from datasets import Value

from assistant.errors import PoiseError
from eval.metrics.base import PoiseMetric


class RankingMetric(PoiseMetric):
    """Rankings of item identifiers, best first, against the identifier of the right item."""

    PREDICTIONS = ListOf(Value("string"))
    REFERENCES = Value("string")


ABSENT: Final = 0


def rank_in(ranking: Sequence[str], gold: str) -> int:
    """Rank from 1 of `gold`, ABSENT where it is not ranked.

    Raises:
        PoiseError: an item is ranked twice, or nothing is ranked.
    """
    if not ranking or len(set(ranking)) != len(ranking):
        what = "holds an item twice" if ranking else "is empty"
        raise PoiseError(f"a ranking {what}", expected="every candidate once, best first")
    return ranking.index(gold) + 1 if gold in ranking else ABSENT


def ranks(predictions: Any, references: Any) -> list[int]:
    """`rank_in` of every clip."""
    return [rank_in(row, gold) for row, gold in zip(predictions, references, strict=True)]
