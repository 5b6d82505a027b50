"""Chats at the same time: every answer belongs to its clip, who leaves frees the engine."""

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import openai
import pytest

from assistant.serving.load import ClipTalk, LoadReport, drive, learn_alone
from assistant.serving.own_server import ServerProcess

from .conftest import MODEL, WAIT, RunningServer, about, file_part, wait_until

QUESTION = "What should I fix first?"


@pytest.fixture
def slow_model(server: RunningServer) -> Iterator[None]:
    """Each token of the real model takes a second more, so that nobody can be too late to leave."""
    model = server.service.coach.engine.model
    hook = model.register_forward_pre_hook(lambda *_: time.sleep(1.0))
    yield
    hook.remove()


def asked_before(server: RunningServer, path: Path) -> tuple[list[dict], int]:
    """A question that goes to the engine at once, and its answer's tokens: slowly, some seconds."""
    part = upload(server, path)
    messages = about(part, "a", QUESTION)
    answer = server.openai.chat.completions.create(model=MODEL, messages=messages)
    assert answer.usage.completion_tokens >= 8
    return messages, answer.usage.completion_tokens


@pytest.fixture(scope="module")
def talks(server: RunningServer, clip_paths: list[Path]) -> list[ClipTalk]:
    """Each clip's answers when the server has nothing else to do."""
    return learn_alone(server.url, "none", clip_paths)


def upload(server: RunningServer, path: Path) -> dict:
    with path.open("rb") as file:
        return file_part(server.openai.files.create(file=file, purpose="user_data").id)


def test_the_clips_answers_differ(talks) -> None:
    """Otherwise a mixed-up answer would go unseen."""
    assert len({talk.answers[0] for talk in talks}) >= len(talks) - 1
    assert len({talk.answers for talk in talks}) >= len(talks) - 1


def test_the_report_counts_what_happened() -> None:
    report = LoadReport(chats=3, answered=4, lost=["chat 1"], seconds=8.04)
    report.rejected["429 server_busy, with Retry-After"] += 2
    report.first_text_s += [1.0, 2.0, 9.0]
    report.memory_mb += [50.0, 100.0, 102.0, 110.0, 110.0, 120.0, 120.0, 130.0, 130.0]
    assert report.figures() == {
        "seconds": 8.0,
        "answered": 4,
        "of another clip": 0,
        "lost": 1,
        "first lost": "chat 1",
        "refused": 2,
        "reasons": "429 server_busy, with Retry-After",
        "first_text_s": {"median": 2.0, "95%": 8.3},
        "memory_mb_by_quarter": [101, 110, 120, 130],  # what does not divide is left out in front
    }


def test_twelve_chats_at_once_get_their_own_answers(server, talks) -> None:
    server.service.clips._seen.clear()  # every clip is looked at anew
    before = server.metric("poise_engine_batch_size_count")
    report = asyncio.run(drive(server.url, "none", talks, chats=12, rounds=2))
    assert report.answered == 12 * 2 * 3
    assert report.wrong == [] and report.lost == [] and not report.rejected
    batches = server.metric("poise_engine_batch_size_count") - before
    assert batches < report.answered  # some were decoded together


def test_what_is_too_much_is_rejected_with_a_reason(server, talks, monkeypatch) -> None:
    monkeypatch.setattr(server.service.admissions["POST", "/v1/chat/completions"], "most", 2)
    report = asyncio.run(drive(server.url, "none", talks, chats=10, rounds=1))
    assert report.wrong == [] and report.lost == []
    assert sum(report.rejected.values()) > 0
    assert set(report.rejected) == {"429 server_busy, with Retry-After"}


@pytest.mark.parametrize("streamed", [True, False])
def test_who_leaves_frees_the_engine(server, clip_paths, request, streamed: bool) -> None:
    messages, whole = asked_before(server, clip_paths[0])
    request.getfixturevalue("slow_model")
    cancelled = server.metric("poise_cancelled_total")
    tokens = server.metric("poise_generated_tokens_total")
    if streamed:
        stream = server.openai.chat.completions.create(model=MODEL, messages=messages, stream=True)
        next(iter(stream))
        assert server.metric("poise_engine_running") == 1
        stream.close()
    else:
        with impatient(server) as client, pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(model=MODEL, messages=messages)
    wait_until(lambda: server.metric("poise_cancelled_total") > cancelled, "the cancellation")
    wait_until(lambda: server.metric("poise_engine_running") == 0, "the free slot", 20)
    assert server.metric("poise_generated_tokens_total") - tokens < whole
    line = server.service.admissions["POST", "/v1/chat/completions"]
    wait_until(lambda: line.active == 0, "the free place", 20)


def test_who_leaves_a_coaching_frees_the_engine(server, clip_paths, request) -> None:
    body = {"clip": [upload(server, clip_paths[0])]}
    whole = server.http.post("/v1/coach", json=body).json()
    request.getfixturevalue("slow_model")
    cancelled = server.metric("poise_cancelled_total")
    kept = len(list(server.service.store.folder.iterdir()))
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(f"{server.url}/v1/coach", json=body, timeout=3.0)
    wait_until(lambda: server.metric("poise_cancelled_total") > cancelled, "the cancellation")
    wait_until(lambda: server.metric("poise_engine_running") == 0, "the free slot", 20)
    line = server.service.admissions["POST", "/v1/coach"]
    wait_until(lambda: line.active == 0, "the free place", 20)
    assert len(list(server.service.store.folder.iterdir())) == kept  # no correction is left
    assert len(whole["remarks"]) > 0


