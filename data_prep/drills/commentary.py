"""What an expert would say about a simulated drill: summary, speech and dialogue.

Everything is drawn from the phrase grammar (`phrases/*.yaml`) by the caller's random generator, so
the same drill and seed give the same words. The summary has a fixed order, which a small language
model learns quickly: what needs improvement first, the most severe region first unless the
caller names an order, then at most two regions done well, then one sentence on what to practise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from data_prep.drills.grammar import ActivityPhrases, Grammar, load_phrases
from prompts.parse import LABEL_FIRST, ParsedRemark, format_feedback
from prompts.vocabulary import CORRECT, LEVELS, POLARITIES

# At most two regions done well, one where many are not, so that a summary stays short.
MOST_PRAISED: Final = 2
MANY_FAULTY: Final = 3

# Dialogue topics about the most severe fault; each pair follows the opening question.
FOLLOW_UPS: Final = ("why", "when", "cue", "practise")


class FaultLike(Protocol):
    """A fault of a drill: its name in the registry, its region, its severity in 0..1."""

    @property
    def name(self) -> str:
        """Name in the fault registry."""
        ...

    @property
    def region(self) -> str:
        """The body region it is seen in."""
        ...

    @property
    def severity(self) -> float:
        """Between 0 and 1."""
        ...


class DrillLike(Protocol):
    """What the text needs to know of a drill."""

    @property
    def activity(self) -> str:
        """Name of the activity."""
        ...

    @property
    def level(self) -> int | None:
        """0..3, or None for a distractor."""
        ...

    @property
    def faults(self) -> Sequence[FaultLike]:
        """Injected faults, one each or one a repetition."""
        ...

    @property
    def regions(self) -> Mapping[str, int]:
        """Polarity of each region, 0 needs improvement, 1 correct, 2 not mentioned."""
        ...


@dataclass(frozen=True)
class Summary:
    """The summary commentary of one clip, before it is written in the output grammar."""

    level: str
    remarks: tuple[ParsedRemark, ...]
    drill: str

    def __str__(self) -> str:
        """The summary in the output grammar, the label first."""
        return self.written(LABEL_FIRST)

    def written(self, form: str) -> str:
        """The summary in the output grammar, in one of its forms."""
        return format_feedback(self.level, self.remarks, self.drill, form)


def faults_by_region(drill: DrillLike, order: Sequence[str] = ()) -> dict[str, list[FaultLike]]:
    """The faults of each faulty region, the most severe first, in both the regions and in each.

    A fault that was drawn in several repetitions counts once, with its greatest severity.

    Args:
        order: regions that come first, in this order.
    """
    worst: dict[str, FaultLike] = {}
    for fault in drill.faults:
        if fault.name not in worst or fault.severity > worst[fault.name].severity:
            worst[fault.name] = fault
    by_region: dict[str, list[FaultLike]] = {}
    for fault in sorted(worst.values(), key=lambda fault: (-fault.severity, fault.name)):
        by_region.setdefault(fault.region, []).append(fault)
    first = {region: by_region[region] for region in order if region in by_region}
    return first | by_region


def praised_regions(drill: DrillLike) -> list[str]:
    """Regions done well that the summary mentions: the first ones in the activity's order."""
    faulty = faults_by_region(drill)
    order = load_phrases(drill.activity).praise
    right = [name for name in order if drill.regions.get(name) == CORRECT and name not in faulty]
    return right[: 1 if len(faulty) >= MANY_FAULTY else MOST_PRAISED]


def _fault_text(
    phrases: ActivityPhrases, faults: list[FaultLike], alone: bool, rng: np.random.Generator
) -> str:
    """One sentence a fault; where it is the only one, a sentence of advice follows."""
    grammars = [phrases.for_fault(fault.name, fault.severity) for fault in faults]
    sentences = [grammar.say("problem", rng) for grammar in grammars]
    if alone:
        sentences.append(grammars[0].say("advice", rng))
    return " ".join(sentences)


def compose_remarks(
    drill: DrillLike, rng: np.random.Generator, order: Sequence[str] = ()
) -> Summary | None:
    """The summary as records; None for a distractor, of which there is nothing to say.

    Args:
        order: of the faulty regions (`faults_by_region`); the drill is for the first fault.
    """
    if drill.level is None:
        return None
    phrases = load_phrases(drill.activity)
    faulty = faults_by_region(drill, order)
    needs_improvement, correct = POLARITIES[:2]
    remarks = []
    for region, faults in faulty.items():
        text = _fault_text(phrases, faults, len(faulty) == len(faults) == 1, rng)
        remarks.append(ParsedRemark(region, needs_improvement, text))
    for region in praised_regions(drill):
        text = phrases.for_praise(region).say("praise", rng)
        remarks.append(ParsedRemark(region, correct, text))
    return Summary(LEVELS[drill.level], tuple(remarks), _drill_sentence(phrases, faulty, rng))


def _drill_sentence(
    phrases: ActivityPhrases, faulty: dict[str, list[FaultLike]], rng: np.random.Generator
) -> str:
    if not faulty:
        return phrases.grammar.say("keep_drill", rng)
    first = next(iter(faulty.values()))[0]
    return phrases.for_fault(first.name, first.severity).say("drill", rng)


