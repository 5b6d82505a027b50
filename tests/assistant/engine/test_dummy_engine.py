"""The engine without a model keeps every promise of the three verbs but the meaning."""

import numpy as np
import pytest

from assistant.engine.base import GenerationOptions, Prompt
from assistant.engine.dummy_engine import ANSWER, DummyEngine
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.processing_poise import ModelInputs
from assistant.tasks.commentary import commentary_prompt, label_continuations, label_prompt
from assistant.tasks.retrieval import code_token_ids
from prompts.parse import parse_feedback, parse_pose_codes
from prompts.render import render_messages

CONFIG = PoiseConfig(pose_code_start=50, pose_frame_end_id=48, pose_sequence_end_id=49)
ENGINE = DummyEngine(CONFIG)


def test_its_answer_fits_the_grammar() -> None:
    assert parse_feedback(ANSWER).problems == ()


@pytest.mark.parametrize(
    "prompt",
    [
        label_prompt(ModelInputs()),
        commentary_prompt(ModelInputs(), "Early Expert"),
        Prompt(render_messages("commentary"), ModelInputs()),
    ],
)
def test_what_the_prompt_forces_is_not_said_again(prompt: Prompt) -> None:
    answer = ENGINE.generate([prompt], GenerationOptions())[0]
    assert prompt.answer_start + answer.text == ANSWER
    assert "".join(ENGINE.stream(prompt, GenerationOptions())) == answer.text


def test_an_answer_ends_at_its_limit() -> None:
    prompt = commentary_prompt(ModelInputs(), "Novice")
    assert len(ENGINE.generate([prompt], GenerationOptions(max_new_tokens=3))[0].token_ids) == 3


def test_pose_codes_have_the_form_and_probabilities_that_agree() -> None:
    answer = ENGINE.generate(
        [Prompt(render_messages("correction"), ModelInputs())], GenerationOptions(pose_codes=True)
    )[0]
    codes = parse_pose_codes(answer.text, frames=10, tokens_per_frame=8)
    assert answer.token_ids == code_token_ids(np.array(codes), CONFIG)
    assert answer.code_probabilities is not None
    assert answer.code_probabilities.argmax(-1).tolist() == codes
    assert answer.code_probabilities.sum(-1) == pytest.approx(np.ones((10, 8)), abs=1e-5)


def test_likelihoods_depend_on_prompt_and_continuation_alone() -> None:
    one, other = label_prompt(ModelInputs()), Prompt(render_messages("retrieval"), ModelInputs())
    sums, counts = ENGINE.score(one, label_continuations())
    assert counts.tolist() == [1, 2, 2, 2]
    assert len(set(sums.tolist())) == 4 and (sums < 0).all()
    assert np.array_equal(sums, ENGINE.score(one, label_continuations())[0])
    assert not np.array_equal(sums, ENGINE.score(other, label_continuations())[0])
    ids, lengths = ENGINE.score(one, [[1, 2, 3]])
    assert lengths.tolist() == [3] and -4.5 <= ids[0] <= -1.5
