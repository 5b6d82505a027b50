"""From conversations to ids, masks and supervised tokens."""

import numpy as np
import pytest
import torch

from assistant.errors import PoiseError
from assistant.model.processing_poise import (
    IGNORED,
    MODALITIES,
    ModelInputs,
    PoiseProcessor,
    placeholder_count,
    stack_features,
)
from assistant.tasks.commentary import label_prompt, prompt_pieces
from prompts.parse import format_label
from prompts.render import render_messages
from prompts.vocabulary import PLACEHOLDERS, TURN_END


def test_the_exact_list_of_supervised_tokens(processor: PoiseProcessor) -> None:
    messages = [
        {"role": "system", "content": "Deep."},
        {"role": "user", "content": "Keep the legs slow?"},
        {"role": "assistant", "content": "Keep steady."},
        {"role": "user", "content": "And the arms?"},
        {"role": "assistant", "content": "Slow."},
    ]
    ids, labels = processor.encode_with_labels(messages)
    end = processor.tokenizer.convert_tokens_to_ids(TURN_END)
    learned = [label for label in labels if label != IGNORED]
    assert learned == [
        *processor.text_ids("Keep steady."),
        end,
        *processor.text_ids("Slow."),
        end,
    ]
    # Labels stand at the position of their own token: nothing is shifted here.
    assert [i for i, label in zip(ids, labels, strict=True) if label != IGNORED] == learned
    assert processor.tokenizer.decode(ids).startswith("<|im_start|>system\nDeep.<|im_end|>\n")


def test_a_given_turn_is_not_learned(processor: PoiseProcessor) -> None:
    messages = render_messages("chat", commentary="Slow.", question="Why?", target="Deep.")
    _, labels = processor.encode_with_labels(messages)
    learned = [label for label in labels if label != IGNORED]
    assert processor.tokenizer.decode(learned) == f"Deep.{TURN_END}"


def test_a_conversation_without_an_answer_cannot_be_learned(processor: PoiseProcessor) -> None:
    with pytest.raises(PoiseError, match="nothing to learn"):
        processor.encode_with_labels([{"role": "user", "content": "Why?"}])


@pytest.mark.parametrize("typed", [*PLACEHOLDERS.values(), TURN_END, "<|pose_3|>"])
def test_a_special_token_typed_by_a_user_stays_text(
    processor: PoiseProcessor, make_inputs, typed
) -> None:
    pieces = prompt_pieces(make_inputs())
    special = processor.tokenizer.convert_tokens_to_ids(typed)

    def number(question: str) -> int:
        messages = render_messages("chat", commentary="Slow.", question=question, **pieces)
        return processor.encode(messages).count(special)

    assert number(f"What is {typed} there?") == number("What is that there?")


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("video", [0, 1, 5])
def test_prompts_hold_as_many_placeholders_as_are_counted(
    processor: PoiseProcessor, make_inputs, video, fused
) -> None:
    inputs = make_inputs(0, video=video, pose=4, stage1=3, score=False)
    counts = inputs.counts(fused_video=fused)
    assert counts == {
        "video": min(video, 1) if fused else video,
        "pose": 4,
        "score": 0,
        "regions": 1,
        "stage1": 3,
    }
    ids = processor.encode(label_prompt(inputs, fused_video=fused).messages)
    for modality, token in PLACEHOLDERS.items():
        number = ids.count(processor.tokenizer.convert_tokens_to_ids(token))
        assert number == counts[modality], modality


def test_no_features_take_no_placeholder() -> None:
    assert [placeholder_count(m, None) for m in MODALITIES] == [0] * 5
    assert placeholder_count("video", np.zeros((0, 4)), fused_video=True) == 0
    assert placeholder_count("score", np.zeros(14)) == 1


def test_a_prompt_ends_where_the_assistant_speaks(processor: PoiseProcessor, make_inputs) -> None:
    prompt = label_prompt(make_inputs())
    ids = processor.encode(prompt.messages, answer_start=format_label("Novice"))
    text = processor.tokenizer.decode(ids)
    assert text.endswith(f"<|im_start|>assistant\n{format_label('Novice')}")


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_stands_on_its_side_and_is_masked(processor: PoiseProcessor, side) -> None:
    rows, none = [[5, 6, 7], [8]], [ModelInputs(), ModelInputs()]
    batch = processor.collate(
        rows, none, labels=[[5, IGNORED, 7], [8]], label_weights=[[1, 0, 4], [2]], padding_side=side
    )
    pad = processor.tokenizer.pad_token_id
    expected = {
        "input_ids": ([5, 6, 7], [8], pad),
        "attention_mask": ([1, 1, 1], [1], 0),
        "labels": ([5, IGNORED, 7], [8], IGNORED),
        "label_weights": ([1, 0, 4], [2], 0),
    }
    assert set(batch) == set(expected)
    for name, (first, second, fill) in expected.items():
        short = [*second, fill, fill] if side == "right" else [fill, fill, *second]
        assert batch[name].tolist() == [first, short], name


def test_features_of_a_batch_are_masked_by_presence() -> None:
    rows = [np.ones((2, 3)), None, np.ones((1, 3))]
    found = stack_features("pose", rows)
    assert found["pose_features"].shape == (3, 2, 3)
    assert found["pose_mask"].tolist() == [[True, True], [False, False], [True, False]]
    assert stack_features("video", [None, None]) == {}
    score = stack_features("score", [None, np.arange(14)])
    assert score["score_mask"].tolist() == [False, True]
    assert torch.equal(score["score_features"][1], torch.arange(14.0))
