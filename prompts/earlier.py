"""How a chat tells of the learner's earlier clip, for training and for chat alike: what stands in
the prompt, and what an answer may claim of the change."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from prompts.render import render_template
from prompts.vocabulary import LEVELS

BETTER: Final = "better"
WORSE: Final = "worse"
SAME: Final = "the same"
NOTHING: Final = "nothing changed that I can see"
# Regions of which one says "is".
ONE: Final = ("head", "torso")
# The words after which an answer claims how the regions and the level have changed.
LAST_TIME: Final = " last time,"
YOUR_LEVEL: Final = "Your level"


def render_earlier(level: str, regions: Sequence[str], changes: Mapping[str, str]) -> str:
    """The user turn that stands after the commentary of the newer clip.

    Args:
        level: of the earlier clip.
        regions: those that needed improvement in it, the first to fix first.
        changes: region to BETTER, WORSE or SAME in the newer clip, where it was measured in both.
    """
    return render_template(
        "earlier",
        level=level,
        regions=", ".join(regions),
        changes=", ".join(f"{region} {change}" for region, change in changes.items()),
    )


def told_changes(changes: Mapping[str, str]) -> str:
    """ "your head and legs are better, your torso is worse"; "" where nothing changed clearly."""
    told = []
    for kind in (BETTER, WORSE):
        regions = [region for region, change in changes.items() if change == kind]
        if regions:
            one = len(regions) == 1 and regions[0] in ONE
            told.append(f"your {listed(regions)} {'is' if one else 'are'} {kind}")
    return ", ".join(told)


def told_level(before: str, level: str) -> str:
    """How the level stands to the earlier one: "rose from Novice to Early Expert"."""
    rank = LEVELS.index(level) - LEVELS.index(before)
    if not rank:
        return f"is still {level}"
    return f"{'rose' if rank > 0 else 'fell'} from {before} to {level}"


def true_claims(before: str, level: str, changes: Mapping[str, str]) -> dict[str, list[str]]:
    """What an answer may say of the change: after these words it goes on with one of these texts.

    Args:
        before, level: of the earlier and of the newer clip.
        changes: as `render_earlier`.
    """
    changed = told_changes(changes) or NOTHING
    return {
        LAST_TIME: [f" {changed}."],
        YOUR_LEVEL: [f" {told_level(before, level)}.", f" is {level}."],
    }


def false_claims(text: str, claims: Mapping[str, Sequence[str]]) -> list[str]:
    """What a text says after the words of `true_claims` that is none of their texts, to the end of
    its sentence."""
    return [
        said.group()
        for lead, ends in claims.items()
        for said in re.finditer(re.escape(lead) + r"[^.]*\.?", text)
        if said.group().removeprefix(lead) not in ends
    ]


def listed(texts: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *some, last = texts
    return f"{', '.join(some)} and {last}" if some else last
