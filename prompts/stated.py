"""Which numbers a text states: the rule by which an answer must not say more than its feedback.

Digits count, and number words from "two" on, "twice" among them. "One", "first" and
"second" do not: they are mostly pronouns and places in an order ("one thing", "first of all").
"""

import re
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
