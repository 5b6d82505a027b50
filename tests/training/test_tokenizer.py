"""The language model's tokenizer: lossless, one id a special token, stable label prefix."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.errors import PoiseError
from data_prep.drills.grammar import load_phrases, phrase_activities
from prompts.parse import LABEL_PREFIX, ParsedRemark, format_feedback
from prompts.render import escape_user_text, render_messages
from prompts.vocabulary import LEVELS, SCORE, TURN_END, TURN_START, pose_code, special_tokens
from training.tokenizer import train_tokenizer

CODES = 16


def texts() -> list[str]:
    rng = np.random.default_rng(0)
    said = []
    for activity in phrase_activities():
        phrases = load_phrases(activity)
        for name in phrases.faults:
            grammar = phrases.for_fault(name, 0.6)
            said += [grammar.say(rule, rng) for rule in ("problem", "drill") for _ in range(40)]
    return [
        format_feedback(LEVELS[i % 4], [ParsedRemark("legs", "correct", text)], text)
        for i, text in enumerate(said)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(texts(), path, vocabulary=700, codebook_size=CODES)
    return path


@pytest.fixture(scope="module")
def tokenizer(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


# U+2581 stands for a space inside SentencePiece; half surrogates are not text.
anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\u2581")).map(
    escape_user_text
)


@settings(deadline=None)
@given(anything)
def test_any_text_survives(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize(
    "text", ["", " ", "a\n\nb  c \n", " a", "\té漢🙂\r\n", "<unk></s><0x0A>", "Legs (correct): x."]
)
def test_spaces_newlines_and_look_alikes_survive(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_every_special_token_is_one_id_and_the_codes_are_contiguous(tokenizer):
    specials = special_tokens(CODES)
    for token in specials:
        assert tokenizer.encode(token) == [tokenizer.convert_tokens_to_ids(token)]
    ids = [tokenizer.convert_tokens_to_ids(pose_code(i)) for i in range(CODES)]
    assert ids == list(range(len(tokenizer) - CODES, len(tokenizer)))
    assert len(tokenizer) == 700 + len(specials)
    text = "a" + specials[0] + " b"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True) == "a b"


def test_start_end_and_padding_are_defined(tokenizer):
    assert (tokenizer.bos_token, tokenizer.eos_token) == (TURN_START, TURN_END)
    assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)
    assert tokenizer.encode("legs")[0] != tokenizer.bos_token_id
    assert tokenizer.is_fast


def test_the_label_strings_follow_one_prefix(tokenizer):
    prefix = tokenizer.encode(LABEL_PREFIX)
    for level in LEVELS:
        whole = tokenizer.encode(f"{LABEL_PREFIX} {level}.")
        assert whole == prefix + tokenizer.encode(f" {level}.")


def test_a_typed_special_token_stays_text(tokenizer):
    typed = escape_user_text("".join(special_tokens(2)) + "<|pad|><|unk|>")
    assert not set(tokenizer.encode(typed)) & set(tokenizer.all_special_ids)


def test_only_the_asked_assistant_turn_is_supervised(tokenizer):
    messages = render_messages(
        "correction", n_pose=2, commentary="Proficiency Level: Novice.", target=[[3, 4]]
    )
    encoded = tokenizer.apply_chat_template(
        messages, return_dict=True, return_assistant_tokens_mask=True
    )
    pairs = zip(encoded["input_ids"], encoded["assistant_masks"], strict=True)
    supervised = tokenizer.convert_ids_to_tokens([token for token, mask in pairs if mask])
    frame = "<|pose_3|><|pose_4|><|pose_frame_end|><|pose_sequence_end|><|im_end|>"
    assert supervised == re.findall(r"<[^>]*>", frame)
    prompt = tokenizer.apply_chat_template(
        messages[:-1], add_generation_prompt=True, return_dict=True
    )["input_ids"]
    assert encoded["input_ids"][: len(prompt)] == prompt
    assert encoded["assistant_masks"][len(prompt)] == 1


def test_the_commentary_turn_is_supervised_with_its_end(tokenizer):
    answer = format_feedback("Novice", [ParsedRemark("legs", "correct", "fine.")], "Go on.")
    messages = render_messages("commentary", score=SCORE, target=answer)
    encoded = tokenizer.apply_chat_template(
        messages, return_dict=True, return_assistant_tokens_mask=True
    )
    pairs = zip(encoded["input_ids"], encoded["assistant_masks"], strict=True)
    assert tokenizer.decode([token for token, mask in pairs if mask]) == answer + TURN_END


def test_training_twice_writes_the_same_bytes(folder, tmp_path):
    train_tokenizer(texts(), tmp_path, vocabulary=700, codebook_size=CODES)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_too_little_text_is_one_clear_line(tmp_path):
    with pytest.raises(PoiseError, match="smaller vocabulary"):
        train_tokenizer(["legs"], tmp_path / "none", vocabulary=2000)
    assert not (tmp_path / "none").exists()
