"""At most one remark a region, said piece by piece: what may not follow a text.

The reader keeps the first remark on a region (`prompts.parse`); a second one is wasted and at times
contradicts it. What stands here knows texts only, no model and no library, so that any engine can
ask which entries of its vocabulary must not come next.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from prompts.vocabulary import REGIONS

# Stands for every piece that tells nothing of where a remark begins.
OTHER: Final = "-"


class RegionTrack:
    """Which regions a commentary has named so far, fed with the text as it is written.

    Attributes:
        line: the last, unfinished line, in lower case and without the space that readers strip.
        named: regions of which a remark has begun: they begin a line, followed by a bracket.
    """

    def __init__(self, text: str = "") -> None:
        self.line = ""
        self.named: frozenset[str] = frozenset()
        self.read(text)

    def read(self, text: str) -> None:
        """Go on by what was written next."""
        *finished, self.line = (line.lstrip() for line in (self.line + text.lower()).split("\n"))
        for line in (*finished, self.line):
            name, bracket, _ = line.partition("(")
            if bracket and name.strip() in REGIONS:
                self.named |= {name.strip()}

    @property
    def place(self) -> str:
        """The line as far as a region may begin like it, else `OTHER`: all that matters of it."""
        return self.line if any(region.startswith(self.line) for region in REGIONS) else OTHER


def tells(piece: str) -> bool:
    """Whether a piece may be part of where a remark begins; any other may be read as `OTHER`."""
    return not piece.strip() or "\n" in piece or "(" in piece or _part_of_a_region(piece)


def closed_pieces(pieces: Mapping[int, str], place: str, named: frozenset[str]) -> tuple[int, ...]:
    """Which of `pieces` would open a region of `named` again.

    Those that may begin another region, the drill and the end of the answer stay open.

    Args:
        pieces: the text of those entries of a vocabulary that `tells` something.
        place, named: of the `RegionTrack` of the text so far.
    """
    if not named:
        return ()
    return tuple(i for i, piece in pieces.items() if _reopens(place, piece, named))


@lru_cache(maxsize=1 << 16)  # the answers of a batch ask the same
def _reopens(place: str, piece: str, named: frozenset[str]) -> bool:
    return _part_of_a_region(piece) and repeats(RegionTrack(place + piece).line, named)


def repeats(line: str, named: frozenset[str]) -> bool:
    """Whether a line that has come this far can only be a remark on a region of `named`.

    "h" may still become hands when the head was named; "hea" may not.
    """
    word, bracket, _ = line.partition("(")
    if bracket:
        return word.strip() in named
    could_be = [region for region in REGIONS if region.startswith(word.rstrip())]
    return bool(word) and bool(could_be) and named.issuperset(could_be)


def _part_of_a_region(piece: str) -> bool:
    """Whether a piece, apart from case, space and a bracket, is some letters of a region's name."""
    letters = piece.lower().partition("(")[0].strip()
    return bool(letters) and any(letters in region for region in REGIONS)
