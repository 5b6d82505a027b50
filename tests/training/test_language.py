"""The language stage's parts: batches, what the adapter trains, merging, label tokens."""

import itertools
import math
import re

import numpy as np
import pytest
import torch

from assistant.errors import PoiseError
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.modeling_poise import PoiseForConditionalGeneration
from assistant.model.processing_poise import IGNORED, ModelInputs, PoiseProcessor
from assistant.tasks.commentary import commentary_prompt, label_prompt, prompt_pieces
from assistant.tasks.correction import correction_prompt
from assistant.tasks.retrieval import retrieval_prompt
from prompts.parse import ParsedRemark, format_feedback
from prompts.render import render_messages
from prompts.vocabulary import LEVELS, TURN_END
from training.adapter import TRAINED_BESIDE, add_lora, trainable
from training.batches import length_batches
from training.language import build_model
from training.language_samples import supervise, token_sample
from training.loop import Loop, Plan, cosine_with_warmup
from training.progress import Progress
from training.recipe import LanguageModelSettings, LanguageSettings, LoraSettings

LORA = LoraSettings(rank=3, alpha=6)


def answer(level: str) -> str:
    return format_feedback(level, [ParsedRemark("legs", "correct", "Keep steady.")], "Slow squats.")


def train(model, samples, processor, **settings) -> list[float]:
    chosen = {
        "steps": 6, "batch_size": 4, "learning_rate": 3e-3, "warmup": 2, "weight_decay": 0.01,
        "precision": "auto", "seed": 0,
    }  # fmt: skip
    plan = Plan(**(chosen | settings))
    return Loop(model, samples, processor, plan, progress=Progress("test")).run()


def test_batches_are_fixed_in_number_and_order() -> None:
    lengths = np.random.default_rng(0).integers(5, 400, 1000).tolist()
    batches = list(length_batches(lengths, 8, 300, seed=3))
    assert len(batches) == 300
    assert batches == list(length_batches(lengths, 8, 300, seed=3))
    assert batches != list(length_batches(lengths, 8, 300, seed=4))
    # An epoch is 125 batches and holds every sample once.
    assert sorted(i for batch in batches[:125] for i in batch) == list(range(1000))
    assert batches[:125] != batches[125:250]


def test_samples_of_a_batch_are_of_like_length() -> None:
    lengths = np.random.default_rng(1).integers(5, 400, 2000)
    spread = [np.ptp(lengths[batch]) for batch in length_batches(lengths.tolist(), 8, 200, 0)]
    assert np.mean(spread) < 30  # 300 for batches at random


def test_fewer_samples_than_a_batch_still_make_all_steps() -> None:
    batches = list(length_batches([3, 9, 4], 8, 5, seed=0))
    assert [sorted(batch) for batch in batches] == [[0, 1, 2]] * 5


