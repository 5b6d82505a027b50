"""Ordinal calibration of the proficiency level (Look Closer, section II-C).

Margins become comparable between activities by the empirical CDF of the same activity
(`EmpiricalCdf`), and a linear head on v = [p_base(4); u_ego; u_exo; u_pose] gives the three
cumulative probabilities q_k = P(y > k). The head exists in both readings of the paper:

* "regressions" (default, fits the text): three L2-logistic regressions made monotone by a
  cumulative minimum;
* "shared" (Cao et al. 2020): one weight vector with three ordered biases.

Parameters are plain arrays, so that they live in safetensors beside the weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, ndtri

from assistant.errors import PoiseError
from assistant.levels import N_LEVELS

STREAMS: Final = ("ego", "exo", "pose")
# scikit-learn's inverse strength, as the paper prints it.
PAPER_C: Final = 0.03
Form = Literal["regressions", "shared"]


@dataclass(frozen=True)
class EmpiricalCdf:
    """The training margins of one (stream, activity), sorted ascending [n]."""

    values: np.ndarray

    @classmethod
    def fit(cls, margins: np.ndarray) -> "EmpiricalCdf":
        """From the training margins [n], n >= 1."""
        margins = np.asarray(margins, dtype=np.float64)
        if margins.size == 0 or not np.isfinite(margins).all():
            raise PoiseError("no empirical CDF", got=f"{margins.size} margins", expected="finite")
        return cls(np.sort(margins))

    def cdf(self, margin: np.ndarray | float) -> np.ndarray:
        """F = (rank - 0.5) / n clipped to [1/2n, 1 - 1/2n]; ties share their mean rank.

        A training value of rank r gives exactly (r - 0.5) / n; a new value between two training
        values gives the share below it.
        """
        n = len(self.values)
        below = np.searchsorted(self.values, margin, side="left")
        up_to = np.searchsorted(self.values, margin, side="right")
        return np.clip((below + up_to) / 2 / n, 0.5 / n, 1 - 0.5 / n)

    def normal_score(self, margin: np.ndarray | float) -> np.ndarray:
        """u = Phi^-1(F(m)), finite by the clipping."""
        return ndtri(self.cdf(margin))


@dataclass(frozen=True)
class OrdinalHead:
    """Three cumulative logistic scores on v: weights [3, D], biases [3].

    Attributes:
        weights: one row a boundary; in the shared form the three rows are equal.
        biases: in the shared form non-increasing.
        form: "regressions" or "shared".
    """

    weights: np.ndarray
    biases: np.ndarray
    form: Form = "regressions"

    def cumulative(self, v: np.ndarray) -> np.ndarray:
        """q_k = P(y > k | v), non-increasing in k; v [N, D] -> [N, 3]."""
        q = expit(np.asarray(v, dtype=np.float64) @ self.weights.T + self.biases)
        return np.minimum.accumulate(q, axis=-1)

    def probabilities(self, v: np.ndarray) -> np.ndarray:
        """Class probabilities by differencing the cumulative ones, [N, D] -> [N, 4]."""
        return level_probabilities(self.cumulative(v))


def level_probabilities(q: np.ndarray) -> np.ndarray:
    """[..., 3] non-increasing cumulative probabilities -> [..., 4] that sum to one."""
    ones = np.ones_like(q[..., :1])
    return -np.diff(np.concatenate([ones, q, np.zeros_like(ones)], axis=-1), axis=-1)


def fit_ordinal_head(
    v: np.ndarray, levels: np.ndarray, *, form: Form = "regressions", c: float = PAPER_C
) -> OrdinalHead:
    """Minimise sum_k BCE(1{y > k}, q_k) + |W|^2 / 2C.

    Args:
        v: [N, D] frozen features; levels: [N] in 0..3, every boundary with both sides present.
        form: see the module; c: scikit-learn's inverse strength.
    Raises:
        PoiseError: for another form, or where a boundary has one side only.
    """
    v = np.asarray(v, dtype=np.float64)
    above = np.asarray(levels)[:, None] > np.arange(N_LEVELS - 1)  # [N, 3]
    if above.all(axis=0).any() or not above.any(axis=0).all():
        counts = np.bincount(np.asarray(levels), minlength=N_LEVELS).tolist()
        raise PoiseError(
            "cannot fit the ordinal head: a level boundary has samples on one side only",
            got=f"level counts {counts}",
            expected="the lowest and the highest level present",
        )
    if form == "shared":
        return _fit_shared(v, above, c)
    if form == "regressions":
        return _fit_regressions(v, above, c)
    raise PoiseError("unknown form of the ordinal head", got=form, expected="regressions, shared")


def _fit_regressions(v: np.ndarray, above: np.ndarray, c: float) -> OrdinalHead:
    from sklearn.linear_model import LogisticRegression

    fits = [LogisticRegression(C=c, max_iter=1000, tol=1e-8).fit(v, side) for side in above.T]
    weights = np.stack([fit.coef_[0] for fit in fits])
    return OrdinalHead(weights, np.array([fit.intercept_[0] for fit in fits]), "regressions")


def _fit_shared(v: np.ndarray, above: np.ndarray, c: float) -> OrdinalHead:
    """Cao et al.: at the optimum of this convex loss the biases are ordered by themselves."""
    sign = np.where(above, 1.0, -1.0)  # [N, 3]

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        w, b = parameters[:-3], parameters[-3:]
        margin = sign * ((v @ w)[:, None] + b)
        slope = -sign * expit(-margin) * c  # [N, 3]
        value = c * np.logaddexp(0, -margin).sum() + w @ w / 2
        return value, np.concatenate([v.T @ slope.sum(axis=1) + w, slope.sum(axis=0)])

    start = np.zeros(v.shape[1] + N_LEVELS - 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000, "ftol": 0})
    w, b = found.x[:-3], np.minimum.accumulate(found.x[-3:])
    return OrdinalHead(np.tile(w, (N_LEVELS - 1, 1)), b, "shared")


@dataclass(frozen=True)
class Calibration:
    """Everything of Stage 2: CDFs by (stream, activity) and the head over v.

    A stream that was not seen in training (or is missing in a clip) gives u = 0, as the paper
    zero-fills a missing exo.
    """

    cdfs: Mapping[tuple[str, str], EmpiricalCdf]
    head: OrdinalHead

    def normal_scores(self, margins: Mapping[str, float | None], activity: str) -> dict[str, float]:
        """u per stream of `STREAMS` for one clip of `activity`; missing ones are left out."""
        return _normal_scores(self.cdfs, margins, activity)

    def cumulative(self, p_base: np.ndarray, scores: Sequence[Mapping[str, float]]) -> np.ndarray:
        """q [N, 3] of clips with p_base [N, 4] and `normal_scores` each."""
        return self.head.cumulative(head_input(p_base, scores))


def head_input(p_base: np.ndarray, scores: Sequence[Mapping[str, float]]) -> np.ndarray:
    """v = [p_base; u_ego; u_exo; u_pose], [N, 4] and N score dicts -> [N, 7]."""
    u = np.array([[score.get(stream, 0.0) for stream in STREAMS] for score in scores])
    return np.concatenate([np.asarray(p_base, dtype=np.float64), u.reshape(-1, len(STREAMS))], 1)


def _normal_scores(
    cdfs: Mapping[tuple[str, str], EmpiricalCdf],
    margins: Mapping[str, float | None],
    activity: str,
) -> dict[str, float]:
    found = {}
    for stream, margin in margins.items():
        cdf = cdfs.get((stream, activity))
        if cdf is not None and margin is not None:
            found[stream] = float(cdf.normal_score(margin))
    return found


def fit_calibration(
    p_base: np.ndarray,
    margins: Sequence[Mapping[str, float | None]],
    activities: Sequence[str],
    levels: np.ndarray,
    *,
    form: Form = "regressions",
    c: float = PAPER_C,
) -> Calibration:
    """Fit CDFs and head on clips that Stage 1 and the prototypes have never seen.

    Args:
        p_base: [N, 4]; margins: stream -> take-level margin (None: missing), one dict a clip.
        activities: the activity of each clip; levels: [N].
    """
    pooled: dict[tuple[str, str], list[float]] = {}
    for clip, activity in zip(margins, activities, strict=True):
        for stream, margin in clip.items():
            if margin is not None:
                pooled.setdefault((stream, activity), []).append(margin)
    cdfs = {key: EmpiricalCdf.fit(np.array(values)) for key, values in sorted(pooled.items())}
    scores = [_normal_scores(cdfs, m, a) for m, a in zip(margins, activities, strict=True)]
    return Calibration(cdfs, fit_ordinal_head(head_input(p_base, scores), levels, form=form, c=c))
