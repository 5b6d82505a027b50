"""Projectors and mappers: the paper's parameter counts, the steps in NumPy, masked views."""

import numpy as np
import pytest
import torch
from transformers import LlamaConfig

from assistant.errors import PoiseError
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.modeling_poise import PoiseForConditionalGeneration
from assistant.model.numeric_token import NumericToken
from assistant.model.projectors import (
    AttentiveGatedProjector,
    FeatureMapper,
    MlpProjector,
    build_projector,
)
from training.adapter import add_lora, trainable
from training.recipe import LoraSettings

MILLION = 1e6


def smollm2(**settings: object) -> PoiseForConditionalGeneration:
    """ProfVLM's sizes with the shapes of SmolLM2-135M, without memory for the weights."""
    text = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    )
    with torch.device("meta"):
        return PoiseForConditionalGeneration(
            PoiseConfig(text_config=text, video_size=768, **settings)
        )


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def lora_parameters(model: PoiseForConditionalGeneration) -> int:
    settings = LoraSettings(targets=("q_proj", "v_proj"), rank=8, alpha=32)
    with torch.device("meta"):
        return trainable(add_lora(model, settings, [0]))["lora"]


def test_the_agp_has_the_sizes_of_the_paper() -> None:
    model = smollm2()
    agp = model.video_projector
    assert isinstance(agp, AttentiveGatedProjector)
    assert agp.attention.num_heads == 4
    assert count(model.language_model) == pytest.approx(134.5 * MILLION, rel=0.001)
    attention = count(agp.attention)
    hidden, project, gate = count(agp.hidden), count(agp.project), count(agp.gate)
    lora = lora_parameters(model)
    assert attention == 4 * (768 * 768 + 768)
    assert hidden == 768 * 1024 + 1024
    assert project == 1024 * 576 + 576
    assert gate == 1024 * 1024 + 1024
    assert lora == 30 * 8 * ((576 + 576) + (576 + 192)) == 460_800
    figures = [round(n / MILLION, 2) for n in (attention, hidden, project, gate)]
    assert figures == [2.36, 0.79, 0.59, 1.05]
    without = attention + hidden + project + lora
    assert round(without / MILLION, 2) == 4.20
    assert round((without + gate) / MILLION, 2) == 5.25
    # Norms add a few thousand, nothing else does.
    assert count(agp) - (attention + hidden + project + gate) == 2 * 768 + 2 * 576


def test_the_printed_mlp_gives_1_24_million_not_2_2() -> None:
    model = smollm2(projector="mlp")
    assert isinstance(model.video_projector, MlpProjector)
    total = count(model.video_projector) + lora_parameters(model)
    assert round(total / MILLION, 2) == 1.24


def test_an_unknown_projector_lists_the_known_ones() -> None:
    with pytest.raises(PoiseError, match="mlp, agp"):
        PoiseConfig(projector="resampler")


def small(**settings: object) -> PoiseConfig:
    text = LlamaConfig(
        hidden_size=6, num_attention_heads=2, num_hidden_layers=1, intermediate_size=8, vocab_size=9
    )
    return PoiseConfig(
        text_config=text, video_size=8, projector_hidden=10, projector_heads=2, **settings
    )


def projector(seed: int = 0, **settings: object) -> torch.nn.Module:
    torch.manual_seed(seed)
    made = build_projector(small(**settings)).double().eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.7)
    return made


def weights(module: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy() for name, value in module.state_dict().items()}


def layer_norm(x: np.ndarray, scale: np.ndarray, shift: np.ndarray, eps: float) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) * scale + shift


def gelu(x: np.ndarray) -> np.ndarray:
    from scipy.stats import norm

    return x * norm.cdf(x)


def agp_by_hand(
    w: dict[str, np.ndarray], views: np.ndarray, *, gate: bool, norm: bool
) -> np.ndarray:
    """ProfVLM 3.3 for one sample: views [V, 8] -> rows [V, 6], two heads of width 4."""
    normed = layer_norm(views, w["view_norm.weight"], w["view_norm.bias"], 1e-5)
    projected = normed @ w["attention.in_proj_weight"].T + w["attention.in_proj_bias"]
    q, k, v = np.split(projected, 3, axis=1)
    mixed = np.zeros_like(views)
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        for i in range(len(views)):
            scores = np.array([q[i, part] @ k[j, part] / 2.0 for j in range(len(views))])
            shares = np.exp(scores) / np.exp(scores).sum()
            mixed[i, part] = sum(shares[j] * v[j, part] for j in range(len(views)))
    mixed = mixed @ w["attention.out_proj.weight"].T + w["attention.out_proj.bias"] + normed
    inner = gelu(mixed @ w["hidden.weight"].T + w["hidden.bias"])
    if gate:
        inner = inner / (1 + np.exp(-(inner @ w["gate.weight"].T + w["gate.bias"])))
    rows = inner @ w["project.weight"].T + w["project.bias"]
    return layer_norm(rows, w["align.scale"], w["align.shift"], 1e-6) if norm else rows


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("gate", [True, False])
def test_the_agp_follows_the_steps_of_section_3_3_and_table_6(gate: bool, norm: bool) -> None:
    agp = projector(projector_gating=gate, projector_norm=norm)
    views = np.random.default_rng(1).normal(size=(3, 8))
    found = agp(torch.from_numpy(views)[None], torch.ones(1, 3, dtype=torch.bool))
    expected = agp_by_hand(weights(agp), views, gate=gate, norm=norm)
    assert found[0].detach().numpy() == pytest.approx(expected, abs=1e-9)
    parts = {name.split(".")[0] for name in agp.state_dict()}
    assert ("gate" in parts, "align" in parts) == (gate, norm)


