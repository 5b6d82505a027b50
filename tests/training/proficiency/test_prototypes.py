"""Prototypes from simulated drills: what a take gains by having helped to make them."""

import numpy as np
import pytest
import torch

from assistant.pose.normalise import normalise
from data_prep.drills.simulate import simulate_many
from training.proficiency.prototypes import (
    Windows,
    action_windows,
    fit_bank,
    in_sample_margins,
    out_of_fold_margins,
)


class Flat:
    """A frame encoder without weights: joints as one token."""

    def encode(self, joints: torch.Tensor) -> torch.Tensor:
        return joints.flatten(1).unsqueeze(1)


@pytest.fixture(scope="module")
def windows() -> Windows:
    drills = simulate_many(20, 2, 5)
    return action_windows(drills, [normalise(drill.pose) for drill in drills], Flat())


def towards_own_side(margins: dict[int, float], windows: Windows) -> dict[int, float]:
    """Margins with the sign turned for low levels: larger is better."""
    side = {t: 1 if windows.levels[windows.take == t][0] >= 2 else -1 for t in margins}
    return {t: side[t] * m for t, m in margins.items()}


def test_margins_in_sample_are_larger_than_out_of_fold(windows: Windows) -> None:
    """Why everything after the prototypes is fitted on takes that did not make them."""
    inside = towards_own_side(in_sample_margins(windows), windows)
    outside = towards_own_side(out_of_fold_margins(windows), windows)
    assert len(outside) >= 0.8 * len(inside)
    gain = np.array([inside[t] - outside[t] for t in outside])
    assert gain.mean() > 0.01 * np.std(list(outside.values()))
    assert (gain > 0).mean() > 0.7


def test_out_of_fold_margins_do_not_depend_on_the_own_label(windows: Windows) -> None:
    take = int(windows.take[0])
    person = windows.participants[0]
    mine = np.array([p == person for p in windows.participants])
    turned = Windows(
        windows.dynamics,
        windows.buckets,
        np.where(mine, 3 - windows.levels, windows.levels),
        windows.participants,
        windows.take,
    )
    before, after = out_of_fold_margins(windows), out_of_fold_margins(turned)
    assert before[take] == after[take]
    assert any(before[t] != after[t] for t in before if t in after)
    assert in_sample_margins(windows)[take] != in_sample_margins(turned)[take]


def test_a_setting_makes_thin_buckets_fall_back(windows: Windows) -> None:
    plain, careful = fit_bank(windows), fit_bank(windows, fewest=10**6)
    assert not plain.thin.any() and careful.thin.all()
    rows = careful.rows(careful.buckets[0][0])
    assert len(rows) > 1
    assert (careful.high[rows] == careful.high[rows[0]]).all()
