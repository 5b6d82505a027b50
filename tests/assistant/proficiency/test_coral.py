"""Look Closer section II-C by plain NumPy, and the promises of the ordinal head."""

import numpy as np
import pytest
from scipy.stats import norm

from assistant.errors import PoiseError
from assistant.proficiency.coral import (
    EmpiricalCdf,
    OrdinalHead,
    fit_calibration,
    fit_ordinal_head,
    head_input,
    level_probabilities,
)


def test_cdf_gives_rank_minus_half_over_n() -> None:
    margins = np.array([0.3, -0.2, 0.9, 0.1])
    cdf = EmpiricalCdf.fit(margins)
    assert cdf.cdf(margins) == pytest.approx([2.5 / 4, 0.5 / 4, 3.5 / 4, 1.5 / 4])
    assert cdf.normal_score(0.9) == pytest.approx(norm.ppf(0.875))


def test_cdf_is_clipped_beyond_the_training_range() -> None:
    cdf = EmpiricalCdf.fit(np.arange(10.0))
    assert cdf.cdf(-100.0) == pytest.approx(1 / 20)
    assert cdf.cdf(100.0) == pytest.approx(1 - 1 / 20)
    assert np.isfinite(cdf.normal_score(np.array([-1e9, 1e9]))).all()


def test_ties_share_their_mean_rank() -> None:
    assert EmpiricalCdf.fit(np.array([1.0, 1.0, 1.0, 2.0])).cdf(1.0) == pytest.approx(1.5 / 4)


def test_probabilities_are_differences_of_the_cumulative_ones() -> None:
    p = level_probabilities(np.array([[0.9, 0.6, 0.1]]))
    assert p[0] == pytest.approx([0.1, 0.3, 0.5, 0.1])


def test_cumulative_minimum_makes_q_monotone() -> None:
    head = OrdinalHead(np.zeros((3, 2)), np.array([-1.0, 2.0, 0.5]))
    q = head.cumulative(np.zeros((1, 2)))[0]
    assert q == pytest.approx([1 / (1 + np.e)] * 3)
    assert head.probabilities(np.zeros((1, 2))).sum() == pytest.approx(1)


def toy(seed: int = 0, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 4, n)
    return levels[:, None] + rng.normal(0, 0.5, (n, 2)), levels


def objective(
    w: np.ndarray, b: np.ndarray, v: np.ndarray, y: np.ndarray, c: float, shared: bool
) -> float:
    """sum_k BCE + |W|^2 / 2C, multiplied by C, by loops."""
    total = (w[0] @ w[0] if shared else sum(row @ row for row in w)) / 2
    for x, label in zip(v, y, strict=True):
        for k in range(3):
            q = 1 / (1 + np.exp(-(w[k] @ x + b[k])))
            total -= c * np.log(q if label > k else 1 - q)
    return float(total)


@pytest.mark.parametrize("form", ["regressions", "shared"])
def test_head_minimises_the_printed_objective(form: str) -> None:
    v, y = toy(n=80)
    head = fit_ordinal_head(v, y, form=form, c=0.03)
    shared = form == "shared"
    best = objective(head.weights, head.biases, v, y, 0.03, shared)
    rng = np.random.default_rng(1)
    for _ in range(20):
        step = rng.normal(0, 0.05, (1 if shared else 3, 2))
        other = objective(head.weights + step, head.biases + rng.normal(0, 0.05, 3), v, y, 0.03,
                          shared)  # fmt: skip
        assert other > best


def test_shared_form_has_one_weight_vector_and_ordered_biases() -> None:
    head = fit_ordinal_head(*toy(), form="shared")
    assert (head.weights == head.weights[0]).all()
    assert (np.diff(head.biases) <= 0).all()


@pytest.mark.parametrize("form", ["regressions", "shared"])
def test_head_learns_ordered_levels(form: str) -> None:
    head = fit_ordinal_head(*toy(), form=form, c=1.0)
    v, y = toy(seed=5)
    assert (head.probabilities(v).argmax(1) == y).mean() > 0.6
    q = head.cumulative(v)
    assert (np.diff(q, axis=1) <= 0).all()


def test_a_level_boundary_with_one_side_is_refused() -> None:
    with pytest.raises(PoiseError, match="one side only"):
        fit_ordinal_head(np.zeros((4, 2)), np.array([0, 0, 1, 2]))


