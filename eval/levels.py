"""Scores of proficiency levels and of named faults, from feedback records and ground truth."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from assistant.errors import PoiseError
from assistant.feedback import criticised_regions, faulted_regions, validate
from assistant.levels import N_LEVELS, level_index

NOT_JUDGED = -1
# A clip counts as at or above level k where its cumulative probability reaches this.
_HALF = 0.5


def predicted_level(record: Mapping[str, Any]) -> int:
    """The level 0..3 of a feedback record, NOT_JUDGED where it abstains."""
    proficiency = record["proficiency"]
    return NOT_JUDGED if proficiency is None else level_index(proficiency["level"])


def coral_level(record: Mapping[str, Any]) -> int:
    """The level of the CORAL head alone: how many q_k reach a half."""
    proficiency = record["proficiency"]
    if proficiency is None:
        return NOT_JUDGED
    return int(sum(q >= _HALF for q in proficiency["coral"]))


def correct(predicted: ArrayLike, expected: ArrayLike) -> np.ndarray:
    """[N] 1.0 where right; a clip that is not judged is wrong."""
    return (np.asarray(predicted) == np.asarray(expected)).astype(np.float64)


def level_error(predicted: ArrayLike, expected: ArrayLike) -> np.ndarray:
    """[N] distances in levels; a clip that is not judged counts as the farthest level."""
    said, true = np.asarray(predicted), np.asarray(expected)
    farthest = np.maximum(true, N_LEVELS - 1 - true)
    return np.where(said == NOT_JUDGED, farthest, np.abs(said - true)).astype(np.float64)


def majority_share(expected: Sequence[int]) -> float:
    """Accuracy of always saying the most frequent level."""
    return float(np.bincount(np.asarray(expected), minlength=N_LEVELS).max() / len(expected))


def fault_counts(predicted: Sequence[set[str]], expected: Sequence[set[str]]) -> np.ndarray:
    """[N, 3] true positives, false positives, false negatives of each clip's set of regions."""
    return np.array(
        [(len(p & e), len(p - e), len(e - p)) for p, e in zip(predicted, expected, strict=True)],
        dtype=np.float64,
    ).reshape(-1, 3)


def micro_f1(counts: np.ndarray) -> float:
    """2 TP / (2 TP + FP + FN) over all rows of `fault_counts`; 0 where nothing is there."""
    tp, fp, fn = np.asarray(counts).sum(axis=0)
    total = 2 * tp + fp + fn
    return float(2 * tp / total) if total else 0.0


def named_faults(records: Sequence[Mapping[str, Any]]) -> list[set[str]]:
    """The regions that each record's generated remarks call in need of improvement."""
    return [criticised_regions(record) for record in records]


def injected_faults(regions: Sequence[Mapping[str, int]]) -> list[set[str]]:
    """The regions that need improvement by the ground truth of each clip."""
    return [faulted_regions(row) for row in regions]


def schema_valid(records: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """[N] 1.0 where a record keeps its schema."""
    return np.array([_is_valid(record) for record in records], dtype=np.float64)


def derangement(labels: Sequence[Any], rng: np.random.Generator) -> np.ndarray:
    """A shuffle of the rows in which no row keeps its place, inside each label's rows.

    A label with a single row keeps it.
    """
    order = np.arange(len(labels))
    for label in dict.fromkeys(labels):
        rows = np.flatnonzero([other == label for other in labels])
        shuffled = rng.permutation(rows)
        order[shuffled] = np.roll(shuffled, 1)
    return order


def _is_valid(record: Mapping[str, Any]) -> bool:
    try:
        validate(record)
    except PoiseError:
        return False
    return True
