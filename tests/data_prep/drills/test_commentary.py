"""What is said of a simulated drill: complete, consistent, in the grammar, mostly unseen."""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from data_prep.drills.commentary import (
    compose_dialogue,
    compose_remarks,
    compose_spoken,
    compose_summary,
    faults_by_region,
    praised_regions,
)
from data_prep.drills.faults import FAULTS
from data_prep.drills.grammar import Grammar, load_phrases, severity_word
from prompts.parse import parse_feedback
from prompts.vocabulary import CORRECT, LEVELS, NOT_MENTIONED, REGIONS


@dataclass(frozen=True)
class PlainFault:
    name: str
    region: str
    severity: float


@dataclass(frozen=True)
class PlainDrill:
    """What the composer reads of a drill, without a motion."""

    activity: str
    level: int | None
    faults: tuple[PlainFault, ...]
    regions: dict[str, int]


def draw(rng: np.random.Generator) -> PlainDrill:
    activity = sorted(FAULTS)[rng.integers(len(FAULTS))]
    specs = [FAULTS[activity][i] for i in rng.permutation(len(FAULTS[activity]))]
    level = int(rng.integers(4))
    chosen = specs[: (int(rng.integers(3, 5)), 2, 1, 0)[level]]
    faults = tuple(
        PlainFault(spec.name, spec.region, float(rng.uniform(0.3, 1.0))) for spec in chosen
    )
    regions = {region: int(rng.integers(CORRECT, NOT_MENTIONED + 1)) for region in REGIONS}
    regions.update({fault.region: 0 for fault in faults})
    repeated = faults + faults[:1]  # a fault of two repetitions stands twice
    return PlainDrill(activity, level, repeated, regions)


def corpus(seed: int, count: int) -> list[tuple[PlainDrill, str]]:
    rng = np.random.default_rng(seed)
    drills = [draw(rng) for _ in range(count)]
    return [(drill, compose_summary(drill, rng)) for drill in drills]


def test_every_fault_has_phrases_and_no_phrase_is_left_over():
    for activity, specs in FAULTS.items():
        phrases = load_phrases(activity)
        assert set(phrases.faults) == {spec.name for spec in specs}
        assert set(phrases.praise) <= set(REGIONS)
        for name, rules in phrases.faults.items():
            assert len(rules["clause"]) >= 12, name
        assert {spec.region for spec in specs} <= set(phrases.praise)


def test_a_summary_names_each_faulty_region_once_the_most_severe_first():
    for drill, text in corpus(0, 300):
        parsed = parse_feedback(text)
        assert parsed.problems == ()
        assert parsed.level == LEVELS[drill.level]
        assert parsed.drill
        wrong = [r.region for r in parsed.remarks if r.polarity == "needs_improvement"]
        right = [r.region for r in parsed.remarks if r.polarity == "correct"]
        assert [r.region for r in parsed.remarks] == wrong + right
        severity = {
            region: max(f.severity for f in drill.faults if f.region == region) for region in wrong
        }
        assert set(wrong) == {fault.region for fault in drill.faults}
        assert wrong == sorted(wrong, key=lambda region: -severity[region])
        assert len(right) <= 2
        assert all(drill.regions[region] == CORRECT for region in right)


def test_two_faults_of_one_region_make_one_remark_of_two_sentences():
    faults = (PlainFault("shallow_depth", "legs", 0.9), PlainFault("knee_valgus", "legs", 0.5))
    drill = PlainDrill("bodyweight_squat", 1, faults, {"legs": 0})
    assert [f.name for f in faults_by_region(drill)["legs"]] == ["shallow_depth", "knee_valgus"]
    for seed in range(20):
        (remark,) = compose_remarks(drill, np.random.default_rng(seed)).remarks
        assert len(re.findall(r"\.(?: |$)", remark.text)) == 2


