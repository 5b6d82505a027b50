"""Rules on what an answer may say next: pure functions of the ids written so far."""

import json
from dataclasses import replace

import pytest
import torch

from assistant.engine.base import GenerationOptions, Prompt
from assistant.engine.constraints import (
    OneOf,
    PoseForm,
    RegionsOnce,
    Rule,
    Without,
    answer_rules,
    claim_tokens,
    keep_only,
    rule_from_json,
)
from assistant.engine.transformers_engine import TransformersEngine
from assistant.errors import PoiseError
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.processing_poise import ModelInputs
from assistant.tasks.commentary import commentary_prompt, label_continuations, label_prompt
from prompts.claims import false_claims, true_claims
from prompts.render import render_messages
from prompts.stated import stated_numbers
from prompts.vocabulary import REGIONS

FORM = {"code_start": 3, "codebook_size": 4, "frames": 2, "tokens": 2}
MARKS = {"frame_end": 8, "sequence_end": 9}


def allowed(rule: Rule, written: list[int], size: int = 10) -> list[int]:
    """The ids whose logits a rule leaves as they are."""
    logits = torch.arange(size, dtype=torch.float32) + 1
    rule.restrict(logits, written)
    kept = torch.isfinite(logits).nonzero().flatten().tolist()
    assert [float(logits[i]) for i in kept] == [i + 1.0 for i in kept]
    return kept


def test_without() -> None:
    assert allowed(Without([0, 4]), [7, 7]) == [1, 2, 3, 5, 6, 7, 8, 9]


def test_one_of_follows_what_was_written() -> None:
    rule = OneOf([[5, 6], [5, 7, 1], [2]], end=9)
    assert allowed(rule, []) == [2, 5]
    assert allowed(rule, [5]) == [6, 7]
    assert allowed(rule, [5, 7]) == [1]
    assert allowed(rule, [5, 6]) == allowed(rule, [2]) == [9]
    assert allowed(rule, [5, 6, 9, 0]) == [9]  # padding after the end


def test_pose_form_without_a_guide() -> None:
    form = PoseForm(**FORM, **MARKS)
    codes = [3, 4, 5, 6]
    assert form.length == 2 * 3 + 1
    assert [list(form.allowed(step)) for step in range(7)] == [
        codes, codes, [8], codes, codes, [8], [9],
    ]  # fmt: skip
    assert form.written == list(range(7))
    assert allowed(form, [3, 4]) == [8]


def test_pose_form_gives_the_guides_frames() -> None:
    form = PoseForm(**FORM, **MARKS, guide=[[0, 1], [3, 2]])
    codes = [3, 4, 5, 6]
    assert form.length == 4 * 3 + 1
    assert [list(form.allowed(step)) for step in range(13)] == [
        [3], [4], [8], codes, codes, [8], [6], [5], [8], codes, codes, [8], [9],
    ]  # fmt: skip
    assert form.written == [3, 4, 5, 9, 10, 11, 12]


@pytest.mark.parametrize(
    ("guide", "message"),
    [
        ([[0, 1]], "1 frames"),
        ([[0, 1], [2]], "frames of"),
        ([[0, 1], [2, 4]], "codes from 0 to 4"),
        ([[0, -1], [2, 3]], "codes from -1"),
    ],
)
def test_a_guide_that_does_not_fit(guide, message) -> None:
    with pytest.raises(PoiseError, match=message):
        PoseForm(**FORM, **MARKS, guide=guide)


@pytest.mark.parametrize(
    "rule",
    [
        Without([1, 2]),
        OneOf([[5, 6], [2]], end=9),
        PoseForm(**FORM, **MARKS),
        PoseForm(**FORM, **MARKS, guide=[[0, 1], [3, 2]]),
    ],
)
def test_a_rule_travels_as_plain_data(rule) -> None:
    again = rule_from_json(rule.to_json())
    assert again.to_json() == rule.to_json()
    for written in ([], [5], [5, 6], [5, 6, 9]):
        assert allowed(again, written) == allowed(rule, written)


def test_keep_only_a_range_or_a_list() -> None:
    for ids in (range(2, 4), [2, 3]):
        logits = torch.ones(5)
        keep_only(logits, ids)
        assert logits.tolist() == [-torch.inf, -torch.inf, 1, 1, -torch.inf]


@pytest.fixture(scope="module")
def engine(make_model, processor):
    return TransformersEngine(make_model(), processor)


@pytest.mark.parametrize("temperature", [0.0, 5.0])
def test_the_answer_is_one_of_the_choices(engine, make_inputs, temperature) -> None:
    prompts = [label_prompt(make_inputs(i)) for i in range(6)]
    choices = tuple(label_continuations())
    options = GenerationOptions(choices=choices, temperature=temperature)
    texts = [" " + answer.text.strip() for answer in engine.generate(prompts, options)]
    assert set(texts) <= set(choices)
    assert len(set(texts)) > 1
    free = engine.generate(prompts, GenerationOptions(max_new_tokens=8))
    assert not {" " + answer.text.strip() for answer in free} & set(choices)


def test_an_adapter_is_refused(engine, make_inputs) -> None:
    prompt = replace(label_prompt(make_inputs(0)), adapter="golf")
    with pytest.raises(PoiseError, match="runs no adapters"):
        engine.generate([prompt], GenerationOptions(max_new_tokens=2))


