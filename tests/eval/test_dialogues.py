"""The rule of "answered on the asked subject", and the shares beside their floors."""

import json
from pathlib import Path

import pytest

from assistant.chat import ClipTalk, Filling, SeenClip
from assistant.errors import PoiseError
from assistant.medical import REFERRAL
from assistant.model.processing_poise import ModelInputs
from eval.dialogues import (
    Answered,
    Asked,
    evaluate,
    named_regions,
    on_subject,
    read_questions,
    table,
    unsupported,
)
from prompts.vocabulary import LEVEL_PROBABILITY, SHOW_CORRECTION, SUBJECTS

FILE = Path(__file__).parents[1] / "data" / "chat_questions.jsonl"


def clip(region: str | None, drill: str = "Do wall sits, three sets of ten.") -> SeenClip:
    commentary = f"Proficiency Level: Novice. Proficiency Commentary:\nLegs: x.\nDrill: {drill}"
    feedback = {
        "activity": {"name": "bodyweight_squat"},
        "proficiency": {"level": "Novice", "probabilities": [0.62, 0.2, 0.1, 0.08]},
        "remarks": [],
        "focus": None if region is None else {"region": region, "remark": 0, "drill": drill},
        "measurements": [],
    }
    return SeenClip(str(region), ModelInputs(), commentary, feedback)


def asked(subject: str, region: str | None = None, number: int = 0) -> Asked:
    return Asked(f"q{number}", subject, region, "general", "?")


@pytest.mark.parametrize(
    ("question", "answer", "right"),
    [
        (asked("what_to_fix_first"), "Start with your knees. The chest drops.", True),
        (asked("what_to_fix_first"), "The chest drops. Then the knees.", False),
        (asked("what_to_fix_first"), "Head, chest, arms, knees and feet.", False),
        (asked("body_region", "feet"), "The heels lift.", True),
        (asked("body_region", "feet"), "The knees cave in over the toes.", False),
        (asked("compare"), "Compared with last time, your legs are better.", True),
        (asked("compare"), "Your legs are fine.", False),
        (asked("explain_level"), "Your level is Novice. It is low.", True),
        (asked("explain_level"), "Your level is Late Expert.", False),
        (asked("explain_level"), "Novice, or Late Expert.", False),
        (asked("show_me"), f"Like this. {SHOW_CORRECTION}", True),
        (asked("show_me"), "I show you the correction.", False),
        (asked("drill"), "Do wall sits, three sets of ten.", True),
        (asked("drill"), "Here is an exercise. Sit.", True),
        (asked("drill"), "The knees cave in.", False),
        (asked("readiness"), "Not yet. First the legs.", True),
        (asked("readiness"), "The knees cave in.", False),
        (asked("medical"), REFERRAL, True),
        (asked("medical"), "Do wall sits.", False),
        (asked("drill"), REFERRAL, False),
    ],
)
def test_the_rule_reads_the_first_sentence(question: Asked, answer: str, right: bool) -> None:
    assert on_subject(question, answer, clip("legs")) is right


def test_a_clip_without_faults_has_nothing_to_fix_first() -> None:
    question = asked("what_to_fix_first")
    assert on_subject(question, "I see no mistake to fix.", clip(None))
    assert not on_subject(question, "Start with your knees.", clip(None))


def test_regions_are_named_by_whole_words() -> None:
    assert named_regions("Heels, background and kneecaps; the upper body") == ["feet", "torso"]


def answered(question: Asked, place: int, region: str, raw: str) -> Answered:
    talk = ClipTalk(clip(region))
    filling = Filling(talk)
    filling.add(raw)
    return Answered(question, place, talk, raw, filling.text)


def test_shares_stand_beside_their_floors() -> None:
    first, drill = asked("what_to_fix_first", number=1), asked("drill", number=2)
    found = evaluate(
        [
            answered(first, 0, "legs", "Start with your knees."),
            answered(first, 1, "feet", "Start with your knees."),
            answered(drill, 0, "legs", f"This drill: four sets. {LEVEL_PROBABILITY}"),
            answered(drill, 1, "feet", "This drill: three sets."),
        ],
        [first, drill, Asked("m", "medical", None, "general", "my knee hurts")],
    )
    assert found["on_subject"] == 0.75
    assert found["on_subject_exchanged"] == 0.0  # each clip has its own talk here: nothing to take
    assert found["by_subject"]["what_to_fix_first"] == {"share": 0.5, "n": 2}
    assert found["unsupported_numbers"] == 0.25  # four; 62 % is the feedback's own
    assert found["differing"] == 0.5
    assert found["medical_routed"] == {"share": 1.0, "n": 1}
    assert found["others_routed"] == {"share": 0.0, "n": 2}
    assert "0.750" in table(found)


def test_filled_numbers_are_supported_and_own_ones_are_not() -> None:
    question = asked("explain_level")
    assert unsupported(answered(question, 0, "legs", f"Novice. {LEVEL_PROBABILITY}")) == set()
    assert unsupported(answered(question, 0, "legs", "Bend 95 degrees.")) == {"95"}


def test_the_hand_written_questions_are_read_and_wrong_files_named(tmp_path: Path) -> None:
    found = read_questions(FILE)
    assert len(found) == 120 and {a.subject for a in found} == {*SUBJECTS}
    path = tmp_path / "q.jsonl"
    for text, said in (("{", "cannot read"), ('{"id": 1}', "KeyError"), ("", "no row")):
        path.write_text(text)
        with pytest.raises(PoiseError, match=said):
            read_questions(path)
    row = {"id": "a", "subject": "body_region", "region": "nose", "sport": "general"}
    path.write_text(json.dumps(row | {"question": "?"}))
    with pytest.raises(PoiseError, match="region in a"):
        read_questions(path)