def test_no_sample_is_an_error_and_no_endless_loop() -> None:
    with pytest.raises(PoiseError, match="nothing to train on"):
        next(length_batches([], 8, 5, seed=0))


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    factors = [cosine_with_warmup(step, 4, 20) for step in range(21)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert factors[4] == 1.0 and factors[20] == pytest.approx(0)
    assert factors[12] == pytest.approx(0.5)
    assert all(a >= b for a, b in itertools.pairwise(factors[4:]))
    assert cosine_with_warmup(0, 0, 10) == 1.0


def test_the_adapter_trains_exactly_the_expected_groups(make_model, new_tokens) -> None:
    model = make_model()
    sizes = {part: sum(p.numel() for p in getattr(model, part).parameters())
             for part in TRAINED_BESIDE}  # fmt: skip
    wrapped = add_lora(model, LORA, new_tokens)
    attention, feed = 4 * 3 * (32 + 32), 3 * 3 * (32 + 48)  # per layer: 7 linears of rank 3
    assert trainable(wrapped) == {
        **sizes,
        "lora": 2 * (attention + feed),
        "token rows": len(new_tokens) * 32,
    }


def test_a_head_of_its_own_learns_the_new_tokens_too(
    make_model, processor, samples, new_tokens
) -> None:
    model = make_model(tied=False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wrapped = add_lora(model, LORA, new_tokens)
    assert trainable(wrapped)["token rows"] == 2 * len(new_tokens) * 32
    train(wrapped, samples, processor, steps=4)
    after = wrapped.merge_and_unload().state_dict()
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        name = f"language_model.{name}"
        kept = np.setdiff1d(np.arange(len(before[name])), new_tokens)
        assert torch.equal(after[name][kept], before[name][kept])
        assert not torch.equal(after[name][new_tokens], before[name][new_tokens])


def test_chosen_targets_alone_get_an_adapter(make_model, new_tokens) -> None:
    wrapped = add_lora(make_model(), LoraSettings(targets=("q_proj",), rank=2), new_tokens)
    names = [n for n, p in wrapped.named_parameters() if p.requires_grad and "lora_" in n]
    assert len(names) == 2 * 2 and all("q_proj" in name for name in names)
    assert trainable(wrapped)["lora"] == 2 * 2 * (32 + 32)


def test_training_with_the_adapter_changes_only_what_it_may(
    make_model, processor, samples, new_tokens
) -> None:
    model = make_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wrapped = add_lora(model, LORA, new_tokens)
    losses = train(wrapped, samples, processor, steps=12)
    assert len(losses) == 12 and losses[-1] < losses[0]
    merged = wrapped.merge_and_unload()
    assert type(merged) is PoiseForConditionalGeneration
    after = merged.state_dict()
    assert set(after) == set(before)
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    rows = "language_model.model.embed_tokens.weight"
    assert rows in changed
    kept = np.setdiff1d(np.arange(len(before[rows])), new_tokens)
    assert torch.equal(after[rows][kept], before[rows][kept])
    assert not torch.equal(after[rows][new_tokens], before[rows][new_tokens])
    # The head is the same tensor: tied before, tied after.
    assert merged.language_model.lm_head.weight is merged.get_input_embeddings().weight
    assert torch.equal(after["language_model.lm_head.weight"], after[rows])
    for name in changed - {rows, "language_model.lm_head.weight"}:
        part = name.split(".")[0]
        assert part in TRAINED_BESIDE or name.endswith("_proj.weight"), name
    for part in ("video_projector.gate.weight", "score_token.layers.0.weight", "pose_mapper"):
        assert any(name.startswith(part) for name in changed), part
    assert not any("norm" in name for name in changed if name.startswith("language_model"))


@pytest.mark.parametrize("tied", [True, False])
def test_merging_keeps_the_logits(make_model, processor, samples, new_tokens, tied) -> None:
    """Also those of the new tokens, whose rows are the head's too where the two are tied."""
    wrapped = add_lora(make_model(tied=tied), LORA, new_tokens)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name or "trainable_tokens" in name:
            parameter.data += torch.randn(parameter.shape, generator=generator) * 0.05
    wrapped = wrapped.double().eval()
    batch = processor.collate([s.ids for s in samples], [s.inputs for s in samples])
    seen = batch["attention_mask"].bool()
    with torch.inference_mode():
        adapted = wrapped(**batch).logits[seen]
        merged = wrapped.merge_and_unload().eval()(**batch).logits[seen]
        before = make_model(tied=tied).double()(**batch).logits[seen]
    assert torch.allclose(adapted, merged, atol=1e-9)
    assert not torch.allclose(before[:, new_tokens], merged[:, new_tokens], atol=0.1)


def test_a_merged_model_is_saved_and_loaded_whole(
    make_model, processor, samples, new_tokens, tmp_path
) -> None:
    wrapped = add_lora(make_model(), LORA, new_tokens)
    train(wrapped, samples, processor, steps=2)
    merged = wrapped.merge_and_unload().eval()
    merged.save_pretrained(tmp_path)
    loaded = PoiseForConditionalGeneration.from_pretrained(tmp_path).eval()
    for name, value in merged.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert not hasattr(loaded, "peft_config")


def test_a_trained_model_computes_in_full_precision(make_model, processor, samples) -> None:
    model = make_model()
    batch = processor.collate([samples[0].ids], [samples[0].inputs])
    train(model, samples, processor, steps=1, precision="bf16")
    copy = make_model()
    copy.load_state_dict(model.state_dict())
    with torch.inference_mode():
        assert torch.equal(model(**batch).logits, copy(**batch).logits)


def test_the_same_seed_trains_the_same_weights(make_model, processor, samples) -> None:
    def weights(seed: int) -> tuple[list[float], torch.Tensor]:
        model = make_model()
        losses = train(model, samples, processor, steps=4, batch_size=2, seed=seed)
        return losses, model.language_model.model.embed_tokens.weight.detach()

    (first, one), (again, two), (_, other) = weights(0), weights(0), weights(1)
    assert first == again
    assert torch.equal(one, two) and not torch.equal(one, other)


def test_a_loss_that_is_not_finite_names_the_step(make_model, processor, samples) -> None:
    model = make_model()
    with torch.no_grad():
        model.score_token.layers[0].weight[0, 0] = torch.nan
    with pytest.raises(PoiseError) as caught:
        train(model, samples, processor, batch_size=2)
    said = re.search(
        r"loss nan at step 0 in the batch of clip(\d)/\w+, clip(\d)/", str(caught.value)
    )
    [first] = length_batches([len(s.ids) for s in samples], 2, 1, seed=0)
    assert said is not None and [int(i) for i in said.groups()] == first


def test_it_diverges_at_a_later_step(make_model, processor, samples) -> None:
    calls = []

    def forward(**batch):
        calls.append(1)
        output = PoiseForConditionalGeneration.forward(model, **batch)
        if len(calls) == 3:
            output.loss = output.loss * math.inf
        return output

    model = make_model()
    model.forward = forward
    with pytest.raises(PoiseError, match="loss inf at step 2"):
        train(model, samples, processor)


@pytest.mark.parametrize("level", LEVELS)
def test_verdict_weights_mark_label_and_headers_and_nothing_else(
    processor: PoiseProcessor, make_inputs, level: str
) -> None:
    inputs = make_inputs(0)
    messages = render_messages("commentary", target=answer(level), **prompt_pieces(inputs))
    sample = token_sample(processor, messages, inputs, verdict_weight=7.0)
    marked = [i for i, weight in enumerate(sample.weights) if weight == 7.0]
    headers = re.findall(r"\n((?:\w+ \([a-z ]+\)|Drill):)", answer(level))
    assert len(headers) == answer(level).count("\n") > 0
    said = processor.tokenizer.decode([sample.ids[i] for i in marked])
    assert said == f" {level}." + "".join(headers)
    for token, label, weight in zip(sample.ids, sample.labels, sample.weights, strict=True):
        assert weight == (0.0 if label == IGNORED else 7.0 if weight == 7.0 else 1.0)
        assert label in (IGNORED, token)
    told = [token for token, label in zip(sample.ids, sample.labels, strict=True) if label >= 0]
    assert processor.tokenizer.decode(told) == answer(level) + TURN_END


def test_a_prompt_is_the_beginning_of_what_was_trained(
    processor: PoiseProcessor, make_inputs
) -> None:
    """Token by token: a model that is asked otherwise than it was taught answers worse."""
    inputs, codes = make_inputs(0), [[1, 2, 3]] * 4
    for level in LEVELS:
        text = answer(level)
        taught = render_messages(
            "correction",
            commentary=text,
            learner_codes=codes,
            target=codes,
            **prompt_pieces(inputs),
        )
        ids, _ = processor.encode_with_labels(supervise(taught))
        asked = (
            label_prompt(inputs),
            commentary_prompt(inputs, level),
            correction_prompt(inputs, text, codes),
        )
        for prompt in asked:
            start = processor.encode(prompt.messages, answer_start=prompt.answer_start)
            assert ids[: len(start)] == start
    shown = render_messages(
        "retrieval", commentary=text, learner_codes=codes, target=codes, **prompt_pieces(inputs)
    )
    ids, _ = processor.encode_with_labels(supervise(shown))
    start = processor.encode(
        retrieval_prompt(inputs, text, np.array(codes), PoiseConfig()).messages
    )
    assert ids[: len(start)] == start


def test_a_label_that_is_given_is_not_weighed(processor: PoiseProcessor) -> None:
    messages = render_messages(
        "correction", commentary=answer("Novice"), learner_codes=[[1]], target=[[2]]
    )
    given = token_sample(processor, messages, ModelInputs(), verdict_weight=7.0)
    assert set(given.weights) == {0.0, 1.0}
    learned = token_sample(processor, supervise(messages), ModelInputs(), verdict_weight=7.0)
    assert sum(weight == 7.0 for weight in learned.weights) > 0
    # Two assistant turns are learned, each with its end of turn.
    end = processor.tokenizer.convert_tokens_to_ids(TURN_END)
    assert learned.labels.count(end) == 2 and given.labels.count(end) == 1


def test_a_spoken_text_about_the_label_is_not_the_label(processor: PoiseProcessor) -> None:
    messages = render_messages("chat", commentary="Slow.", question="Why?", target="A Novice.")
    sample = token_sample(processor, messages, ModelInputs(), verdict_weight=7.0)
    assert 7.0 not in sample.weights


def test_a_built_model_knows_the_tokens_of_its_tokenizer(processor: PoiseProcessor) -> None:
    tokenizer = processor.tokenizer
    model = build_model(
        tokenizer,
        LanguageModelSettings(hidden_size=32, intermediate_size=48, layers=1, heads=2),
        LanguageSettings(projector_hidden=16, mapper_hidden=16),
        video_size=12, pose_size=7, stage1_size=5, tokens_per_frame=3, codebook_size=16,
    )  # fmt: skip
    config = model.config
    assert config.text_config.vocab_size == len(tokenizer)
    assert config.text_config.eos_token_id == tokenizer.convert_tokens_to_ids(TURN_END)
    for name, token in (
        ("video_token_id", "<|video|>"),
        ("score_token_id", "<|score|>"),
        ("pose_code_start", "<|pose_0|>"),
        ("pose_sequence_end_id", "<|pose_sequence_end|>"),
    ):
        assert tokenizer.convert_ids_to_tokens(getattr(config, name)) == token
    codes = range(config.pose_code_start, config.pose_code_start + config.codebook_size)
    assert tokenizer.convert_ids_to_tokens(list(codes)) == [f"<|pose_{i}|>" for i in range(16)]
