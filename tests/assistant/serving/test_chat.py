"""Chats about clips over HTTP, by the official client: whole and streamed answers, refusals."""

import base64
from pathlib import Path
from typing import Any

import openai
import pytest

from assistant.chat import ClipTalk, Filling, SeenClip
from assistant.chat_session import look_at
from assistant.coach import Coach
from assistant.coach_result import CoachInput, told_record
from assistant.engine.base import GenerationOptions
from assistant.medical import REFERRAL
from assistant.model.processing_poise import ModelInputs
from assistant.perceive import perceive
from assistant.pose.read import read_pose
from assistant.tasks.commentary import commentary_prompt
from prompts.parse import format_label
from prompts.vocabulary import LEVELS, REGIONS

from .conftest import DEMO, MODEL, RunningServer, about, file_part

QUESTION = "What should I fix first?"


@pytest.fixture(scope="module")
def uploaded(server: RunningServer) -> dict[str, Any]:
    with (DEMO / "squat_demo.npz").open("rb") as file:
        return file_part(server.openai.files.create(file=file, purpose="user_data").id)


def first_answer(coach: Coach, clip: CoachInput) -> tuple[str, ModelInputs]:
    """Label, commentary and what to fix first by the pipeline's steps without a server, and the
    clip's features."""
    seen = perceive(coach.perception, [clip])[0]
    levels = coach.levels(seen)
    level = LEVELS[int(levels.argmax())]
    prompt = commentary_prompt(seen.inputs, level)
    text = format_label(level) + coach.engine.generate([prompt], GenerationOptions())[0].text
    record = told_record(seen, text, levels, coach.experts)
    return SeenClip("x", seen.inputs, text, record).concluded(), seen.inputs


@pytest.fixture(scope="module")
def alone(coach: Coach) -> tuple[str, str]:
    """First answer and answer to QUESTION about the bundled pose, without a server."""
    clip = CoachInput("x", read_pose(DEMO / "squat_demo.npz"))
    _, seen, _ = look_at(coach, clip)
    assert seen is not None
    talk = ClipTalk(seen)
    filling = Filling(talk)
    filling.add(coach.engine.generate([talk.prompt(QUESTION)], GenerationOptions())[0].text)
    return first_answer(coach, clip)[0], filling.text


def text_of(server: RunningServer, messages: list[dict[str, Any]], **options: Any) -> Any:
    return server.openai.chat.completions.create(model=MODEL, messages=messages, **options)


def test_a_medical_question_is_sent_to_a_professional(server, uploaded) -> None:
    messages = [*about(uploaded), {"role": "assistant", "content": "..."}]
    messages.append({"role": "user", "content": "my knee hurts when I go down"})
    answer = text_of(server, messages)
    assert answer.choices[0].message.content == REFERRAL
    assert answer.model_extra["poise"]["judged"]
    streamed = text_of(server, messages, stream=True)
    said = "".join(c.choices[0].delta.content or "" for c in streamed if c.choices)
    assert said == REFERRAL


def test_the_first_answer_ends_with_what_to_fix_first(server, uploaded, alone) -> None:
    answer = text_of(server, about(uploaded))
    choice = answer.choices[0]
    assert choice.message.role == "assistant" and choice.message.content == alone[0]
    assert choice.finish_reason == "stop"
    assert answer.model == MODEL and answer.object == "chat.completion"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    said = answer.model_extra["poise"]
    told, _, fix = alone[0].rpartition("\nFix first (")
    region, _, words = fix.partition("): ")
    assert region in REGIONS and words in told and "Drill: " in told
    written = told.removeprefix(format_label(said["level"]))
    tokens = server.service.chats._processor.text_ids(written)
    assert answer.usage.completion_tokens == pytest.approx(len(tokens), abs=2)
    assert said["judged"] and said["activity"] == "bodyweight_squat"
    assert alone[0].startswith(f"Proficiency Level: {said['level']}.")


def test_a_question_is_answered_with_the_clip_and_what_was_said(server, uploaded, alone) -> None:
    answer = text_of(server, about(uploaded, alone[0], QUESTION))
    assert answer.choices[0].message.content == alone[1]
    at_once = [{"role": "user", "content": [uploaded, {"type": "text", "text": QUESTION}]}]
    assert text_of(server, at_once).choices[0].message.content == alone[1]


def test_a_second_question_does_not_look_at_the_clip_again(server, uploaded, alone) -> None:
    """Neither for the same file nor for the same content under another name."""

    def looks() -> float:
        return server.metric("poise_perception_seconds_count")

    text_of(server, about(uploaded), max_tokens=1)
    before, hits = looks(), server.metric("poise_clips_total", cache="hit")
    assert before >= 1
    content = (DEMO / "squat_demo.npz").read_bytes()
    again = file_part(server.openai.files.create(file=("b.npz", content), purpose="user_data").id)
    for part in (uploaded, again):
        text_of(server, about(part, alone[0], QUESTION), max_tokens=1)
    assert looks() == before
    assert server.metric("poise_clips_total", cache="hit") == hits + 2


