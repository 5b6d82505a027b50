"""Intervals that know about performers, and tests checked against SciPy."""

import numpy as np
import pytest
from scipy import stats

from assistant.errors import PoiseError
from eval import statistics as s


def test_bootstrap_of_independent_clips_is_the_textbook_interval() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    interval = s.bootstrap(values, list(range(400)), draws=2000)
    half = 1.96 * values.std(ddof=1) / np.sqrt(400)
    assert interval.value == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.03)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.03)


def test_clips_of_one_performer_widen_the_interval() -> None:
    performer = np.random.default_rng(1).normal(0, 1, 20)
    values = np.repeat(performer, 20)
    names = np.repeat(np.arange(20), 20).tolist()
    whole = s.bootstrap(values, names)
    naive = s.bootstrap(values, list(range(400)))
    assert whole.high - whole.low > 3 * (naive.high - naive.low)


def test_bootstrap_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    hits = 0
    for trial in range(200):
        truth_of = rng.normal(0, 1, 30)
        values = np.repeat(truth_of, 5) + rng.normal(0, 0.5, 150)
        names = np.repeat(np.arange(30), 5).tolist()
        interval = s.bootstrap(values, names, draws=200, seed=trial)
        hits += interval.low <= 0 <= interval.high
    assert 0.87 <= hits / 200 <= 0.99


def test_bootstrap_of_a_ratio_resamples_rows_together() -> None:
    counts = np.array([[3, 1, 0], [2, 0, 1], [4, 1, 1]])

    def f1(rows: np.ndarray) -> float:
        tp, fp, fn = rows.sum(axis=0)
        return float(2 * tp / (2 * tp + fp + fn))

    assert s.bootstrap(counts, ["a", "b", "c"], f1).value == pytest.approx(18 / 22)


def test_same_seed_same_interval() -> None:
    values, names = np.arange(30.0), (np.arange(30) % 7).tolist()
    assert s.bootstrap(values, names, seed=3) == s.bootstrap(values, names, seed=3)


def test_mcnemar_is_the_exact_binomial_test() -> None:
    a = np.array([1] * 40 + [1] * 12 + [0] * 3 + [0] * 20)
    b = np.array([1] * 40 + [0] * 12 + [1] * 3 + [0] * 20)
    test = s.mcnemar(a, b, list(range(75)))
    assert test.p_value == pytest.approx(stats.binomtest(3, 15, 0.5).pvalue)
    assert test.difference == pytest.approx(9 / 75)


def test_mcnemar_of_equal_answers_finds_nothing() -> None:
    same = np.array([1, 0, 1, 1])
    assert s.mcnemar(same, same, list("abcd")).p_value == 1.0


def test_paired_bootstrap_agrees_with_the_t_test_on_independent_pairs() -> None:
    rng = np.random.default_rng(4)
    a = rng.normal(0, 1, 200)
    for shift in (0.0, 0.12, 0.5):
        b = a + rng.normal(shift, 1, 200)
        ours = s.paired_bootstrap(a, b, list(range(200)), draws=4000)
        t = stats.ttest_rel(a, b).pvalue
        assert abs(ours.p_value - t) < 0.05
        assert (ours.low > 0 or ours.high < 0) == (ours.p_value < 0.05)


def test_few_performers_cannot_give_a_small_p() -> None:
    a, b = np.arange(12.0) + 5, np.arange(12.0)
    for performers in (2, 3, 4, 6, 12):
        found = s.paired_bootstrap(a, b, [i % performers for i in range(12)])
        assert found.p_value == pytest.approx(max(2 ** (1 - performers), 2 / 2001))
        # What flipping the signs of all performers' differences says at best.
        means = np.full(performers, 5.0)
        flips = stats.permutation_test((means,), np.mean, permutation_type="samples",
                                       vectorized=True, n_resamples=np.inf)  # fmt: skip
        assert found.p_value >= min(flips.pvalue, 1.0) - 1e-12


def test_of_one_performer_nothing_can_be_said() -> None:
    a, b = np.array([1.0, 1.0, 1.0, 0.0]), np.zeros(4)
    found = s.paired_bootstrap(a, b, ["one"] * 4)
    assert (found.difference, found.n) == (0.75, 4)
    assert found.low is found.high is found.p_value is None
    exact = s.mcnemar(a, b, ["one"] * 4)
    assert exact.low is exact.high is None
    assert exact.p_value == pytest.approx(0.25)  # of clips, three of three
    assert s.bootstrap(a, ["one"] * 4) == s.Interval(0.75, None, None)


def test_paired_bootstrap_needs_pairs() -> None:
    with pytest.raises(PoiseError, match="no pairs"):
        s.paired_bootstrap(np.zeros(3), np.zeros(4), list("abc"))
    with pytest.raises(PoiseError, match="nothing to bootstrap"):
        s.bootstrap(np.zeros(0), [])


def test_chance_median_rank_is_what_shuffling_gives() -> None:
    rng = np.random.default_rng(5)
    ranks = [int(rng.integers(1, 102)) for _ in range(20000)]
    assert s.chance_median_rank(101) == 51
    assert s.median_rank(ranks) == pytest.approx(51, abs=1.5)


def test_auroc_agrees_with_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(6)
    high, low = rng.integers(0, 9, 40), rng.integers(-3, 6, 70)
    labels = [1] * 40 + [0] * 70
    assert s.auroc(high, low) == pytest.approx(roc_auc_score(labels, np.concatenate([high, low])))
    assert s.auroc([2, 3], [0, 1]) == 1.0
    with pytest.raises(PoiseError, match="AUROC"):
        s.auroc([], [1.0])