def test_who_leaves_while_waiting_is_never_decoded(server, clip_paths, request) -> None:
    """One answer runs; another request waits behind it and goes away."""
    messages, _ = asked_before(server, clip_paths[0])
    request.getfixturevalue("slow_model")
    stream = server.openai.chat.completions.create(model=MODEL, messages=messages, stream=True)
    next(iter(stream))
    batches = server.metric("poise_engine_batch_size_count")
    with impatient(server) as client, pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model=MODEL, messages=messages)
    wait_until(lambda: server.metric("poise_engine_waiting") == 0, "the empty line", 20)
    stream.close()
    wait_until(lambda: server.metric("poise_engine_running") == 0, "the free slot", 20)
    assert server.metric("poise_engine_batch_size_count") == batches


def impatient(server: RunningServer) -> openai.OpenAI:
    """A client that goes away after a second."""
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=1.0)


def test_a_fault_of_the_engine_is_told_and_the_next_request_works(
    server, clip_paths, monkeypatch
) -> None:
    messages, _ = asked_before(server, clip_paths[1])
    good = server.openai.chat.completions.create(model=MODEL, messages=messages)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret of the server")

    with monkeypatch.context() as patch:
        patch.setattr(server.service.coach.engine.model, "generate", broken)
        with pytest.raises(openai.InternalServerError) as caught:
            server.openai.chat.completions.create(model=MODEL, messages=messages)
    assert "RuntimeError" in str(caught.value) and "secret" not in str(caught.value)
    again = server.openai.chat.completions.create(model=MODEL, messages=messages)
    assert again.choices[0].message.content == good.choices[0].message.content


def test_an_answer_that_takes_too_long_is_given_up(
    server, clip_paths, monkeypatch, request
) -> None:
    messages, _ = asked_before(server, clip_paths[0])
    request.getfixturevalue("slow_model")
    short = replace(server.service.settings, request_seconds=1.0)
    monkeypatch.setattr(server.service, "settings", short)
    before = server.metric("poise_timeouts_total", where="request")
    with pytest.raises(openai.APIError, match="took too long"):
        list(server.openai.chat.completions.create(model=MODEL, messages=messages, stream=True))
    wait_until(lambda: server.metric("poise_engine_running") == 0, "the free slot", 20)
    assert server.metric("poise_timeouts_total", where="request") == before + 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_sigterm_finishes_what_runs_and_leaves_nothing(clip_paths: list[Path]) -> None:
    started = ServerProcess()
    try:
        workers = started.workers()
        assert workers
        with openai.OpenAI(
            base_url=f"{started.url}/v1", api_key="none", max_retries=0, timeout=WAIT
        ) as client:
            with clip_paths[0].open("rb") as file:
                part = file_part(client.files.create(file=file, purpose="user_data").id)
            folder = next(Path(tempfile.gettempdir()).glob(f"poise-serve-{started.process.pid}-*"))
            assert list(folder.iterdir())
            stream = client.chat.completions.create(model=MODEL, messages=about(part), stream=True)
            pieces = [next(iter(stream))]
            started.process.send_signal(signal.SIGTERM)
            pieces += list(stream)
        assert pieces[-1].choices[0].finish_reason == "stop"
        text = "".join(piece.choices[0].delta.content or "" for piece in pieces)
        assert text.startswith("Proficiency Level:") and len(pieces) > 30
        assert started.process.wait(WAIT) == 0, "".join(started.log)
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{started.url}/health", timeout=5)
        assert not folder.exists()
        assert not any(Path(f"/proc/{number}").exists() for number in workers)
    finally:
        started.end()


@pytest.mark.slow
def test_two_minutes_of_64_chats(clip_paths: list[Path], tmp_path: Path) -> None:
    """No answer lost or of another clip, memory flat, every refusal with its reason."""
    started = ServerProcess("--max-chats", "48", "--cached-clips", "4")
    try:
        talks = learn_alone(started.url, "none", clip_paths)
        processes = [started.process.pid, *started.workers()]
        report = asyncio.run(
            drive(started.url, "none", talks, chats=64, seconds=120.0, processes=processes)
        )
        print(report.figures())
        assert report.wrong == [] and report.lost == []
        assert report.answered > 200
        assert set(report.rejected) <= {"429 server_busy, with Retry-After"}
        assert report.rejected  # the line was full at times, so that refusals were seen
        assert_flat(report)
    finally:
        started.end()


def assert_flat(report: LoadReport) -> None:
    """The last quarter's memory is at most 5% above that of the second quarter."""
    assert len(report.memory_mb) >= 20
    _, second, _, last = report.memory_by_quarter()
    assert last < 1.05 * second, f"{second:.0f} MB became {last:.0f} MB"
