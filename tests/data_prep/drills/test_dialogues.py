"""Questions about a clip and the answers of its truth: complete, grounded, without own numbers."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from data_prep.drills.commentary import Summary, compose_remarks, faults_by_region
from data_prep.drills.dialogues import (
    SHARES,
    Answerer,
    Earlier,
    compare_drills,
    compose_turns,
)
from data_prep.drills.faults import FAULTS
from data_prep.drills.questions import Question, ask, asked_subjects, phrasings
from prompts.claims import false_claims, true_claims
from prompts.stated import stated_numbers
from prompts.vocabulary import (
    CALLS,
    LEVEL_PROBABILITY,
    LEVELS,
    MEASURED,
    MEASURED_CHANGE,
    NEEDS_IMPROVEMENT,
    NOT_MENTIONED,
    REGIONS,
    SHOW_CORRECTION,
    SHOW_DEMONSTRATION,
    SUBJECTS,
)

ASKED = Path(__file__).parents[2] / "data" / "chat_questions.jsonl"


@dataclass(frozen=True)
class PlainFault:
    name: str
    region: str
    severity: float


@dataclass(frozen=True)
class PlainDrill:
    activity: str
    level: int | None
    faults: tuple[PlainFault, ...]
    regions: dict[str, int]


def drill(activity: str, level: int | None, *faults: tuple[int, float]) -> PlainDrill:
    """A clip with some of its activity's faults, by their place in the registry and severity."""
    specs = FAULTS[activity]
    shown = tuple(PlainFault(specs[i].name, specs[i].region, severity) for i, severity in faults)
    regions = dict.fromkeys(REGIONS, NOT_MENTIONED) | {
        fault.region: NEEDS_IMPROVEMENT for fault in shown
    }
    return PlainDrill(activity, level, shown, regions)


def draw(rng: np.random.Generator) -> PlainDrill:
    activity = sorted(FAULTS)[rng.integers(len(FAULTS))]
    places = rng.permutation(len(FAULTS[activity]))[: int(rng.integers(0, 4))]
    faults = [(int(place), float(rng.uniform(0.3, 1))) for place in places]
    return drill(activity, int(rng.integers(4)), *faults)


def told(clip: PlainDrill, rng: np.random.Generator) -> Summary:
    said = compose_remarks(clip, rng)
    assert said is not None
    return said


def answers(
    clip: PlainDrill, subject: str, earlier: Earlier | None = None, **asked: object
) -> list[str]:
    found = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        answerer = Answerer(clip, told(clip, rng), rng, earlier)
        found.append(answerer.answer(Question("?", subject, **asked)))  # type: ignore[arg-type]
    return found


def test_no_answer_states_a_number_that_its_commentary_does_not() -> None:
    rng, quoted = np.random.default_rng(0), 0
    for _ in range(600):
        clip, before = draw(rng), draw(rng)
        said = told(clip, rng)
        earlier = compare_drills(before, clip) if before.activity == clip.activity else None
        for turn in compose_turns(clip, said, rng, earlier=earlier):
            plain = re.sub("|".join(map(re.escape, CALLS)), "", turn.answer)
            stated = stated_numbers(plain)
            assert stated <= stated_numbers(str(said)), turn
            assert "<|" not in plain and "{" not in plain
            quoted += bool(stated)
    assert quoted > 80  # drills carry numbers: the check has something to find


def test_the_first_answer_names_the_worst_region_with_a_drill() -> None:
    clip = drill("bodyweight_squat", 1, (0, 0.4), (2, 0.9))
    worst = next(iter(faults_by_region(clip)))
    for seed, text in enumerate(answers(clip, "what_to_fix_first")):
        said = told(clip, np.random.default_rng(seed))
        start = text.split(".")[0]
        assert worst in start and not any(r in start for r in REGIONS if r != worst)
        assert MEASURED[worst] in text and text.endswith(said.drill)
    for text in answers(drill("bodyweight_squat", 3), "what_to_fix_first"):
        assert re.search("nothing|no mistake", text.lower())


def test_a_region_is_answered_by_its_own_remark_or_by_none() -> None:
    clip = drill("bodyweight_squat", 1, (2, 0.9))
    (region,) = faults_by_region(clip)
    for seed, text in enumerate(answers(clip, "body_region", region=region)):
        said = told(clip, np.random.default_rng(seed))
        assert said.remarks[0].text in text and MEASURED[region] in text
    for text in answers(clip, "body_region", region="hands"):
        assert "hands" in text and re.search("no remark|stand out|stands out", text)


