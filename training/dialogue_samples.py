"""Training samples of the chat: questions about a clip after its commentary, with their answers.

Some clips stand beside an earlier one of the same activity, of the same performer where there is
one; the truth says what became better and worse.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from assistant.model.processing_poise import IGNORED, ModelInputs, PoiseProcessor
from assistant.tasks.commentary import prompt_pieces
from data_prep.drills.commentary import Summary, compose_remarks
from data_prep.drills.dialogues import (
    FEW_TURNS,
    MANY_TURNS,
    Earlier,
    Turn,
    compare_drills,
    compose_turns,
)
from data_prep.drills.records import Drill
from prompts.render import Message, render_messages
from training.language_samples import (
    PerceivedClip,
    TokenSample,
    supervise,
    token_sample,
)
from training.recipe import LanguageSettings

EARLIER_SHARE: Final = 0.4
DIALOGUE: Final = "dialogue"
# Tokens of an answer that name its subject, region or level: "Your legs come first."
OPENING: Final = 6


@dataclass(frozen=True)
class Talk:
    """A clip talked about: its commentary, an earlier clip or None, questions with answers."""

    said: Summary
    earlier: Earlier | None
    turns: tuple[Turn, ...]

    def messages(self, **pieces: Any) -> list[Message]:
        """The conversation; every assistant turn is learned, the commentary too.

        Args:
            pieces: what the renderer must know of the clip's features.
        """
        *before, last = self.turns
        messages = render_messages(
            "chat",
            commentary=str(self.said),
            history=[(turn.question.text, turn.answer) for turn in before],
            question=last.question.text,
            target=last.answer,
            earlier=None if self.earlier is None else str(self.earlier),
            **pieces,
        )
        return supervise(messages)


class Talks:
    """Talks about clips that show a known activity, each beside the others as earlier clips.

    Args:
        orders: of each clip's faulty regions in its commentary (`compose_remarks`).
    """

    def __init__(self, drills: Sequence[Drill], orders: Sequence[Sequence[str]] = ()) -> None:
        self.drills, self.orders = drills, orders or [()] * len(drills)
        self._alike: dict[tuple[str, ...], list[int]] = {}
        for i, drill in enumerate(drills):
            if drill.level is not None:
                for key in self._keys(drill):
                    self._alike.setdefault(key, []).append(i)

    @staticmethod
    def _keys(drill: Drill) -> tuple[tuple[str, ...], ...]:
        """Where clips to compare with are found: the performer's own first."""
        return (drill.activity, drill.participant_id), (drill.activity,)

    def about(
        self, place: int, rng: np.random.Generator, count: tuple[int, int] = FEW_TURNS
    ) -> Talk | None:
        """A talk of `count` questions about the clip at `place`, drawn anew at each call; None for
        a distractor."""
        said = compose_remarks(self.drills[place], rng, self.orders[place])
        if said is None:
            return None
        earlier = self._earlier(place, rng) if rng.random() < EARLIER_SHARE else None
        turns = compose_turns(self.drills[place], said, rng, earlier=earlier, count=count)
        return Talk(said, earlier, tuple(turns))

    def _earlier(self, place: int, rng: np.random.Generator) -> Earlier | None:
        now = self.drills[place]
        for key in self._keys(now):
            others = [i for i in self._alike[key] if i != place]
            if others:
                return compare_drills(self.drills[others[int(rng.integers(len(others)))]], now)
        return None


def dialogue_samples(
    processor: PoiseProcessor,
    clips: Sequence[PerceivedClip],
    seed: int,
    language: LanguageSettings,
) -> list[TokenSample]:
    """One long talk about a share of the clips: features, commentary, questions, answers."""
    talks = Talks([clip.drill for clip in clips], [clip.order for clip in clips])
    samples = []
    for i, clip in enumerate(clips):
        rng = np.random.default_rng([seed, 16, i])
        asked = rng.random() < language.dialogue_share
        talk = talks.about(i, rng, MANY_TURNS) if asked else None
        if talk is not None:
            name = f"{clip.drill.sample_id}/{DIALOGUE}"
            samples.append(talk_sample(processor, talk, clip.inputs, name, language))
    return samples


def talk_sample(
    processor: PoiseProcessor,
    talk: Talk,
    inputs: ModelInputs,
    sample_id: str,
    language: LanguageSettings,
) -> TokenSample:
    """A talk as a sample. Every answer's first tokens, which say what it is about, weigh as much as
    a verdict, unless all fields weigh the same."""
    sample = token_sample(
        processor,
        talk.messages(**prompt_pieces(inputs)),
        inputs,
        **language.weighting,
        sample_id=sample_id,
    )
    if language.loss_balance == "equal":
        return sample
    return weigh_openings(sample, language.verdict_weight)


def weigh_openings(sample: TokenSample, weight: float) -> TokenSample:
    """The sample with the first tokens of every answer after the commentary at this weight."""
    learned = [label != IGNORED for label in sample.labels]
    begins = [i for i, here in enumerate(learned) if here and not (i and learned[i - 1])]
    weights = list(sample.weights)
    for begin in begins[1:]:
        for place in range(begin, begin + OPENING):
            if place < len(weights) and learned[place]:
                weights[place] = weight
    return replace(sample, weights=weights)
