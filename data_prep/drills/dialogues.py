"""Questions about a simulated clip with the answers that its ground truth gives.

    turns = compose_turns(drill, compose_remarks(drill, rng), rng)

An answer quotes the commentary that stands before it and says what the truth knows beside it: the
order of the faults, their regions, the level, whether the learner may go on. So that an answer can
hold no number of its own, the grammar has none: numbers come with the quoted commentary, or in the
place of a call (`prompts.vocabulary.CALLS`), which the chat fills from what was measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import yaml

from data_prep.drills.commentary import DrillLike, Summary, faults_by_region
from data_prep.drills.grammar import PHRASE_FOLDER, Grammar, load_phrases, severity_word
from data_prep.drills.questions import Phrasings, Question, ask
from prompts.claims import ONE, YOUR_LEVEL, listed, told_changes, told_level
from prompts.earlier import BETTER, SAME, WORSE, render_earlier
from prompts.vocabulary import (
    CORRECT,
    LEVEL_PROBABILITY,
    LEVELS,
    MEASURED,
    MEASURED_CHANGE,
    POLARITIES,
    REGIONS,
    SHOW_CORRECTION,
    SHOW_DEMONSTRATION,
)

ANSWER_FILE: Final = PHRASE_FOLDER / "chat" / "answers.yaml"
# How often each subject is asked; the first question is what to fix first in a third of the talks.
SHARES: Final = {
    "what_to_fix_first": 0.12,
    "body_region": 0.24,
    "compare": 0.15,
    "explain_level": 0.14,
    "show_me": 0.14,
    "drill": 0.1,
    "readiness": 0.1,
    "other": 0.01,
}
FIRST_FIRST: Final = 0.35
# Fewest and most questions of a talk, and of one about nearly everything.
FEW_TURNS: Final = (2, 4)
MANY_TURNS: Final = (5, 8)
# A severity must change by this much before a region counts as better or worse.
CLEAR_CHANGE: Final = 0.15


@dataclass(frozen=True)
class Turn:
    """A question and its answer, the answer with its calls."""

    question: Question
    answer: str


@dataclass(frozen=True)
class Earlier:
    """A learner's earlier clip beside the newer one.

    Attributes:
        level: of the earlier clip.
        regions: those that needed improvement in it, the most severe first.
        changes: region to BETTER, WORSE or SAME in the newer clip.
    """

    level: str
    regions: tuple[str, ...]
    changes: Mapping[str, str]

    def __str__(self) -> str:
        """As it stands in the prompt."""
        return render_earlier(self.level, self.regions, self.changes)


def compare_drills(before: DrillLike, now: DrillLike) -> Earlier:
    """What became of a clip's faults in a later one of the same activity, by their severities.

    Raises:
        ValueError: a distractor, or two activities.
    """
    if before.level is None or before.activity != now.activity:
        raise ValueError(
            f"cannot compare {before.activity} (level {before.level}) to {now.activity}"
        )
    old, new = _worst(before), _worst(now)
    changes: dict[str, str] = {}
    for region in REGIONS:
        if region in old or region in new:
            difference = new.get(region, 0.0) - old.get(region, 0.0)
            changes[region] = (
                SAME if abs(difference) < CLEAR_CHANGE else WORSE if difference > 0 else BETTER
            )
    return Earlier(LEVELS[before.level], tuple(old), changes)


def _worst(drill: DrillLike) -> dict[str, float]:
    """Region to the severity of its worst fault, the most severe first."""
    return {region: faults[0].severity for region, faults in faults_by_region(drill).items()}


@cache
def _answers() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(ANSWER_FILE.read_text(encoding="utf-8"))["rules"]
    return found


class Answerer:
    """Answers every question about one clip from its truth and its commentary.

    Args:
        drill: the clip.
        said: its commentary, which stands in the prompt.
        earlier: an earlier clip that stands in the prompt too.
    """

    def __init__(
        self,
        drill: DrillLike,
        said: Summary,
        rng: np.random.Generator,
        earlier: Earlier | None = None,
    ) -> None:
        if drill.level is None:
            raise ValueError(f"no answer to questions about a {drill.activity}")
        self.drill, self.said, self.rng, self.earlier = drill, said, rng, earlier
        self.level = LEVELS[drill.level]
        self.faults = faults_by_region(drill, [remark.region for remark in said.remarks])
        self.first = next(iter(self.faults), None)
        self.remarks = {remark.region: remark for remark in said.remarks}

    def answer(self, question: Question) -> str:
        """The answer, with its calls."""
        make = {
            "what_to_fix_first": self._first,
            "body_region": self._region,
            "compare": self._compare,
            "explain_level": self._level,
            "show_me": self._show,
            "drill": self._drill,
            "readiness": self._ready,
            "other": lambda _: self._say("other"),
        }[question.subject]
        return make(question)

    def _say(self, rule: str, region: str | None = None, **rules: str) -> str:
        """A text of the answer grammar about one region."""
        given = {name: [text] for name, text in rules.items()}
        if region is not None:
            one = region in ONE
            given |= {
                "region": [region],
                "are": ["is" if one else "are"],
                "need": ["needs" if one else "need"],
                "come": ["comes" if one else "come"],
            }
        return Grammar({**_answers(), **given}).say(rule, self.rng)

    def _first(self, _: Question) -> str:
        if self.first is None:
            return f"{self._say('nothing')} {self.said.drill}"
        start, quote = self._say("start", self.first), self._quote(self.first)
        return f"{start} {quote} {MEASURED[self.first]} {self.said.drill}"

    def _region(self, question: Question) -> str:
        region = question.region
        assert region is not None
        if region not in self.remarks:
            return self._say("region_none", region)
        remark = self.remarks[region]
        if remark.polarity == POLARITIES[CORRECT]:
            return f"{self._say('region_good', region)} {remark.text}"
        answer = f"{self._say('region_bad', region)} {remark.text} {MEASURED[region]}"
        return f"{answer} {self._help(region)}" if self.rng.random() < 0.5 else answer

    def _help(self, region: str) -> str:
        """The cue for the worst fault of a region."""
        fault = self.faults[region][0]
        phrases = load_phrases(self.drill.activity)
        rules = phrases.for_fault(fault.name, fault.severity).rules
        return Grammar({**rules, **_answers()}, severity_word(fault.severity)).say("help", self.rng)

    def _compare(self, _: Question) -> str:
        if self.earlier is None:
            return self._say("no_earlier")
        changed = told_changes(self.earlier.changes)
        what = self._say("versus", changes=changed) if changed else self._say("versus_none")
        level = f"{YOUR_LEVEL} {told_level(self.earlier.level, self.level)}."
        left = self._say("all_fixed") if self.first is None else self._say("still", self.first)
        return f"{what} {MEASURED_CHANGE} {level} {left}"

    def _level(self, _: Question) -> str:
        level = self._say("your_level", level=self.level)
        meaning = Grammar({"meaning": _answers()["meaning"][self.level]}).say("meaning", self.rng)
        parts = [level, meaning, LEVEL_PROBABILITY]
        if self.first is None:
            return " ".join([*parts, self._say("held_up")])
        return " ".join([*parts, self._say("held_back", regions=listed(list(self.faults)))])

    def _show(self, question: Question) -> str:
        rule, call = "demonstration", SHOW_DEMONSTRATION
        if question.correction:
            rule, call = "correction", SHOW_CORRECTION
        watch = self._say("watch_all") if self.first is None else self._say("watch", self.first)
        return f"{self._say(rule)} {call} {watch}"

    def _drill(self, _: Question) -> str:
        if self.first is None:
            return f"{self._say('practise_on')} {self.said.drill}"
        return f"{self._say('practise', self.first)} {self.said.drill}"

    def _ready(self, _: Question) -> str:
        if self.first is None:
            return f"{self._say('ready')} {self.said.drill}"
        worst = max(fault.severity for faults in self.faults.values() for fault in faults)
        rule = "almost" if severity_word(worst) == "slight" else "not_yet"
        return f"{self._say(rule, self.first)} {self._quote(self.first)}"

    def _quote(self, region: str) -> str:
        """The first sentence of the remark on a region."""
        sentence, more, _ = self.remarks[region].text.partition(". ")
        return sentence + "." if more else sentence


def compose_turns(
    drill: DrillLike,
    said: Summary | None,
    rng: np.random.Generator,
    *,
    earlier: Earlier | None = None,
    kind: Phrasings = "train",
    count: tuple[int, int] = FEW_TURNS,
) -> list[Turn]:
    """Questions on different subjects with their answers; [] for a distractor.

    Args:
        said: the commentary that stands before them, as `compose_remarks` made it.
        earlier: an earlier clip; then the comparison is always asked for.
        count: the fewest and the most questions.
    """
    if said is None:
        return []
    names, shares = list(SHARES), np.array(list(SHARES.values()))
    asked = int(rng.integers(count[0], count[1] + 1))
    subjects = rng.choice(names, asked, replace=False, p=shares / shares.sum()).tolist()
    if earlier is not None and "compare" not in subjects:
        subjects[int(rng.integers(asked))] = "compare"
    if rng.random() < FIRST_FIRST:
        subjects = ["what_to_fix_first"] + [s for s in subjects if s != "what_to_fix_first"]
    answerer = Answerer(drill, said, rng, earlier)
    turns = []
    for subject in subjects:
        region = _asked_region(answerer, rng) if subject == "body_region" else None
        question = ask(subject, drill.activity, rng, region=region, kind=kind)
        turns.append(Turn(question, answerer.answer(question)))
    return turns


def _asked_region(answerer: Answerer, rng: np.random.Generator) -> str:
    """A region that the commentary names, or in a third of the cases any."""
    named = list(answerer.remarks)
    choice = named if named and rng.random() < 2 / 3 else list(REGIONS)
    return choice[int(rng.integers(len(choice)))]
