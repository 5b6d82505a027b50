"""Which clip, which history and which question a list of messages means."""

import pytest

from assistant.serving.conversation import read_conversation
from assistant.serving.errors import ApiError
from assistant.serving.schema import ChatRequest, FilePart


def messages(*turns: tuple[str, object]) -> list:
    given = [{"role": role, "content": content} for role, content in turns]
    return ChatRequest.model_validate({"model": "m", "messages": given}).messages


def clip(name: str, text: str | None = None) -> list:
    part = {"type": "file", "file": {"file_id": name}}
    return [part, *([{"type": "text", "text": text}] if text else [])]


def named(talk) -> list[str | None]:
    return [part.file.file_id for part in talk.parts if isinstance(part, FilePart)]


def test_a_clip_alone_asks_for_level_and_commentary() -> None:
    talk = read_conversation(messages(("user", clip("a"))))
    assert (named(talk), talk.history, talk.question) == (["a"], (), None)


def test_the_first_answer_is_no_history() -> None:
    talk = read_conversation(
        messages(
            ("system", "Be brief."),
            ("user", clip("a")),
            ("assistant", "Proficiency Level: ..."),
            ("user", "And the arms?"),
            ("assistant", "They drift."),
            ("user", [{"type": "text", "text": "Why?"}]),
        )
    )
    assert talk.history == (("And the arms?", "They drift."),)
    assert talk.question == "Why?"


def test_a_clip_with_a_question() -> None:
    talk = read_conversation(messages(("user", clip("a", "What first?"))))
    assert (talk.history, talk.question) == ((), "What first?")
    later = read_conversation(
        messages(("user", clip("a", "What first?")), ("assistant", "Legs."), ("user", "Then?"))
    )
    assert (later.history, later.question) == ((("What first?", "Legs."),), "Then?")


def test_the_last_clip_counts() -> None:
    talk = read_conversation(
        messages(
            ("user", clip("a", "What first?")),
            ("assistant", "Legs."),
            ("user", clip("b")),
            ("assistant", "Better."),
            ("user", "What now?"),
        )
    )
    assert (named(talk), talk.history, talk.question) == (["b"], (), "What now?")


def test_lines_of_the_same_person_belong_together() -> None:
    talk = read_conversation(messages(("user", clip("a")), ("user", "One."), ("user", "Two.")))
    assert talk.question == "One.\nTwo."


@pytest.mark.parametrize(
    ("turns", "code"),
    [
        ([("user", "hello")], "no_clip"),
        ([("system", "hello")], "no_question"),
        ([("user", clip("a")), ("assistant", "x")], "no_question"),
        ([("user", clip("a")), ("assistant", "x"), ("user", " ")], "no_question"),
    ],
)
def test_what_cannot_be_answered(turns: list, code: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_conversation(messages(*turns))
    assert caught.value.code == code and caught.value.status == 400