def test_missing_streams_are_zero_filled_and_activities_kept_apart() -> None:
    rng = np.random.default_rng(0)
    levels = np.tile(np.arange(4), 10)
    p = np.eye(4)[levels]
    activity = ["squat"] * 20 + ["throw"] * 20
    pose = np.concatenate([rng.normal(0, 1, 20), rng.normal(100, 1, 20)])
    margins = [{"ego": None, "exo": None, "pose": m} for m in pose]
    fitted = fit_calibration(p, margins, activity, levels)
    assert set(fitted.cdfs) == {("pose", "squat"), ("pose", "throw")}
    u = fitted.normal_scores({"ego": None, "exo": 3.0, "pose": 100.0}, "throw")
    assert set(u) == {"pose"} and abs(u["pose"]) < 1.5
    assert head_input(p[:1], [u])[0] == pytest.approx([1, 0, 0, 0, 0, 0, u["pose"]])


def test_u_of_section_ii_c_by_counting() -> None:
    """u = Phi^-1(F), F = (rank - 0.5) / n of the same activity's margins, clipped."""
    rng = np.random.default_rng(8)
    train, new = rng.normal(size=25), rng.normal(0, 3, size=40)
    cdf = EmpiricalCdf.fit(train)
    for i, value in enumerate(train):
        rank = 1 + sum(other < value for other in train)
        assert cdf.normal_score(value) == pytest.approx(norm.ppf((rank - 0.5) / 25)), i
    for value in new:
        share = sum(other < value for other in train) / 25
        expected = norm.ppf(min(max(share, 0.5 / 25), 1 - 0.5 / 25))
        assert cdf.normal_score(value) == pytest.approx(expected)


def test_a_single_training_margin_says_nothing() -> None:
    assert EmpiricalCdf.fit(np.array([0.4])).normal_score(np.array([-9, 0.4, 9])) == pytest.approx(
        [0, 0, 0]
    )


@pytest.mark.parametrize("form", ["regressions", "shared"])
def test_q_and_p_of_section_ii_c_by_loops(form: str) -> None:
    """q_k = sigma(w_k v + b_k), then q_0 >= q_1 >= q_2, then p by differencing."""
    v, y = toy(seed=2, n=60)
    head = fit_ordinal_head(v, y, form=form, c=0.5)
    found_q, found_p = head.cumulative(v), head.probabilities(v)
    for row, x in enumerate(v):
        q: list[float] = []
        for k in range(3):
            score = sum(head.weights[k][d] * x[d] for d in range(2)) + head.biases[k]
            q.append(min([1 / (1 + np.exp(-score)), *q]))
        assert found_q[row] == pytest.approx(q)
        assert found_p[row] == pytest.approx([1 - q[0], q[0] - q[1], q[1] - q[2], q[2]])
    assert found_p.sum(axis=1) == pytest.approx(np.ones(60)) and (found_p >= 0).all()


@pytest.mark.parametrize("form", ["regressions", "shared"])
def test_gradient_of_l_post_vanishes_at_the_fit(form: str) -> None:
    """d/dW of sum_k BCE + |W|^2 / 2C: for each boundary alone, or summed over the shared row."""
    v, y = toy(seed=3, n=120)
    head = fit_ordinal_head(v, y, form=form, c=0.03)
    above = (y[:, None] > np.arange(3)).astype(float)
    rest = 1 / (1 + np.exp(-(v @ head.weights.T + head.biases))) - above  # [N, 3]
    by_bias, by_weight = rest.sum(axis=0), rest.T @ v
    assert by_bias == pytest.approx(np.zeros(3), abs=1e-2)
    if form == "shared":
        gradient = by_weight.sum(axis=0) + head.weights[0] / 0.03
    else:
        gradient = by_weight + head.weights / 0.03
    assert np.abs(gradient).max() < 1e-2


def test_fit_calibration_is_its_parts() -> None:
    rng = np.random.default_rng(9)
    levels = np.tile(np.arange(4), 6)
    p = rng.dirichlet(np.ones(4), 24)
    margins = [{"pose": float(m)} for m in rng.normal(levels, 1.0)]
    fitted = fit_calibration(p, margins, ["squat"] * 24, levels)
    values = np.array([m["pose"] for m in margins])
    rank = np.array([1 + sum(values < value) for value in values])
    v = np.column_stack([p, np.zeros(24), np.zeros(24), norm.ppf((rank - 0.5) / 24)])
    head = fit_ordinal_head(v, levels)
    assert fitted.head.weights == pytest.approx(head.weights)
    scores = [fitted.normal_scores(m, "squat") for m in margins]
    assert fitted.cumulative(p, scores) == pytest.approx(head.cumulative(v))
