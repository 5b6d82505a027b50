"""The table of phrases and quantities, against the grammar and the faults of the drills."""

import numpy as np
import pytest

from assistant.pose.kinematics import QUANTITIES
from assistant.remark_topics import HIGH, LOW, TOPICS, region_topics, topics_of
from data_prep.drills.faults import FAULTS
from data_prep.drills.grammar import load_phrases

FAULT_NAMES = [(activity, spec.name) for activity, specs in FAULTS.items() for spec in specs]


def test_every_fault_has_its_quantity_and_side() -> None:
    for activity, specs in FAULTS.items():
        topics = {topic.name: topic for topic in TOPICS[activity] if topic.fault}
        assert set(topics) == {spec.name for spec in specs}
        for spec in specs:
            topic, quantity = topics[spec.name], QUANTITIES[topics[spec.name].quantity]
            assert topic.side == (HIGH if spec.at_10 > spec.normal[1] else LOW), spec.name
            assert topic.region == spec.region == quantity.region, spec.name
            assert quantity.unit == spec.unit, spec.name
            assert not quantity.activities or activity in quantity.activities


def test_every_drill_has_a_timing_and_an_asymmetry() -> None:
    for activity, topics in TOPICS.items():
        extra = [QUANTITIES[topic.quantity] for topic in topics if not topic.fault]
        assert len(extra) >= 2 and all(activity in quantity.activities for quantity in extra)
        assert {"s", "downswings"} & {quantity.unit for quantity in extra}
        assert {"deg", "cm"} & {quantity.unit for quantity in extra}


@pytest.mark.parametrize(("activity", "name"), FAULT_NAMES)
def test_sentences_of_the_grammar_are_known_again(activity: str, name: str) -> None:
    rng = np.random.default_rng(0)
    phrases = load_phrases(activity)
    region = next(topic.region for topic in TOPICS[activity] if topic.name == name)
    wrong = []
    for severity in np.linspace(0.3, 1.0, 200):
        grammar = phrases.for_fault(name, severity)
        text = f"{grammar.say('problem', rng)} {grammar.say('advice', rng)}"
        if [topic.name for topic in topics_of(activity, region, text)] != [name]:
            wrong.append(text)
    assert len(wrong) <= 4, wrong[:3]


def test_two_faults_in_one_remark_are_both_known() -> None:
    text = "The hips stay a little too high. The knees cave in badly on the way up."
    named = topics_of("bodyweight_squat", "legs", text)
    assert [topic.name for topic in named] == ["shallow_depth", "knee_valgus"]


def test_another_regions_fault_counts_only_where_the_own_region_has_no_word() -> None:
    named = topics_of("bodyweight_squat", "legs", "The heels come off the floor.")
    assert [topic.name for topic in named] == ["heel_rise"]
    text = "The knees cave in, so the chest drops."
    named = topics_of("bodyweight_squat", "legs", text)
    assert [topic.name for topic in named] == ["knee_valgus"]


@pytest.mark.parametrize(
    ("activity", "region", "text", "quantity"),
    [
        ("bodyweight_squat", "legs", "You rush the way down.", "descent_time"),
        ("bodyweight_squat", "legs", "Your knees bend unevenly.", "knee_flexion_difference"),
        ("overhead_press", "hands", "The bar rises uneven.", "hand_height_difference"),
        ("golf_swing", "arms", "The tempo is gone.", "swing_tempo"),
        ("basketball_free_throw", "legs", "A hurried dip.", "dip_to_release_time"),
    ],
)
def test_timings_and_asymmetries_have_words(
    activity: str, region: str, text: str, quantity: str
) -> None:
    assert [topic.quantity for topic in topics_of(activity, region, text)] == [quantity]


def test_nothing_named_and_nothing_known() -> None:
    assert topics_of("bodyweight_squat", "legs", "Good work.") == ()
    assert topics_of("juggling", "legs", "The knees cave in.") == ()
    assert [topic.name for topic in region_topics("bodyweight_squat", "feet")] == ["heel_rise"]
    assert region_topics("bodyweight_squat", "hands") == ()
