"""From token ids to answers and from continuations to token ids, the same for every engine."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from assistant.engine.base import Generation, Prompt
from assistant.engine.constraints import PoseForm
from assistant.errors import PoiseError
from assistant.model.configuration_poise import PoiseConfig
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
    prompt: Prompt,
    continuations: Sequence[Sequence[int] | str],
    config: PoiseConfig,
    processor: PoiseProcessor,
) -> tuple[list[list[int]], list[list[bool]]]:
    """Token ids of continuations, and which of them count.

    Args:
        continuations: texts or token ids; any length above zero. With a guide in the prompt, ids
            of a pose sequence: each frame of the guide is given before its frame.

    Raises:
        PoiseError: a continuation without any token, or of another length than the guide.
    """
    token_ids = [processor.text_ids(c) if isinstance(c, str) else list(c) for c in continuations]
    empty = [i for i, ids in enumerate(token_ids) if not ids]
    if empty:
        raise PoiseError(
            "nothing to score",
            got=f"no token in continuation {empty[0]} of {len(token_ids)}",
            expected="continuations of at least one token",
        )
    if prompt.guide is None:
        return token_ids, [[True] * len(ids) for ids in token_ids]
    guided = [guided_ids(ids, prompt.guide, config) for ids in token_ids]
    return [ids for ids, _ in guided], [mask for _, mask in guided]


def guided_ids(
    ids: Sequence[int], guide: Sequence[Sequence[int]], config: PoiseConfig
) -> tuple[list[int], list[bool]]:
    """Token ids of a pose sequence with each frame of the guide before its frame, and which of
    them belong to the sequence.

    Raises:
        PoiseError: the sequence has not as many frames as the guide.
    """
    stride = config.tokens_per_frame + 1
    if len(ids) != len(guide) * stride + 1:
        raise PoiseError(
            "nothing to score",
            got=f"a pose sequence of {len(ids)} tokens",
            expected=f"{len(guide) * stride + 1} for a guide of {len(guide)} frames",
        )
    mixed: list[int] = []
    counted: list[bool] = []
    for i, frame in enumerate(guide):
        given = [*(config.pose_code_start + int(code) for code in frame), config.pose_frame_end_id]
        mixed += [*given, *ids[i * stride : (i + 1) * stride]]
        counted += [False] * stride + [True] * stride
    return [*mixed, ids[-1]], [*counted, True]
