"""From the messages of a chat request to the clip, what was asked and answered, and the question.

The clip is the one of the last user message that holds one; what was said before it was about
another clip and is not read. System messages are not read either: the model was trained with its
own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from assistant.serving.errors import ApiError
from assistant.serving.schema import ChatMessage, ClipPart, TextPart


@dataclass(frozen=True)
class Conversation:
    """One clip and the talk about it.

    Attributes:
        parts: the clip's files.
        history: questions about it with their answers.
        question: the question that waits; None where the clip alone was given: then level and
            commentary are asked for.
    """

    parts: Sequence[ClipPart]
    history: tuple[tuple[str, str], ...]
    question: str | None


def read_conversation(messages: Sequence[ChatMessage]) -> Conversation:
    """Read the messages of a request.

    Raises:
        ApiError: no clip, no question, or the last message is not the user's.
    """
    talk = [message for message in messages if message.role in ("user", "assistant")]
    if not talk or talk[-1].role != "user":
        raise ApiError(400, "the last message must be the user's", "no_question", param="messages")
    with_clip = [i for i, m in enumerate(talk) if m.role == "user" and _parts(m)]
    if not with_clip:
        raise ApiError(
            400,
            "no clip in this conversation: give a film or a pose file as a content part of a user "
            'message, such as {"type": "file", "file": {"file_id": "file-..."}}',
            "no_clip",
            param="messages",
        )
    first = with_clip[-1]
    asked: list[str] = []
    history: list[tuple[str, str]] = []
    answered = False
    for message in talk[first:]:
        text = _text(message)
        if message.role == "user":
            asked += [text] if text else []
        else:
            answered = True
            if asked:
                history.append(("\n".join(asked), text))
            asked = []
    if not asked and answered:
        raise ApiError(400, "the last message asks nothing", "no_question", param="messages")
    return Conversation(_parts(talk[first]), tuple(history), "\n".join(asked) if asked else None)


def _parts(message: ChatMessage) -> list[ClipPart]:
    if not isinstance(message.content, list):
        return []
    return [part for part in message.content if not isinstance(part, TextPart)]


def _text(message: ChatMessage) -> str:
    if message.content is None or isinstance(message.content, str):
        return (message.content or "").strip()
    texts = [part.text for part in message.content if isinstance(part, TextPart)]
    return "\n".join(texts).strip()
