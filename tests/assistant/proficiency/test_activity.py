"""The open-set score, its threshold, and the active span."""

import numpy as np
import pytest

from assistant.proficiency.activity import (
    OpenSet,
    active_span,
    auroc,
    best_threshold,
    fit_gaussians,
    fit_score,
    known_log_odds,
    mahalanobis,
)

FPS = 15.0


def burst(total: float, *runs: tuple[float, float]) -> np.ndarray:
    p = np.full(round(total * FPS), 0.05)
    for start, end in runs:
        p[round(start * FPS) : round(end * FPS)] = 0.95
    return p


def test_span_is_the_action_and_half_a_second() -> None:
    start, end = active_span(burst(20, (12, 14), (15, 17)), FPS)
    assert start == pytest.approx(11.5, abs=0.15)
    assert end == pytest.approx(17.5, abs=0.15)


def test_a_lonely_false_alarm_far_away_is_left_out() -> None:
    start, _ = active_span(burst(20, (1, 2), (12, 17)), FPS)
    assert start > 11


def test_nothing_active_has_no_span_and_ends_stay_inside() -> None:
    assert active_span(burst(5), FPS) is None
    assert active_span(burst(3, (0, 3)), FPS) == (0.0, 3.0)


def test_a_blink_is_no_repetition() -> None:
    p = burst(5)
    p[30:33] = 1.0
    assert active_span(p, FPS) is None


def test_log_odds_by_hand() -> None:
    logits = np.log(np.array([[0.7, 0.2, 0.1]]))
    assert known_log_odds(logits, 2)[0] == pytest.approx(np.log(0.7 / 0.3))
    assert known_log_odds(logits, 2, np.array([1]))[0] == pytest.approx(np.log(0.2 / 0.8))


def test_auroc_by_counting_pairs() -> None:
    score = np.array([3.0, 1.0, 2.0, 1.0])
    known = np.array([True, True, False, False])
    assert auroc(score, known) == pytest.approx((1 + 1 + 0 + 0.5) / 4)


def test_threshold_lies_in_the_middle_of_the_best_gap() -> None:
    score = np.array([0.0, 1.0, 4.0, 5.0])
    assert best_threshold(score, np.array([False, False, True, True])) == pytest.approx(2.5)


def test_training_clips_are_at_distance_one() -> None:
    rng = np.random.default_rng(0)
    f = rng.normal(5, [1, 10, 0.1], (5000, 3))
    means, whitening = fit_gaussians(f, np.zeros(5000, dtype=int), 1, shrink=0.0)
    d = mahalanobis(means, whitening, f, np.zeros(5000, dtype=int))
    assert (d**2).mean() == pytest.approx(1.0, rel=0.01)
    far = mahalanobis(means, whitening, f[:1] + np.array([[0, 0, 5.0]]), np.zeros(1, dtype=int))
    assert far[0] > 10


def test_the_score_separates_and_survives_its_arrays() -> None:
    rng = np.random.default_rng(0)
    known = np.arange(200) < 100
    activity = np.arange(200) % 2
    features = rng.normal(0, 1, (200, 4)) + activity[:, None] * 3 + (~known[:, None]) * 6
    logits = rng.normal(0, 1, (200, 3))
    logits[np.arange(200), activity] += 3 * known
    logits[:, 2] += 3 * ~known
    means, whitening = fit_gaussians(features[known], activity[known], 2)
    fitted = fit_score(logits, features, known, means, whitening, activity)
    score = fitted.score(logits, features, activity)
    assert auroc(score, known) > 0.99
    assert ((score >= fitted.threshold) == known).mean() > 0.97
    assert (fitted.weights > 0).all()
    again = OpenSet.from_arrays(fitted.arrays())
    assert again.score(logits, features, activity) == pytest.approx(score, rel=1e-4, abs=1e-4)
    assert again.threshold == fitted.threshold


def test_a_run_begins_before_its_peak_and_needs_one() -> None:
    p = np.full(150, 0.05)
    p[45:60], p[60:75], p[75:90] = 0.35, 0.9, 0.35
    start, end = active_span(p, FPS)
    assert start == pytest.approx(2.5, abs=0.2) and end == pytest.approx(6.5, abs=0.2)
    assert active_span(np.minimum(p, 0.4), FPS) is None
