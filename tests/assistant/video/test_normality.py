"""The Mahalanobis test against a plain loop, and its threshold."""

import numpy as np
import pytest

from assistant.video.normality import SHRINKAGE, Normality


def test_distance_is_to_the_nearest_class_mean_under_the_shared_shrunk_covariance() -> None:
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1], 40)
    features = rng.normal(size=(80, 3)) @ np.diag([1.0, 2.0, 0.5]) + classes[:, None] * 6
    normality = Normality.fit(features, classes, features)
    within = np.zeros((3, 3))
    for label in (0, 1):
        mean = features[classes == label].mean(axis=0)
        for row in features[classes == label]:
            within += np.outer(row - mean, row - mean) / 78
    shrunk = (1 - SHRINKAGE) * within + SHRINKAGE * np.diag(np.diag(within))
    point = np.array([5.0, 7.0, 6.5])
    offset = point - features[classes == 1].mean(axis=0)
    expected = np.sqrt(offset @ np.linalg.inv(shrunk) @ offset)
    assert normality.distance(point[None])[0] == pytest.approx(expected, rel=1e-4)


def test_99_of_100_held_out_features_pass_and_far_ones_do_not() -> None:
    rng = np.random.default_rng(1)
    train, held_out = rng.normal(size=(500, 4)), rng.normal(size=(1000, 4))
    normality = Normality.fit(train, np.zeros(500), held_out)
    assert normality.accepts(held_out).mean() == pytest.approx(0.99, abs=0.002)
    assert not normality.accepts(np.full((1, 4), 6.0))[0]


def test_a_constant_feature_does_not_break_the_fit() -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(size=(50, 3)) * [1, 1, 0]
    assert np.isfinite(Normality.fit(features, np.zeros(50), features).distance(features)).all()


def test_the_direction_refuses_what_lies_near_but_on_the_wrong_side() -> None:
    rng = np.random.default_rng(3)
    train, held_out = rng.normal(size=(500, 4)) + [3, 0, 0, 0], rng.normal(size=(4000, 4))
    held_out = held_out + [3, 0, 0, 0]
    direction = np.array([1.0, 0, 0, 0])
    both = Normality.fit(train, np.zeros(500), held_out, direction)
    alone = Normality.fit(train, np.zeros(500), held_out)
    near = np.array([[0.0, 0, 0, 0]])
    assert alone.accepts(near)[0] and not both.accepts(near)[0]
    assert both.accepts(held_out).mean() == pytest.approx(0.99, abs=0.003)


def test_saving_keeps_both_tests(tmp_path) -> None:
    rng = np.random.default_rng(4)
    features = rng.normal(size=(300, 3))
    normality = Normality.fit(features, np.zeros(300), features, np.array([0.5, -1.0, 0.0]))
    normality.save(tmp_path / "n.safetensors")
    again = Normality.load(tmp_path / "n.safetensors")
    many = rng.normal(size=(500, 3)) * 2
    assert np.array_equal(again.accepts(many), normality.accepts(many))
    assert 0.1 < again.accepts(many).mean() < 0.9
