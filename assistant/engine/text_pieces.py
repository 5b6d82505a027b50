"""Answers in pieces of text while their tokens are generated, one or several rows at once."""

import re
from collections.abc import Iterator, Sequence
from queue import Queue
from typing import Any

import torch
from transformers.generation.streamers import BaseStreamer

from assistant.engine.base import Piece

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_HALF_A_CHARACTER = "\ufffd"


class PieceDecoder:
    """Turns growing token ids into pieces of text that, joined, are the decoded answer.

    A run of byte tokens is held back until it ends: only then is it known which characters it
    spells.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._given = 0

    def add(self, ids: Sequence[int]) -> str:
        """The text that the new ids complete; often a word, sometimes nothing."""
        self._ids += ids
        if not self._ids or _BYTE.fullmatch(self._tokenizer.convert_ids_to_tokens(self._ids[-1])):
            return ""
        text = self._text()
        return "" if text.endswith(_HALF_A_CHARACTER) else self._new(text)

    def rest(self) -> str:
        """What was held back, when no token follows."""
        return self._new(self._text())

    @property
    def tokens(self) -> int:
        """How many ids were added."""
        return len(self._ids)

    def _text(self) -> str:
        return self._tokenizer.decode(self._ids, skip_special_tokens=True)

    def _new(self, text: str) -> str:
        piece = text[self._given :]
        self._given = max(self._given, len(text))
        return piece


class TextPieces(BaseStreamer):
    """Receives token ids from `generate`, gives pieces of text to the thread that iterates.

    Args:
        tokenizer: its end-of-turn token ends a row.
        rows: prompts of the batch.
    """

    def __init__(self, tokenizer: Any, rows: int = 1) -> None:
        self._end = tokenizer.eos_token_id
        self._open = {row: PieceDecoder(tokenizer) for row in range(rows)}
        self._prompt_passed = False
        self._steps: Queue[list[Piece] | None] = Queue()

    def put(self, value: torch.Tensor) -> None:
        """The prompts [B, T] first, then new tokens [B]; those of ended rows are padding."""
        if self._prompt_passed:
            tokens = value.reshape(-1).tolist()
            self._give([self._next(row, tokens[row]) for row in list(self._open)])
        self._prompt_passed = True

    def end(self) -> None:
        """No token follows."""
        self._give([self._last(row) for row in list(self._open)])
        self._steps.put(None)

    def abort(self) -> None:
        """Nothing follows, and no row has come to its end."""
        self._steps.put(None)

    def _next(self, row: int, token: int) -> Piece:
        if token == self._end:
            return self._last(row)
        decoder = self._open[row]
        return Piece(row, decoder.add([token]), decoder.tokens)

    def _last(self, row: int) -> Piece:
        decoder = self._open.pop(row)
        return Piece(row, decoder.rest(), decoder.tokens, ended=True)

    def _give(self, pieces: list[Piece]) -> None:
        told = [piece for piece in pieces if piece.text or piece.ended]
        if told:
            self._steps.put(told)

    def __iter__(self) -> Iterator[list[Piece]]:
        """The pieces of each step of the generation."""
        while (step := self._steps.get()) is not None:
            yield step
