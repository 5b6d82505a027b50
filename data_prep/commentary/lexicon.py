"""The lexicon of the offline labeller: `lexicon.yaml` compiled to matchers over a comment's words.

A comment becomes one string of words between single blanks, so that a phrase is a regular
expression over whole words and a match has word positions.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from prompts.vocabulary import REGIONS

LEXICON_FILE: Final = Path(__file__).parent / "lexicon.yaml"

# What a match is. A target is a noun that a judgement can be about, an idiom is both at once.
TARGET: Final = "target"
IDIOM: Final = "idiom"
CUE: Final = "cue"
CUE_OF: Final = "cue_of"  # said before what it judges
DEMAND: Final = "demand"
NEGATION: Final = "negation"
HARD: Final = "hard"
SOFT: Final = "soft"
OTHER: Final = "other"
SIGNS: Final = {"praise": 1, "criticism": -1}

_WORD = re.compile(r"[a-z0-9]+|[.,;:!?]")
_STOPS: Final = frozenset(".,;:!?")
_GAP: Final = r"(?: [^ .,;:!?]+){0,3}"


@dataclass(frozen=True)
class Match:
    """One phrase of the lexicon in a comment.

    Attributes:
        start, end: word positions, `end` exclusive.
        kind: one of the constants above.
        region: of a target or idiom; `OTHER` for what is no body region.
        sign: +1 praise, -1 criticism, 0 where the phrase judges nothing.
    """

    start: int
    end: int
    kind: str
    region: str = ""
    sign: int = 0


Matcher = tuple[re.Pattern[str], str, str, int]


def words_of(text: str) -> list[str]:
    """Words and stops in lower case; apostrophes go, hyphens part words."""
    return _WORD.findall(text.lower().replace("'", "").replace("’", ""))


def _expression(phrase: str) -> str:
    parts = []
    for token in phrase.split():
        if token == "...":
            parts.append(_GAP)
            continue
        optional, token = token.endswith("?"), token.removesuffix("?")
        choices = "|".join(re.escape(c).replace(r"\*", r"[^ ]*") for c in token.split("/"))
        parts.append(f"(?: (?:{choices}))" + ("?" if optional else ""))
    return "".join(parts)


@dataclass(frozen=True)
class Lexicon:
    """Matchers (expression, kind, region, sign), and the words that call for a sport's own."""

    filler: re.Pattern[str]
    general: tuple[Matcher, ...]
    sports: Mapping[str, tuple[re.Pattern[str], tuple[Matcher, ...]]]

    def strip(self, words: Sequence[str]) -> list[str]:
        """The words without those that are said without meaning, and without stammering."""
        text = self.filler.sub("", joined(words)).split()
        return [w for i, w in enumerate(text) if i == 0 or w != text[i - 1] or w.isdigit()]

    def find(self, words: Sequence[str], activity: str | None = None) -> list[Match]:
        """Matches in order, none overlapping: idioms before others, long before short."""
        text = joined(words)
        starts = {}  # character position of the blank before a word -> its number
        position = 0
        for number, word in enumerate(words):
            starts[position] = number
            position += len(word) + 1
        starts[position] = len(words)
        found = []
        for expression, kind, region, sign in self._rows(text, activity):
            for hit in expression.finditer(text):
                start, end = starts[hit.start()], starts[hit.end()]
                rank = 0 if kind == IDIOM else 1
                found.append((rank, start - end, start, Match(start, end, kind, region, sign)))
        taken = [False] * len(words)
        kept = [Match(i, i + 1, HARD) for i, word in enumerate(words) if word in _STOPS]
        for _, _, _, match in sorted(found, key=lambda row: row[:3]):
            if not any(taken[match.start : match.end]):
                taken[match.start : match.end] = [True] * (match.end - match.start)
                kept.append(match)
        return sorted(kept, key=lambda match: match.start)

    def _rows(self, text: str, activity: str | None) -> Iterator[Matcher]:
        """The sports that are spoken of first: of phrases of one length theirs are taken."""
        for sport, (words, matchers) in self.sports.items():
            if words.search(text) or sport in (activity or "").lower():
                yield from matchers
        yield from self.general


def joined(words: Sequence[str]) -> str:
    """Every word with a blank before it, and one at the end."""
    return "".join(f" {word}" for word in words) + " "


def _compile(phrases: Sequence[str]) -> re.Pattern[str]:
    longest_first = sorted(phrases, key=lambda p: (-len(p.split()), -len(p), p))
    return re.compile("(?:" + "|".join(map(_expression, longest_first)) + ")(?= )")


def _nouns_and_idioms(table: Mapping[str, Any]) -> Iterator[Matcher]:
    for name, sign in SIGNS.items():
        for region, phrases in table["idioms"][name].items():
            if phrases:
                yield _compile(phrases), IDIOM, region, sign
    if table["idioms"].get(OTHER):
        yield _compile(table["idioms"][OTHER]), IDIOM, OTHER, 0
    for region, phrases in table["parts"].items():
        yield _compile(phrases), TARGET, region, 0


def _check_regions(table: Mapping[str, Any]) -> None:
    named = set(table["parts"]).union(*(table["idioms"][name] for name in SIGNS))
    unknown = named - set(REGIONS) - {OTHER}
    if unknown:
        raise ValueError(f"unknown regions in {LEXICON_FILE.name}: {sorted(unknown)}")


@cache
def load_lexicon() -> Lexicon:
    """Read and compile `lexicon.yaml`; an unknown region in it raises ValueError."""
    # BaseLoader: plain strings, or "no" and "off" would be read as booleans.
    table = yaml.load(LEXICON_FILE.read_text("utf-8"), yaml.BaseLoader)
    for part in (table, *table["sports"].values()):
        _check_regions(part)
    general = [*_nouns_and_idioms(table)]
    general += [(_compile(table[name]), CUE, "", sign) for name, sign in SIGNS.items()]
    general += [(_compile(table[f"{name}_of"]), CUE_OF, "", sign) for name, sign in SIGNS.items()]
    general += [(_compile(table[kind]), kind, "", 0) for kind in (DEMAND, NEGATION, HARD, SOFT)]
    sports = {
        name: (_compile(sport["words"]), tuple(_nouns_and_idioms(sport)))
        for name, sport in table["sports"].items()
    }
    return Lexicon(_compile(table["filler"]), tuple(general), sports)
