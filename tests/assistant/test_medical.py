"""Pain and injury go to a professional, everything else to the model."""

import json
from pathlib import Path

import pytest

from assistant.medical import is_medical
from data_prep.drills.questions import asked_subjects, phrasings

ASKED = Path(__file__).parents[1] / "data" / "chat_questions.jsonl"


def test_of_the_hand_written_questions_the_medical_ones_and_no_others() -> None:
    rows = [json.loads(line) for line in ASKED.read_text("utf-8").splitlines()]
    medical = {row["id"] for row in rows if row["subject"] == "medical"}
    assert len(medical) == 10
    assert {row["id"] for row in rows if is_medical(row["question"])} == medical


def test_of_the_trained_phrasings_none_but_the_figure_of_speech() -> None:
    routed = [
        text
        for subject in asked_subjects()
        for kind in ("train", "held_out")
        for text in phrasings(subject, kind)  # type: ignore[arg-type]
        if is_medical(text.replace("{move}", "swing"))
    ]
    assert routed == []


@pytest.mark.parametrize(
    "text",
    [
        "My back is killing me",
        "I broke my wrist in May, can I press?",
        "Is my form why my KNEE-PAIN is back?",
        "shoulder impingement, still ok to press?",
        "felt a twinge in my hamstring",
        "should I see a physio",
        "it's painful to watch and my elbow hurts",
    ],
)
def test_complaints_injuries_and_treatment_are_sent_on(text: str) -> None:
    assert is_medical(text)


@pytest.mark.parametrize(
    "text",
    [
        "that was painful to watch",
        "what hurts my swing the most?",
        "no pain no gain, ready for more?",
        "Break it down for me",
        "is my weak side letting me down",
        "",
    ],
)
def test_figures_of_speech_and_plain_questions_are_not(text: str) -> None:
    assert not is_medical(text)
