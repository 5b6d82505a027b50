"""Conversations of the chat for training: what is learned of them, to the token."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assistant.model.processing_poise import IGNORED, ModelInputs, PoiseProcessor
from assistant.pose.normalise import normalise
from assistant.tasks.window import cut_window
from data_prep.drills.dialogues import MANY_TURNS
from data_prep.drills.records import Drill
from data_prep.drills.simulate import simulate_many
from prompts.vocabulary import (
    CALLS,
    SCORE,
    SHOW_DEMONSTRATION,
    TURN_END,
    TURN_START,
    pose_code,
    special_tokens,
)
from training.dialogue_samples import EARLIER_SHARE, OPENING, Talk, Talks, dialogue_samples
from training.language_samples import PerceivedClip, TokenSample, token_sample
from training.language_stage import by_task, new_tokens
from training.pretraining import commentary_samples, load_processor
from training.recipe import LanguageSettings, Recipe
from training.talk import SPEECH_EVERY, composed_texts, question_samples, talk_samples
from training.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def drills() -> list[Drill]:
    return simulate_many(12, 4, 3, split="train", distractor_share=0.1)


@pytest.fixture(scope="module")
def talker(drills: list[Drill], tmp_path_factory: Any) -> PoiseProcessor:
    """A processor whose vocabulary has the calls."""
    folder: Path = tmp_path_factory.mktemp("talker")
    known = [drill for drill in drills if drill.level is not None]
    texts = composed_texts(known, 0, LanguageSettings(dialogue_share=0.5))
    train_tokenizer(texts, folder, vocabulary=600, codebook_size=16, calls=True)
    return load_processor(folder)


def first_talk(drills: list[Drill], *, earlier: bool) -> Talk:
    talks = Talks(drills)
    for place in range(len(drills)):
        for seed in range(9):
            talk = talks.about(place, np.random.default_rng(seed))
            if talk is not None and (talk.earlier is not None) == earlier and len(talk.turns) > 1:
                return talk
    raise AssertionError("no such talk")


@pytest.mark.parametrize("earlier", [False, True])
def test_every_answer_is_learned_and_no_question(
    talker: PoiseProcessor, drills: list[Drill], earlier: bool
) -> None:
    talk = first_talk(drills, earlier=earlier)
    sample = token_sample(talker, talk.messages(score="", regions=""), ModelInputs())
    texts = [str(talk.said), *(turn.answer for turn in talk.turns)]
    expected = [token for text in texts for token in talker.text_ids(text + TURN_END)]
    learned = [label for label in sample.labels if label != IGNORED]
    assert learned == expected
    for label, token, weight in zip(sample.labels, sample.ids, sample.weights, strict=True):
        assert label in (IGNORED, token) and (weight == 0) == (label == IGNORED)
    # Between the learned turns stands exactly what the learner asked, and the earlier clip.
    given = talker.tokenizer.decode(
        [i for i, label in zip(sample.ids, sample.labels, strict=True) if label == IGNORED]
    )
    head, *asked = given.split(f"\n{TURN_START}user\n")
    assert "visual agent" in head
    users = [turn.question.text for turn in talk.turns]
    told = [str(talk.earlier)] if talk.earlier is not None else []
    assert [text.split(TURN_END)[0] for text in asked[1:]] == [*told, *users]


def test_a_call_is_one_token_that_is_no_special_token(talker: PoiseProcessor) -> None:
    calls = talker.call_ids()
    assert list(calls) == list(CALLS)
    tokenizer = talker.tokenizer
    assert not set(calls.values()) & set(tokenizer.all_special_ids)
    for call, token in calls.items():
        assert talker.text_ids(f"Here. {call} Look.").count(token) == 1
    ids = talker.text_ids(f"So. {SHOW_DEMONSTRATION} Look.{TURN_END}")
    kept = tokenizer.decode(ids, skip_special_tokens=True)
    assert kept == f"So. {SHOW_DEMONSTRATION} Look."
    codes = [tokenizer.convert_tokens_to_ids(pose_code(i)) for i in range(16)]
    assert codes == list(range(codes[0], codes[0] + 16))
    trained = new_tokens(talker, 16)
    assert sorted(trained) == sorted(tokenizer.convert_tokens_to_ids([*special_tokens(16), *CALLS]))


def test_a_typed_call_stays_text(talker: PoiseProcessor, drills: list[Drill]) -> None:
    talk = first_talk(drills, earlier=False)
    turn = talk.turns[0]
    typed = replace(turn, question=replace(turn.question, text="".join(CALLS)), answer="No.")
    sample = token_sample(talker, replace(talk, turns=(typed,)).messages(), ModelInputs())
    assert not set(sample.ids) & set(talker.call_ids().values())


def test_without_dialogues_nothing_changes(processor: PoiseProcessor, drills: list[Drill]) -> None:
    assert processor.call_ids() == {}
    assert new_tokens(processor, 16) == processor.tokenizer.convert_tokens_to_ids(
        special_tokens(16)
    )
    known = [drill for drill in drills if drill.level is not None]
    plain = talk_samples(processor, known, 0)
    assert len(plain) == len(known)
    assert all(list(s.ids) == list(s.labels) for s in plain)
    talks = talk_samples(processor, known, 0, LanguageSettings(dialogue_share=0.5))
    assert len(talks) == len(known) + (len(known) + 1) // 2
    assert not {tuple(s.ids) for s in plain if "?" in processor.tokenizer.decode(s.ids)} & {
        tuple(s.ids) for s in talks
    }


def test_talk_alone_is_learned_from_its_answers(
    talker: PoiseProcessor, drills: list[Drill]
) -> None:
    known = [drill for drill in drills if drill.level is not None]
    settings, count = LanguageSettings(dialogue_share=0.5), len(known) + 9
    samples = question_samples(talker, known, 0, settings, count)
    assert len({tuple(s.ids) for s in samples}) == len(samples) == count  # nothing stands twice
    for place, sample in enumerate(samples):
        assert sample.sample_id == f"{known[place % len(known)].sample_id}/talk"
        weights = [w for w, label in zip(sample.weights, sample.labels, strict=True) if label >= 0]
        if place % SPEECH_EVERY:
            assert len(weights) < len(sample.ids) / 1.2  # questions are read, not learned
            assert weights.count(settings.verdict_weight) >= MANY_TURNS[0] * OPENING
        else:
            assert list(sample.labels) == list(sample.ids)
    again = question_samples(talker, known, 0, settings, count)
    assert [s.ids for s in again] == [s.ids for s in samples]
    equal = replace(settings, loss_balance="equal")
    for sample in question_samples(talker, known, 0, equal, count):
        assert settings.verdict_weight not in sample.weights


def test_earlier_clips_are_the_performers_own_where_there_are_any(drills: list[Drill]) -> None:
    talks, with_earlier, said = Talks(drills), 0, 0
    for place, drill in enumerate(drills):
        for seed in range(4):
            talk = talks.about(place, np.random.default_rng([seed, place]))
            if talk is None:
                assert drill.level is None
                continue
            said += 1
            with_earlier += talk.earlier is not None
            asked = [turn.question.subject for turn in talk.turns]
            assert talk.earlier is None or "compare" in asked
    assert EARLIER_SHARE / 2 < with_earlier / said < EARLIER_SHARE * 1.5


class Told:
    """As much of a run as tells clips in words."""

    def __init__(self, share: float) -> None:
        self.recipe = Recipe("told", language=LanguageSettings(dialogue_share=share))


def perceived(drill: Drill) -> PerceivedClip:
    window = cut_window(normalise(drill.pose), 0.0)
    codes = np.zeros((10, 3), np.int64)
    inputs = ModelInputs(score=np.zeros(14, np.float32))
    return PerceivedClip(drill, window, window.joints, inputs, codes, codes, gold=0)


def test_a_share_of_the_clips_is_talked_about_after_their_features(
    talker: PoiseProcessor, drills: list[Drill]
) -> None:
    clips = [perceived(drill) for drill in drills if drill.level is not None]
    talking: Any = Told(1.0)
    silent: Any = Told(0.0)

    def asked(samples: list[TokenSample]) -> int:
        users = [talker.tokenizer.decode(s.ids).count(f"{TURN_START}user") for s in samples]
        return sum(count > 1 for count in users)

    told = commentary_samples(talking, talker, clips)
    assert len(told) == 2 * len(clips) and asked(told) == len(told)
    assert asked(commentary_samples(silent, talker, clips)) == 0
    for share, least, most in ((0.0, 0, 0), (0.5, 1, len(clips) - 1), (1.0, *[len(clips)] * 2)):
        talks = dialogue_samples(talker, clips, 0, LanguageSettings(dialogue_share=share))
        assert least <= len(talks) <= most and asked(talks) == len(talks)
        for sample in talks:
            assert sample.sample_id.endswith("/dialogue") and 4.0 in sample.weights
            assert sample.inputs.score is not None
            assert talker.tokenizer.convert_tokens_to_ids(SCORE) in sample.ids
            answers = answer_weights(sample)
            assert 5 <= len(answers) <= 8
            assert {tuple(w[:OPENING]) for w in answers} == {(4.0,) * OPENING}
            assert {w[-1] for w in answers} == {1.0}
    assert by_task(talks)["correction"] == []


def answer_weights(sample: TokenSample) -> list[list[float]]:
    """The weights of each learned turn after the commentary."""
    turns: list[list[float]] = []
    inside = False
    for label, weight in zip(sample.labels, sample.weights, strict=True):
        if label != IGNORED and not inside:
            turns.append([])
        inside = label != IGNORED
        if inside:
            turns[-1].append(weight)
    return turns[1:]