def test_a_named_region_is_not_opened_again(processor) -> None:
    """The same after JSON, from any point, and whatever was asked before."""
    prompt = Prompt([], ModelInputs(), answer_start="Legs (correct): Slow.", regions_once=True)
    *_, rule = answer_rules(prompt, GenerationOptions(), PoiseConfig(), processor)
    told = processor.text_ids("\nHead (correct): Keep the legs (both) slow.\n")
    size = len(processor.tokenizer)

    def closed(rule: Rule, written: list[int]) -> set[str]:
        logits = torch.zeros(size)
        rule.restrict(logits, written)
        return {processor.tokenizer.decode([i]) for i in logits.isinf().nonzero().flatten()}

    by_step = [closed(rule, told[:end]) for end in range(len(told) + 1)]
    assert by_step[-1] and not by_step[0]
    others = [region for region in REGIONS if region not in ("legs", "head")]
    for text in by_step[-1]:
        begun = text.strip().lower()
        assert "legs".startswith(begun) or "head".startswith(begun)
        assert not any(region.startswith(begun) for region in others)
    assert not any(by_step[-6:-1])  # inside a line nothing is closed
    again = rule_from_json(json.loads(json.dumps(rule.to_json())))
    for each in (again, rule):
        for end in reversed(range(len(told) + 1)):
            assert closed(each, told[:end]) == by_step[end]


def test_only_a_commentary_is_held_to_one_remark_a_region(processor) -> None:
    for prompt in (label_prompt(ModelInputs()), commentary_prompt(ModelInputs(), "Novice")):
        rules = answer_rules(prompt, GenerationOptions(), PoiseConfig(), processor)
        assert [type(rule) for rule in rules] == [Without, RegionsOnce]
    chat = Prompt(render_messages("chat", question="Why?"), ModelInputs())
    rules = answer_rules(chat, GenerationOptions(), PoiseConfig(), processor)
    assert [type(rule) for rule in rules] == [Without]


def test_a_chat_answer_states_no_number_but_the_feedbacks(engine, processor) -> None:
    messages = render_messages("chat", commentary="Do three sets.", question="Well?")
    told = Prompt(messages, ModelInputs(), calls=True, numbers_from="Do three sets.")
    *_, rule = answer_rules(told, GenerationOptions(), PoiseConfig(), processor)
    again = rule_from_json(rule.to_json())
    size = len(processor.tokenizer)

    def closed(text: str) -> set[str]:
        rows = []
        for some in (rule, again):
            logits = torch.zeros(size)
            some.restrict(logits, processor.text_ids(text))
            rows.append({processor.tokenizer.decode([i]) for i in logits.isinf().nonzero()[:, 0]})
        assert rows[0] == rows[1]
        return rows[0]

    assert {*"012456789"} <= closed("Do ") and "3" not in closed("Do ")
    assert closed("Do tw") - closed("Do ") >= {"o"} and "hree" not in closed("Do t")
    for seed in range(3):
        options = GenerationOptions(max_new_tokens=60, temperature=1.5, seed=seed)
        (answer,) = engine.generate([told], options)
        assert stated_numbers(answer.text) <= {"3"}


def test_what_a_chat_answer_claims_of_the_change_is_true(engine, processor) -> None:
    claims = true_claims("Early Expert", [], "Novice", {"head": "worse", "legs": "better"})
    messages = render_messages("chat", commentary="Do sets.", question="Well?")
    told = Prompt(messages, ModelInputs(), calls=True, claims=claims)
    *_, rule = answer_rules(told, GenerationOptions(), PoiseConfig(), processor)
    again = rule_from_json(rule.to_json())

    texts = claim_tokens(processor, claims)

    def open_after(text: str) -> list[str]:
        rows = []
        for some in (rule, again):
            logits = torch.zeros(len(processor.tokenizer))
            some.restrict(logits, processor.text_ids(text))
            rows.append(logits.isfinite().nonzero()[:, 0].tolist())
        assert rows[0] == rows[1]
        return [texts.get(token, "") for token in rows[0]]

    assert len(open_after("Your ")) == len(open_after("Well.")) == len(processor.tokenizer)
    whole = "Since last time, your legs are better, your head is worse. Your level"
    for start in range(len("Since last time,"), len(whole) - len(" Your level")):
        begun = open_after(whole[:start])
        assert begun and all(piece and whole[start:].startswith(piece) for piece in begun)
    ends = (" rose from Novice to Early Expert.", " is Early Expert.")
    begun = open_after(whole)
    assert all(any(piece and end.startswith(piece) for end in ends) for piece in begun)
    assert set(open_after(whole + " rose from Novice to Early Exper")) == {"t"}
    for end in ends:
        assert len(open_after(whole + end)) == len(processor.tokenizer)


def test_nothing_is_claimed_where_nothing_changed() -> None:
    claims = true_claims("Novice", ["legs", "head"], "Novice", {"head": "the same"})
    same = "Since last time, nothing changed that I can see. Your level is still Novice."
    assert false_claims("What holds you back: legs and head. Well.", claims) == []
    assert false_claims("What holds you back: legs.", claims) == ["What holds you back: legs."]
    assert false_claims(same, claims) == []
    false = (
        "Since last time, your head is better. Your level fell from Late Expert to Novice. Good."
    )
    assert set(false_claims(false, claims)) == {
        " last time, your head is better.",
        "Your level fell from Late Expert to Novice.",
    }
