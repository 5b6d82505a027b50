"""The output grammar: parse(format(x)) == x, and what happens to text that does not fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompts.parse import (
    ANSWER_FORMS,
    COMMENTARY_FIRST,
    LABEL_ONLY,
    REMARK_POLARITIES,
    ParsedRemark,
    answer_start,
    format_feedback,
    format_label,
    parse_feedback,
    parse_pose_codes,
    remark_first,
    up_to_label,
)
from prompts.render import render_pose_codes
from prompts.vocabulary import LEVELS, REGIONS

line = (
    st.text(min_size=1, max_size=40)
    .map(lambda text: " ".join(text.replace("<|", "").split()))
    .filter(bool)
)
remark = st.builds(ParsedRemark, st.sampled_from(REGIONS), st.sampled_from(REMARK_POLARITIES), line)
remarks = st.lists(remark, max_size=6, unique_by=lambda item: item.region).map(tuple)

EXAMPLE = """Proficiency Level: Early Expert. Proficiency Commentary:
Legs (needs improvement): You stop too high.
Torso (correct): The chest stays up.
Drill: Pause at the bottom."""


@given(st.sampled_from(LEVELS), remarks, st.none() | line)
def test_parse_gives_back_what_format_wrote(level, items, drill):
    text = format_feedback(level, items, drill)
    parsed = parse_feedback(text)
    assert (parsed.level, parsed.remarks, parsed.drill) == (level, items, drill)
    assert parsed.problems == ()
    assert format_label(level) + "\n" + parsed.commentary == text or not parsed.commentary


@given(st.text())
def test_any_text_is_read_without_raising(text):
    parsed = parse_feedback(text)
    assert parsed.level in (*LEVELS, None)
    if parsed.level is None:
        assert parsed.problems


@given(st.sampled_from(LEVELS), remarks, line)
def test_junk_lines_are_dropped_and_named(level, items, junk):
    text = format_feedback(level, items, None) + "\n? " + junk
    parsed = parse_feedback(text)
    assert parsed.remarks == items
    assert len(parsed.problems) == 1


def test_the_written_form_is_the_one_of_the_plan():
    text = format_feedback(
        "Early Expert",
        [
            ParsedRemark("legs", "needs_improvement", "You stop\n too high."),
            ParsedRemark("torso", "correct", "The chest stays up."),
        ],
        "Pause at the bottom.",
    )
    assert text == EXAMPLE


def test_a_text_on_one_paper_line_still_gives_label_and_commentary():
    parsed = parse_feedback("Proficiency Level: novice. Proficiency Commentary: Smooth.<|im_end|>x")
    assert (parsed.level, parsed.commentary, parsed.remarks) == ("Novice", "Smooth.", ())
    assert parsed.problems == ("not a remark: 'Smooth.'",)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("Early Expert", "Expert", "unknown level 'Expert'"),
        ("Proficiency Level: ", "", "no 'Proficiency Level:'"),
        ("Proficiency Commentary:", "", "no 'Proficiency Commentary:'"),
        ("Legs", "Tail", "unknown region"),
        ("needs improvement", "so so", "unknown polarity"),
        (" You stop too high.", "", "remark without text"),
        ("Torso", "Legs", "second remark on legs"),
        ("Torso (correct):", "Drill:", "second drill"),
        (" Pause at the bottom.", "", "drill without text"),
    ],
)
def test_every_malformation_is_named(old, new, problem):
    parsed = parse_feedback(EXAMPLE.replace(old, new, 1))
    assert len(parsed.problems) == 1
    assert problem in parsed.problems[0]


@pytest.mark.parametrize(
    ("level", "items", "drill"),
    [
        ("Expert", [], None),
        ("Novice", [ParsedRemark("tail", "correct", "x")], None),
        ("Novice", [ParsedRemark("legs", "not_mentioned", "x")], None),
        ("Novice", [ParsedRemark("legs", "correct", " \n")], None),
        ("Novice", [ParsedRemark("legs", "correct", "stop <|im_end|>")], None),
        ("Novice", [ParsedRemark("legs", "correct", "x")] * 2, None),
        ("Novice", [], " "),
    ],
)
def test_what_cannot_be_read_back_is_not_written(level, items, drill):
    with pytest.raises(ValueError, match=r"got|expected"):
        format_feedback(level, items, drill)


@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_codes_are_read_back(frames, width, data):
    row = st.lists(st.integers(0, 255), min_size=width, max_size=width)
    codes = data.draw(st.lists(row, min_size=frames, max_size=frames))
    text = render_pose_codes(codes)
    assert parse_pose_codes(text, frames=frames, tokens_per_frame=width) == codes
    with pytest.raises(ValueError, match="expected"):
        parse_pose_codes(text, frames=frames + 1, tokens_per_frame=width)
    with pytest.raises(ValueError, match="expected"):
        parse_pose_codes("so " + text, frames=frames, tokens_per_frame=width)
    with pytest.raises(ValueError, match="no end"):
        parse_pose_codes(render_pose_codes(codes, end=False), frames=frames, tokens_per_frame=width)


@given(st.sampled_from(ANSWER_FORMS), st.sampled_from(LEVELS), remarks, st.none() | line)
def test_every_form_of_answer_is_read_back(form, level, items, drill):
    text = format_feedback(level, items, drill, form)
    parsed = parse_feedback(text, form)
    assert (parsed.level, parsed.problems) == (level, ())
    if form == LABEL_ONLY:
        assert (parsed.remarks, parsed.drill) == ((), None)
    else:
        assert (parsed.remarks, parsed.drill) == (items, drill)
    assert text.startswith(answer_start(form))


def test_the_forms_are_written_as_profvlms_tables_7_and_8_have_them():
    items = [ParsedRemark("legs", "correct", "Keep steady.")]
    written = {form: format_feedback("Novice", items, "Slow.", form) for form in ANSWER_FORMS}
    assert written == {
        "label_first": "Proficiency Level: Novice. Proficiency Commentary:\n"
        "Legs (correct): Keep steady.\nDrill: Slow.",
        "commentary_first": "Proficiency Commentary:\nLegs (correct): Keep steady.\n"
        "Drill: Slow.\nProficiency Level: Novice.",
        "label_only": "Proficiency Level: Novice.",
    }
    assert written["label_first"] == format_feedback("Novice", items, "Slow.")


@pytest.mark.parametrize("written", ANSWER_FORMS)
@pytest.mark.parametrize("read", ANSWER_FORMS)
def test_fields_in_another_order_do_not_comply(written, read):
    text = format_feedback("Novice", [ParsedRemark("legs", "correct", "Good.")], None, written)
    assert (parse_feedback(text, read).problems == ()) == (written == read)


def test_the_last_label_counts_where_the_commentary_comes_first():
    text = "Proficiency Commentary:\nLegs (correct): Good.\nProficiency Level: Novice.\n"
    parsed = parse_feedback(text + "Proficiency Level: Late Expert.", COMMENTARY_FIRST)
    assert parsed.level == "Late Expert"
    assert parsed.problems == ("not a remark: 'Proficiency Level: Novice.'",)
    assert parse_feedback(text + "more", COMMENTARY_FIRST).problems == ("after the label: 'more'",)


def test_a_commentary_is_cut_before_its_label():
    body = "Proficiency Commentary:\nLegs (correct): Good."
    assert up_to_label(body) == f"{body}\nProficiency Level:"
    assert up_to_label(f"{body}\nProficiency Level: Novice.") == f"{body}\nProficiency Level:"


def test_an_unknown_form_of_answer_lists_the_known_ones():
    for call in (lambda: parse_feedback("", "upside_down"),
                 lambda: format_feedback("Novice", (), None, "upside_down")):  # fmt: skip
        with pytest.raises(ValueError, match="label_first, commentary_first, label_only"):
            call()


def test_a_remark_is_put_first_where_there_is_one():
    remarks = [
        ParsedRemark("legs", "needs_improvement", "You stop too high."),
        ParsedRemark("head", "correct", "The eyes stay up."),
        ParsedRemark("torso", "needs_improvement", "You lean over."),
    ]
    answer = format_feedback("Novice", remarks, "Pause.")
    moved = format_feedback("Novice", [remarks[2], remarks[0], remarks[1]], "Pause.")
    assert remark_first(answer, "torso") == moved
    assert remark_first(answer, "legs") == answer
    assert remark_first(answer, "feet") == answer
    assert remark_first(answer + "\njunk", "torso") == answer + "\njunk"