def test_a_comparison_says_what_became_of_each_region() -> None:
    names = [spec.region for spec in FAULTS["bodyweight_squat"]]
    before = drill("bodyweight_squat", 0, (0, 0.9), (2, 0.5))
    now = drill("bodyweight_squat", 2, (2, 0.55), (3, 0.4))
    earlier = compare_drills(before, now)
    expected = {names[0]: "better", names[2]: "the same", names[3]: "worse"}
    assert (earlier.level, earlier.changes) == ("Novice", expected)
    assert earlier.regions == (names[0], names[2])
    for text in answers(now, "compare", earlier):
        what = text.split(MEASURED_CHANGE)[0]
        assert re.search(rf"{names[0]} (is|are) better", what)
        assert re.search(rf"{names[3]} (is|are) worse", what)
        assert names[2] not in what
        assert "Your level rose from Novice to Intermediate Expert." in text
        level, left = "Intermediate Expert", [names[2], names[3]]
        assert false_claims(text, true_claims(level, left, "Novice", expected)) == []
        false = true_claims(level, left, "Late Expert", expected | {names[0]: "worse"})
        assert len(false_claims(text, false)) == 2
    for text in answers(now, "compare"):
        assert "earlier" in text and MEASURED_CHANGE not in text
    with pytest.raises(ValueError, match="cannot compare"):
        compare_drills(before, drill("golf_swing", 2))


def test_levels_calls_drills_and_readiness() -> None:
    clean, bad = drill("golf_swing", 3), drill("golf_swing", 0, (0, 1.0), (1, 0.9))
    slight = drill("golf_swing", 2, (0, 0.3))
    for clip in (clean, bad, slight):
        assert clip.level is not None
        for text in answers(clip, "explain_level"):
            assert f"{LEVELS[clip.level]}" in text and LEVEL_PROBABILITY in text
            regions = list(faults_by_region(clip))
            assert all(region in text for region in regions)
            assert false_claims(text, true_claims(LEVELS[clip.level], regions)) == []
    assert all(SHOW_DEMONSTRATION in text for text in answers(bad, "show_me"))
    assert all(SHOW_CORRECTION in text for text in answers(bad, "show_me", correction=True))
    for seed, text in enumerate(answers(bad, "drill")):
        assert told(bad, np.random.default_rng(seed)).drill in text
    for clip, words in (
        (clean, "^(Yes|You are ready)"),
        (slight, "Almost|nearly"),
        (bad, "[Nn]ot"),
    ):
        assert all(re.search(words, text) for text in answers(clip, "readiness"))


def test_two_clips_with_other_faults_get_other_answers() -> None:
    one, two = drill("bodyweight_squat", 1, (0, 0.9)), drill("bodyweight_squat", 1, (2, 0.9))
    for subject in ("what_to_fix_first", "explain_level", "show_me", "drill", "readiness"):
        assert not set(answers(one, subject)) & set(answers(two, subject)), subject


def test_talks_are_drawn_by_their_shares_and_again_the_same() -> None:
    assert {*SHARES} == {*asked_subjects()} == {*SUBJECTS, "other"} - {"medical"}
    rng, first, count, length = np.random.default_rng(1), Counter[str](), Counter[str](), 0
    for _ in range(1000):
        clip = draw(rng)
        turns = compose_turns(clip, told(clip, rng), rng)
        subjects = [turn.question.subject for turn in turns]
        assert 2 <= len(turns) <= 5 and len(set(subjects)) == len(subjects)
        assert all(
            (turn.question.region is None) == (turn.question.subject != "body_region")
            for turn in turns
        )
        first[subjects[0]] += 1
        count.update(subjects)
        length += len(turns)
    assert 0.35 < first["what_to_fix_first"] / 1000 < 0.55
    assert min(count[subject] for subject in SHARES) > 10
    clip = draw(rng)
    again = [
        compose_turns(clip, told(clip, np.random.default_rng(5)), np.random.default_rng(6))
        for _ in range(2)
    ]
    assert again[0] == again[1]
    assert compose_turns(drill("golf_swing", None), None, rng) == []


def plain(text: str) -> str:
    return re.sub(r"[^a-z ]", "", text.lower()).strip()


def test_held_out_phrasings_and_the_hand_written_questions_are_never_trained_on() -> None:
    rng = np.random.default_rng(2)
    for subject in asked_subjects():
        train = {*phrasings(subject)}
        held_out = {*phrasings(subject, "held_out")}
        assert len(held_out) >= 3 and not train & held_out, subject
        assert len(train) == len(phrasings(subject))
    written = {
        plain(row["question"]) for row in map(json.loads, ASKED.read_text("utf-8").splitlines())
    }
    assert len(written) == 120
    asked = set()
    for _ in range(8_000):
        subject = asked_subjects()[rng.integers(len(asked_subjects()))]
        activity = sorted(FAULTS)[rng.integers(len(FAULTS))]
        asked.add(plain(ask(subject, activity, rng, region=REGIONS[rng.integers(6)]).text))
    assert len(asked) > 5_000
    assert not asked & written, sorted(asked & written)
