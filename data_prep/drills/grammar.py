"""A small text grammar: templates with nested slots, read from `phrases/*.yaml`.

`{name}` in a text is replaced by one text of the rule `name`, `{Name}` by the same with a capital
first letter; rules nest. A rule is a list of texts, or one list for each severity word. Reading
checks that every slot names a rule, so a misspelt slot fails at once and not in one text of
thousands.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any, Final

import numpy as np
import yaml

PHRASE_FOLDER: Final = Path(__file__).parent / "phrases"
SEVERITIES: Final = ("slight", "clear", "severe")

# Severities are drawn around 0.3, 0.6 and 1.0; the words change half-way between them.
SEVERITY_BORDERS: Final = (0.45, 0.8)

Rule = Sequence[str] | Mapping[str, Sequence[str]]


def severity_word(severity: float) -> str:
    """The word class of a fault's severity in 0..1."""
    return SEVERITIES[sum(severity >= border for border in SEVERITY_BORDERS)]


def capitalise(text: str) -> str:
    """The text with a capital first letter, the rest as it is."""
    return text[:1].upper() + text[1:]


@cache
def _parts(template: str) -> tuple[tuple[str, str | None], ...]:
    """The template as (literal text, slot after it or None)."""
    return tuple((literal, slot) for literal, slot, _, _ in Formatter().parse(template))


def slots(template: str) -> set[str]:
    """The names of the rules that a template asks for."""
    return {slot.lower() for _, slot in _parts(template) if slot}


@dataclass(frozen=True)
class Grammar:
    """Rules by name.

    Attributes:
        rules: the texts of each rule.
        severity: which list a rule with one list for each severity gives.
    """

    rules: Mapping[str, Rule]
    severity: str = "clear"

    def extend(self, rules: Mapping[str, Rule], severity: str | None = None) -> "Grammar":
        """A grammar with further rules; a name that is known already is replaced."""
        chosen = self.severity if severity is None else severity
        return Grammar({**self.rules, **rules}, chosen)

    def texts(self, name: str) -> Sequence[str]:
        """The texts of a rule, for this grammar's severity.

        Raises:
            KeyError: no such rule; the message lists the known ones.
        """
        if name not in self.rules:
            raise KeyError(f"unknown rule {name!r}; known: {', '.join(sorted(self.rules))}")
        rule = self.rules[name]
        return rule[self.severity] if isinstance(rule, Mapping) else rule

    def say(self, name: str, rng: np.random.Generator) -> str:
        """One text of the rule `name`, drawn uniformly, all slots filled."""
        texts = self.texts(name)
        return self.fill(texts[int(rng.integers(len(texts)))], rng)

    def fill(self, template: str, rng: np.random.Generator) -> str:
        """The template with its slots filled."""
        said = []
        for literal, slot in _parts(template):
            said.append(literal)
            if slot:
                text = self.say(slot.lower(), rng)
                said.append(capitalise(text) if slot[0].isupper() else text)
        return "".join(said)

    def unknown_slots(self, templates: Iterable[str]) -> list[str]:
        """Slots, of these templates or of what they lead to, that name no rule."""
        missing: set[str] = set()
        seen: set[str] = set()
        open_texts = list(templates)
        while open_texts:
            for name in slots(open_texts.pop()) - seen:
                seen.add(name)
                if name in self.rules:
                    open_texts += _flat(self.rules[name])
                else:
                    missing.add(name)
        return sorted(missing)


def _flat(rule: Rule) -> Iterator[str]:
    for texts in rule.values() if isinstance(rule, Mapping) else (rule,):
        yield from texts


@dataclass(frozen=True)
class ActivityPhrases:
    """All texts of one activity.

    Attributes:
        grammar: the common rules with the activity's own.
        faults: fault name to its rules (clause, when, why, cue, exercise, part).
        praise: region to its rules (clause, gain); the order is the order of mention.
        spoken: the rules of the spoken register.
        dialogue: topic to its rules (ask, answer, none, praised).
    """

    grammar: Grammar
    faults: Mapping[str, Mapping[str, Rule]]
    praise: Mapping[str, Mapping[str, Rule]]
    spoken: Mapping[str, Rule]
    dialogue: Mapping[str, Mapping[str, Rule]]

    def for_fault(self, name: str, severity: float) -> Grammar:
        """The grammar in which clause, cue and the others speak of one fault."""
        return self.grammar.extend(self.faults[name], severity_word(severity))

    def for_praise(self, region: str) -> Grammar:
        """The grammar in which the clause praises one region."""
        return self.grammar.extend(self.praise[region])


def phrase_activities() -> list[str]:
    """The activities that have phrases."""
    return sorted(path.stem for path in PHRASE_FOLDER.glob("*.yaml") if path.stem != "common")


def _read(name: str) -> dict[str, Any]:
    return yaml.safe_load((PHRASE_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


@cache
def load_phrases(activity: str) -> ActivityPhrases:
    """Read and check the phrases of one activity.

    Raises:
        KeyError: an activity without phrases; the known ones are listed.
        ValueError: a slot that names no rule.
    """
    if activity not in phrase_activities():
        raise KeyError(f"no phrases for {activity!r}; known: {', '.join(phrase_activities())}")
    common, own = _read("common"), _read(activity)
    phrases = ActivityPhrases(
        grammar=Grammar(common["rules"]).extend(own["rules"]),
        faults=own["faults"],
        praise=own["praise"],
        spoken=common["spoken"],
        dialogue=common["dialogue"],
    )
    _check(activity, phrases)
    return phrases


def _check(activity: str, phrases: ActivityPhrases) -> None:
    """Every text that can be said of a fault or of a region done well must fill its slots."""
    speech = phrases.grammar.extend({"filler": phrases.spoken["filler"]})
    of_fault = ["{problem}", "{advice}", "{drill}", *_flat(phrases.spoken["fault"])]
    of_praise = ["{praise}", *_flat(phrases.spoken["praise"])]
    missing = []
    for table, texts in ((phrases.faults, of_fault), (phrases.praise, of_praise)):
        for name, rules in table.items():
            missing += [f"{name}: {slot}" for slot in speech.extend(rules).unknown_slots(texts)]
    if missing:
        raise ValueError(f"phrases of {activity} ask for rules that do not exist: {missing}")
