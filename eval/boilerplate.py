"""Words that all texts of one side share at their start or end: they say nothing about any clip.

A constant prefix lifts n-gram and embedding scores of unrelated texts (BLEU-4 above 45 in one
published scorer), so scores are printed of what is left when it is cut away. What is cut depends on
the texts of the side only, and cutting is repeated until nothing is shared: the texts with any
prefix in front give the same rest. Remarks that all answers share are cut as a whole, wherever they
stand.
"""

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from prompts.parse import DRILL_PREFIX, REMARK_POLARITIES
from prompts.vocabulary import REGIONS

_TOKEN: Final = re.compile(r"\w+|[^\w\s]")
_POLARITY: Final = "|".join(REMARK_POLARITIES).replace("_", "[_ ]")
# Where a remark or the drill begins, also in the middle of a line.
_HEADER: Final = re.compile(
    rf"(?=\b(?:{'|'.join(REGIONS)})\s*\((?:{_POLARITY})\)\s*:)|(?=\b{DRILL_PREFIX})",
    re.IGNORECASE,
)


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


def shared_items(rows: Sequence[Sequence[Hashable]]) -> tuple[list[list[bool]], list[Hashable]]:
    """Which items of each row to keep, and those that all rows with anything in them share.

    An item that stands twice in a row is shared once for each time that all rows have it. Repeated
    until nothing is shared, so that the same items put into every row change nothing of the rest.
    One row alone shares nothing.
    """
    kept = [[True] * len(row) for row in rows]
    cut: list[Hashable] = []
    while True:
        left = [
            Counter(item for item, keep in zip(row, mask, strict=True) if keep)
            for row, mask in zip(rows, kept, strict=True)
        ]
        live = [found for found in left if found]
        shared = live[0].copy() if len(live) > 1 else Counter()
        for found in live:
            shared &= found
        if not shared:
            return kept, cut
        cut += shared.elements()
        for row, mask in zip(rows, kept, strict=True):
            todo = shared.copy()
            for place, item in enumerate(row):
                if mask[place] and todo[item]:
                    mask[place] = False
                    todo[item] -= 1


def strip_shared_remarks(commentaries: Sequence[str]) -> tuple[list[str], list[str]]:
    """Commentaries in the output grammar without the remarks and lines that all of them share, and
    what was cut: a remark (header and text) that is said of every clip says nothing about any.

    They are cut before the answers are read: a remark put in front would displace one on the same
    region.
    """
    parts = [_parts(text) for text in commentaries]
    kept, cut = shared_items([[text for _, text in row] for row in parts])
    found = []
    for row, mask in zip(parts, kept, strict=True):
        lines: list[str] = []
        new_line = True
        for (begins, text), keep in zip(row, mask, strict=True):
            new_line |= begins
            if keep and new_line:
                lines.append(text)
            elif keep:
                lines[-1] += f" {text}"
            new_line &= not keep
        found.append("\n".join(lines))
    return found, [str(text) for text in cut]


def _parts(commentary: str) -> list[tuple[bool, str]]:
    """What stands between line ends and headers, and whether it begins a line."""
    found = []
    for line in commentary.split("\n"):
        begins = True
        for part in filter(None, (" ".join(part.split()) for part in _HEADER.split(line))):
            found.append((begins, part))
            begins = False
    return found
