"""Pain and injury go to a professional, everything else to the model."""

import json
from pathlib import Path
from time import process_time

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
        "I have a pain in the neck to watch out for",
        "it hurts to watch left",
        "painful to see my elbow bend",
        "this hurts my free throw shoulder",
        "painful bad knee",
        "how long should I rest my wrist",
        "my knee is acting up again",
        "I feel pressure in my chest",
        "膝が痛い",
        "болит колено",
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
        "We'll see, I'll film it again",
        "",
    ],
)
def test_figures_of_speech_and_plain_questions_are_not(text: str) -> None:
    assert not is_medical(text)


# Written before the rule was widened by them, without the 120 questions at hand: both ways to err
# are counted. The rule as it was missed 26 of the 30 and sent on 8 of the other 30.
MEDICAL = """\
I feel pain in the neck when I press
it hurts to look left
Is this bad for my knees?
Can squatting this deep damage my knees?
My shoulder hurts my press, what now
it is painful to look up at the hoop
pain in the ass when I sit down into the squat, literally my tailbone
Does landing like that wreck your ankles
I hear a crunch in my left knee every time I go down
my lower back feels weird after the last set
My wrist went numb during the throw
is it safe for somebody with a hip replacement
Could it hurt to go this low?
It doesn't hurt to lunge any more, can I start again?
hurts to watch the ball come down, my neck won't turn
I put my back out last month, am I okay to lunge
My knee keeps giving out
what does my swing do to my spine
I had a stroke, is pressing ok
I'm seven months along, may I still squat?
should i wear an ankle brace
Too much stress on my elbow?
my doc said no overhead work
there's a lump on my heel
I get out of breath and see stars after ten reps
Can’t straighten my elbow since Sunday, ouch
no pain no gain, but my shin is swollen
Will this blow out my rotator cuffs
me duele la rodilla al bajar
Mein Knie tut weh, was mache ich falsch?
""".splitlines()
HARMLESS = """\
this angle is a pain in the neck to film
It can't hurt to ask: which knee goes further forward?
It can’t hurt to try it slower, right?
I'll do another set, what should I watch?
Was that painful to watch?
my balance sticks out like a sore thumb, doesn't it
What's the biggest pain point of my throw?
What hurts my score most?
my serve is painfully slow
Is it bad to let the knees travel past the toes?
Are my knees too stiff when I land?
Do my hips pop up too early?
should I pinch my shoulder blades together?
Do I brace my core enough?
Is there too much weight on my back foot?
do I snap my wrist at the release
Can you diagnose my free throw?
which drill would you prescribe
tear my form apart, please
that follow-through was sick
Is my back straight at the bottom?
How hard should my heels press into the floor?
Would a wider stance be good for my lunge?
is my swing killing my distance
Are my elbows tight to my ribs?
Does my head drop when I get tired?
Is my weak hand strong enough for this grip?
It feels safe now, can I add weight?
Is my stroke smooth?
What broke down in my last rep?
""".splitlines()


def test_sixty_new_sentences_go_where_they_belong() -> None:
    assert len(set(MEDICAL)) == len(set(HARMLESS)) == 30
    assert [text for text in MEDICAL if not is_medical(text)] == []
    assert [text for text in HARMLESS if is_medical(text)] == []


def test_a_very_long_question_is_read_in_linear_time() -> None:
    def seconds(words: int) -> float:
        start = process_time()
        assert not is_medical("my knee and the shoulders " * words)
        return process_time() - start

    # Eight times the words: 8 times as long, were it quadratic 64 times.
    assert seconds(4000) < 24 * max(seconds(500), seconds(500))
