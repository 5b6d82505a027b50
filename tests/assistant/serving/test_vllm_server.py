"""The same server over the vLLM engine: the same answers, adapters by model name."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from assistant.coach import Coach
from assistant.feedback import validate
from assistant.serving.settings import ServeSettings

from .conftest import RunningServer, about, file_part, running
from .load import ClipTalk, drive, learn_alone

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def by_vllm() -> Iterator[RunningServer]:
    coach = Coach.from_pretrained(engine="vllm", dtype="float32")
    with running(coach, ServeSettings(port=0)) as started:
        yield started


@pytest.fixture(scope="module")
def talks(server: RunningServer, clip_paths: list[Path]) -> list[ClipTalk]:
    """Each clip's answers by the transformers engine."""
    return learn_alone(server.url, "none", clip_paths)


def test_many_chats_get_the_answers_of_the_transformers_engine(by_vllm, talks) -> None:
    uploaded = []
    for talk in talks:
        with talk.path.open("rb") as file:
            given = by_vllm.openai.files.create(file=file, purpose="user_data")
        uploaded.append(ClipTalk(talk.path, given.id, talk.answers))
    report = asyncio.run(drive(by_vllm.url, "none", uploaded, chats=12, rounds=2))
    assert report.answered == 12 * 2 * 3
    assert report.wrong == [] and report.lost == []


def test_coaching_by_vllm(by_vllm, clip_paths: list[Path]) -> None:
    with clip_paths[0].open("rb") as file:
        part = file_part(by_vllm.openai.files.create(file=file, purpose="user_data").id)
    record = by_vllm.http.post("/v1/coach", json={"clip": [part]}).json()
    validate(record)
    assert record["provenance"]["engine"] == "vllm" and record["correction"]["pose"]


def test_unknown_adapters_are_unknown_models(by_vllm) -> None:
    with pytest.raises(openai.NotFoundError, match="poise-mini"):
        by_vllm.openai.chat.completions.create(model="golf", messages=about(file_part("file-1")))
