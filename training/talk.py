"""Talk without a clip's features: every text for the tokenizer, and conversations in words alone.

The small language model learns the language from them, and which question wants which answer.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from assistant.model.processing_poise import ModelInputs, PoiseProcessor
from assistant.pose.normalise import normalise
from assistant.tasks.window import cut_window, given_as_text
from data_prep.drills.commentary import compose_dialogue, compose_spoken, compose_summary
from data_prep.drills.dialogues import MANY_TURNS
from data_prep.drills.records import Drill
from prompts.numbers import NUMERIC, render_numbers
from prompts.render import Message, render_messages
from training.dialogue_samples import Talks, talk_sample
from training.language_samples import TokenSample, supervise, token_sample
from training.recipe import LanguageSettings

# Of the conversations in words alone one in so many is speech with its summary.
SPEECH_EVERY: Final = 8


def composed_texts(
    drills: Sequence[Drill], seed: int, language: LanguageSettings | None = None
) -> list[str]:
    """Every text of the drills and of the prompts, for the tokenizer."""
    language = LanguageSettings() if language is None else language
    texts: list[str] = []
    talks = Talks(drills)
    for i, drill in enumerate(drills):
        rng = np.random.default_rng([seed, 7, i])
        texts += [compose_summary(drill, rng, language.answer_form), compose_spoken(drill, rng)]
        if language.dialogue_share:
            talk = talks.about(i, rng)
            texts += [m["content"] for m in talk.messages()[2:]] if talk else []
        else:
            texts += [part for turn in compose_dialogue(drill, rng) for part in turn]
        if i % 10 == 0:
            given: dict[str, Any] = {
                m: render_numbers(m, rng.random(n), language.numbers) for m, n in NUMERIC.items()
            }
            given["n_pose"] = 1
            if language.pose_form == "text":
                window = cut_window(normalise(drill.pose), 0.0)
                given |= {"n_pose": 0, "pose_text": given_as_text(window, language.pose_form)}
            messages = render_messages("commentary", frames=8, n_video=1, n_stage1=1, **given)
            texts += [m["content"] for m in messages]
            texts += [render_messages("retrieval", learner_codes=[[0]])[-1]["content"]]
            texts += [render_messages("correction")[-1]["content"]]
    return [text for text in texts if text]


def talk_samples(
    processor: PoiseProcessor,
    drills: Sequence[Drill],
    seed: int,
    language: LanguageSettings | None = None,
) -> list[TokenSample]:
    """Speech with its summary, or a question about a commentary, by turns; every token is learned,
    user turns too: the model has to learn the language first.

    With dialogues every clip is talked about in several questions; without, every second one in the
    question that opens a dialogue.
    """
    language = LanguageSettings() if language is None else language
    samples: list[TokenSample] = []
    talks = Talks(drills)
    for i, drill in enumerate(drills):
        rng = np.random.default_rng([seed, 8, i])
        told = _told(drill, i, rng, language.answer_form)
        if language.dialogue_share:
            talk = talks.about(i, rng)
            told = [*told[: 1 - i % 2], *([talk.messages()] if talk else [])]
        samples += [_whole(processor, messages, drill) for messages in told]
    return samples


def question_samples(
    processor: PoiseProcessor,
    drills: Sequence[Drill],
    seed: int,
    language: LanguageSettings,
    count: int,
) -> list[TokenSample]:
    """`count` conversations, of each clip in turn: long talks of which the answers are learned,
    their first tokens above all, and now and then speech with its summary, learned whole.

    Nothing but the question tells such an answer's subject, so that here the question is read.
    """
    talks, samples = Talks(drills), []
    for i in range(count):
        drill, rng = drills[i % len(drills)], np.random.default_rng([seed, 17, i])
        talk = talks.about(i % len(drills), rng, MANY_TURNS) if i % SPEECH_EVERY else None
        if talk is None:
            samples.append(_whole(processor, _speech(drill, rng, language.answer_form), drill))
            continue
        name = f"{drill.sample_id}/talk"
        samples.append(talk_sample(processor, talk, ModelInputs(), name, language))
    return samples


def _whole(processor: PoiseProcessor, messages: Sequence[Message], drill: Drill) -> TokenSample:
    """A conversation of which every token is learned, the user's too."""
    ids = token_sample(processor, supervise(list(messages)), ModelInputs()).ids
    return TokenSample(ids, ids, [1.0] * len(ids), ModelInputs(), f"{drill.sample_id}/talk")


def _told(drill: Drill, place: int, rng: np.random.Generator, form: str) -> list[list[Message]]:
    """Speech with its summary, or the question that opens a dialogue, by turns."""
    question, reply = compose_dialogue(drill, rng)[0]
    talks: list[list[Message]] = [
        _speech(drill, rng, form),
        render_messages(
            "chat",
            commentary=compose_summary(drill, rng, form),
            question=question,
            target=reply,
        ),
    ]
    return talks[place % 2 :: 2]


def _speech(drill: Drill, rng: np.random.Generator, form: str) -> list[Message]:
    """What an expert says, and its summary."""
    return [
        {"role": "user", "content": compose_spoken(drill, rng)},
        {"role": "assistant", "content": compose_summary(drill, rng, form)},
    ]
