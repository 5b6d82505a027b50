"""Which numbers a text states: the rule by which an answer must not say more than its feedback.

Digits count, and number words from "two" on, "twice" among them. "One", "first" and
"second" do not: they are mostly pronouns and places in an order ("one thing", "first of all").
"""

import re
from collections.abc import Collection, Sequence
from typing import Final

_COUNTED = (
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
)
_TENS = "thirty forty fifty sixty seventy eighty ninety hundred"
NUMBER_WORDS: Final = {
    **{word: str(number) for number, word in enumerate(_COUNTED.split(" "), start=2)},
    **{word: str(10 * number) for number, word in enumerate(_TENS.split(" "), start=3)},
    "thousand": "1000",
    "twice": "2",
    "thrice": "3",
    "dozen": "12",
}
_DIGITS = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[a-z]+")


def stated_numbers(text: str) -> set[str]:
    """The numbers of a text, words as digits: "three sets of 2.5 kg" -> {"3", "2.5"}."""
    digits = {found.replace(",", ".") for found in _DIGITS.findall(text)}
    words = {NUMBER_WORDS[word] for word in _WORD.findall(text.lower()) if word in NUMBER_WORDS}
    return digits | words


# While an answer is written, piece by piece: what stands for a piece that is no part of a number,
# and how many pieces a number may have.
ELSE: Final = "~"
LONGEST: Final = 16
_RUN = re.compile(r"[a-z~]+|\d+(?:[.,]\d*)*")


def part_of_a_number(piece: str) -> bool:
    """Whether a piece may be part of a number, or may end one."""
    runs = _RUN.findall(piece.lower())
    if not runs or not piece.lower().endswith(runs[-1]):
        return True  # a space or a stop ends what stands before it
    ends = {runs[0], runs[-1]}
    return any(run[0].isdigit() or any(run in word for word in NUMBER_WORDS) for run in ends) or (
        bool(stated_numbers(piece))
    )


def last_run(pieces: Sequence[str]) -> str:
    """The unfinished word or number at the end of the pieces; ELSE inside any other word."""
    text = "".join(pieces).lower()
    found = list(_RUN.finditer(text))
    if not found or found[-1].end() != len(text):
        return ""
    run = found[-1].group()
    begun = run[0].isdigit() or any(word.startswith(run) for word in NUMBER_WORDS)
    return run if begun else ELSE


def states_other(run: str, piece: str, allowed: Collection[str]) -> bool:
    """Whether `piece` after the unfinished `run` states a number, or begins one in digits, that is
    not allowed."""
    text = run + piece.lower()
    for found in _RUN.finditer(text):
        word = found.group()
        if not word[0].isdigit():
            if word in NUMBER_WORDS and NUMBER_WORDS[word] not in allowed:
                return True
            continue
        number = word.replace(",", ".")
        ended = found.end() < len(text)
        whole = number.rstrip(".")
        if whole not in allowed and (ended or not any(n.startswith(number) for n in allowed)):
            return True
    return False
