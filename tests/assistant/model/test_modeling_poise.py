"""The language model: splicing, padding, saving, the one shift of the labels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoProcessor

import assistant.model
from assistant.errors import PoiseError
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.modeling_poise import (
    FEATURE_ARGUMENTS,
    PoiseForConditionalGeneration,
    shifted_cross_entropy,
)
from assistant.model.processing_poise import IGNORED, PoiseProcessor
from assistant.tasks.commentary import label_prompt

SUBSETS = [
    {},
    {"video": 0},
    {"video": 1, "stage1": 0},
    {"pose": 0, "score": False},
    {"video": 5, "regions": False},
    {"video": 0, "pose": 0, "stage1": 0, "score": False, "regions": False},
    {"stage1": 1, "pose": 1},
    {"video": 4, "pose": 2, "score": False, "regions": False},
]


@pytest.fixture(scope="module")
def model(make_model):
    return make_model()


@pytest.fixture(scope="module")
def samples(processor, make_inputs):
    """Token ids and features of eight prompts with different parts and so different lengths."""
    inputs = [make_inputs(i, **subset) for i, subset in enumerate(SUBSETS)]
    prompts = [label_prompt(each) for each in inputs]
    ids = [processor.encode(p.messages, answer_start=p.answer_start) for p in prompts]
    assert len({len(each) for each in ids}) > 4
    return ids, inputs


@torch.inference_mode()
def logits(model, batch) -> torch.Tensor:
    """With positions counted from each sample's first token."""
    positions = (batch["attention_mask"].cumsum(1) - 1).clamp(min=0)
    return model(**batch, position_ids=positions).logits


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_batch_of_one_equals_its_row_in_a_batch_of_eight(model, processor, samples, side) -> None:
    ids, inputs = samples
    batch = processor.collate(ids, inputs, padding_side=side)
    together = logits(model, batch)
    assert together.std() > 1  # else equality would say nothing
    for row in range(len(ids)):
        alone = logits(model, processor.collate([ids[row]], [inputs[row]]))[0]
        kept = together[row][batch["attention_mask"][row].bool()]
        assert torch.allclose(kept, alone, atol=2e-4), row


@pytest.mark.parametrize("side", ["right", "left"])
def test_junk_in_padding_changes_nothing(model, processor, samples, side) -> None:
    ids, inputs = samples
    batch = dict(processor.collate(ids, inputs, padding_side=side))
    clean = logits(model, batch)
    seen = batch["attention_mask"].bool()
    letter = processor.text_ids("K")[0]
    junk = dict(batch)
    junk["input_ids"] = torch.where(seen, batch["input_ids"], letter)
    for name in FEATURE_ARGUMENTS:
        if name.endswith("_features"):
            mask = batch[name.replace("features", "mask")]
            filled = batch[name].clone()
            filled[~mask] = 1e3
            junk[name] = filled
    assert not torch.equal(junk["input_ids"], batch["input_ids"])
    assert torch.equal(logits(model, junk)[seen], clean[seen])


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("kind", ["agp", "mlp"])
def test_every_projector_runs_with_any_part_missing(
    make_model, processor, make_inputs, kind, fused
) -> None:
    model = make_model(projector=kind, projector_fused=fused)
    inputs = [make_inputs(i, **subset) for i, subset in enumerate(SUBSETS)]
    prompts = [label_prompt(each, fused_video=fused) for each in inputs]
    batch = processor([p.messages for p in prompts], inputs)
    placed = (batch["input_ids"] == model.config.video_token_id).sum(1).tolist()
    views = [2, 0, 1, 2, 5, 0, 2, 4]
    assert placed == [min(n, 1) for n in views] if fused else placed == views
    assert torch.isfinite(logits(model, batch)).all()


@pytest.mark.parametrize("modality", ["video", "pose", "score", "regions", "stage1"])
def test_every_modality_is_read(model, processor, make_inputs, modality) -> None:
    inputs = make_inputs(1)
    prompt = label_prompt(inputs)
    batch = dict(processor([prompt.messages], [inputs]))
    before = logits(model, batch)[:, -1]
    batch[f"{modality}_features"] = batch[f"{modality}_features"] + torch.randn(
        batch[f"{modality}_features"].shape, generator=torch.Generator().manual_seed(0)
    )
    assert not torch.allclose(logits(model, batch)[:, -1], before, atol=1e-3)


def test_rows_land_at_their_placeholders_in_reading_order(model, processor, samples) -> None:
    ids, inputs = samples
    batch = processor.collate(ids, inputs)
    pose = (batch["pose_features"], batch["pose_mask"])
    features = {
        m: (batch[f"{m}_features"], batch[f"{m}_mask"])
        for m in ("video", "score", "regions", "stage1")
    } | {"pose": pose}
    with torch.inference_mode():
        embeddings = model.embed(batch["input_ids"], features)
        for row, each in enumerate(inputs):
            found = embeddings[row][batch["input_ids"][row] == model.config.pose_token_id]
            if each.pose is None:
                assert not len(found)
            else:
                rows = model.pose_mapper(torch.from_numpy(each.pose))
                assert torch.allclose(found, rows, atol=1e-5)


