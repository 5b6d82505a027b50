"""Frame weights from segments, their restriction to repetitions, moments and margin windows."""

from typing import Any

import numpy as np
import pytest
import torch

from assistant.errors import PoiseError
from assistant.proficiency.moments import (
    MomentSettings,
    frame_weights,
    margin_windows,
    moments_of,
    restricted,
    skill_weights,
)
from assistant.proficiency.segments import SegmentPlan
from assistant.proficiency.skill_reading import SkillReading, read_skill
from assistant.proficiency.sparse_skill import SparseSkillConfig, SparseSkillExtractor


def reading(frames: list[Any], weights: list[Any]) -> SkillReading:
    w = np.array(weights, dtype=float)
    return SkillReading(0.5, np.zeros((len(w), 2)), w.mean(axis=0), np.array(frames), w)


def model(variant: str = "full") -> SparseSkillExtractor:
    torch.manual_seed(1)
    plan = SegmentPlan(6, 3, 2)
    config = SparseSkillConfig(4, variant, width=16, heads=2, plan=plan)
    return SparseSkillExtractor(config).eval()


def test_a_frame_has_the_mean_weight_of_its_reads() -> None:
    # Frame 1 is read twice in the first draw and once in the second; frames 3 and 5 never.
    frames = [[[0, 1], [1, 2]], [[1, 2], [4, 4]]]
    found = frame_weights(reading(frames, [[0.2, 0.8], [0.5, 0.3]]), 6)
    means = np.array([0.2, (0.2 + 0.8 + 0.5) / 3, (0.8 + 0.5) / 2, 0, 0.3, 0])
    means[3], means[5] = (means[2] + means[4]) / 2, means[4]
    assert found == pytest.approx(means / means.sum())


def test_weights_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    frames, weights = rng.integers(0, 30, (4, 6, 3)), rng.random((4, 6))
    total, reads = np.zeros(30), np.zeros(30)
    for draw in range(4):
        for segment in range(6):
            for k in range(3):
                total[frames[draw, segment, k]] += weights[draw, segment]
                reads[frames[draw, segment, k]] += 1
    seen = reads > 0
    found = frame_weights(reading(frames.tolist(), weights.tolist()), 30)
    assert found.sum() == pytest.approx(1)
    ratio = found[seen] / (total[seen] / reads[seen])
    assert ratio == pytest.approx(np.full(seen.sum(), ratio[0]))


def test_late_fusion_weighs_every_frame_alike() -> None:
    features = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    said = read_skill(model("late_fusion"), features)
    assert frame_weights(said, 20) == pytest.approx(np.full(20, 1 / 20))


def test_restriction_is_the_product_with_the_probability() -> None:
    found = restricted(np.array([0.4, 0.4, 0.2]), np.array([0.0, 0.5, 1.0]))
    assert found == pytest.approx([0, 0.5, 0.5])
    assert restricted(np.array([0.4, 0.6]), np.zeros(2)) == pytest.approx([0.5, 0.5])


def test_no_moment_lies_outside_the_repetitions() -> None:
    features = np.random.default_rng(1).normal(size=(150, 4)).astype(np.float32)
    inside = np.zeros(150)
    inside[60:90] = 1
    weights = skill_weights(model(), features, inside)
    assert weights[inside == 0].sum() == 0 and weights.sum() == pytest.approx(1)
    heaviest = moments_of(torch.from_numpy(weights), (10.0, 20.0))[0]
    assert heaviest[:2] == pytest.approx((14.0, 16.0)) and heaviest.weight == pytest.approx(1)
    assert (weights == skill_weights(model(), features, inside)).all()


def test_uniform_windows_are_the_proposals() -> None:
    times, shares = margin_windows("uniform", np.zeros(75), 75, 15.0)
    assert times == pytest.approx([1, 2, 3, 4]) and shares == pytest.approx(np.full(4, 0.25))


def test_weighted_windows_have_the_weight_that_lies_in_them() -> None:
    weights = np.zeros(75)
    weights[0], weights[45] = 0.25, 0.75  # 0 s and 3 s; windows are cut at the clip's ends
    times, shares = margin_windows("weighted", weights, 75, 15.0)
    means = np.array([0.25 / 31, 0.75 / 31, 0.75 / 31, 0.75 / 30])
    assert times == pytest.approx([1, 2, 3, 4]) and shares == pytest.approx(means / means.sum())
    times, shares = margin_windows("weighted", np.ones(75), 50, 10.0)  # a stream at 10 fps
    assert times == pytest.approx([1, 2, 3, 4]) and shares == pytest.approx(np.full(4, 0.25))


def test_windows_at_moments_are_the_heaviest() -> None:
    weights = np.full(150, 1e-9)
    weights[75], weights[120] = 0.7, 0.3
    times, shares = margin_windows("moments", weights, 150, 15.0)
    assert abs(times[0] - 5.0) <= 1 and abs(times[1] - 8.0) <= 1
    assert shares[:2] == pytest.approx([0.7, 0.3], abs=1e-4)


@pytest.mark.parametrize("wrong", [{"source": "luck"}, {"proposals": "random"}])
def test_unknown_settings_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(PoiseError, match=r"sparse_skill|weighted"):
        MomentSettings(**wrong)
