"""What every engine takes and gives; which library runs the model is the engine's own business."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from assistant.model.configuration_poise import PoiseConfig
from assistant.model.processing_poise import ModelInputs


@dataclass(frozen=True)
class Prompt:
    """A conversation that waits for an answer, with the clip's features.

    Attributes:
        messages: chat messages as `prompts.render` makes them, the last one from the user.
        inputs: features for the placeholders of the messages.
        answer_start: text that the answer must begin with (it is not generated again).
        guide: [frames, tokens] pose codes of which each frame stands, given, before the frame that
            is written after it; only where pose codes are generated, and no part of the answer.
        adapter: name of an adapter that the engine has loaded; None for the base model.
        regions_once: the answer is a commentary: no region may be named by a second remark
            (`prompts.regions_once`).
        calls: the answer may call for what is shown or filled in (`prompts.vocabulary.CALLS`).
        numbers_from: the text whose numbers the answer may state, and no other; None allows all.
        claims: words and the texts of which one must follow them wherever the answer says them.
    """

    messages: Sequence[dict[str, str]]
    inputs: ModelInputs
    answer_start: str = ""
    guide: Sequence[Sequence[int]] | None = None
    adapter: str | None = None
    regions_once: bool = False
    calls: bool = False
    numbers_from: str | None = None
    claims: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class GenerationOptions:
    """How to decode.

    Attributes:
        max_new_tokens: upper bound of the answer's length.
        temperature: 0 is greedy.
        seed: of sampling.
        pose_codes: write a pose sequence: codes only, exact length (max_new_tokens is ignored).
        choices: the answer is one of these texts, as they follow the prompt; empty for free text.
    """

    max_new_tokens: int = 200
    temperature: float = 0.0
    seed: int = 0
    pose_codes: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Generation:
    """One answer.

    Attributes:
        text: without `answer_start` and without the end-of-turn token.
        token_ids: the generated ids.
        code_probabilities: [frames, tokens, codebook] when pose codes were asked for.
    """

    text: str
    token_ids: list[int]
    code_probabilities: np.ndarray | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Piece:
    """What one row of a batch has written since its last piece.

    Attributes:
        row: which prompt of the batch.
        text: may be empty where only the row's end is told.
        tokens: generated so far in this row, its end-of-turn token not counted.
        ended: nothing follows in this row.
    """

    row: int
    text: str
    tokens: int
    ended: bool = False


class Engine(Protocol):
    """The three verbs."""

    name: str

    @property
    def config(self) -> PoiseConfig: ...

    def generate(
        self, prompts: Sequence[Prompt], options: GenerationOptions
    ) -> list[Generation]: ...

    def stream(self, prompt: Prompt, options: GenerationOptions) -> Iterator[str]: ...

    def score(
        self, prompt: Prompt, continuations: Sequence[Any]
    ) -> tuple[np.ndarray, np.ndarray]: ...
