"""The same numbers as one token, as digits and not at all."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompts.numbers import NUMBER_FORMS, NUMERIC, render_numbers
from prompts.vocabulary import LEVELS, REGIONS

SCORE_NUMBERS = [0.614, 0.2, 0.106, 0.08, 0.386, 0.186, 0.08, 0.0, 0.0, -0.3, 0, 0, 0, 1]
REGION_NUMBERS = [0.1, 0.2, 0.7] * 5 + [1.0, 0.0, -0.001]


def test_the_score_as_digits():
    assert render_numbers("score", SCORE_NUMBERS, "digits") == (
        "Novice 0.61, Early Expert 0.20, Intermediate Expert 0.11, Late Expert 0.08; "
        "at least Early Expert 0.39, Intermediate Expert 0.19, Late Expert 0.08; "
        "margin ego missing, exo missing, pose -0.30; gaze missing"
    )


def test_the_regions_as_digits():
    assert render_numbers("regions", REGION_NUMBERS, "digits") == (
        "(needs improvement, correct, not mentioned) "
        "head 0.10 0.20 0.70, torso 0.10 0.20 0.70, arms 0.10 0.20 0.70, "
        "hands 0.10 0.20 0.70, legs 0.10 0.20 0.70, feet 1.00 0.00 0.00"
    )


def test_token_and_none():
    assert render_numbers("score", SCORE_NUMBERS, "token") == "<|score|>"
    assert render_numbers("regions", REGION_NUMBERS, "token") == "<|regions|>"
    for modality in NUMERIC:
        assert render_numbers(modality, [0.0] * NUMERIC[modality], "none") == ""
        assert [render_numbers(modality, None, form) for form in NUMBER_FORMS] == [""] * 3


def read_score(text: str) -> list[float]:
    """The 14 numbers of the digits; a missing stream's margin is 0, as in the token's vector."""
    levels, at_least, margins, gaze = text.split("; ")
    numbers = [float(part.rsplit(" ", 1)[1]) for part in (levels + ", " + at_least).split(", ")]
    streams = [part.rsplit(" ", 1)[1] for part in margins.split(", ")]
    there = [stream != "missing" for stream in streams]
    numbers += [float(s) if present else 0.0 for s, present in zip(streams, there, strict=True)]
    return [*numbers, there[0], there[1], gaze == "gaze present", there[2]]


share = st.floats(0, 1)


@settings(deadline=None)
@given(
    st.lists(share, min_size=7, max_size=7),
    st.lists(st.none() | st.floats(-4, 4), min_size=3, max_size=3),
    st.booleans(),
)
def test_the_score_is_read_back_within_half_a_hundredth(shares, margins, gaze):
    ego, exo, pose = (margin is not None for margin in margins)
    numbers = [*shares, *(m or 0.0 for m in margins), ego, exo, gaze, pose]
    text = render_numbers("score", numbers, "digits")
    assert "-0.00" not in text
    assert all(text.count(level) == 2 for level in LEVELS[1:])
    assert read_score(text) == pytest.approx(numbers, abs=0.005 + 1e-9)


@settings(deadline=None)
@given(st.lists(share, min_size=18, max_size=18))
def test_the_regions_are_read_back_within_half_a_hundredth(numbers):
    text = render_numbers("regions", numbers, "digits")
    rows = dict(re.findall(r"(\w+) ([\d.]+ [\d.]+ [\d.]+)", text))
    assert tuple(rows) == REGIONS
    found = [float(value) for row in rows.values() for value in row.split()]
    assert found == pytest.approx(numbers, abs=0.005 + 1e-9)


@pytest.mark.parametrize(
    ("modality", "values", "form", "said"),
    [
        ("score", [0.0] * 14, "words", "unknown form of numbers; got: 'words'"),
        ("score", [0.0] * 13, "digits", "expected: 14 finite numbers"),
        ("regions", np.full(18, np.nan), "digits", "expected: 18 finite numbers"),
    ],
)
def test_what_cannot_be_rendered_says_why(modality, values, form, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        render_numbers(modality, values, form)
