"""What an answer may say next: rules on token ids that every engine applies to its logits.

A rule is a pure function of the ids written so far, so that two engines that apply it write the
same. `Rule.to_json` and `rule_from_json` carry it to an engine in another process.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import torch

from assistant.engine.base import GenerationOptions, Prompt
from assistant.errors import PoiseError
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.processing_poise import PoiseProcessor
from prompts.regions_once import OTHER, RegionTrack, closed_pieces, tells
from prompts.stated import (
    ELSE,
    LONGEST,
    last_run,
    part_of_a_number,
    stated_numbers,
    states_other,
)


class Rule(ABC):
    """Changes the logits of one answer's next token."""

    @abstractmethod
    def restrict(self, logits: torch.Tensor, written: Sequence[int]) -> None:
        """Set to -inf what may not follow `written`, in place.

        Args:
            logits: [V] of the next token.
            written: the answer's ids so far, without the prompt.
        """

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The rule as plain data, with its name under "rule"."""


def keep_only(logits: torch.Tensor, ids: Sequence[int] | range) -> None:
    """Set all logits [V] but those of `ids` to -inf, in place."""
    if isinstance(ids, range):
        kept = logits[ids.start : ids.stop].clone()
        logits.fill_(-torch.inf)
        logits[ids.start : ids.stop] = kept
    else:
        place = torch.tensor(list(ids), device=logits.device)
        kept = logits[place]
        logits.fill_(-torch.inf)
        logits[place] = kept


class Without(Rule):
    """Some tokens never: special tokens in text, whose features nobody has."""

    def __init__(self, ids: Sequence[int]) -> None:
        self.ids = list(ids)
        self._place = torch.tensor(self.ids, dtype=torch.long)

    def restrict(self, logits: torch.Tensor, written: Sequence[int]) -> None:
        self._place = self._place.to(logits.device)
        logits.index_fill_(0, self._place, -torch.inf)

    def to_json(self) -> dict[str, Any]:
        return {"rule": "without", "ids": self.ids}


class OneOf(Rule):
    """The answer is one of a few token sequences, each closed by `end`."""

    def __init__(self, choices: Sequence[Sequence[int]], end: int) -> None:
        self.choices = [list(choice) for choice in choices]
        self.end = end

    def restrict(self, logits: torch.Tensor, written: Sequence[int]) -> None:
        done = list(written)
        begun = [[*c, self.end] for c in self.choices if [*c, self.end][: len(done)] == done]
        following = {choice[len(done)] for choice in begun if len(choice) > len(done)}
        keep_only(logits, sorted(following) or [self.end])

    def to_json(self) -> dict[str, Any]:
        return {"rule": "one_of", "choices": self.choices, "end": self.end}


class PoseForm(Rule):
    """A pose sequence: codes only, a frame end after every frame, a sequence end at the last.

    With a guide each written frame has a given one before it. The position inside the sequence
    follows from the number of written tokens, so every sequence has exactly `length` tokens.

    Args:
        code_start, codebook_size: ids of the pose codes.
        frames, tokens: written frames, and codes a frame.
        frame_end, sequence_end: ids of the two marks.
        guide: [frames, tokens] codes that are given, or None.

    Raises:
        PoiseError: a guide of another shape, or codes outside the codebook.
    """

    def __init__(
        self,
        code_start: int,
        codebook_size: int,
        frames: int,
        tokens: int,
        frame_end: int,
        sequence_end: int,
        guide: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self.codes = range(code_start, code_start + codebook_size)
        self.frames, self.tokens = frames, tokens
        self.frame_end, self.sequence_end = frame_end, sequence_end
        self.guide = None if guide is None else [[int(code) for code in row] for row in guide]
        if self.guide is not None:
            self._check(self.guide)

    @classmethod
    def of(cls, config: PoiseConfig, guide: Sequence[Sequence[int]] | None = None) -> "PoseForm":
        """The form of a checkpoint's corrections."""
        return cls(
            config.pose_code_start,
            config.codebook_size,
            config.correction_frames,
            config.tokens_per_frame,
            config.pose_frame_end_id,
            config.pose_sequence_end_id,
            guide,
        )

    def _check(self, guide: list[list[int]]) -> None:
        widths = {len(row) for row in guide}
        codes = [code for row in guide for code in row]
        if len(guide) != self.frames or widths != {self.tokens}:
            raise PoiseError(
                "the given pose codes do not fit the model",
                got=f"{len(guide)} frames of {sorted(widths)} codes",
                expected=f"{self.frames} frames of {self.tokens}",
            )
        if not all(0 <= code < len(self.codes) for code in codes):
            raise PoiseError(
                "a given pose code is not in the codebook",
                got=f"codes from {min(codes)} to {max(codes)}",
                expected=f"0 to {len(self.codes) - 1}",
            )

    @property
    def stride(self) -> int:
        """Tokens of a frame with its end."""
        return self.tokens + 1

    @property
    def length(self) -> int:
        """Tokens of a whole sequence, given frames included."""
        return self.frames * (2 if self.guide is not None else 1) * self.stride + 1

    @property
    def written(self) -> list[int]:
        """Places of the written frames' tokens and of the sequence's end."""
        last = self.length - 1
        return [p for p in range(last) if self.guide is None or (p // self.stride) % 2] + [last]

    def allowed(self, step: int) -> Sequence[int] | range:
        """The ids that may stand at place `step`."""
        frame, place = divmod(step, self.stride)
        if step >= self.length - 1:
            return [self.sequence_end]
        if place == self.tokens:
            return [self.frame_end]
        if self.guide is not None and frame % 2 == 0:
            return [self.codes.start + self.guide[frame // 2][place]]
        return self.codes

    def restrict(self, logits: torch.Tensor, written: Sequence[int]) -> None:
        keep_only(logits, self.allowed(len(written)))

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": "pose_form",
            "code_start": self.codes.start,
            "codebook_size": len(self.codes),
            "frames": self.frames,
            "tokens": self.tokens,
            "frame_end": self.frame_end,
            "sequence_end": self.sequence_end,
            "guide": self.guide,
        }


class RegionsOnce(Rule):
    """A commentary names no region by a second remark.

    Args:
        start: how the answer begins, before what is written.
        tokens, texts: ids and texts of the tokens that may be part of where a remark begins.
    """

    def __init__(self, start: str, tokens: Sequence[int], texts: Sequence[str]) -> None:
        self.start = start
        self.pieces = dict(zip(tokens, texts, strict=True))
        self._read: list[int] = []  # what the track knows of an answer, to go on from there
        self._track = RegionTrack(start)
        self._closed: dict[tuple[str, frozenset[str]], tuple[int, ...]] = {}

    def restrict(self, logits: torch.Tensor, written: Sequence[int]) -> None:
        known = len(self._read)
        if list(written[:known]) != self._read:
            known, self._track = 0, RegionTrack(self.start)
        self._read = list(written)
        self._track.read("".join(self.pieces.get(token, OTHER) for token in written[known:]))
        state = self._track.place, self._track.named
        if state not in self._closed:
            self._closed[state] = closed_pieces(self.pieces, *state)
        if closed := self._closed[state]:
            logits[list(closed)] = -torch.inf

    def to_json(self) -> dict[str, Any]:
        texts = list(self.pieces.values())
        return {
            "rule": "regions_once",
            "start": self.start,
            "tokens": list(self.pieces),
            "texts": texts,
        }


class StatedNumbers(Rule):
    """No number is stated but those allowed, in digits or in words (`prompts.stated`).

    Args:
        allowed: numbers as digits.
        tokens, texts: ids and texts of the tokens that may be part of a number.
    """

    def __init__(self, allowed: Sequence[str], tokens: Sequence[int], texts: Sequence[str]) -> None:
        self.allowed = frozenset(allowed)
        self.pieces = dict(zip(tokens, texts, strict=True))
        self._closed: dict[str, tuple[int, ...]] = {}

    def restrict(self, logits: torch.Tensor, written: Sequence[int]) -> None:
        run = last_run([self.pieces.get(token, ELSE) for token in written[-LONGEST:]])
        if run not in self._closed:
            self._closed[run] = tuple(
                token
                for token, piece in self.pieces.items()
                if states_other(run, piece, self.allowed)
            )
        if closed := self._closed[run]:
            logits[list(closed)] = -torch.inf

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": "stated_numbers",
            "allowed": sorted(self.allowed),
            "tokens": list(self.pieces),
            "texts": list(self.pieces.values()),
        }


class TrueClaims(Rule):
    """After some words the answer goes on with one of the texts that are true of the clips.

    Args:
        claims: words, wherever they stand, and the texts of which one follows them to its end.
        tokens, texts: ids and texts of the tokens that may be part of either.
    """

    def __init__(
        self, claims: Mapping[str, Sequence[str]], tokens: Sequence[int], texts: Sequence[str]
    ) -> None:
        self.claims = {lead: list(ends) for lead, ends in claims.items()}
        self.pieces = dict(zip(tokens, texts, strict=True))
        self._longest = max(len(lead + e) for lead, ends in self.claims.items() for e in ends)

    def restrict(self, logits: torch.Tensor, written: Sequence[int]) -> None:
        # A token holds a character at least.
        text = "".join(self.pieces.get(token, OTHER) for token in written[-self._longest :])
        for lead, ends in self.claims.items():
            place = text.rfind(lead)
            rest = text[place + len(lead) :]
            if place >= 0 and rest not in ends and (begun := self._next(ends, rest)):
                keep_only(logits, begun)

    def _next(self, ends: Sequence[str], rest: str) -> list[int]:
        """The tokens that may follow `rest` on the way to one of these texts."""
        left = [end.removeprefix(rest) for end in ends if end.startswith(rest)]
        return [
            token
            for token, piece in self.pieces.items()
            if any(end.startswith(piece) for end in left)
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": "true_claims",
            "claims": self.claims,
            "tokens": list(self.pieces),
            "texts": list(self.pieces.values()),
        }


def claim_tokens(processor: PoiseProcessor, claims: Mapping[str, Sequence[str]]) -> dict[int, str]:
    """Texts of the tokens that may be part of a claim or of the words before it, by id."""
    return _claim_tokens(processor, tuple((lead, *ends) for lead, ends in claims.items()))


@lru_cache(maxsize=64)  # every question about a clip has the same claims
def _claim_tokens(processor: PoiseProcessor, claims: tuple[tuple[str, ...], ...]) -> dict[int, str]:
    whole = [lead + end for lead, *ends in claims for end in ends]
    starts = tuple(lead[:k] for lead, *_ in claims for k in range(1, len(lead) + 1))
    return {
        token: text
        for token, text in _token_texts(processor).items()
        if text and (text.endswith(starts) or any(text in one for one in whole))
    }


@lru_cache(maxsize=4)
def number_tokens(processor: PoiseProcessor) -> dict[int, str]:
    """Texts of the tokens that may be part of a number, by id."""
    return {
        token: text for token, text in _token_texts(processor).items() if part_of_a_number(text)
    }


@lru_cache(maxsize=4)
def telling_tokens(processor: PoiseProcessor) -> dict[int, str]:
    """Texts of the tokens that may be part of where a remark begins, by id."""
    return {token: text for token, text in _token_texts(processor).items() if tells(text)}


@lru_cache(maxsize=4)
def _token_texts(processor: PoiseProcessor) -> dict[int, str]:
    """Text of every token, by id."""
    tokenizer = processor.tokenizer
    before = processor.text_ids("a")  # decoded behind it, a token keeps its leading space
    texts = tokenizer.batch_decode([[*before, token] for token in range(len(tokenizer))])
    skip = len(tokenizer.decode(before))
    return {token: text[skip:] for token, text in enumerate(texts)}


RULES: Final = {
    "without": Without,
    "one_of": OneOf,
    "pose_form": PoseForm,
    "regions_once": RegionsOnce,
    "stated_numbers": StatedNumbers,
    "true_claims": TrueClaims,
}


def rule_from_json(data: dict[str, Any]) -> Rule:
    """The rule that `to_json` described."""
    given = dict(data)
    return RULES[given.pop("rule")](**given)


def pose_form(rules: Sequence[Rule]) -> PoseForm:
    """The one rule of an answer in pose codes."""
    (form,) = rules
    assert isinstance(form, PoseForm)
    return form


def answer_rules(
    prompt: Prompt, options: GenerationOptions, config: PoiseConfig, processor: PoiseProcessor
) -> list[Rule]:
    """The rules of one answer."""
    if options.pose_codes:
        return [PoseForm.of(config, prompt.guide)]
    tokenizer = processor.tokenizer
    # A placeholder that the model wrote itself would ask for features that nobody has.
    special = [
        token
        for token, added in tokenizer.added_tokens_decoder.items()
        if added.special and token != tokenizer.eos_token_id
    ]
    if not prompt.calls:
        special += processor.call_ids().values()
    rules: list[Rule] = [Without(special)]
    if options.choices:
        rules.append(
            OneOf([processor.text_ids(c) for c in options.choices], tokenizer.eos_token_id)
        )
    if prompt.regions_once:
        telling = telling_tokens(processor)
        rules.append(RegionsOnce(prompt.answer_start, list(telling), list(telling.values())))
    if prompt.numbers_from is not None:
        counting, allowed = number_tokens(processor), stated_numbers(prompt.numbers_from)
        rules.append(StatedNumbers(sorted(allowed), list(counting), list(counting.values())))
    if prompt.claims:
        claiming = claim_tokens(processor, prompt.claims)
        rules.append(TrueClaims(prompt.claims, list(claiming), list(claiming.values())))
    return rules