def test_the_plain_projector_is_two_layers_for_each_view_alone() -> None:
    mlp = projector(projector="mlp")
    w, views = weights(mlp), np.random.default_rng(7).normal(size=(3, 8))
    inner = gelu(views @ w["layers.0.weight"].T + w["layers.0.bias"])
    expected = inner @ w["layers.2.weight"].T + w["layers.2.bias"]
    found = mlp(torch.from_numpy(views)[None], torch.ones(1, 3, dtype=torch.bool))
    assert found[0].detach().numpy() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("steps", [{"projector_gating": False}, {"projector_norm": False}])
def test_the_steps_of_table_6_are_saved_with_the_model(steps, make_model, tmp_path) -> None:
    model = make_model(**steps)
    model.save_pretrained(tmp_path)
    loaded = PoiseForConditionalGeneration.from_pretrained(tmp_path)
    assert {name: getattr(loaded.config, name) for name in steps} == steps
    ours, theirs = model.video_projector.state_dict(), loaded.video_projector.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.parametrize("kind", ["agp", "mlp"])
@pytest.mark.parametrize("fused", [False, True])
def test_absent_views_change_nothing(kind: str, fused: bool) -> None:
    made = projector(projector=kind, projector_fused=fused)
    rng = np.random.default_rng(2)
    views = torch.from_numpy(rng.normal(size=(2, 5, 8)))
    mask = torch.tensor([[True, False, True, False, False], [False, True, True, True, True]])
    junk = torch.where(mask[..., None], views, torch.full_like(views, 77.0))
    kept = slice(None) if fused else mask
    assert torch.equal(made(views, mask)[kept], made(junk, mask)[kept])
    # The same rows come out when only the present views are given.
    alone = made(views[:1, [0, 2]], torch.ones(1, 2, dtype=torch.bool))
    rows = made(views, mask)[0] if fused else made(views, mask)[0, [0, 2]]
    assert torch.allclose(rows, alone[0], atol=1e-12)


@pytest.mark.parametrize("subset", range(1, 32))
def test_any_subset_of_views_gives_finite_rows(subset: int) -> None:
    mask = torch.tensor([[bool(subset >> i & 1) for i in range(5)]])
    rows = projector()(torch.randn(1, 5, 8, dtype=torch.float64), mask)
    assert torch.isfinite(rows).all()


def test_no_view_at_all_beside_a_sample_with_views_is_finite() -> None:
    mask = torch.tensor([[True, True], [False, False]])
    assert torch.isfinite(projector()(torch.randn(2, 2, 8, dtype=torch.float64), mask)).all()


def test_fused_is_one_row_and_views_one_row_each() -> None:
    views, mask = torch.randn(2, 4, 8, dtype=torch.float64), torch.ones(2, 4, dtype=torch.bool)
    assert projector()(views, mask).shape == (2, 4, 6)
    assert projector(projector_fused=True)(views, mask).shape == (2, 1, 6)


def test_each_view_reads_the_others() -> None:
    agp, mask = projector(), torch.ones(1, 2, dtype=torch.bool)
    views = torch.randn(1, 2, 8, dtype=torch.float64)
    moved = views.clone()
    moved[0, 1] = -moved[0, 1]
    assert not torch.allclose(agp(views, mask)[0, 0], agp(moved, mask)[0, 0])


def test_a_feature_mapper_is_norm_mlp_alignment() -> None:
    torch.manual_seed(3)
    mapper = FeatureMapper(5, 7, 4).double()
    for parameter in mapper.parameters():
        torch.nn.init.normal_(parameter)
    w = weights(mapper)
    x = np.random.default_rng(4).normal(size=(6, 5))
    normed = layer_norm(x, w["layers.0.weight"], w["layers.0.bias"], 1e-5)
    inner = gelu(normed @ w["layers.1.weight"].T + w["layers.1.bias"])
    rows = inner @ w["layers.3.weight"].T + w["layers.3.bias"]
    expected = layer_norm(rows, w["align.scale"], w["align.shift"], 1e-6)
    assert mapper(torch.from_numpy(x)).detach().numpy() == pytest.approx(expected, abs=1e-9)


def test_a_numeric_token_keeps_the_numbers_size() -> None:
    torch.manual_seed(5)
    token = NumericToken(14, 9, 4).double()
    for parameter in token.parameters():
        torch.nn.init.normal_(parameter)
    w = weights(token)
    x = np.random.default_rng(6).normal(size=(3, 14))
    inner = gelu(x @ w["layers.0.weight"].T + w["layers.0.bias"])
    rows = inner @ w["layers.2.weight"].T + w["layers.2.bias"]
    expected = layer_norm(rows, w["align.scale"], w["align.shift"], 1e-6)
    found = token(torch.from_numpy(x)).detach().numpy()
    assert found.shape == (3, 1, 4)
    assert found[:, 0] == pytest.approx(expected, abs=1e-9)
    # Twice the numbers is another token: no norm stands before the first layer.
    assert not np.allclose(token(torch.from_numpy(2 * x)).detach().numpy(), found)
