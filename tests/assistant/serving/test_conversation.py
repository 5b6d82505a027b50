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


def named(talk) -> list[list[str | None]]:
    """The files of each message that holds some."""
    return [[p.file.file_id for p in parts if isinstance(p, FilePart)] for parts in talk.parts]


def test_a_clip_alone_asks_for_level_and_commentary() -> None:
    talk = read_conversation(messages(("user", clip("a"))))
    assert (named(talk), talk.history, talk.question, talk.fresh) == ([["a"]], (), None, True)


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
    assert (talk.history, talk.question, talk.fresh) == ((), "What first?", True)
    later = read_conversation(
        messages(("user", clip("a", "What first?")), ("assistant", "Legs."), ("user", "Then?"))
    )
    assert (later.history, later.question) == ((("What first?", "Legs."),), "Then?")
    assert not later.fresh


def test_questions_are_about_the_newest_clip_and_the_earlier_ones_are_kept() -> None:
    talk = read_conversation(
        messages(
            ("user", clip("a", "What first?")),
            ("assistant", "Legs."),
            ("user", clip("b")),
            ("assistant", "Better."),
            ("user", "What now?"),
        )
    )
    assert (named(talk), talk.history, talk.question) == ([["a"], ["b"]], (), "What now?")
    both = [*clip("a"), *clip("b", "Am I better?")]
    assert named(read_conversation(messages(("user", both)))) == [["a", "b"]]


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
        ([("user", clip(f"{i}")) for i in range(33)], "too_many_clips"),
    ],
)
def test_what_cannot_be_answered(turns: list, code: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_conversation(messages(*turns))
    assert caught.value.code == code and caught.value.status == 400