def compose_summary(
    drill: DrillLike,
    rng: np.random.Generator,
    form: str = LABEL_FIRST,
    *,
    order: Sequence[str] = (),
) -> str:
    """Label and commentary in the output grammar, the language model's target; "" if none.

    Args:
        form: one of `prompts.parse.ANSWER_FORMS`; the words are the same in each.
        order: of the faulty regions (`compose_remarks`).
    """
    summary = compose_remarks(drill, rng, order)
    return "" if summary is None else summary.written(form)


def compose_spoken(drill: DrillLike, rng: np.random.Generator) -> str:
    """Rambling speech as a transcriber writes it: lower case, no full stops, asides and repeats.

    All faults and up to two good points are named, in any order. "" for a distractor.
    """
    if drill.level is None:
        return ""
    phrases = load_phrases(drill.activity)
    points = [
        _spoken_point(phrases.for_fault(fault.name, fault.severity), phrases, "fault", rng)
        for faults in faults_by_region(drill).values()
        for fault in faults
    ]
    points += [
        _spoken_point(phrases.for_praise(region), phrases, "praise", rng)
        for region in praised_regions(drill)
    ]
    spoken = phrases.grammar.extend(phrases.spoken)
    parts = [spoken.say("opening", rng)] if rng.random() < 0.7 else []
    for index in rng.permutation(len(points)):
        parts.append(points[index])
        if rng.random() < 0.3:
            parts.append(spoken.say("aside", rng))
    if rng.random() < 0.6:
        parts.append(spoken.say("closing", rng))
    return _stumble(" ".join(parts), rng)


def _spoken_point(
    grammar: Grammar, phrases: ActivityPhrases, kind: str, rng: np.random.Generator
) -> str:
    speech = grammar.extend({"filler": phrases.spoken["filler"], "point": phrases.spoken[kind]})
    return speech.say("point", rng)


def _stumble(text: str, rng: np.random.Generator, share: float = 0.03) -> str:
    """Repeat a word here and there and strip punctuation, as automatic transcripts do."""
    words = text.lower().replace(",", "").replace(":", "").replace(".", "").split()
    repeat = rng.random(len(words)) < share
    return " ".join(
        f"{word} {word}" if twice else word for word, twice in zip(words, repeat, strict=True)
    )


def _turn(
    grammar: Grammar, topic: Mapping[str, object], kind: str, rng: np.random.Generator
) -> tuple[str, str]:
    talk = grammar.extend({"question": topic["ask"], "reply": topic[kind]})  # type: ignore[dict-item]
    return talk.say("question", rng), talk.say("reply", rng)


def compose_dialogue(drill: DrillLike, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Questions of the learner with the expert's answers, 3 to 5 turns; [] for a distractor.

    The first question is what to fix first; the others follow in random order: reason, moment,
    cue and exercise for that fault, the next fault, what was good, the level, one body region.
    """
    if drill.level is None:
        return []
    phrases = load_phrases(drill.activity)
    ordered = [fault for faults in faults_by_region(drill).values() for fault in faults]
    grammars = [phrases.for_fault(fault.name, fault.severity) for fault in ordered]
    talk = phrases.dialogue
    kind = "answer" if grammars else "none"
    first = grammars[0] if grammars else phrases.grammar
    turns = [_turn(first, talk["first"], kind, rng)]
    others = [_turn(first, talk[topic], kind, rng) for topic in FOLLOW_UPS]
    others.append(
        _turn(grammars[1], talk["next"], "answer", rng)
        if len(grammars) > 1
        else _turn(first, talk["next"], "none", rng)
    )
    others.append(_good_turn(drill, phrases, rng))
    named = phrases.grammar.extend({"level": [LEVELS[drill.level]]})
    others.append(_turn(named, talk["level"], "answer", rng))
    others.append(_region_turn(drill, phrases, rng))
    chosen = rng.permutation(len(others))[: int(rng.integers(2, 5))]
    return turns + [others[index] for index in chosen]


def _good_turn(
    drill: DrillLike, phrases: ActivityPhrases, rng: np.random.Generator
) -> tuple[str, str]:
    praised = praised_regions(drill)
    if not praised:
        return _turn(phrases.grammar, phrases.dialogue["good"], "none", rng)
    region = praised[int(rng.integers(len(praised)))]
    return _turn(phrases.for_praise(region), phrases.dialogue["good"], "answer", rng)


def _region_turn(
    drill: DrillLike, phrases: ActivityPhrases, rng: np.random.Generator
) -> tuple[str, str]:
    """A question about one of the six body regions, whatever the commentary says of it."""
    faulty = faults_by_region(drill)
    region = list(phrases.praise)[int(rng.integers(len(phrases.praise)))]
    if region in faulty:
        worst = faulty[region][0]
        grammar, kind = phrases.for_fault(worst.name, worst.severity), "answer"
    elif region in praised_regions(drill):
        grammar, kind = phrases.for_praise(region), "praised"
    else:
        grammar, kind = phrases.grammar, "none"
    return _turn(grammar.extend({"region": [region]}), phrases.dialogue["region"], kind, rng)
