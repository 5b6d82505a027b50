"""Words that all texts of one side share at their start or end: they say nothing about any clip.

A constant prefix lifts n-gram and embedding scores of unrelated texts (BLEU-4 above 45 in one
published scorer), so scores are printed of what is left when it is cut away. What is cut depends on
the texts of the side only, and cutting is repeated until nothing is shared: the texts with any
prefix in front give the same rest.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Stripped:
    """What is left of the texts, and what was cut from all that had anything left.

    Attributes:
        texts: as many as were given; "" where a text was nothing but shared words.
        start, end: the shared words, in the order of the text.
    """

    texts: list[str]
    start: str
    end: str


def strip_shared(texts: Sequence[str]) -> Stripped:
    """Cut the words shared by all texts that are not empty, from the start, then from the end.

    One text alone shares nothing. Texts that are all the same are left empty: an answer that does
    not depend on the clip scores 0.
    """
    rest = [text.strip() for text in texts]
    start: list[str] = []
    end: list[str] = []
    while True:
        spans = [[m.span() for m in _TOKEN.finditer(text)] for text in rest]
        words = [[t[a:b] for a, b in row] for t, row in zip(rest, spans, strict=True)]
        live = [row for row in words if row]
        if len(live) < 2:
            break
        if first := _shared(live):
            start += live[0][:first]
            rest = [
                text[row[first][0] :] if len(row) > first else ""
                for text, row in zip(rest, spans, strict=True)
            ]
        elif last := _shared([row[::-1] for row in live]):
            end = live[0][-last:] + end
            rest = [
                text[: row[-last - 1][1]] if len(row) > last else ""
                for text, row in zip(rest, spans, strict=True)
            ]
        else:
            break
    return Stripped(rest, " ".join(start), " ".join(end))


def strip_references(lists: Sequence[Sequence[str]]) -> tuple[list[list[str]], Stripped]:
    """The same of all references of all clips together.

    They are left as they are where a clip would lose all its references.
    """
    flat = [text for row in lists for text in row]
    stripped = strip_shared(flat)
    left = iter(stripped.texts)
    cut = [[next(left) for _ in row] for row in lists]
    if any(not any(row) for row in cut):
        return [list(row) for row in lists], Stripped(flat, "", "")
    return [[text for text in row if text] for row in cut], stripped


def _shared(rows: Sequence[Sequence[str]]) -> int:
    """How many words all rows begin with."""
    count = 0
    for column in zip(*rows, strict=False):
        if len(set(column)) > 1:
            break
        count += 1
    return count
