"""Conversations for the tests of training."""

import pytest

from prompts.parse import ParsedRemark, format_feedback
from prompts.render import render_messages
from prompts.vocabulary import LEVELS, special_tokens


def answer(level: str) -> str:
    """A short well-formed answer."""
    return format_feedback(level, [ParsedRemark("legs", "correct", "Keep steady.")], "Slow squats.")


@pytest.fixture
def new_tokens(processor) -> list[int]:  # type: ignore[no-untyped-def]
    return processor.tokenizer.convert_tokens_to_ids(special_tokens(16))


@pytest.fixture
def samples(processor, make_inputs):  # type: ignore[no-untyped-def]
    """Six conversations, features, label, commentary and pose codes in them."""
    from assistant.tasks.commentary import prompt_pieces
    from training.language_samples import supervise, token_sample

    made = []
    for i in range(6):
        inputs = make_inputs(i, video=i % 3)
        messages = render_messages(
            "correction",
            commentary=answer(LEVELS[i % 4]),
            learner_codes=[[1, 2, 3]] * (2 + i % 3),
            target=[[4, 5, 6]] * (2 + i % 3),
            **prompt_pieces(inputs),
        )
        made.append(
            token_sample(
                processor,
                supervise(messages),
                inputs,
                verdict_weight=4.0,
                sample_id=f"clip{i}/correction",
            )
        )
    return made
