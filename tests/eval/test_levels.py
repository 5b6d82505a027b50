"""Level and fault scores, by hand."""

import numpy as np
import pytest

from eval import levels as l
from prompts.vocabulary import LEVELS


def record(
    level: int | None, coral: tuple[float, float, float] = (0.9, 0.6, 0.2), faults=()
) -> dict:
    """As much of a feedback record as the scores read."""
    return {
        "proficiency": None if level is None else {"level": LEVELS[level], "coral": list(coral)},
        "remarks": [{"region": r, "polarity": p} for r, p in faults],
    }


def test_levels_and_coral_levels() -> None:
    assert l.predicted_level(record(2)) == 2
    assert l.predicted_level(record(None)) == l.NOT_JUDGED
    assert l.coral_level(record(0)) == 2
    assert l.coral_level(record(0, (0.4, 0.3, 0.1))) == 0
    assert l.coral_level(record(0, (0.9, 0.8, 0.5))) == 3


def test_a_clip_that_is_not_judged_is_wrong_by_the_farthest_level() -> None:
    predicted, expected = [0, -1, -1, 3], [1, 1, 3, 3]
    np.testing.assert_array_equal(l.correct(predicted, expected), [0, 0, 0, 1])
    np.testing.assert_array_equal(l.level_error(predicted, expected), [1, 2, 3, 0])


def test_majority() -> None:
    assert l.majority_share([0, 1, 1, 3]) == 0.5


def test_only_criticised_regions_count_and_each_once() -> None:
    said = record(
        0,
        faults=[
            ("legs", "needs_improvement"),
            ("legs", "needs_improvement"),
            ("arms", "correct"),
            ("head", "needs_improvement"),
        ],
    )
    truth = {"legs": 0, "arms": 0, "head": 2, "torso": 1, "hands": 2, "feet": 2}
    counts = l.fault_counts(l.named_faults([said]), l.injected_faults([truth]))
    np.testing.assert_array_equal(counts, [[1, 1, 1]])
    assert l.micro_f1(counts) == pytest.approx(0.5)
    assert l.micro_f1(np.zeros((2, 3))) == 0.0


def test_micro_f1_pools_clips() -> None:
    counts = l.fault_counts([{"legs"}, set(), {"arms", "feet"}], [{"legs"}, {"head"}, {"arms"}])
    assert l.micro_f1(counts) == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))


def test_a_record_that_breaks_the_schema_is_counted() -> None:
    assert l.schema_valid([{"schema_version": 1}]).tolist() == [0.0]


def test_derangement_keeps_nothing_in_place_and_stays_in_its_group() -> None:
    labels = ["squat"] * 5 + ["throw"] * 4 + ["alone"]
    for seed in range(20):
        order = l.derangement(labels, np.random.default_rng(seed))
        assert sorted(order) == list(range(10))
        assert all(labels[i] == labels[j] for i, j in enumerate(order))
        assert all(i != j for i, j in enumerate(order[:9]))
        assert order[9] == 9
