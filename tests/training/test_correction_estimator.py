"""Training of the correction estimator: it learns what twins change, the same way every time."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from assistant.proficiency.correction_estimator import CorrectionEstimator
from data_prep.drills.records import Drill
from data_prep.drills.simulate import simulate_many
from training.correction_estimator import (
    CorrectionEstimatorSettings,
    Windows,
    as_windows,
    measure,
    train_correction_estimator,
)
from training.moment_windows import near_moments
from training.recipe import load_recipe
from training.required import NEEDED
from training.stages import stages_of

SETTINGS = CorrectionEstimatorSettings(steps=300, batch_size=64, width=64, blocks=1, dropout=0.0)
ACTIVITIES = ("bodyweight_squat",)


@pytest.fixture(scope="module")
def squats() -> list[Drill]:
    return simulate_many(40, 4, 21, split="train", activities=ACTIVITIES, workers=1)


@pytest.fixture(scope="module")
def windows(squats: list[Drill]) -> Windows:
    return as_windows(*near_moments(squats, 3, 4), ACTIVITIES)


@pytest.fixture(scope="module")
def trained(windows: Windows) -> CorrectionEstimator:
    return train_correction_estimator(windows, ACTIVITIES, SETTINGS, 0, lambda step, loss: None)


def test_windows_hold_what_the_twin_changes(squats: list[Drill], windows: Windows) -> None:
    clips, learners, twins = near_moments(squats, 3, 4)
    assert windows.joints.shape == windows.changes.shape == (len(clips), 10, 17, 3)
    place = next(i for i, clip in enumerate(clips) if clip.faults)
    fixed = (windows.joints + windows.changes)[place].numpy()
    assert fixed == pytest.approx(twins[place].joints, abs=1e-5)
    assert windows.heights[place].numpy() == pytest.approx(learners[place].heights, abs=1e-5)


def test_unseen_performers_are_corrected_better_than_copied(trained: CorrectionEstimator) -> None:
    unseen = simulate_many(12, 4, 22, split="validation", activities=ACTIVITIES, workers=1)
    found = measure(trained, unseen, 5)
    assert found["n"] > 20 and found["n"] + found["n_fault_free"] == len(unseen)
    assert found["estimate_mm"] < 0.9 * found["learner_mm"]


def test_two_trainings_give_the_same_weights(windows: Windows, trained) -> None:
    few = replace(SETTINGS, steps=5)
    first, second, other = (
        train_correction_estimator(windows, ACTIVITIES, few, seed, lambda step, loss: None)
        for seed in (0, 0, 1)
    )
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    assert any(
        not torch.equal(value, other.state_dict()[name])
        for name, value in first.state_dict().items()
    )
    assert np.isfinite(trained.scale.item())


def test_the_stage_runs_where_a_recipe_names_it() -> None:
    stages = list(stages_of(load_recipe("mini")))
    assert stages.index("proficiency") < stages.index("correction_estimator")
    assert "correction_estimator" not in stages_of(load_recipe("mini", ["correction_estimator={}"]))
    for recipe in ("ablation", "expertaf_llama3", "profvlm_smollm2"):
        assert "correction_estimator" not in stages_of(load_recipe(recipe))
    assert "correction_estimator" not in NEEDED  # it simulates what it needs