def test_faults_stand_in_a_given_order_and_the_drill_is_for_the_first():
    faults = (PlainFault("heel_rise", "feet", 0.9), PlainFault("knee_valgus", "legs", 0.4))
    drill = PlainDrill("bodyweight_squat", 1, faults, {"feet": 0, "legs": 0})
    phrases, rng = load_phrases("bodyweight_squat"), np.random.default_rng(0)
    drills = {
        fault.region: {
            phrases.for_fault(fault.name, fault.severity).say("drill", rng) for _ in range(60_000)
        }
        for fault in faults
    }
    assert not drills["feet"] & drills["legs"]
    for order, expected in (((), ["feet", "legs"]), (("head", "legs", "feet"), ["legs", "feet"])):
        for seed in range(10):
            said = compose_remarks(drill, np.random.default_rng(seed), order)
            assert [remark.region for remark in said.remarks] == expected
            assert said.drill in drills[expected[0]]


def test_at_most_two_regions_are_praised_and_none_that_is_faulty():
    regions = dict.fromkeys(REGIONS, CORRECT)
    drill = PlainDrill("bodyweight_squat", 2, (PlainFault("heel_rise", "feet", 0.5),), regions)
    assert praised_regions(drill) == ["legs", "torso"]
    assert "feet" not in praised_regions(drill)


def test_the_same_seed_gives_the_same_words():
    assert corpus(3, 20) == corpus(3, 20)
    assert corpus(3, 20) != corpus(4, 20)


def test_nothing_is_said_of_a_distractor():
    drill = PlainDrill("walk", None, (), dict.fromkeys(REGIONS, NOT_MENTIONED))
    rng = np.random.default_rng(0)
    assert compose_summary(drill, rng) == compose_spoken(drill, rng) == ""
    assert compose_dialogue(drill, rng) == []


def test_an_activity_without_phrases_lists_the_known_ones():
    drill = PlainDrill("walk", 1, (), {})
    with pytest.raises(KeyError, match="basketball_free_throw, bodyweight_squat, forward_lunge"):
        compose_summary(drill, np.random.default_rng(0))


def test_severity_changes_the_words():
    assert [severity_word(s) for s in (0.3, 0.6, 1.0)] == ["slight", "clear", "severe"]
    phrases = load_phrases("bodyweight_squat")
    rng = np.random.default_rng(0)
    said = {
        severity: " ".join(
            phrases.for_fault("heel_rise", severity).say("clause", rng) for _ in range(100)
        )
        for severity in (0.3, 1.0)
    }
    assert "a little" in said[0.3]
    assert "badly" not in said[0.3]
    assert "badly" in said[1.0]
    assert "a little" not in said[1.0]


def test_most_sentences_are_unseen_and_the_lexicon_is_small():
    seen, counts = set(), Counter()
    for drill, text in corpus(1, 2000):
        rng = np.random.default_rng(0)
        seen.update(line.split(":", 1)[1] for line in text.split("\n")[1:])
        turns = [part for turn in compose_dialogue(drill, rng) for part in turn]
        for said in (text, compose_spoken(drill, rng), *turns):
            counts.update(re.findall(r"[a-z]+", said.lower()))
    test = [text for _, text in corpus(2, 500)]
    lines = [line.split(":", 1)[1] for text in test for line in text.split("\n")[1:]]
    assert np.mean([line not in seen for line in lines]) > 0.5
    assert len(counts) < 1300
    words = [len(text.split("\n", 1)[1].split()) for text in test]
    assert np.mean(words) < 70


def test_speech_is_lower_case_without_full_stops_and_names_everything():
    rng = np.random.default_rng(5)
    for _ in range(50):
        drill = draw(rng)
        said = compose_spoken(drill, rng)
        assert re.fullmatch(r"[a-z ]+", said)
        assert len(said.split()) > 5 * len({fault.name for fault in drill.faults})


def test_a_dialogue_starts_with_the_first_fix_and_answers_in_sentences():
    rng = np.random.default_rng(6)
    for _ in range(100):
        turns = compose_dialogue(draw(rng), rng)
        assert 3 <= len(turns) <= 5
        for question, answer in turns:
            assert question[-1] in "?."
            assert answer[0].isupper()
            assert answer[-1] == "."


def test_a_misspelt_slot_is_found():
    grammar = Grammar({"a": ["{b} {C}"], "b": {"slight": ["{d}"], "clear": ["x"]}, "c": ["y"]})
    assert grammar.unknown_slots(["{A}"]) == ["d"]
    assert grammar.say("a", np.random.default_rng(0)) == "x Y"
    with pytest.raises(KeyError, match="known: a, b, c"):
        grammar.say("z", np.random.default_rng(0))
