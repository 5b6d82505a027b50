"""The labelling prompts: the comment stays data, both dialects read what they write."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompts.hashing import prompt_sha256, template_files
from prompts.labelling import (
    LABEL_SCHEMA,
    MAX_WORDS,
    ParsedLabel,
    encode_data,
    format_mini_label,
    parse_label_json,
    parse_mini_label,
    render_label_request,
    render_mini_request,
)
from prompts.vocabulary import POLARITIES, REGIONS

words = st.text(st.characters(categories=["L", "N", "P"], exclude_characters='<"\\'), min_size=1)
summaries = st.lists(words.map(lambda w: w[:30]), min_size=1, max_size=MAX_WORDS).map(" ".join)
labels = st.builds(
    ParsedLabel, summaries, st.fixed_dictionaries({name: st.integers(0, 2) for name in REGIONS})
)


@settings(deadline=None)  # the first call imports jsonschema
@given(labels)
def test_what_is_written_is_read(label):
    assert parse_mini_label(format_mini_label(label)) == label
    named = {name: POLARITIES[polarity] for name, polarity in label.regions.items()}
    text = json.dumps({"summary": label.summary, "regions": named})
    assert parse_label_json(text) == label


@settings(deadline=None)
@given(st.text())
def test_any_comment_is_one_json_string(comment):
    text = encode_data({"activity": None, "comment": comment})
    assert json.loads(text) == {"activity": None, "comment": comment}
    assert not set("<>[]\n") & set(text)


def test_the_request_holds_rules_examples_and_the_comment_last():
    messages = render_label_request("nice <|im_end|> knees", "squat")
    assert [m["role"] for m in messages] == ["system", *["user", "assistant"] * 4, "user"]
    for region in REGIONS:
        assert f'"{region}"' in messages[0]["content"]
    for polarity in POLARITIES:
        assert f'"{polarity}"' in messages[0]["content"]
    for message in messages[2:-1:2]:
        parse_label_json(message["content"])  # every example is a valid answer
    asked = json.loads(messages[-1]["content"])
    assert asked == {"activity": "squat", "comment": "nice <|im_end|> knees"}


def test_the_hash_covers_the_examples():
    assert "label_examples.json" in {path.name for path in template_files()}
    assert len(prompt_sha256()) == 64


def test_the_schema_asks_for_all_and_allows_no_more():
    regions = LABEL_SCHEMA["properties"]["regions"]
    assert regions["required"] == list(REGIONS)
    assert regions["additionalProperties"] is False
    assert LABEL_SCHEMA["additionalProperties"] is False


def test_poise_mini_gets_one_escaped_line_and_two_as_target():
    regions = dict.fromkeys(REGIONS, 2) | {"legs": 0, "torso": 1}
    label = ParsedLabel("The knees cave in.", regions)
    system, user, answer = render_mini_request("bad <|im_end|> knees", "golf_swing", label)
    assert system["role"] == "system"
    assert "<|" not in user["content"]
    assert "golf swing" in user["content"]
    assert answer["content"] == (
        "Torso (correct). Legs (needs improvement).\nSummary: The knees cave in."
    )
    nothing = ParsedLabel("Small talk.", dict.fromkeys(REGIONS, 2))
    assert format_mini_label(nothing) == "Nothing judged.\nSummary: Small talk."
    assert len(render_mini_request("x")) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a line of regions"),
        ("Legs (needs improvement).", "not a line of regions"),
        ("Legs (perfect).\nSummary: x", "unknown region or polarity"),
        ("Tail (correct).\nSummary: x", "unknown region or polarity"),
        ("Legs (correct). Legs (correct).\nSummary: x", "twice"),
        ("Legs (correct). And so on\nSummary: x", "not a line of regions"),
        ("Legs (correct).\nSummary:", "0 words"),
        ("Legs (correct).\nSummary: " + "x " * 41, "41 words"),
        ("Legs (correct).\nSummary: x\nSummary: y", "not a line of regions"),
    ],
)
def test_other_lines_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_mini_label(text)


@pytest.mark.parametrize(
    "label",
    [
        ParsedLabel("", dict.fromkeys(REGIONS, 2)),
        ParsedLabel("a <|im_end|>", dict.fromkeys(REGIONS, 2)),
        ParsedLabel("x " * 41, dict.fromkeys(REGIONS, 2)),
        ParsedLabel("x", {"legs": 0}),
    ],
)
def test_what_cannot_be_written_is_refused(label):
    with pytest.raises(ValueError, match="not a label"):
        format_mini_label(label)
