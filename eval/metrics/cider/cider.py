"""CIDEr-D (Vedantam et al. 2015, equations 1 to 7 and the D variant), as COCO's evaluation has it.

Written here, since its reference implementation comes in a package of 100 MB without a keeper; a
golden file ties it to that implementation.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from eval.metrics import base
from eval.metrics.words import caption_words

Counts = Counter[tuple[str, ...]]
LONGEST: Final = 4  # n-grams of 1 to 4 words
SIGMA: Final = 6.0  # words; of the penalty for another length


class Cider(base.TextMetric):
    """CIDEr-D, 0 to 10; document frequencies are those of the references that are given."""

    SOURCE = "Vedantam et al. 2015, CIDEr: Consensus-based Image Description Evaluation"

    def _compute(self, predictions: Any, references: Any) -> dict[str, Any]:
        said = [ngrams(text) for text in predictions]
        lists = [[ngrams(text) for text in texts] for texts in base.reference_lists(references)]
        return base.mean_result("cider", cider_d(said, lists))


def ngrams(text: str) -> Counts:
    """How often each n-gram of 1 to 4 words stands in a text."""
    tokens = caption_words(text)
    return Counter(
        tuple(tokens[i : i + n]) for n in range(1, LONGEST + 1) for i in range(len(tokens) - n + 1)
    )


def cider_d(said: Sequence[Counts], references: Sequence[Sequence[Counts]]) -> list[float]:
    """Score of each text; one clip alone scores 0, as no n-gram then tells clips apart."""
    frequency = Counter(gram for texts in references for gram in set().union(*texts))
    documents = float(np.log(len(references)))

    def vector(counts: Counts) -> list[dict[tuple[str, ...], float]]:
        found: list[dict[tuple[str, ...], float]] = [{} for _ in range(LONGEST)]
        for gram, count in counts.items():
            rarity = documents - float(np.log(max(1, frequency[gram])))
            found[len(gram) - 1][gram] = count * rarity
        return found

    scores = []
    for mine, texts in zip(said, references, strict=True):
        ours = vector(mine)
        parts = [_similarity(ours, vector(text)) * _length_penalty(mine, text) for text in texts]
        scores.append(10.0 * float(np.mean(parts)))
    return scores


def _similarity(
    a: list[dict[tuple[str, ...], float]], b: list[dict[tuple[str, ...], float]]
) -> float:
    """Mean over n of the cosine, the counts of `a` clipped to those of `b`."""
    total = 0.0
    for mine, theirs in zip(a, b, strict=True):
        product = sum(
            min(v, theirs[gram]) * theirs[gram] for gram, v in mine.items() if gram in theirs
        )
        norms = np.sqrt(sum(v * v for v in mine.values()) * sum(v * v for v in theirs.values()))
        total += product / norms if norms else 0.0
    return total / LONGEST


def _length_penalty(a: Counts, b: Counts) -> float:
    """exp(-d^2 / 2 sigma^2), d the difference in length counted, as in COCO's code, in bigrams."""
    lengths = [sum(count for gram, count in counts.items() if len(gram) == 2) for counts in (a, b)]
    return float(np.exp(-((lengths[0] - lengths[1]) ** 2) / (2 * SIGMA**2)))