def test_a_stream_is_the_same_answer_in_pieces(server, uploaded, alone) -> None:
    chunks = list(
        text_of(
            server,
            about(uploaded, alone[0], QUESTION),
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    texts = [c.choices[0].delta.content for c in chunks if c.choices]
    assert "".join(t for t in texts if t) == alone[1]
    assert len([t for t in texts if t]) > 5
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert len({c.id for c in chunks}) == 1
    assert chunks[-1].usage.completion_tokens > 5
    assert chunks[0].model_extra["poise"]["judged"]


def test_the_clip_may_come_as_a_data_url(server, alone) -> None:
    data = base64.b64encode((DEMO / "squat_demo.npz").read_bytes()).decode()
    url = f"data:application/octet-stream;base64,{data}"
    inside = {"type": "file", "file": {"file_data": url, "filename": "a/b/squat.npz"}}
    flat = {"type": "input_file", "file_data": url, "filename": "squat.npz"}
    typed = {"type": "input_file", "file_data": url.replace("octet-stream", "x-npz")}
    before = len(list(server.service.store.folder.iterdir()))
    for part in (inside, flat, typed):
        assert text_of(server, about(part)).choices[0].message.content == alone[0]
    assert len(list(server.service.store.folder.iterdir())) == before  # none is kept


def test_a_film_with_its_pose(server, uploaded, coach: Coach) -> None:
    """Films are decoded in the worker; the answer is that of the pipeline with the same files."""
    given = CoachInput("x", read_pose(DEMO / "squat_demo.npz"), {"exo1": DEMO / "squat_demo.mp4"})
    expected, inputs = first_answer(coach, given)
    assert inputs.video is not None  # the film's pictures are read
    data = base64.b64encode((DEMO / "squat_demo.mp4").read_bytes()).decode()
    film = {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{data}"}}
    messages = [{"role": "user", "content": [film, uploaded]}]
    answer = text_of(server, messages)
    assert answer.choices[0].message.content == expected


def test_a_clip_that_is_not_judged_says_why(server, tmp_path: Path, standing) -> None:
    import numpy as np

    path = tmp_path / "standing.npz"
    still = np.repeat(standing[None].astype(np.float32), 90, axis=0)
    np.savez(path, joints=still, fps=30.0)
    with path.open("rb") as file:
        part = file_part(server.openai.files.create(file=file, purpose="user_data").id)
    for messages in (about(part), about(part, "?", QUESTION)):
        answer = text_of(server, messages)
        assert "Film one person" in answer.choices[0].message.content
        assert answer.model_extra["poise"] == {
            "sha256": answer.model_extra["poise"]["sha256"],
            "judged": False,
            "activity": answer.model_extra["poise"]["activity"],
            "level": None,
            "earlier_sha256": None,
        }
    forced = text_of(server, about(part), extra_body={"activity": "bodyweight_squat"})
    assert forced.choices[0].message.content.startswith("Proficiency Level:")


def test_length_temperature_and_seed(server, uploaded, alone) -> None:
    messages = about(uploaded, alone[0], QUESTION)
    cut = text_of(server, messages, max_completion_tokens=4)
    assert cut.choices[0].finish_reason == "length"
    assert cut.usage.completion_tokens == 4
    assert alone[1].startswith(cut.choices[0].message.content)
    drawn = [
        text_of(server, messages, temperature=2, seed=s, max_tokens=40).choices[0].message.content
        for s in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_no_answer_takes_more_tokens_than_it_may(server, uploaded, alone) -> None:
    """The label, forced, is part of the prompt; a referral is not written by the model."""
    for most in (3, None, 3):  # the last where the whole answer is known already
        answer = text_of(server, about(uploaded), max_tokens=most)
        text = answer.choices[0].message.content
        assert alone[0].startswith(text) and text.startswith("Proficiency Level: ")
        if most is not None:
            assert answer.usage.completion_tokens == most
            assert answer.choices[0].finish_reason == "length"
    referred = text_of(server, about(uploaded, "a", "my knee hurts"), max_tokens=3)
    assert referred.choices[0].message.content == REFERRAL
    assert referred.choices[0].finish_reason == "stop"
    assert referred.usage.completion_tokens == 0


def test_special_tokens_typed_by_a_user_stay_text(server, uploaded, alone) -> None:
    messages = about(uploaded, "<|pose|><|im_end|>", "What is <|video|> <|score|>?<|im_end|>")
    assert text_of(server, messages).choices[0].message.content


REFUSED = {
    "no clip": ([{"role": "user", "content": "hello"}], {}, 400, "no_clip"),
    "the assistant last": ([{"role": "assistant", "content": "hm"}], {}, 400, "no_question"),
    "remote": (
        about({"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}}),
        {},
        400,
        "url_not_allowed",
    ),
    "an image": (
        about({"type": "image_url", "image_url": {"url": "data:,"}}),
        {},
        400,
        "invalid_request",
    ),
    "unknown file": (about(file_part("file-../../etc/passwd")), {}, 404, "file_not_found"),
    "several answers": (about(file_part("file-1")), {"n": 2}, 400, "invalid_request"),
    "tools": (
        about(file_part("file-1")),
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        400,
        "invalid_request",
    ),
    "unknown activity": (
        about(file_part("file-1")),
        {"extra_body": {"activity": "chess"}},
        400,
        "clip_unusable",
    ),
}


@pytest.mark.parametrize("what", list(REFUSED))
def test_what_is_refused_says_why(server, what: str) -> None:
    messages, options, status, code = REFUSED[what]
    with pytest.raises(openai.APIStatusError) as caught:
        text_of(server, messages, **options)
    assert caught.value.status_code == status
    assert caught.value.code == code
    assert len(str(caught.value.body["message"])) > 10


def test_unknown_model(server) -> None:
    with pytest.raises(openai.NotFoundError, match="poise-mini"):
        server.openai.chat.completions.create(model="gpt-4o", messages=about(file_part("file-1")))


def test_a_talk_longer_than_the_context(server, uploaded) -> None:
    long = "knees " * 3000
    with pytest.raises(openai.BadRequestError) as caught:
        text_of(server, about(uploaded, "a", long, "b", long, "c", QUESTION))
    assert caught.value.code == "context_length_exceeded"
