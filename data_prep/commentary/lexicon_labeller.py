"""The offline labeller: body-part words, words of praise and criticism, and a little grammar.

Each judgement (a cue, or a demand such as "needs to") belongs to the nearest noun it can be about,
by words in between; connectors make the way longer and "but" or a stop ends it. A negation shortly
before a judgement turns it round, and praise that is demanded is criticism. Idioms ("short of
vertical") are noun and judgement at once. A region's praise and criticism are added up; criticism
counts `CRITICISM_WEIGHT` times. The words are in `lexicon.yaml`.

    poise data label --evaluate FILE.jsonl --backend lexicon
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from data_prep.commentary.labels import NOTHING, Answer, Comment, Label
from data_prep.commentary.lexicon import (
    CUE,
    CUE_OF,
    DEMAND,
    HARD,
    IDIOM,
    LEXICON_FILE,
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
IDIOM_WEIGHT: Final = 1.5
LONGEST: Final = 6  # words of evidence for one region in a summary
LEAST: Final = 0.5  # what must be said of a region before it counts as mentioned
CRITICISM_WEIGHT: Final = 1.5  # the threshold, chosen by hand on development comments

_JUDGES: Final = (CUE, CUE_OF, IDIOM)


@dataclass(frozen=True)
class Judgement:
    """Something said of one region.

    Attributes:
        region: body region.
        sign: +1 praise, -1 criticism.
        weight: how sure it is that it belongs to this region.
        text: the words of it, with the noun.
    """

    region: str
    sign: int
    weight: float
    text: str


def judgements(text: str, activity: str | None = None) -> list[Judgement]:
    """All that a comment says of body regions, in its order."""
    lexicon = load_lexicon()
    words = lexicon.strip(words_of(text))
    matches = lexicon.find(words, activity)
    said = []
    for match in matches:
        judged = _judged(matches, match)
        if judged is None:
            continue
        target, weight = judged
        turned = None if match.kind == DEMAND else _turned_by(matches, match)
        sign = -1 if match.kind == DEMAND else match.sign
        sign = sign if turned is None else -sign
        parts = [m for m in (match, target, turned) if m is not None]
        start, end = min(m.start for m in parts), max(m.end for m in parts)
        said.append(Judgement(target.region, sign, weight, " ".join(words[start:end])))
    return said


def _judged(matches: Sequence[Match], match: Match) -> tuple[Match, float] | None:
    """What a match judges and how surely; None where it judges no body region."""
    if match.kind == IDIOM and match.region != OTHER:
        return match, IDIOM_WEIGHT
    if match.kind not in (CUE, CUE_OF, DEMAND):
        return None
    nearest = _nearest(matches, match)
    if nearest is None or nearest[0].region == OTHER:
        return None
    target, way = nearest
    return target, 1.0 / (1.0 + 0.2 * max(way, 0.0))


def _turned_by(matches: Sequence[Match], match: Match) -> Match | None:
    """The negation, or for praise the demand, shortly before a judgement that turns it round.

    Nothing that ends a thought may stand in between; a negation is used up by the first judgement.
    """
    judged = False
    for other in reversed([m for m in matches if m.end <= match.start]):
        gap = match.start - other.end
        if gap > DEMAND_REACH or other.kind == HARD:
            return None
        if other.kind == DEMAND and match.sign > 0:
            return other
        if other.kind == NEGATION and gap <= NEGATION_REACH and not judged:
            return other
        judged = judged or other.kind in _JUDGES
    return None


def _nearest(matches: Sequence[Match], cue: Match) -> tuple[Match, float] | None:
    """The noun a judgement belongs to; of two as near the one that follows it."""
    best: tuple[Match, float] | None = None
    for target in matches:
        if target.kind != TARGET or (cue.kind == CUE_OF and target.start < cue.start):
            continue
        way = _way(matches, cue, target)
        if way is not None and target.start > cue.start:
            way -= 0.5
        if way is not None and (best is None or way < best[1]):
            best = target, way
    return best


def _way(matches: Sequence[Match], a: Match, b: Match) -> float | None:
    """Length of the way between two matches in words, None across the end of a thought."""
    first, second = (a, b) if a.start < b.start else (b, a)
    between = [m for m in matches if first.end <= m.start and m.end <= second.start]
    if any(m.kind == HARD for m in between):
        return None
    softs = sum(m.kind == SOFT for m in between)
    length = second.start - first.end + SOFT_STEP * softs
    return length if length <= REACH else None


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


def summarise(said: Sequence[Judgement], regions: dict[str, int]) -> str:
    """One sentence: what to improve and what is right, each region with the words that say so."""
    clauses = []
    for polarity, sign, start in ((NEEDS_IMPROVEMENT, -1, "to improve"), (CORRECT, 1, "done well")):
        named = [
            f"{region} ({_words(said, region, sign)})"
            for region in REGIONS
            if regions[region] == polarity
        ]
        if named:
            clauses.append(f"{start}: {', '.join(named)}")
    text = "; ".join(clauses) if clauses else "nothing is said of any body region"
    return text[0].upper() + text[1:] + "."


def _words(said: Sequence[Judgement], region: str, sign: int) -> str:
    """The words that say it most surely, with what else is said in the same breath."""
    chosen = [j for j in said if j.region == region and j.sign == sign]
    surest = min(chosen, key=lambda j: (-j.weight, len(j.text))).text
    around = [j.text for j in chosen if surest in j.text and len(j.text.split()) <= LONGEST]
    return max([surest, *around], key=len)


def label_comment(text: str, activity: str | None = None) -> Label:
    """Summary and polarities of one comment."""
    said = judgements(text, activity)
    regions = polarities(said)
    return Label(summarise(said, regions), regions)


class LexiconLabeller:
    """The back end `lexicon`: never fails, the same answer on any machine."""

    name = "lexicon"

    def label(
        self, comments: Sequence[Comment], progress: Callable[[int, int], None]
    ) -> list[Answer]:
        """One label a comment."""
        answers: list[Answer] = []
        for number, comment in enumerate(comments, 1):
            answers.append(label_comment(comment.text, comment.activity))
            progress(number, len(comments))
        return answers

    def describe(self) -> dict[str, Any]:
        """The back end with the sha of its words."""
        sha = hashlib.sha256(LEXICON_FILE.read_bytes()).hexdigest()
        return {"backend": self.name, "lexicon_sha256": sha}
