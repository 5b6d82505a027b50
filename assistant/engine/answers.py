"""From token ids to answers and from continuations to token ids, the same for every engine."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from assistant.engine.base import Generation
from assistant.engine.constraints import PoseForm
from assistant.errors import PoiseError
from assistant.model.processing_poise import PoiseProcessor


def text_answer(ids: Sequence[int], tokenizer: Any) -> Generation:
    """Text up to the end-of-turn token; padding is dropped."""
    row = list(ids)
    if tokenizer.eos_token_id in row:
        row = row[: row.index(tokenizer.eos_token_id)]
    row = [token for token in row if token != tokenizer.pad_token_id]
    return Generation(tokenizer.decode(row, skip_special_tokens=True), row)


def codes_answer(
    ids: Sequence[int], log_probabilities: np.ndarray, form: PoseForm, tokenizer: Any
) -> Generation:
    """A pose sequence without its given frames, and the probabilities of its codes.

    Args:
        ids: all `form.length` tokens.
        log_probabilities: [form.length, codebook] of the codes at each place; what stands at other
            places than codes does not matter.
    """
    places = form.written
    row = [ids[place] for place in places]
    logs = log_probabilities[places[:-1]].reshape(form.frames, form.stride, -1)
    probabilities = np.exp(logs[:, : form.tokens]).astype(np.float32)
    return Generation(
        tokenizer.decode(row, skip_special_tokens=False),
        row,
        probabilities / probabilities.sum(-1, keepdims=True),
    )


def scored_ids(
    continuations: Sequence[Sequence[int] | str], processor: PoiseProcessor
) -> list[list[int]]:
    """Token ids of continuations.

    Args:
        continuations: texts or token ids; any length above zero.

    Raises:
        PoiseError: a continuation without any token.
    """
    token_ids = [processor.text_ids(c) if isinstance(c, str) else list(c) for c in continuations]
    empty = [i for i, ids in enumerate(token_ids) if not ids]
    if empty:
        raise PoiseError(
            "nothing to score",
            got=f"no token in continuation {empty[0]} of {len(token_ids)}",
            expected="continuations of at least one token",
        )
    return token_ids
