"""Training of the proficiency parts at toy size: no leak, determinism, buckets, metrics."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from assistant.errors import PoiseError
from assistant.pose.normalise import normalise
from assistant.proficiency.assess import Assessor
from data_prep.drills.records import Drill
from data_prep.drills.simulate import simulate_many
from training.proficiency import (
    ProficiencySettings,
    cross_fit_scores,
    fit_temperature,
    train_proficiency,
)
from training.proficiency.calibration import calibrate, folds_by_participant
from training.proficiency.metrics import fault_region_f1, level_metrics
from training.proficiency.prototypes import action_times

TINY = ProficiencySettings(steps=4, copies=1, width=16, dilations=(1, 2), frames_per_batch=2000)


class Flat:
    """A frame encoder without weights: joints as one token."""

    def encode(self, joints: torch.Tensor) -> torch.Tensor:
        return joints.flatten(1).unsqueeze(1)


Pools = tuple[list[Drill], list[Drill], list[Drill]]


@pytest.fixture(scope="module")
def pools() -> Pools:
    a = simulate_many(3, 8, 1, distractor_share=0.25)
    b = simulate_many(6, 4, 2)
    v = simulate_many(4, 5, 3, split="validation", distractor_share=0.3)
    return a, b, v


@pytest.fixture(scope="module")
def trained(pools: Pools) -> Assessor:
    return train_proficiency(*pools, Flat(), TINY, 0, None, lambda _: None)[0]


def test_the_same_seed_gives_the_same_weights_and_saves_them(
    pools: Pools, trained: Assessor, tmp_path: Path
) -> None:
    again, metrics = train_proficiency(*pools, Flat(), TINY, 0, tmp_path, lambda _: None)
    for key, value in trained.stage1.state_dict().items():
        assert torch.equal(value, again.stage1.state_dict()[key]), key
    assert {"level_accuracy", "coral_accuracy", "level_majority", "auroc"} <= set(metrics)
    loaded = Assessor.from_pretrained(tmp_path, Flat())
    pose = normalise(pools[2][0].pose)
    assert loaded.assess(pose).score_vector() == pytest.approx(
        trained.assess(pose).score_vector(), abs=1e-5
    )


def test_a_shared_performer_is_refused(pools: Pools) -> None:
    a, b, v = pools
    with pytest.raises(PoiseError, match="share performers"):
        train_proficiency(a, [*b, a[0]], v, None, TINY, 0, None, lambda _: None)


def test_cross_fitted_scores_do_not_depend_on_the_performers_own_labels(
    pools: Pools, trained: Assessor
) -> None:
    drills = pools[1]
    person = drills[0].participant_id
    flipped = [
        replace(d, level=3 - (d.level or 0)) if d.participant_id == person else d for d in drills
    ]
    before, after = cross_fit_scores(trained, drills), cross_fit_scores(trained, flipped)
    changed = 0
    for drill, x, y in zip(drills, before, after, strict=True):
        same = x.q == pytest.approx(y.q, abs=1e-12)
        assert same or drill.participant_id != person
        changed += not same
    assert changed > 0  # the labels do matter to other performers


def test_the_stored_calibration_is_fitted_on_all_of_pool_b(pools: Pools, trained: Assessor) -> None:
    drills = pools[1]
    mine = replace(trained)
    calibrate(mine, drills, [normalise(d.pose) for d in drills], TINY)
    for (stream, activity), cdf in mine.calibration.cdfs.items():
        assert stream == "pose"
        assert len(cdf.values) == sum(d.activity == activity for d in drills)


def test_folds_keep_a_performer_together() -> None:
    names = [f"p{i % 7}" for i in range(40)]
    fold = folds_by_participant(names)
    assert set(fold) == {0, 1, 2, 3, 4}
    for name in set(names):
        assert len({f for f, n in zip(fold, names, strict=True) if n == name}) == 1
    with pytest.raises(PoiseError, match="3 performers"):
        folds_by_participant(["a", "b", "c"])


def test_action_times_are_the_middles_of_steps_within_repetitions(pools: Pools) -> None:
    drill = next(d for d in pools[0] if d.activity == "bodyweight_squat")
    times = action_times(drill)
    assert len(times) >= 3 * len(drill.repetitions) - 1
    assert {name for _, name in times} <= set(drill.step_names[1:-1])
    for when, name in times:
        assert drill.step_names[drill.steps[round(when * drill.pose.fps)]] == name


def test_temperature_recovers_overconfidence() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(0, 1, (4000, 4))
    p = np.exp(true) / np.exp(true).sum(1, keepdims=True)
    levels = np.array([rng.choice(4, p=row) for row in p])
    assert fit_temperature(3 * true, levels) == pytest.approx(3.0, rel=0.1)


def test_metrics_by_hand(pools: Pools, trained: Assessor) -> None:
    drill = next(d for d in pools[0] if d.level is not None and d.faults)
    found = trained.assess(normalise(drill.pose))
    perfect = np.zeros((6, 3))
    perfect[np.arange(6), list(drill.regions.values())] = 1
    right = replace(found, regions=perfect, p_base=np.eye(4)[drill.level])
    wrong = replace(found, regions=np.tile([0.0, 0, 1], (6, 1)), p_base=np.eye(4)[drill.level - 1])
    assert fault_region_f1([(right, drill)]) == 1.0
    assert fault_region_f1([(right, drill), (wrong, drill)]) == pytest.approx(2 / 3)
    two = level_metrics([right, wrong], [drill.level, drill.level])
    assert two["level_accuracy"] == 0.5 and two["level_majority"] == 1.0
