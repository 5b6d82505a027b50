"""A group of motions is really left out, and its figures are those of that group."""

import pytest

from data_prep.drills.simulate import simulate_many
from training.proficiency import held_out
from training.proficiency.settings import ProficiencySettings
from training.proficiency.unnamed import UNNAMED

TINY = ProficiencySettings(
    steps=2, copies=1, width=16, dilations=(1, 2), frames_per_batch=2000, unnamed_share=0.2
)


def test_the_group_is_left_out_of_training_and_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    pool_a = simulate_many(3, 8, 1, distractor_share=0.4)
    validation = simulate_many(3, 8, 3, split="validation", distractor_share=0.6)
    trained_on = []
    train = held_out.fit_open_set_model

    def spy(a: list, v: list, settings: ProficiencySettings, *rest: object) -> object:
        assessor = train(a, v, settings, *rest)
        trained_on.append(({d.activity for d in [*a, *v]}, assessor.stage1.config.activities))
        return assessor

    monkeypatch.setattr(held_out, "fit_open_set_model", spy)
    group = next(d.activity for d in validation if d.level is None)
    found = held_out.held_out_auroc(
        pool_a, validation, TINY, 0, [(group,), (UNNAMED,)], lambda _: None
    )
    assert set(found) == {group, UNNAMED}
    assert group not in trained_on[0][0] and group not in trained_on[0][1]
    assert UNNAMED in trained_on[0][1] and UNNAMED not in trained_on[1][1]
    assert found[group]["n_held_out"] == sum(d.activity == group for d in validation)
    assert all(0 <= value["auroc"] <= 1 for value in found.values())
