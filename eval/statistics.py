"""Intervals and paired tests for clips that share performers.

Clips of one performer are not independent: every interval here draws whole performers.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from assistant.errors import PoiseError

# Differences that vary by less than this share of their size vary by rounding alone.
ALIKE = 1e-9
# [N, ...] resampled rows of every column -> one number.
Statistic = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Interval:
    """A value with its percentile bootstrap interval; of a single cluster there is none."""

    value: float
    low: float | None
    high: float | None
    confidence: float = 0.95


@dataclass(frozen=True)
class PairedTest:
    """A difference a - b over the same clips.

    Attributes:
        difference: mean of a - b.
        low, high: 95% interval of the difference, performers drawn; None where nothing says how
            much performers differ, as with a single one.
        p_value: two-sided; None where nothing can be said.
        n: pairs.
        test: its name, as printed in tables.
    """

    difference: float
    low: float | None
    high: float | None
    p_value: float | None
    n: int
    test: str


def cluster_rows(clusters: Sequence[Hashable]) -> list[np.ndarray]:
    """Row numbers of each cluster, in order of first appearance."""
    rows: dict[Hashable, list[int]] = {}
    for row, cluster in enumerate(clusters):
        rows.setdefault(cluster, []).append(row)
    return [np.array(r) for r in rows.values()]


def resampled_rows(
    clusters: Sequence[Hashable], *, draws: int, seed: int = 0
) -> Iterator[np.ndarray]:
    """Row numbers of each of `draws` samples of whole clusters with replacement."""
    groups = cluster_rows(clusters)
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        picked = rng.integers(0, len(groups), len(groups))
        yield np.concatenate([groups[g] for g in picked])


def bootstrap(
    values: np.ndarray,
    clusters: Sequence[Hashable],
    statistic: Statistic = lambda rows: float(np.mean(rows)),
    *,
    draws: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of `statistic(values)`, drawing clusters with replacement.

    Args:
        values: [N, ...]; the statistic sees resampled rows of it.
        clusters: N labels, usually the performers.

    Raises:
        PoiseError: no rows, or lengths that differ.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) == 0 or len(values) != len(clusters):
        raise PoiseError(
            "nothing to bootstrap",
            got=f"{len(values)} values and {len(clusters)} clusters",
            expected="as many of both, at least one",
        )
    if len(set(clusters)) < 2:
        return Interval(float(statistic(values)), None, None, confidence)
    samples = resampled_rows(clusters, draws=draws, seed=seed)
    drawn = np.array([statistic(values[rows]) for rows in samples])
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail])
    return Interval(float(statistic(values)), float(low), float(high), confidence)


def paired_bootstrap(
    a: np.ndarray, b: np.ndarray, clusters: Sequence[Hashable], *, draws: int = 2000, seed: int = 0
) -> PairedTest:
    """Is the mean of a - b different from 0? Performers are drawn with replacement.

    Two-sided p: twice the smaller share of draws on either side of 0, each counted with one draw
    added, so that it is never 0; and never below 2^(1 - k) of k performers, the least that a test
    by flipping the signs of their differences can reach. Of one performer nothing can be said:
    interval and p are None.
    """
    difference = _differences(a, b, clusters)
    groups = cluster_rows(clusters)
    mean, n, name = float(difference.mean()), len(difference), "paired bootstrap over performers"
    if len(groups) < 2:
        return PairedTest(mean, None, None, None, n, name)
    sums = np.array([difference[g].sum() for g in groups])
    sizes = np.array([len(g) for g in groups])
    rng = np.random.default_rng(seed)
    picked = rng.integers(0, len(groups), (draws, len(groups)))
    means = sums[picked].sum(axis=1) / sizes[picked].sum(axis=1)
    tails = [(np.sum(means <= 0) + 1) / (draws + 1), (np.sum(means >= 0) + 1) / (draws + 1)]
    low, high = np.quantile(means, [0.025, 0.975])
    least = 2.0 ** (1 - len(groups))
    p_value = float(min(1.0, max(least, 2 * min(tails))))
    return PairedTest(mean, float(low), float(high), p_value, n, name)


def mcnemar(a: np.ndarray, b: np.ndarray, clusters: Sequence[Hashable]) -> PairedTest:
    """Exact McNemar test of two classifiers' right (1) and wrong (0) answers on the same clips.

    p is the two-sided binomial probability of the discordant pairs under 1/2, every clip counted by
    itself; the interval of the difference in accuracy draws performers.
    """
    difference = _differences(a, b, clusters)
    wins, losses = int(np.sum(difference > 0)), int(np.sum(difference < 0))
    discordant, few = wins + losses, min(wins, losses)
    tail = sum(comb(discordant, k) for k in range(few + 1)) / 2**discordant
    drawn = paired_bootstrap(a, b, clusters)
    return PairedTest(
        drawn.difference, drawn.low, drawn.high, min(1.0, 2 * tail), len(difference), "McNemar"
    )


def paired_t(a: np.ndarray, b: np.ndarray, clusters: Sequence[Hashable]) -> PairedTest:
    """Paired t test over the clusters' mean differences (Student 1908), with its 95% interval.

    `difference` is the mean over clusters. Where they all differ by the same, t has no spread to
    stand on: there is no interval, and p is what flipping signs can reach (`paired_bootstrap`).

    Raises:
        PoiseError: fewer than two clusters.
    """
    from scipy.stats import t

    difference = _differences(a, b, clusters)
    means = np.array([difference[rows].mean() for rows in cluster_rows(clusters)])
    n, mean = len(means), float(means.mean())
    name = "paired t over performers" if n < len(difference) else "paired t"
    if n < 2:
        raise PoiseError("no paired t test", got=f"{n} performer", expected="two or more")
    error = float(means.std(ddof=1) / np.sqrt(n))
    if error <= ALIKE * float(np.abs(means).max()):
        p_value = 2.0 ** (1 - n) if mean else 1.0
        return PairedTest(mean, None, None, p_value, len(difference), name)
    p_value = float(2 * t.sf(abs(mean / error), n - 1))
    reach = float(t.ppf(0.975, n - 1)) * error
    return PairedTest(mean, mean - reach, mean + reach, p_value, len(difference), name)


def median_rank(ranks: Sequence[float]) -> float:
    """Median of ranks that start at 1."""
    return float(np.median(np.asarray(ranks, dtype=np.float64)))


def chance_median_rank(candidates: int) -> float:
    """Median rank of an item when `candidates` are put in random order."""
    return (candidates + 1) / 2


def auroc(positives: Sequence[float], negatives: Sequence[float]) -> float:
    """Probability that a positive scores above a negative, ties counting a half (Mann-Whitney)."""
    high, low = np.asarray(positives, dtype=np.float64), np.asarray(negatives, dtype=np.float64)
    if not len(high) or not len(low):
        raise PoiseError(
            "no AUROC",
            got=f"{len(high)} positives and {len(low)} negatives",
            expected="some of both",
        )
    above = (high[:, None] > low).mean()
    return float(above + 0.5 * (high[:, None] == low).mean())


def _differences(a: np.ndarray, b: np.ndarray, clusters: Sequence[Hashable]) -> np.ndarray:
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or len(a) != len(clusters) or len(a) == 0:
        raise PoiseError(
            "no pairs to test",
            got=f"shapes {a.shape} and {b.shape}, {len(clusters)} clusters",
            expected="one value of each for every clip",
        )
    return a - b
