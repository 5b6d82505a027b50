"""An answer in pieces of text while its tokens are generated."""

import re
from collections.abc import Iterator
from queue import Queue
from typing import Any

import torch
from transformers.generation.streamers import BaseStreamer

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_HALF_A_CHARACTER = "\ufffd"


class TextPieces(BaseStreamer):
    """Receives token ids from `generate`, gives pieces of text to the thread that iterates.

    Joined, the pieces are the decoded answer. A run of byte tokens is held back until it ends: only
    then is it known which characters it spells.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] | None = None  # None until the prompt has passed
        self._given = 0
        self._pieces: Queue[str | None] = Queue()

    def put(self, value: torch.Tensor) -> None:
        """The prompt first, then new tokens [1] of the only sample."""
        if self._ids is None:
            self._ids = []
            return
        self._ids += value.reshape(-1).tolist()
        token = self._tokenizer.convert_ids_to_tokens(self._ids[-1])
        if not _BYTE.fullmatch(token):
            text = self._text()
            if not text.endswith(_HALF_A_CHARACTER):
                self._give(text)

    def end(self) -> None:
        """No token follows."""
        self._give(self._text())
        self._pieces.put(None)

    def _text(self) -> str:
        return self._tokenizer.decode(self._ids or [], skip_special_tokens=True)

    def _give(self, text: str) -> None:
        if len(text) > self._given:
            self._pieces.put(text[self._given :])
            self._given = len(text)

    def __iter__(self) -> Iterator[str]:
        while (piece := self._pieces.get()) is not None:
            yield piece
