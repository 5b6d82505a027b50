"""Are level probabilities honest? Ordinal heads compared on features that were not fitted on.

    poise eval calibration -o docs/results/calibration.json --picture calibration.png

The features are Look Closer's v = [p_base; u_ego; u_exo; u_pose] of simulated performers whom no
part of the model has seen. Every head, and the CDFs behind u, is fitted on four fifths of the
performers and asked about the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from assistant.errors import PoiseError
from assistant.levels import N_LEVELS
from assistant.proficiency.coral import fit_calibration, head_input
from eval.levels import majority_share
from eval.ordinal_heads import HEADS, REFERENCE, Fit
from eval.statistics import bootstrap, paired_bootstrap

FOLDS: Final = 5
# Of equal width over the confidence 0..1, the last one closed: Guo et al. 2017.
BINS: Final = 15
BINNING: Final = f"{BINS} equal-width bins of the largest probability"
COVERAGES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability picture: clips in it, their mean confidence and accuracy."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


def reliability(p: np.ndarray, levels: np.ndarray, bins: int = BINS) -> list[Bin]:
    """The bins of equal width that hold any clip; p [N, 4], levels [N]."""
    confidence, right = p.max(axis=1), p.argmax(axis=1) == levels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    found = []
    for i in range(bins):
        mine = place == i
        if mine.any():
            means = float(confidence[mine].mean()), float(right[mine].mean())
            found.append(Bin(i / bins, (i + 1) / bins, int(mine.sum()), *means))
    return found


def expected_calibration_error(p: np.ndarray, levels: np.ndarray, bins: int = BINS) -> float:
    """ECE: sum over bins of n_b / N times |accuracy - confidence|.

    Few clips a bin make it too large: a perfectly calibrated head of some hundred clips is not 0.
    """
    parts = reliability(p, levels, bins)
    return sum(b.n * abs(b.accuracy - b.confidence) for b in parts) / len(levels)


def coverage_accuracy(
    p: np.ndarray, levels: np.ndarray, coverages: Sequence[float] = COVERAGES
) -> list[dict[str, float]]:
    """Accuracy on the most confident share of the clips, where the rest is not judged.

    Returns:
        For each coverage: the share kept (at least one clip), the lowest confidence that is kept
        and the accuracy of what is kept.
    """
    confidence, right = p.max(axis=1), p.argmax(axis=1) == levels
    order = np.argsort(-confidence, kind="stable")
    found = []
    for coverage in coverages:
        kept = order[: max(round(coverage * len(levels)), 1)]
        found.append(
            {
                "coverage": len(kept) / len(levels),
                "threshold": float(confidence[kept[-1]]),
                "accuracy": float(right[kept].mean()),
            }
        )
    return found


@dataclass(frozen=True)
class Evidence:
    """What the frozen Stage 1 and prototypes say about clips that they have not seen.

    Attributes:
        p_base: [N, 4]; margins: per stream, None where missing; activities, performers: N names.
        levels: [N] the truth; shipped: [N, 4] the checkpoint's own calibrated probabilities.
    """

    p_base: np.ndarray
    margins: list[Mapping[str, float | None]]
    activities: list[str]
    performers: list[str]
    levels: np.ndarray
    shipped: np.ndarray


def out_of_fold(evidence: Evidence, heads: Mapping[str, Fit] = HEADS) -> dict[str, np.ndarray]:
    """Probabilities [N, 4] of every head for performers that neither it nor its CDFs have seen.

    Raises:
        PoiseError: fewer performers than folds.
    """
    from sklearn.model_selection import GroupKFold

    people = len(set(evidence.performers))
    if people < FOLDS:
        raise PoiseError("too few performers", got=str(people), expected=f"{FOLDS} or more",
                         remedy="raise --performers")  # fmt: skip
    found = {name: np.zeros((len(evidence.levels), N_LEVELS)) for name in heads}
    folds = GroupKFold(FOLDS).split(evidence.levels, groups=evidence.performers)
    for rest, mine in folds:
        fitted = fit_calibration(
            evidence.p_base[rest], [evidence.margins[i] for i in rest],
            [evidence.activities[i] for i in rest], evidence.levels[rest],
        )  # fmt: skip
        v = head_input(
            evidence.p_base,
            [
                fitted.normal_scores(m, a)
                for m, a in zip(evidence.margins, evidence.activities, strict=True)
            ],
        )
        for name, fit in heads.items():
            found[name][mine] = fit(v[rest], evidence.levels[rest])(v[mine])
    return found


def evaluate(evidence: Evidence, data: Mapping[str, Any], *, seed: int = 0) -> dict[str, Any]:
    """Accuracy, MAE and ECE of every head with 95% intervals that draw performers.

    Args:
        data: what the clips are; it is stored with the numbers.
    """
    levels, people = evidence.levels, evidence.performers
    predictions = out_of_fold(evidence)
    predictions["p_base alone"] = evidence.p_base
    predictions["the checkpoint's calibration"] = evidence.shipped
    right = {name: p.argmax(axis=1) == levels for name, p in predictions.items()}
    return {
        "data": dict(data),
        "n": len(levels),
        "performers": len(set(people)),
        "majority": majority_share(levels.tolist()),
        "majority_mae": _constant_mae(levels),
        "binning": BINNING,
        "folds": FOLDS,
        "heads": {
            name: _scores(p, levels, people, seed)
            | {"difference": asdict(paired_bootstrap(right[name], right[REFERENCE], people))}
            for name, p in predictions.items()
        },
    }


def _scores(p: np.ndarray, levels: np.ndarray, people: Sequence[str], seed: int) -> dict[str, Any]:
    rows = np.column_stack([p, levels])

    def ece(drawn: np.ndarray) -> float:
        return expected_calibration_error(drawn[:, :N_LEVELS], drawn[:, N_LEVELS].astype(int))

    said = p.argmax(axis=1)
    return {
        "accuracy": asdict(bootstrap(said == levels, people, seed=seed)),
        "mae": asdict(bootstrap(np.abs(said - levels), people, seed=seed)),
        "ece": asdict(bootstrap(rows, people, ece, seed=seed)),
        "reliability": [asdict(b) for b in reliability(p, levels)],
        "coverage": coverage_accuracy(p, levels),
    }


def _constant_mae(levels: np.ndarray) -> float:
    """MAE of always saying the most frequent level."""
    said = np.bincount(levels, minlength=N_LEVELS).argmax()
    return float(np.abs(levels - said).mean())
