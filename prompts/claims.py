"""What a chat answer claims of a clip and of the change since an earlier one, and what is true.

The dialogues to learn from say the same (`data_prep.drills.dialogues`; a test holds both together).
An engine lets an answer go on after the words of a claim with what is true only
(`assistant.engine.constraints.TrueClaims`).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from prompts.earlier import BETTER, WORSE
from prompts.vocabulary import LEVELS

NOTHING: Final = "nothing that I can see"
UNCHANGED: Final = "nothing changed that I can see"
# Region names that stand in the singular.
ONE: Final = ("head", "torso")
# The words after which an answer claims something: of the change of the regions, of the level, and
# of what the level comes from.
LAST_TIME: Final = " last time,"
YOUR_LEVEL: Final = "Your level"
HOLDS_BACK: Final = "What holds you back:"
COMES_FROM: Final = "The level comes from your"


def true_claims(
    level: str,
    to_improve: Sequence[str],
    before: str | None = None,
    changes: Mapping[str, str] | None = None,
) -> dict[str, list[str]]:
    """What an answer may say: after these words it goes on with one of these texts.

    Args:
        level: of the clip.
        to_improve: its regions that need improvement.
        before: level of the earlier clip where there is one.
        changes: region to BETTER, WORSE or SAME since then.
    """
    regions = f" {listed(to_improve) if to_improve else NOTHING}."
    claims = {HOLDS_BACK: [regions], COMES_FROM: [regions], YOUR_LEVEL: [f" is {level}."]}
    if before is not None:
        claims[YOUR_LEVEL].append(f" {told_level(before, level)}.")
        claims[LAST_TIME] = [f" {told_changes(changes or {}) or UNCHANGED}."]
    return claims


def false_claims(text: str, claims: Mapping[str, Sequence[str]]) -> list[str]:
    """What a text says after the words of `true_claims` that is none of their texts, to the end of
    its sentence."""
    return [
        said.group()
        for lead, ends in claims.items()
        for said in re.finditer(re.escape(lead) + r"[^.]*\.?", text)
        if said.group().removeprefix(lead) not in ends
    ]


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


def listed(texts: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *some, last = texts
    return f"{', '.join(some)} and {last}" if some else last
