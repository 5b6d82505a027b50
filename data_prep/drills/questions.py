"""Questions as learners type them, from the grammar `phrases/chat/questions.yaml`.

A question is a phrasing with its slots filled, with a greeting or thanks now and then, and typed
the way people type: small letters, no question mark, short forms, a slip of the finger. Some
phrasings are held out from training, to measure how the model takes those that it never saw.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

import numpy as np
import yaml

from data_prep.drills.grammar import PHRASE_FOLDER, Grammar, capitalise

QUESTION_FILE: Final = PHRASE_FOLDER / "chat" / "questions.yaml"
Phrasings = Literal["train", "held_out"]
CORRECTION: Final = "_correction"
SHORT_FORMS: Final = {
    "you": "u",
    "are": "r",
    "please": "pls",
    "what is": "whats",
    "how is": "hows",
    "going to": "gonna",
    "want to": "wanna",
    "give me": "gimme",
    "because": "cause",
    "right now": "rn",
    "with": "w",
    "do not": "dont",
    "cannot": "cant",
    "I am": "im",
    "and": "n",
    "for": "4",
    "to": "2",
    "video": "vid",
    "exercise": "excercise",
    "before": "b4",
    "your": "ur",
    "thanks": "thx",
}


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        text: as typed.
        subject: one of `prompts.vocabulary.SUBJECTS`, or "other" where it is about no clip.
        region: asked about, with the subject "body_region".
        correction: of the subject "show_me", whether the learner's own movement is asked for.
    """

    text: str
    subject: str
    region: str | None = None
    correction: bool = False


@cache
def _phrases() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(QUESTION_FILE.read_text(encoding="utf-8"))
    return found


def asked_subjects() -> list[str]:
    """The subjects that have phrasings."""
    return list(_phrases()["subjects"])


def phrasings(subject: str, kind: Phrasings = "train", *, correction: bool = False) -> list[str]:
    """The phrasings of a subject, slots open."""
    found: list[str] = _phrases()["subjects"][subject][kind + CORRECTION * correction]
    return found


def ask(
    subject: str,
    activity: str,
    rng: np.random.Generator,
    *,
    region: str | None = None,
    kind: Phrasings = "train",
) -> Question:
    """One question on a subject, drawn from its phrasings and typed."""
    correction = subject == "show_me" and bool(rng.random() < 0.5)
    texts = phrasings(subject, kind, correction=correction)
    told = _phrases()
    rules = {**told["rules"], "move": told["moves"][activity]}
    if region is not None:
        rules["part"] = told["parts"][region]
    grammar = Grammar(rules)
    text = grammar.fill(texts[int(rng.integers(len(texts)))], rng)
    return Question(typed(_agree(text), grammar, rng), subject, region, correction)


def _agree(text: str) -> str:
    """ "an exercise", "a demo": the article as its word wants it."""
    words = text.split(" ")
    for i, word in enumerate(words[:-1]):
        if word.lower() in ("a", "an"):
            vowel = words[i + 1][:1].lower() in "aeio"
            words[i] = word[0] + ("n" if vowel else "")
    return " ".join(words)


def typed(text: str, grammar: Grammar, rng: np.random.Generator) -> str:
    """The text as somebody in a hurry types it; about every third stays as it is."""
    if rng.random() < 0.2:
        text = f"{capitalise(grammar.say('hello', rng))}, {text[:1].lower()}{text[1:]}"
    if rng.random() < 0.15:
        text = f"{text[:-1]}, {grammar.say('bye', rng)}{text[-1]}"
    if rng.random() < 0.35:
        return text
    if rng.random() < 0.25:
        text = _shorten(text, rng)
    if rng.random() < 0.25:
        text = _slip(text, rng)
    if rng.random() < 0.7:
        text = text.lower()
    if rng.random() < 0.6:
        text = text.rstrip("?.!")
    if rng.random() < 0.3:
        text = text.replace(",", "").replace("'", "")
    return text if rng.random() < 0.93 else text + "??"


def _shorten(text: str, rng: np.random.Generator) -> str:
    """Some words in their short forms."""
    padded = f" {text} "
    for long, short in SHORT_FORMS.items():
        if f" {long} " in padded and rng.random() < 0.5:
            padded = padded.replace(f" {long} ", f" {short} ")
    return padded.strip()


def _slip(text: str, rng: np.random.Generator) -> str:
    """One slip of the finger inside a word: two letters swapped, one lost, or one twice."""
    places = [i for i in range(1, len(text) - 2) if text[i : i + 2].isalpha()]
    if not places:
        return text
    i = places[int(rng.integers(len(places)))]
    kind = int(rng.integers(3))
    middle = (text[i + 1] + text[i], text[i], text[i : i + 2] + text[i + 1])[kind]
    return text[:i] + middle + text[i + 2 :]
