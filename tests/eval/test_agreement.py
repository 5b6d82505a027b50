"""Krippendorff's alpha for ordered categories, against numbers worked out by hand."""

import numpy as np
import pytest

from eval.agreement import ordinal_alpha

# Krippendorff (2011), part C: four observers, twelve units, missing values.
PUBLISHED = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""


def published() -> np.ndarray:
    lines = PUBLISHED.strip().splitlines()
    return np.array([[np.nan if c == "." else float(c) for c in line.split()] for line in lines]).T


def test_the_published_example_worked_by_hand():
    # Coincidences by hand, units 1 to 11 (the twelfth has one rating): a unit with m ratings gives
    # each ordered pair of its ratings 1 / (m - 1).
    coincidences = np.array(
        [
            [7, 4 / 3, 1 / 3, 1 / 3, 0],
            [4 / 3, 10, 4 / 3, 1 / 3, 0],
            [1 / 3, 4 / 3, 8, 1 / 3, 0],
            [1 / 3, 1 / 3, 1 / 3, 4, 0],
            [0, 0, 0, 0, 3],
        ]
    )
    margins = [9, 13, 10, 5, 3]
    np.testing.assert_allclose(coincidences.sum(1), margins)
    observed = expected = 0.0
    for c in range(5):
        for k in range(c + 1, 5):
            delta = sum(margins[c : k + 1]) - (margins[c] + margins[k]) / 2
            observed += coincidences[c, k] * delta**2
            expected += margins[c] * margins[k] * delta**2
    assert ordinal_alpha(published()) == pytest.approx(1 - 39 * observed / expected)
    assert ordinal_alpha(published()) == pytest.approx(0.815, abs=5e-4)  # as published


def test_three_units_of_two_raters_by_hand():
    # Units (1, 1), (2, 3), (3, 3): margins 2, 1, 3; n = 6. delta²(2, 3) = (4 - 2)² = 4,
    # delta²(1, 2) = (3 - 1.5)² = 2.25, delta²(1, 3) = (6 - 2.5)² = 12.25.
    # observed 1 * 4; expected 2 * 2.25 + 6 * 12.25 + 3 * 4 = 90; alpha = 1 - 5 * 4 / 90.
    assert ordinal_alpha(np.array([[1, 1], [2, 3], [3, 3]])) == pytest.approx(7 / 9)


def test_agreement_and_systematic_disagreement():
    assert ordinal_alpha(np.array([[1, 1], [4, 4], [2, 2]])) == 1
    assert ordinal_alpha(np.array([[1, 4], [4, 1], [1, 4]])) < 0


def test_single_ratings_and_the_order_of_raters_do_not_count():
    ratings = published()
    more = np.vstack([ratings, [[4, np.nan, np.nan, np.nan]]])
    assert ordinal_alpha(more) == pytest.approx(ordinal_alpha(ratings))
    assert ordinal_alpha(ratings[:, ::-1]) == pytest.approx(ordinal_alpha(ratings))


def test_random_ratings_are_near_chance():
    ratings = np.random.default_rng(0).integers(1, 5, (4000, 3))
    assert abs(ordinal_alpha(ratings)) < 0.03


@pytest.mark.parametrize("ratings", [[[1, np.nan], [np.nan, 2]], [[3, 3], [3, 3]]])
def test_it_is_undefined_without_pairs_or_without_variation(ratings):
    assert np.isnan(ordinal_alpha(np.array(ratings, dtype=float)))
