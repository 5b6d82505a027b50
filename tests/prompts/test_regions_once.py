"""No region is opened twice, and nothing else is forbidden."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompts.parse import REMARK_POLARITIES, ParsedRemark, format_feedback, remark_header
from prompts.regions_once import OTHER, RegionTrack, closed_pieces, repeats, tells
from prompts.vocabulary import LEVELS, REGIONS

PIECES = ["\n", "L", "egs", "Legs", "H", "He", "ead", "ea", "ands", "Hands (", " (", "Drill:",
          "low", "D", "\nLegs", " ", "T", "needs", "<|im_end|>", ""]  # fmt: skip


def closed(text: str) -> set[str]:
    track = RegionTrack(text)
    telling = {i: piece for i, piece in enumerate(PIECES) if tells(piece)}
    return {PIECES[i] for i in closed_pieces(telling, track.place, track.named)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", set()),
        ("Legs (needs improvement): You stop.", {"\nLegs"}),
        ("Legs (needs improvement): You stop.\n", {"L", "Legs", "\nLegs"}),
        ("Legs (correct): Well.\nL", {"egs", "\nLegs"}),
        ("Legs (correct): L", {"\nLegs"}),
        ("Head (correct): Up.\n", {"He"}),
        ("Head (correct): Up.\nH", {"ead", "ea"}),
        ("Head (correct): Up.\nHands (correct): Still.\n", {"H", "He", "Hands ("}),
        ("The legs (both) are bent.\n", set()),
        ("  legs (correct): Well.\n ", {"L", "Legs", "\nLegs"}),
    ],
)
def test_what_would_open_a_named_region_is_closed(text: str, expected: set[str]) -> None:
    assert closed(text) == expected


@settings(deadline=None)
@given(st.permutations(REGIONS), st.lists(st.integers(1, 7), min_size=1, max_size=60))
def test_a_text_of_the_grammar_is_never_stopped(regions, cuts) -> None:
    """However it is cut into pieces: every piece of it may follow what stands before it."""
    remarks = [
        ParsedRemark(region, REMARK_POLARITIES[i % 2], f"Head (up) and legs low, {region}.")
        for i, region in enumerate(regions)
    ]
    text = format_feedback(LEVELS[0], remarks, "Hold the legs.")
    places = sorted({0, len(text), *(sum(cuts[:i]) for i in range(len(cuts)))})
    pieces = [text[a:b] for a, b in pairwise(places)]
    telling = {i: piece for i, piece in enumerate(pieces) if tells(piece)}
    track = RegionTrack()
    for i, piece in enumerate(pieces):
        assert i not in closed_pieces(telling, track.place, track.named), (piece, track.line)
        track.read(telling.get(i, OTHER))
    assert track.named == set(REGIONS)


@settings(deadline=None)
@given(st.sampled_from(REGIONS), st.sampled_from(REMARK_POLARITIES))
def test_every_header_of_a_named_region_is_stopped_before_its_bracket(region, polarity) -> None:
    header = remark_header(region, polarity).lower()
    named = frozenset({region})
    stops = [end for end in range(1, len(header)) if repeats(header[:end], named)]
    assert stops and stops[0] <= len(region)
    assert not any(repeats(header[:end], frozenset(REGIONS) - named) for end in stops)
