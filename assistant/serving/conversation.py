"""From the messages of a chat request to the clips, what was asked and answered, and the question.

Questions are about the newest clip, as in `assistant.chat_session`; what was said before it was
about an earlier clip and is not read. System messages are not read either: the model was trained
with its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from assistant.serving.errors import ApiError
from assistant.serving.schema import ChatMessage, ClipPart, TextPart

# Of all clips of a conversation together.
MOST_FILES: Final = 32


@dataclass(frozen=True)
class Conversation:
    """Clips, and the talk about the newest.

    Attributes:
        parts: the files of each message that holds some, in order.
        history: questions about the newest clip with their answers.
        question: the question that waits; None where the clip alone was given: then level and
            commentary are asked for.
        fresh: nothing was answered since the newest clip came.
    """

    parts: Sequence[Sequence[ClipPart]]
    history: tuple[tuple[str, str], ...]
    question: str | None
    fresh: bool


def read_conversation(messages: Sequence[ChatMessage]) -> Conversation:
    """Read the messages of a request.

    Raises:
        ApiError: no clip, too many, no question, or the last message is not the user's.
    """
    talk = [message for message in messages if message.role in ("user", "assistant")]
    if not talk or talk[-1].role != "user":
        raise ApiError(400, "the last message must be the user's", "no_question", param="messages")
    parts = {i: _parts(m) for i, m in enumerate(talk) if m.role == "user" and _parts(m)}
    if not parts:
        raise ApiError(
            400,
            "no clip in this conversation: give a film or a pose file as a content part of a user "
            'message, such as {"type": "file", "file": {"file_id": "file-..."}}',
            "no_clip",
            param="messages",
        )
    given = sum(map(len, parts.values()))
    if given > MOST_FILES:
        raise ApiError(
            400,
            f"{given} clip files in this conversation; expected: at most {MOST_FILES}; leave out "
            "the oldest",
            "too_many_clips",
            param="messages",
        )
    asked: list[str] = []
    history: list[tuple[str, str]] = []
    answered = False
    for message in talk[max(parts) :]:
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
    question = "\n".join(asked) if asked else None
    return Conversation(list(parts.values()), tuple(history), question, not answered)


def _parts(message: ChatMessage) -> list[ClipPart]:
    if not isinstance(message.content, list):
        return []
    return [part for part in message.content if not isinstance(part, TextPart)]


def _text(message: ChatMessage) -> str:
    if message.content is None or isinstance(message.content, str):
        return (message.content or "").strip()
    texts = [part.text for part in message.content if isinstance(part, TextPart)]
    return "\n".join(texts).strip()
