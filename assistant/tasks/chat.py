"""Questions about a clip after its commentary: which prompt, and what an answer's calls mean.

    prompt = chat_prompt(inputs, commentary, "What should I fix first?", earlier=told)

The prompt holds the clip's features, what was said of it, an earlier clip in words where there is
one, what was asked and answered before, and the question. An answer states no number of its own:
the engine allows those of the commentary, and others come in the place of a call. What it claims
of the level and of the change since an earlier clip is true: the model chooses whether to say it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from assistant.engine.base import Prompt
from assistant.model.processing_poise import ModelInputs
from assistant.tasks.commentary import prompt_pieces
from prompts.render import render_messages
from prompts.vocabulary import CALLS

_CALL: Final = re.compile(f"({'|'.join(map(re.escape, CALLS))})")


def chat_prompt(
    inputs: ModelInputs,
    commentary: str,
    question: str,
    history: Sequence[tuple[str, str]] = (),
    *,
    earlier: str | None = None,
    claims: Mapping[str, Sequence[str]] | None = None,
    fused_video: bool = False,
) -> Prompt:
    """The prompt of one question.

    Args:
        inputs: features of the clip.
        commentary: the whole first answer, label and commentary.
        question: as the user wrote it.
        history: earlier questions about the clip with their answers, calls as written.
        earlier: what is told of an earlier clip (`prompts.earlier.render_earlier`).
        claims: what the answer may claim of the clip and the change (`prompts.claims`).
    """
    messages = render_messages(
        "chat",
        commentary=commentary,
        question=question,
        history=history,
        earlier=earlier,
        **prompt_pieces(inputs, fused_video=fused_video),
    )
    known = commentary if earlier is None else f"{commentary}\n{earlier}"
    return Prompt(messages, inputs, calls=True, numbers_from=known, claims=claims or {})


def split_calls(text: str) -> list[tuple[str, bool]]:
    """An answer in order as (text, False) and (call, True); empty texts are left out."""
    return [(part, bool(i % 2)) for i, part in enumerate(_CALL.split(text)) if part]
