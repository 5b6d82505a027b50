"""Sparse Skill Extractor: its equations against NumPy loops, and what no input may change."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from assistant.errors import PoiseError
from assistant.proficiency.segments import SegmentPlan
from assistant.proficiency.skill_reading import comparison_probability, read_skill
from assistant.proficiency.sparse_skill import (
    CONFIG_NAME,
    VARIANTS,
    WEIGHTS_NAME,
    SkillOutput,
    SparseSkillConfig,
    SparseSkillExtractor,
    TokenSparsifier,
    attention_rollout,
    masked_attention,
)

PLAN = SegmentPlan(partitions=6, frames=3, stride=2)


def build(variant: str = "full") -> SparseSkillExtractor:
    torch.manual_seed(3)
    config = SparseSkillConfig(5, variant, width=16, heads=2, plan=PLAN)
    return SparseSkillExtractor(config).double().eval()


def segments(rows: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 6, 3, 5, generator=generator, dtype=torch.float64)


def plain_mlp(mlp: nn.Sequential, x: np.ndarray) -> np.ndarray:
    """Linear, GELU, Linear in NumPy."""
    w1, b1, w2, b2 = (p.detach().numpy() for p in mlp.parameters())
    hidden = w1 @ x + b1
    hidden = np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in hidden])
    return w2 @ hidden + b2


def test_equation_1_and_2_local_and_mean_embedding_decide() -> None:
    torch.manual_seed(1)
    sparsifier = TokenSparsifier(8).double()
    tokens = torch.randn(1, 4, 8, dtype=torch.float64)
    valid = torch.tensor([[True, True, True, False]])
    pi = sparsifier.probabilities(tokens, valid)[0].detach().numpy()
    local = [plain_mlp(sparsifier.embed, t) for t in tokens[0, :3].numpy()]
    mean = sum(local) / 3
    for i in range(3):
        scores = plain_mlp(sparsifier.decide, np.concatenate([local[i], mean]))
        expected = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(pi[i], expected, atol=1e-12)


def test_equation_3_draws_tokens_with_probability_pi() -> None:
    torch.manual_seed(2)
    sparsifier = TokenSparsifier(8).double()
    tokens = torch.randn(1, 5, 8, dtype=torch.float64) * 3
    valid = torch.tensor([[True, True, True, True, False]])
    pi = sparsifier.probabilities(tokens, valid)[0, :, 1].detach()
    sparsifier.train()
    draws = torch.stack([sparsifier(tokens, valid)[0] for _ in range(3000)]).detach()
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    np.testing.assert_allclose(draws.mean(0)[:4], pi[:4], atol=0.04)
    assert (draws[:, 4] == 0).all()
    sparsifier(tokens, valid).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in sparsifier.parameters())
    expected = [float(p >= 0.5) for p in pi[:4]] + [0.0]
    assert sparsifier.eval()(tokens, valid)[0].tolist() == expected


def test_equation_5_and_6_are_attention_over_kept_tokens_and_oneself() -> None:
    rng = np.random.default_rng(4)
    scores = rng.normal(size=(1, 2, 5, 5)) * 3
    keep, valid = [1, 0, 1, 0, 1], [True, True, True, True, False]
    found = masked_attention(
        torch.from_numpy(scores),
        torch.tensor([keep], dtype=torch.float64),
        torch.tensor([valid]),
    ).numpy()
    for h in range(2):
        for i in range(4):
            graph = [1 if i == j else keep[j] for j in range(4)]  # padding stands for no token
            weights = [math.exp(scores[0, h, i, j]) * graph[j] for j in range(4)]
            expected = [w / sum(weights) for w in weights] + [0.0]
            np.testing.assert_allclose(found[0, h, i], expected, atol=1e-12)


def test_equation_6_survives_scores_whose_exp_overflows() -> None:
    scores = torch.tensor([[[[900.0, 0.0], [-900.0, 0.0]]]], dtype=torch.float64)
    everything = torch.ones(1, 2, dtype=torch.float64)
    found = masked_attention(scores, everything, everything.bool())
    assert found[0, 0].tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_equation_4_scales_by_the_root_of_the_head_width() -> None:
    model = build("non_sparse")
    layer, x = model.first, torch.randn(1, 3, 16, dtype=torch.float64)
    ones = torch.ones(1, 3, dtype=torch.float64)
    _, attention = layer(x, ones, ones.bool())
    projected = layer.qkv(layer.norm(x))[0].detach().numpy()
    for head in range(2):
        q = projected[:, 8 * head : 8 * head + 8]
        k = projected[:, 16 + 8 * head : 24 + 8 * head]
        weights = np.exp(q @ k.T / math.sqrt(8))
        expected = weights / weights.sum(1, keepdims=True)
        np.testing.assert_allclose(attention[0, head].detach(), expected, atol=1e-12)


def test_rollout_is_row_0_of_a2_a1_with_heads_averaged() -> None:
    rng = np.random.default_rng(5)
    a1, a2 = rng.random((2, 1, 2, 4, 4))
    mean1, mean2 = a1[0].mean(0), a2[0].mean(0)
    ours = [sum(mean2[0, k] * mean1[k, j] for k in range(4)) for j in range(1, 4)]
    printed = [sum(mean1[0, k] * mean2[k, j] for k in range(4)) for j in range(1, 4)]
    tensors = torch.from_numpy(a1), torch.from_numpy(a2)
    np.testing.assert_allclose(attention_rollout(*tensors)[0], ours)
    np.testing.assert_allclose(attention_rollout(*tensors, order="a1_a2")[0], printed)


def test_a_dropped_token_is_read_by_no_other() -> None:
    """Only [cls] and kept tokens reach z_0; dropping must not merely lower a weight."""
    model = build()
    with torch.no_grad():
        model.sparsifier.decide[2].weight.zero_()
        model.sparsifier.decide[2].bias.copy_(torch.tensor([1.0, 0.0]))  # drop everything
        valid = torch.ones(1, 6, dtype=torch.bool)
        out = model(segments(1), valid)
        assert out.keep.sum() == 0
        w1, _ = model.first(torch.randn(1, 7, 16).double(), torch.ones(1, 7), torch.ones(1, 7) > 0)
        changed = w1.clone()
        changed[:, 3] += 5
        keep = torch.tensor([[1.0, 1, 1, 0, 1, 1, 1]]).double()
        one, attention = model.second(w1, keep, keep >= 0)
        two, _ = model.second(changed, keep, keep >= 0)
    others = [0, 1, 2, 4, 5, 6]
    torch.testing.assert_close(one[:, others], two[:, others])
    assert (attention[:, :, others, 3] == 0).all()
    assert (attention[:, :, :, 0] > 0).all()  # [cls] is always kept


@pytest.mark.parametrize("variant", VARIANTS)
def test_junk_in_padding_changes_nothing(variant: str) -> None:
    model, clip = build(variant), segments(1)
    padded = torch.full((1, 9, 3, 5), 1e6, dtype=torch.float64)
    padded[:, 6:] = float("nan")
    padded[:, :6] = clip
    valid = torch.arange(9)[None] < 6
    same_rows(model(clip, valid[:, :6]), model(padded, valid), 0, 6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_batch_of_one_is_its_row_of_eight(variant: str) -> None:
    model, clips = build(variant), segments(8)
    valid = torch.arange(6)[None] < torch.tensor([6, 5, 4, 6, 1, 2, 6, 3])[:, None]
    batch = model(clips, valid)
    for i in range(8):
        same_rows(model(clips[i : i + 1], valid[i : i + 1]), batch, i, 6)


def same_rows(alone: SkillOutput, batch: SkillOutput, row: int, segments: int) -> None:
    torch.testing.assert_close(alone.logit[0], batch.logit[row])
    if len(alone.z_global):
        torch.testing.assert_close(alone.z_global[0], batch.z_global[row])
        torch.testing.assert_close(alone.importance[0], batch.importance[row, :segments])
        assert (batch.importance[row, segments:] == 0).all()
        assert (batch.keep[row, segments:] == 0).all()


def test_late_fusion_sums_the_logits_of_segments() -> None:
    model, clip = build("late_fusion"), segments(1)
    one = torch.ones(1, 1, dtype=torch.bool)
    each = [model(clip[:, i : i + 1], one).logit for i in range(6)]
    valid = torch.ones(1, 6, dtype=torch.bool)
    torch.testing.assert_close(model(clip, valid).logit, torch.stack(each).sum(0))


@pytest.mark.parametrize(("variant", "reached"), [("full", False), ("no_contrastive", True)])
def test_the_classifier_shapes_z_only_without_contrast(variant: str, reached: bool) -> None:
    model = build(variant)
    model(segments(2), torch.ones(2, 6, dtype=torch.bool)).logit.sum().backward()
    assert model.head.weight.grad is not None
    assert (model.z[0].weight.grad is not None) == reached


@pytest.mark.parametrize("variant", VARIANTS)
def test_save_and_load_keep_the_reading(tmp_path: Path, variant: str) -> None:
    model = build(variant).float()
    model.feature_mean.fill_(0.3)
    model.save_pretrained(tmp_path)
    loaded = SparseSkillExtractor.from_pretrained(tmp_path)
    assert loaded.config == model.config
    features = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    one, two = read_skill(model, features), read_skill(loaded, features)
    assert one.probability == two.probability
    np.testing.assert_array_equal(one.importance, two.importance)


def test_a_reading_is_the_mean_of_its_draws() -> None:
    model = build().float()
    features = np.random.default_rng(1).normal(size=(40, 5)).astype(np.float32)
    reading = read_skill(model, features, draws=4, seed=7)
    assert reading.frames.shape == (4, 6, 3)
    alone = [
        model(torch.from_numpy(features[f])[None], torch.ones(1, 6, dtype=torch.bool))
        for f in reading.frames
    ]
    expected = np.mean([out.logit.sigmoid().item() for out in alone])
    assert reading.probability == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(
        reading.importance, np.mean([o.importance[0].detach() for o in alone], axis=0), atol=1e-6
    )
    assert not np.array_equal(read_skill(model, features, seed=8).frames[:4], reading.frames)


def test_a_clip_of_two_frames_is_read() -> None:
    reading = read_skill(build().float(), np.ones((2, 5), np.float32))
    assert reading.importance.shape == (2,)
    assert 0 < reading.probability < 1


def test_comparison_speaks_for_the_label_of_what_is_alike() -> None:
    z, others = np.array([2.0, 0.0]), np.array([[3.0, 1.0], [-3.0, 1.0]])
    alike = 1 / (1 + math.exp(-6.0))
    found = comparison_probability(z, others, np.array([1, 0]))
    assert found == pytest.approx((alike + 1 - (1 - alike)) / 2)
    assert comparison_probability(z, others, np.array([0, 1])) == pytest.approx(1 - alike)


def test_the_paper_setting_has_the_printed_sizes() -> None:
    config = SparseSkillConfig.paper()
    assert (config.features, config.width) == (1024, 1024)  # ViT-L/16
    assert (config.contrast_scale, config.rollout, config.variant) == (1.0, "a1_a2", "full")


def test_all_faults_of_a_configuration_at_once() -> None:
    with pytest.raises(PoiseError) as caught:
        SparseSkillConfig(0, "half", width=7, rollout="a3", dropout=2)
    for part in ("'half'", "late_fusion", "'a3'", "width", "dropout"):
        assert part in str(caught.value)


def test_other_features_and_missing_or_broken_files_are_one_line(tmp_path: Path) -> None:
    model = build().float()
    with pytest.raises(PoiseError, match="7 columns"):
        read_skill(model, np.ones((20, 7), np.float32))
    with pytest.raises(PoiseError, match="poise train mini --stage sparse_skill"):
        SparseSkillExtractor.from_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    (tmp_path / WEIGHTS_NAME).write_bytes(b"no weights")
    with pytest.raises(PoiseError, match="broken"):
        SparseSkillExtractor.from_pretrained(tmp_path)
    (tmp_path / CONFIG_NAME).write_text("{}")
    with pytest.raises(PoiseError, match="broken"):
        SparseSkillExtractor.from_pretrained(tmp_path)
