"""The offline labeller: body-part words, words of praise and criticism, and a little grammar.

Each judgement (a cue, or a demand such as "needs to") belongs to the nearest noun it can be about,
by words in between; connectors make the way longer and "but" or a stop ends it. A negation shortly
before a judgement turns it round. Idioms ("short of vertical") are noun and judgement at once.
A region's praise and criticism are added up; criticism counts `CRITICISM_WEIGHT` times.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from data_prep.commentary.labels import NOTHING, Answer, Comment, Label
from data_prep.commentary.lexicon import (
    CONSEQUENCE,
    CUE,
    DEMAND,
    HARD,
    IDIOM,
    NEGATION,
    OTHER,
    SOFT,
    TARGET,
    Match,
    load_lexicon,
    words_of,
)
from prompts.vocabulary import CORRECT, NEEDS_IMPROVEMENT, REGIONS

REACH: Final = 6.0  # words between a judgement and its noun, a connector counting SOFT_STEP more
SOFT_STEP: Final = 2.0
NEGATION_REACH: Final = 3
DEMAND_REACH: Final = 5
CONSEQUENCE_REACH: Final = 7
CONSEQUENCE_WEIGHT: Final = 0.3
LEAST: Final = 0.5  # what must be said of a region before it counts as mentioned
IDIOM_WEIGHT: Final = 1.5
CRITICISM_WEIGHT: Final = 1.5  # the one threshold, chosen by hand on development comments


@dataclass(frozen=True)
class Judgement:
    """Something said of one region.

    Attributes:
        region: body region.
        sign: +1 praise, -1 criticism.
        weight: how sure it is that it belongs to this region.
        part, word: the noun and the judging words as said.
    """

    region: str
    sign: int
    weight: float
    part: str
    word: str


def _turned(matches: Sequence[Match], match: Match) -> bool:
    """Whether a negation, or for praise a demand, stands shortly before a judgement.

    Nothing that ends a thought may stand in between; a negation is used up by the first judgement.
    """
    judged = False
    for other in reversed([m for m in matches if m.end <= match.start]):
        if match.start - other.end > DEMAND_REACH or other.kind == HARD:
            return False
        if other.kind == DEMAND and match.sign > 0:
            return True
        near = match.start - other.end <= NEGATION_REACH
        if other.kind == NEGATION and near and not judged:
            return True
        judged = judged or other.kind in (CUE, IDIOM)
    return False


def _leads_to(matches: Sequence[Match], match: Match) -> bool:
    """Whether a judgement is about what something leads to."""
    for other in reversed([m for m in matches if m.end <= match.start]):
        if match.start - other.end > CONSEQUENCE_REACH or other.kind == HARD:
            return False
        if other.kind == CONSEQUENCE:
            return True
    return False


def _way(matches: Sequence[Match], a: Match, b: Match) -> float | None:
    """Length of the way between two matches in words, None across the end of a thought."""
    first, second = (a, b) if a.start < b.start else (b, a)
    between = [m for m in matches if first.end <= m.start and m.end <= second.start]
    if any(m.kind == HARD for m in between):
        return None
    softs = sum(m.kind == SOFT for m in between)
    length = second.start - first.end + SOFT_STEP * softs
    return length if length <= REACH else None


def _nearest(matches: Sequence[Match], cue: Match) -> tuple[Match, float] | None:
    """The noun a judgement belongs to; of two as near the one that follows it."""
    best: tuple[Match, float] | None = None
    for target in matches:
        if target.kind not in (TARGET, OTHER):
            continue
        way = _way(matches, cue, target)
        if way is not None and target.start > cue.start:
            way -= 0.5
        if way is not None and (best is None or way < best[1]):
            best = target, way
    return best


def judgements(text: str, activity: str | None = None) -> list[Judgement]:
    """All that a comment says of body regions, in its order."""
    lexicon = load_lexicon()
    words = lexicon.strip(words_of(text))
    matches = lexicon.find(words, activity)
    said = []

    def spoken(match: Match) -> str:
        return " ".join(words[match.start : match.end])

    for match in matches:
        share = CONSEQUENCE_WEIGHT if _leads_to(matches, match) else 1.0
        sign = -match.sign if match.kind != DEMAND and _turned(matches, match) else match.sign
        if match.kind == IDIOM and match.region != OTHER:
            said.append(Judgement(match.region, sign, share * IDIOM_WEIGHT, spoken(match), ""))
        elif match.kind in (CUE, DEMAND):
            found = _nearest(matches, match)
            if found is None or found[0].region == OTHER:
                continue
            target, way = found
            weight = share / (1.0 + 0.2 * max(way, 0.0))
            sign = -1 if match.kind == DEMAND else sign
            said.append(Judgement(target.region, sign, weight, spoken(target), spoken(match)))
    return said


def polarities(said: Sequence[Judgement]) -> dict[str, int]:
    """Six polarities from what was said of each region."""
    regions = dict(NOTHING)
    for region in REGIONS:
        praise = sum(j.weight for j in said if j.region == region and j.sign > 0)
        criticism = sum(j.weight for j in said if j.region == region and j.sign < 0)
        if max(praise, criticism) >= LEAST:
            better = praise > CRITICISM_WEIGHT * criticism
            regions[region] = CORRECT if better else NEEDS_IMPROVEMENT
    return regions


def label_comment(text: str) -> Label:
    said = judgements(text)
    return Label("", polarities(said))
