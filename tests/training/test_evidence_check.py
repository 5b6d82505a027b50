"""Shares of supported criticism, by hand and on the faults of a simulated performer."""

import pytest

from data_prep.drills.simulate import simulate_many
from training.evidence_check import Held, held_faults, shares
from training.experts import experts

SQUAT = "bodyweight_squat"


def test_shares_by_hand() -> None:
    rows = [Held(SQUAT, "a", True, far) for far in (1.0, 2.0, 3.0)]
    rows += [Held(SQUAT, "a", False, far) for far in (0.0, 2.5)]
    found = shares(rows, 2.0)
    assert found == {"injected": pytest.approx(2 / 3), "n_injected": 3, "other": 0.5, "n_other": 2}
    assert shares(rows[3:], 2.0)["injected"] is None


def test_injected_faults_lie_farther_from_the_experts() -> None:
    table = experts(simulate_many(6, 8, 31, split="train", activities=(SQUAT,)))
    rows = held_faults(simulate_many(2, 8, 32, split="validation", activities=(SQUAT,)), table)
    assert len(rows) == 16 * 5
    found = shares(rows, 2.0)
    assert found["n_injected"] > 10
    assert found["injected"] > 0.8 > 0.4 > found["other"]
