"""Losses and figures of the Sparse Skill Extractor against NumPy, and its training on drills."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assistant.checkpoint import DEFAULT_NAME, WEIGHTS_FOLDER
from assistant.errors import PoiseError
from assistant.proficiency.moments import PROPOSALS
from assistant.proficiency.skill_reading import read_skill
from assistant.proficiency.sparse_skill import (
    SkillOutput,
    SparseSkillConfig,
    SparseSkillExtractor,
)
from assistant.video.encoder import VideoEncoder
from data_prep.drills.records import Drill
from data_prep.drills.simulate import simulate_many
from eval.moments import chance_recall, error_recall, spread_recall
from training.moment_figures import interval
from training.recipe import load_recipe
from training.run import WORK, Run
from training.sparse_skill import SparseSkillSettings, sparse_skill_stage, train_sparse_skill
from training.sparse_skill_data import Pairs, SkillClips, judged_drills, selecting, weak_label
from training.sparse_skill_losses import (
    class_loss,
    global_loss,
    local_loss,
    ratio_loss,
    skill_losses,
)
from training.sparse_skill_metrics import (
    Steps,
    clip_steps,
    error_table,
    spearman,
    step_weights,
)

RNG = np.random.default_rng(0)
Z, OTHER = RNG.normal(size=(2, 3, 4))  # [B, W]
LOCAL, OTHER_LOCAL = RNG.normal(size=(2, 3, 5, 4))  # [B, N, W]
KEEP = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [1, 1, 0, 0, 0]], dtype=float)
VALID = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 0, 0, 0]], dtype=bool)
LABELS, OTHER_LABELS = np.array([1, 0, 1]), np.array([1, 1, 0])
SAME = LABELS == OTHER_LABELS


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def pair(product: float, same: bool) -> float:
    """One summand of (7) and (8) with the minus sign that is missing in print."""
    return -math.log(sigma(product)) if same else -math.log(1 - sigma(product))


def expected_global() -> float:
    return float(np.mean([pair(float(Z[b] @ OTHER[b]), SAME[b]) for b in range(3)]))


def expected_local(keep: np.ndarray) -> float:
    losses = []
    for b in range(3):
        kept = keep[b].sum()
        total = sum(
            keep[b, i] * pair(float(LOCAL[b, i] @ OTHER_LOCAL[b, i]), SAME[b]) for i in range(5)
        )
        losses.append(total / kept if kept else 0.0)
    return float(np.mean(losses))


def expected_ratio() -> float:
    return float(np.mean([(0.5 - KEEP[b].sum() / VALID[b].sum()) ** 2 for b in range(3)]))


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values))


def test_equation_7_global_contrast_with_its_minus_sign() -> None:
    found = global_loss(tensor(Z), tensor(OTHER), tensor(SAME))
    assert found.item() == pytest.approx(expected_global())
    alike = tensor(np.ones((1, 4)))
    closer = global_loss(2 * alike, alike, torch.tensor([True]))
    assert closer < global_loss(alike, alike, torch.tensor([True]))


def test_equation_8_local_contrast_over_kept_segments() -> None:
    found = local_loss(tensor(LOCAL), tensor(OTHER_LOCAL), tensor(KEEP), tensor(SAME))
    assert found.item() == pytest.approx(expected_local(KEEP))


def test_equation_9_ratio_of_kept_segments() -> None:
    assert ratio_loss(tensor(KEEP), tensor(VALID)).item() == pytest.approx(expected_ratio())


def test_equation_10_classification() -> None:
    logit = np.array([0.3, -2.0, 1.5])
    expected = [
        -(y * math.log(sigma(x)) + (1 - y) * math.log(1 - sigma(x)))
        for x, y in zip(logit, LABELS, strict=True)
    ]
    assert class_loss(tensor(logit), tensor(LABELS)).item() == pytest.approx(np.mean(expected))


@pytest.mark.parametrize(
    ("variant", "names"),
    [
        ("full", {"class", "global", "local", "ratio"}),
        ("non_sparse", {"class", "global", "local"}),
        ("no_local", {"class", "global"}),
        ("no_contrastive", {"class"}),
        ("late_fusion", {"class"}),
    ],
)
def test_equation_11_has_the_summands_of_its_variant(variant: str, names: set[str]) -> None:
    config = SparseSkillConfig(4, variant, width=8, heads=2, contrast_scale=1.0)
    logit = tensor(np.zeros(3))
    keep = KEEP if variant == "full" else VALID.astype(float)
    query = SkillOutput(logit, tensor(Z), tensor(LOCAL), tensor(keep), tensor(keep))
    other = SkillOutput(logit, tensor(OTHER), tensor(OTHER_LOCAL), tensor(keep), tensor(keep))
    losses = skill_losses(config, query, other, tensor(VALID), tensor(LABELS), tensor(OTHER_LABELS))
    parts = {
        "class": math.log(2),
        "global": expected_global(),
        "local": expected_local(keep),
        "ratio": expected_ratio(),
    }
    assert set(losses) == names
    total = sum(loss.item() for loss in losses.values())
    assert total == pytest.approx(sum(parts[name] for name in names))


def test_equation_12_is_the_correlation_of_ranks() -> None:
    s, said = np.array([3.0, 1, 2, 2, 5]), np.array([0.2, 0.1, 0.4, 0.3, 0.9])
    ranks, said_ranks = np.array([4, 1, 2.5, 2.5, 5]), np.array([2.0, 1, 4, 3, 5])
    a, b = ranks - ranks.mean(), said_ranks - said_ranks.mean()
    expected = (a * b).sum() / math.sqrt((a**2).sum() * (b**2).sum())
    assert spearman(s, said) == pytest.approx(expected)
    assert spearman(s, np.ones(5)) == 0.0


def test_error_recall_takes_as_many_steps_as_there_are_errors() -> None:
    errors = np.array([False, True, True, False, True])
    attention = np.array([0.1, 0.5, 0.05, 0.3, 0.4])
    assert error_recall(attention, errors) == pytest.approx(2 / 3)
    everything, inside = np.ones(5, bool), np.array([False, True, True, True, True])
    assert chance_recall(errors, everything) == pytest.approx(3 / 5)
    assert chance_recall(errors, inside) == pytest.approx(3 / 4)
    assert spread_recall(errors) == pytest.approx(2 / 3)  # steps 0, 2 and 4


def test_a_step_has_the_mean_weight_of_its_frames() -> None:
    steps = Steps(((0, 1), (1, 2), (2, 3)), np.zeros(3, bool), np.ones(3, bool))
    weights = np.concatenate([np.full(15, 0.2), np.full(10, 0.6)])  # cut from 0.5 s on, at 15 fps
    found = step_weights(weights, 0.5, steps)
    np.testing.assert_allclose(found, [0.2, (7 * 0.2 + 8 * 0.6) / 15, 0.6])
    np.testing.assert_allclose(step_weights(weights[:5], 0.0, steps), [0.2, 0, 0])


@pytest.fixture(scope="module")
def drills() -> list[Drill]:
    return simulate_many(8, 8, 77)


def test_a_task_s_hyper_parameters_reach_labels_and_losses(drills: list[Drill]) -> None:
    strict = [weak_label(d, "rating", 7) for d in drills]
    assert strict == [int((d.rating or 0) > 7) for d in drills]
    assert ratio_loss(tensor(KEEP), tensor(VALID), 0.25).item() == pytest.approx(
        np.mean([(0.25 - KEEP[b].sum() / VALID[b].sum()) ** 2 for b in range(3)])
    )


def test_steps_are_the_drill_s_and_errors_lie_where_faults_do(drills: list[Drill]) -> None:
    faulty = 0
    for drill in drills:
        steps = clip_steps(drill)
        assert steps.times[0][0] == 0
        assert steps.times[-1][1] == pytest.approx(drill.pose.duration)
        assert not steps.active[0]
        if not drill.faults:
            assert not steps.errors.any()
        faulty += steps.errors.any()
        for fault in drill.faults:
            middle = (fault.start + fault.end) / 2
            near = [
                e for (a, b), e in zip(steps.times, steps.errors, strict=True) if a <= middle <= b
            ]
            assert any(near) or fault.end - fault.start > 1
    assert faulty > 20


def test_weak_labels_are_the_level_s_or_the_rating_s(drills: list[Drill]) -> None:
    assert [weak_label(d, "level") for d in drills] == [int(d.level in (2, 3)) for d in drills]
    assert [weak_label(d, "rating") for d in drills] == [int((d.rating or 0) > 4) for d in drills]
    unrated = [replace(d, rating=None) for d in drills]
    assert [weak_label(d, "rating") for d in unrated] == [weak_label(d, "level") for d in drills]


def test_small_tasks_and_distractors_are_left_out(drills: list[Drill]) -> None:
    squats = [d for d in drills if d.activity == "bodyweight_squat"]
    throws = [d for d in drills if d.activity == "basketball_free_throw"]
    assert judged_drills([*squats, *throws[:9]]) == squats
    assert len(judged_drills([*squats, *throws[:10]])) == len(squats) + 10
    distractors = simulate_many(2, 8, 3, distractor_share=1.0)
    assert judged_drills(distractors) == []


def test_no_performer_both_trains_and_selects(drills: list[Drill]) -> None:
    chosen = selecting(drills, 0.25)
    people = [
        {d.participant_id for d, c in zip(drills, chosen, strict=True) if c == k} for k in (0, 1)
    ]
    assert len(people[1]) == 2
    assert not people[0] & people[1]


def test_an_oracle_finds_every_error_and_its_opposite_none(drills: list[Drill]) -> None:
    low = [d for d in drills if clip_steps(d).errors.any()]
    oracle = []
    for drill in low:
        steps, seconds = clip_steps(drill), np.arange(int(drill.pose.duration * 15)) / 15
        ends = np.array([end for _, end in steps.times])
        at = np.minimum(np.searchsorted(ends, seconds, side="right"), len(ends) - 1)
        oracle.append(steps.errors[at].astype(float))
    worst = [1.0 - w for w in oracle]
    table = error_table(low, [0.0] * len(low), {"oracle": oracle, "worst": worst})
    assert table["recall_oracle"] == pytest.approx(np.ones(len(low)))
    assert table["recall_worst"].mean() < table["recall_random"].mean()
    assert table["hit_worst"].mean() < table["hit_random_in_repetition"].mean()
    assert table["hit_oracle"].mean() > table["hit_random_in_repetition"].mean()


def toy_clips(n: int, seed: int) -> SkillClips:
    """Low clips have one second in 8 that differs, at a random place; tasks of two lengths."""
    rng = np.random.default_rng(seed)
    labels, features = np.arange(n) % 2, []
    for label in labels:
        rows = rng.normal(size=(int(rng.integers(100, 140)), 6)).astype(np.float32)
        if label == 0:
            first = int(rng.integers(0, len(rows) - 15))
            rows[first : first + 15, :2] += 3.0
        features.append(rows)
    return SkillClips(features, labels, np.array(["a", "b"])[(np.arange(n) // 2) % 2])


def test_pairs_are_of_one_task_at_the_same_share_of_the_clip() -> None:
    clips = toy_clips(12, 1)
    times = [np.linspace(0, 1, len(f), endpoint=False)[:, None] for f in clips.features]
    codes = [np.full_like(t, i) for i, t in enumerate(times)]
    features = [np.hstack(pair).astype(np.float32) for pair in zip(times, codes, strict=True)]
    plan = SparseSkillSettings().config(2).plan
    pairs = Pairs(SkillClips(features, clips.labels, clips.tasks), plan, np.random.default_rng(0))
    segments, valid, labels = pairs.batch(20)
    assert valid.all()
    first = segments[:, :, 0]  # [40, N, 2]
    assert (first[:20, :, 0] - first[20:, :, 0]).abs().max() < 0.011
    who = first[:, 0, 1].long().numpy()
    assert (clips.tasks[who[:20]] == clips.tasks[who[20:]]).all()
    assert (who[:20] != who[20:]).all()
    assert (clips.labels[who] == labels.numpy()).all()


def test_training_learns_a_planted_difference_and_repeats_itself() -> None:
    settings = SparseSkillSettings(steps=120, batch_size=16, every=60, width=32, partitions=12)
    config = settings.config(6)
    train, selection, test = toy_clips(80, 1), toy_clips(20, 2), toy_clips(40, 3)
    models = [train_sparse_skill(train, selection, config, settings, 5) for _ in range(2)]
    for one, two in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(one, two)
    said = np.array([read_skill(models[0], f).probability >= 0.5 for f in test.features])
    assert (said == (test.labels == 1)).mean() >= 0.8


def test_a_task_of_one_clip_is_refused() -> None:
    clips, settings = toy_clips(3, 1), SparseSkillSettings()
    with pytest.raises(PoiseError, match="2 of each"):
        train_sparse_skill(clips, clips, settings.config(6), settings, 0)


SMALL = (
    "threads=1",
    "activities=[bodyweight_squat, basketball_free_throw]",
    "data={perception_performers: 5, language_performers: 3, validation_performers: 5,"
    " distractor_share: 0, workers: 1}",
    "sparse_skill={steps: 4, every: 2, width: 16, partitions: 6}",
)


def stage(folder: Path, *settings: str) -> dict[str, Any]:
    sparse_skill_stage(Run(load_recipe("mini", [*SMALL, *settings]), folder))
    found: dict[str, Any] = json.loads((folder / WORK / "sparse_skill.json").read_text())
    return found


def test_the_stage_writes_its_model_and_its_figures(tmp_path: Path) -> None:
    found = stage(tmp_path, "sparse_skill.stream=frames", "seed=3")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sparse_skill", WORK]
    assert (found["variant"], found["label"], found["seed"]) == ("full", "rating", 3)
    for name in ("f1", "f1_always_high", "accuracy", "accuracy_majority", "recall_rollout",
                 "recall_random", "recall_uniform", "hit_rollout"):  # fmt: skip
        assert 0 <= found[name] <= 1
    assert found["n"] >= 10 and -1 <= found["spearman"] <= 1
    assert "validation" not in found  # no Stage 1 in this run
    assert SparseSkillExtractor.from_pretrained(tmp_path / "sparse_skill").config.features == 114


def test_the_stage_reads_the_ego_view(tmp_path: Path) -> None:
    shutil.copytree(WEIGHTS_FOLDER / DEFAULT_NAME / "video_encoder", tmp_path / "video_encoder")
    few = ("data.clips_per_performer=4", "sparse_skill.fewest_clips=2")
    found = stage(tmp_path, *few, "sparse_skill.stream=ego")
    encoder = VideoEncoder.from_pretrained(tmp_path / "video_encoder")
    model = SparseSkillExtractor.from_pretrained(tmp_path / "sparse_skill")
    assert found["stream"] == "ego" and model.config.features == encoder.width
    assert 0 <= found["recall_rollout"] <= 1


def test_late_fusion_cannot_say_where(tmp_path: Path) -> None:
    found = stage(tmp_path, "sparse_skill.stream=frames", "sparse_skill.variant=late_fusion")
    assert found["variant"] == "late_fusion"
    assert "recall_random" in found and "recall_rollout" not in found


def test_with_a_stage_1_both_sources_are_compared_on_validation(tmp_path: Path) -> None:
    mini = WEIGHTS_FOLDER / DEFAULT_NAME
    for part in ("pose_tokenizer", "proficiency"):
        shutil.copytree(mini / part, tmp_path / part)
    found = stage(tmp_path)["validation"]
    for source in ("attention", "sparse_skill", "sparse_skill_unrestricted"):
        assert 0 <= found[f"recall_{source}"] <= 1 and 0 <= found[f"hit_{source}"] <= 1
    difference = found["recall_sparse_skill"] - found["recall_attention"]
    low, high = found["recall_difference_95"]
    assert found["recall_difference"] == pytest.approx(difference)
    assert low <= difference <= high
    assert found["n"] == 40 and 0 < found["n_errors"] < 40
    assert all(0.5 < found[f"margin_auc_{p}"] <= 1 for p in PROPOSALS)


def test_the_interval_draws_performers_with_all_their_clips() -> None:
    values, people = np.array([1.0, 1, 0, 0]), np.array(["a", "a", "b", "b"])
    assert interval(values, people) == [0.0, 1.0]  # two performers: both, or one of them twice
    assert interval(np.ones(4), people) == [1.0, 1.0]


def test_settings_of_the_stage_are_checked_with_the_recipe() -> None:
    with pytest.raises(PoiseError, match=r"'half'.*late_fusion"):
        load_recipe("mini", ["sparse_skill.variant=half"])
    with pytest.raises(PoiseError, match="rating"):
        load_recipe("mini", ["sparse_skill.label=guess"])
    with pytest.raises(PoiseError, match="attention or sparse_skill"):
        load_recipe("mini", ["proficiency.moments=guess"])