@pytest.mark.parametrize(
    ("part", "changed"),
    [("pose", {"pose": 5}), ("video", {"video": 1}), ("score", {"score": False})],
)
def test_prompt_and_features_that_differ_raise(
    model, processor, make_inputs, part, changed
) -> None:
    prompt = label_prompt(make_inputs(0))
    batch = processor([prompt.messages], [make_inputs(0, **changed)])
    with pytest.raises(PoiseError, match=f"does not match its {part} features") as caught:
        model(**batch)
    assert "placeholders" in str(caught.value)


def test_a_row_too_many_in_one_sample_does_not_pay_for_another(
    model, processor, make_inputs
) -> None:
    prompts = [label_prompt(make_inputs(i, pose=n)) for i, n in enumerate((3, 5))]
    swapped = [make_inputs(i, pose=n) for i, n in enumerate((5, 3))]
    batch = processor([p.messages for p in prompts], swapped)
    with pytest.raises(PoiseError, match="3 placeholders and 5 rows in sample 0"):
        model(**batch)


def test_features_without_placeholders_raise(model, processor, make_inputs) -> None:
    none = {"video": 0, "pose": 0, "stage1": 0, "score": False, "regions": False}
    prompt = label_prompt(make_inputs(0, **none))
    with pytest.raises(PoiseError, match="0 placeholders and 1 rows"):
        model(**processor([prompt.messages], [make_inputs(0, **(none | {"score": True}))]))


def test_saving_and_loading_keeps_every_logit(model, processor, samples, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
    loaded = PoiseForConditionalGeneration.from_pretrained(tmp_path).eval()
    batch = processor.collate(*samples)
    assert torch.equal(logits(loaded, batch), logits(model, batch))
    assert (
        loaded.language_model.lm_head.weight is loaded.language_model.get_input_embeddings().weight
    )


def test_the_auto_classes_load_a_checkpoint(model, processor, samples, tmp_path: Path) -> None:
    assistant.model.register()
    assistant.model.register()  # again is no fault
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is PoiseConfig
    auto = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert type(auto) is PoiseForConditionalGeneration
    reader = AutoProcessor.from_pretrained(tmp_path)
    assert type(reader) is PoiseProcessor
    assert reader.tokenizer.chat_template == processor.tokenizer.chat_template
    _, inputs = samples
    prompt = label_prompt(inputs[0])
    mine, theirs = (
        p([prompt.messages], inputs[:1], answer_starts=[prompt.answer_start])
        for p in (processor, reader)
    )
    assert torch.equal(mine["input_ids"], theirs["input_ids"])
    kept, stored = model.state_dict(), auto.state_dict()
    assert kept.keys() == stored.keys()
    assert all(torch.equal(kept[name], stored[name]) for name in kept)
    # Equal weights at other places in memory: the last bit of a product may differ.
    torch.testing.assert_close(logits(auto, theirs), logits(model, mine), rtol=0, atol=1e-5)


def test_the_loss_shifts_the_labels_once(model, processor, make_inputs) -> None:
    prompt = label_prompt(make_inputs(0))
    ids = processor.encode(prompt.messages, answer_start="Proficiency Level: Novice.")
    labels = [IGNORED] * (len(ids) - 3) + ids[-3:]
    batch = processor.collate([ids], [prompt.inputs], labels=[labels])
    with torch.inference_mode():
        output = model(**batch)
    logs = output.logits[0].double().log_softmax(-1).numpy()
    # Token t is predicted at position t - 1.
    expected = -np.mean([logs[t - 1, ids[t]] for t in range(len(ids) - 3, len(ids))])
    assert output.loss.item() == pytest.approx(expected, rel=1e-5)


def test_label_weights_weigh_the_token_they_stand_at() -> None:
    rng = np.random.default_rng(0)
    logits_ = torch.from_numpy(rng.normal(size=(2, 4, 5)))
    labels = torch.tensor([[1, 2, IGNORED, 3], [IGNORED, 4, 0, IGNORED]])
    weights = torch.tensor([[9.0, 4.0, 7.0, 1.0], [8.0, 1.0, 2.0, 5.0]])
    logs = logits_.log_softmax(-1).numpy()
    # (sample, token, weight): the first token of a sample is never predicted.
    told = [(0, 1, 4.0), (0, 3, 1.0), (1, 1, 1.0), (1, 2, 2.0)]
    losses = [-logs[b, t - 1, labels[b, t]] for b, t, _ in told]
    shares = [w for *_, w in told]
    assert shifted_cross_entropy(logits_, labels, weights).item() == pytest.approx(
        np.average(losses, weights=shares), rel=1e-6
    )
    assert shifted_cross_entropy(logits_, labels).item() == pytest.approx(np.mean(losses), rel=1e-6)
