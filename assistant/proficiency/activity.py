"""Which activity, from when to when, and whether it is one that can be judged at all.

The open-set score is one number a clip: a logistic combination, fitted on validation clips, of
the activity head's log-odds (known against the rest) and the distance of the pooled feature
from the training clips of that activity. One threshold on it, from the same validation clips,
decides. `active_span` finds the repetitions in a long film by the frame-wise heads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import logsumexp

from assistant.errors import PoiseError

SPAN_MARGIN_SECONDS: Final = 0.5
_SMOOTH_SECONDS: Final = 0.4
_SHORTEST_SECONDS: Final = 0.4
_LONGEST_GAP_SECONDS: Final = 5.0
# A run starts where the probability is above the first and reaches the second somewhere.
_SPAN_EDGE: Final = 0.25
_SPAN_PEAK: Final = 0.5


def smooth(values: np.ndarray, frames: int) -> np.ndarray:
    """Centred moving average of [T] over `frames`, windows cut at the ends."""
    kernel = np.ones(max(frames, 1) | 1)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones(len(values)), kernel, "same")


def active_span(probability: np.ndarray, fps: float) -> tuple[float, float] | None:
    """The seconds in which the activity goes on, half a second added at both ends.

    Args:
        probability: [T] per frame, that it belongs to a repetition of a known activity.
        fps: frames per second of `probability`.
    Returns:
        (start, end) within the clip; of runs more than 5 s apart those with most probability;
        None where there is no run of at least 0.4 s.
    """
    smoothed = smooth(probability, round(_SMOOTH_SECONDS * fps))
    above = np.concatenate([[False], smoothed > _SPAN_EDGE, [False]])
    edges = np.flatnonzero(np.diff(above.astype(int)))
    runs = [
        (a, b)
        for a, b in edges.reshape(-1, 2)
        if b - a >= min(_SHORTEST_SECONDS * fps, len(probability))
        and smoothed[a:b].max() > _SPAN_PEAK
    ]
    if not runs:
        return None
    groups = [[runs[0]]]
    for run in runs[1:]:
        near = run[0] - groups[-1][-1][1] <= _LONGEST_GAP_SECONDS * fps
        groups[-1].append(run) if near else groups.append([run])
    best = max(groups, key=lambda group: sum(smoothed[a:b].sum() for a, b in group))
    start = max(best[0][0] / fps - SPAN_MARGIN_SECONDS, 0.0)
    return start, min(best[-1][1] / fps + SPAN_MARGIN_SECONDS, len(probability) / fps)


def known_log_odds(logits: np.ndarray, known: int, choice: np.ndarray | None = None) -> np.ndarray:
    """Log-odds of the most probable known activity (or of `choice`) against all the rest.

    Args:
        logits: [N, A], the known activities first; choice: [N] indices below `known`.
    """
    best = logits[:, :known].argmax(axis=1) if choice is None else choice
    rest = logits.copy()
    rows = np.arange(len(logits))
    rest[rows, best] = -np.inf
    return logits[rows, best] - logsumexp(rest, axis=1)


@dataclass(frozen=True)
class OpenSet:
    """The score's parameters.

    Attributes:
        means: [known, P] mean pooled feature of each known activity's training clips.
        whitening: [known, P, P] inverse square roots of their (shrunk) covariances.
        weights, bias: of the evidence (log-odds, log distance), standardised inside them.
        threshold: clips with a score below it are not judged.
    """

    means: np.ndarray
    whitening: np.ndarray
    weights: np.ndarray
    bias: float
    threshold: float

    def distance(self, features: np.ndarray, activity: np.ndarray) -> np.ndarray:
        """Mahalanobis distance per root dimension, features [N, P], activity [N] -> [N]."""
        return mahalanobis(self.means, self.whitening, features, activity)

    def score(self, logits: np.ndarray, features: np.ndarray, activity: np.ndarray) -> np.ndarray:
        """One number a clip, higher is more surely known: [N, A], [N, P], [N] -> [N]."""
        distance = self.distance(features, activity)
        evidence = open_set_evidence(logits, distance, len(self.means), activity)
        return evidence @ self.weights + self.bias

    def arrays(self) -> dict[str, np.ndarray]:
        """For safetensors."""
        return {
            "open_set.means": self.means.astype(np.float32),
            "open_set.whitening": self.whitening.astype(np.float32),
            "open_set.weights": np.asarray(self.weights, dtype=np.float64),
            "open_set.bias_threshold": np.array([self.bias, self.threshold]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "OpenSet":
        """Inverse of `arrays`."""
        bias, threshold = arrays["open_set.bias_threshold"]
        return cls(
            arrays["open_set.means"],
            arrays["open_set.whitening"],
            arrays["open_set.weights"],
            float(bias),
            float(threshold),
        )


def open_set_evidence(
    logits: np.ndarray, distance: np.ndarray, known: int, activity: np.ndarray
) -> np.ndarray:
    """[N, 2]: clipped log-odds, and minus the log of the distance."""
    odds = np.clip(known_log_odds(logits, known, activity), -10.0, 10.0)
    return np.stack([odds, -np.log(np.maximum(distance, 1e-6))], axis=1)


def mahalanobis(
    means: np.ndarray, whitening: np.ndarray, features: np.ndarray, activity: np.ndarray
) -> np.ndarray:
    """|W_a (f - mu_a)| / sqrt(P) of each clip for its activity a: about 1 on training clips."""
    centred = features - means[activity]  # [N, P]
    white = np.einsum("npq,nq->np", whitening[activity], centred)
    return np.linalg.norm(white, axis=1) / np.sqrt(features.shape[1])


def fit_gaussians(
    features: np.ndarray, activity: np.ndarray, known: int, shrink: float = 0.1
) -> tuple[np.ndarray, np.ndarray]:
    """Mean [known, P] and whitening [known, P, P] of training clips [N, P] of known activities."""
    means, whitening = [], []
    for index in range(known):
        mine = features[activity == index].astype(np.float64)
        if len(mine) < 2:
            raise PoiseError("open-set fit", got=f"{len(mine)} clips of activity {index}")
        covariance = np.cov(mine.T)
        size = np.trace(covariance) / len(covariance)
        covariance = (1 - shrink) * covariance + shrink * max(size, 1e-8) * np.eye(len(covariance))
        values, vectors = np.linalg.eigh(covariance)
        means.append(mine.mean(axis=0))
        whitening.append(vectors @ np.diag(values**-0.5) @ vectors.T)
    return np.stack(means), np.stack(whitening)


def fit_score(
    logits: np.ndarray, features: np.ndarray, is_known: np.ndarray,
    means: np.ndarray, whitening: np.ndarray, activity: np.ndarray,
) -> OpenSet:  # fmt: skip
    """Weights and threshold from validation clips.

    Args:
        logits: [N, A]; features: [N, P]; activity: [N] most probable known activity.
        is_known: [N] bool, the clip is of a known activity (and named rightly).
        means, whitening: of `fit_gaussians`, from training clips.
    """
    from sklearn.linear_model import LogisticRegression

    distance = mahalanobis(means, whitening, features, activity)
    evidence = open_set_evidence(logits, distance, len(means), activity)
    centre, spread = evidence.mean(axis=0), evidence.std(axis=0) + 1e-6
    fit = LogisticRegression(C=0.1, class_weight="balanced").fit(
        (evidence - centre) / spread, is_known
    )
    # More log-odds or less distance never lowers the score.
    weights = np.maximum(fit.coef_[0], 0.05) / spread
    score = evidence @ weights
    threshold = best_threshold(score, is_known)
    return OpenSet(means, whitening, weights, -threshold, 0.0)


def best_threshold(score: np.ndarray, is_known: np.ndarray) -> float:
    """The score with the highest mean of the two recalls; the middle of the best gap."""
    order = np.argsort(score)
    ranked, known = score[order], np.asarray(is_known, dtype=bool)[order]
    kept = 1 - np.cumsum(known) / max(known.sum(), 1)
    refused = np.cumsum(~known) / max((~known).sum(), 1)
    quality = (kept + refused)[:-1]
    best = np.flatnonzero(quality >= quality.max() - 1e-12)
    gap = ranked[best + 1] - ranked[best]
    cut = best[gap.argmax()]
    return float((ranked[cut] + ranked[cut + 1]) / 2)


def auroc(score: np.ndarray, is_known: np.ndarray) -> float:
    """Chance that a known clip scores above an unknown one, ties count half."""
    known, rest = score[is_known], np.sort(score[~is_known])
    below = np.searchsorted(rest, known, "left") + np.searchsorted(rest, known, "right")
    return float(below.mean() / 2 / len(rest))
