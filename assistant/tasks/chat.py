"""Questions about a clip after its commentary: the clip, what was said and asked, the question."""

from collections.abc import Sequence

from assistant.engine.base import Prompt
from assistant.model.processing_poise import ModelInputs
from assistant.tasks.commentary import prompt_pieces
from prompts.render import render_messages


def chat_prompt(
    inputs: ModelInputs,
    commentary: str,
    question: str,
    history: Sequence[tuple[str, str]] = (),
    *,
    fused_video: bool = False,
) -> Prompt:
    """The prompt of one question.

    Args:
        inputs: features of the clip.
        commentary: the whole first answer, label and commentary.
        question: as the user wrote it.
        history: earlier questions about the clip with their answers.
    """
    messages = render_messages(
        "chat",
        commentary=commentary,
        question=question,
        history=history,
        **prompt_pieces(inputs, fused_video=fused_video),
    )
    return Prompt(messages, inputs)
