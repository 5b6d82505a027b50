"""Several clips in one conversation over HTTP: each answer belongs to its clip, and the newest is
compared with the earlier one in measured quantities."""

import base64
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import httpx2
import pytest

from assistant.chat import against
from assistant.chat_session import ChatSession
from assistant.chat_store import ChatStore
from assistant.coach import Coach
from assistant.coach_result import CoachInput, Judged
from assistant.compare import Change, compare_measurements
from assistant.engine.base import GenerationOptions
from assistant.medical import REFERRAL
from assistant.perceive import perceive
from assistant.pose.read import read_pose
from assistant.serving import server as server_module
from assistant.tasks.chat import split_calls
from assistant.web.wording import measure, quantity_name

from .conftest import MODEL, WAIT, RunningServer, about, file_part, wait_until

QUESTION = "What should I fix first?"
SHOW_ME = "Show me the correction."
SQUATS, THROW = (0, 2, 4), 1  # of `clip_paths`
Parts = list[dict[str, Any]]


@pytest.fixture(scope="module")
def parts(server: RunningServer, clip_paths: list[Path]) -> Parts:
    found = []
    for path in clip_paths:
        with path.open("rb") as file:
            found.append(file_part(server.openai.files.create(file=file, purpose="user_data").id))
    return found


@pytest.fixture(scope="module")
def say(server: RunningServer) -> Callable[..., Any]:
    def ask(messages: list[dict[str, Any]], **options: Any) -> Any:
        return server.openai.chat.completions.create(model=MODEL, messages=messages, **options)

    return ask


def text(answer: Any) -> str:
    return answer.choices[0].message.content


@pytest.fixture(scope="module")
def alone(say, parts: Parts) -> list[Any]:
    """The first answer about each squat when it is the only clip."""
    return [say(about(parts[i])) for i in SQUATS]


def between(before: dict[str, Any], answer: str, now: dict[str, Any]) -> list[dict[str, Any]]:
    """Messages: a clip, what was said of it, a further clip."""
    return [*about(before, answer), {"role": "user", "content": [now]}]


def changes(coach: Coach, before: Path, now: Path) -> list[Change]:
    """The comparison by the pipeline's steps without a server."""
    clips = [CoachInput(path.stem, read_pose(path)) for path in (before, now)]
    one, two = perceive(coach.perception, clips)
    assert isinstance(one, Judged) and isinstance(two, Judged)
    activity = two.assessment.activity
    experts = coach.experts.table[activity]
    return compare_measurements(activity, one.measurements, two.measurements, experts)


def test_a_further_clip_is_compared_with_the_one_before_it(
    say, parts, alone, coach: Coach, clip_paths
) -> None:
    for first, second in ((0, 1), (1, 0)):
        i, j = SQUATS[first], SQUATS[second]
        answer = say(between(parts[i], text(alone[first]), parts[j]))
        own, _, compared = text(answer).rpartition("\n")
        assert own == text(alone[second]) != text(alone[first])
        found = changes(coach, clip_paths[i], clip_paths[j])
        assert compared == against(f"clip{i}", found)
        clearest = found[0]
        assert quantity_name(clearest.quantity) in compared
        for value, error in (
            (clearest.before, clearest.before_error),
            (clearest.now, clearest.now_error),
        ):
            assert measure(value, clearest.unit, error) in compared
        said = answer.model_extra["poise"]
        assert said["sha256"] == alone[second].model_extra["poise"]["sha256"]
        assert said["earlier_sha256"] == alone[first].model_extra["poise"]["sha256"]
        assert said["level"] == alone[second].model_extra["poise"]["level"]
        assert answer.choices[0].finish_reason == "stop"


@pytest.mark.slow
def test_the_comparison_is_that_of_the_terminal(
    say, parts, alone, coach: Coach, clip_paths, tmp_path: Path
) -> None:
    store = ChatStore(tmp_path / "chat.sqlite")
    session = ChatSession.begin(coach, store)
    for i in SQUATS[:2]:
        opening = session.add_clip(CoachInput(clip_paths[i].stem, read_pose(clip_paths[i])))
    answer = say(between(parts[SQUATS[0]], text(alone[0]), parts[SQUATS[1]]))
    assert text(answer).splitlines()[-1] == opening.splitlines()[-1]
    messages = between(parts[SQUATS[0]], text(alone[0]), parts[SQUATS[1]])
    messages += about(parts[0], text(answer), QUESTION)[1:]
    assert text(say(messages)) == "".join(map(str, session.ask(QUESTION)))
    store.close()


@pytest.fixture
def prompts(server, monkeypatch) -> list[Any]:
    """The messages of every prompt that the server streams an answer to."""
    told: list[Any] = []
    stream = server.service.line.stream

    def watched(prompt: Any, options: GenerationOptions) -> Any:
        told.append(prompt.messages)
        return stream(prompt, options)

    monkeypatch.setattr(server.service.line, "stream", watched)
    return told


@pytest.mark.slow
def test_questions_are_answered_as_in_the_terminal(
    say, parts, prompts, coach: Coach, clip_paths, tmp_path: Path
) -> None:
    """Three in a row with calls in the answers: the same prompts and answers."""
    i, terminal = SQUATS[0], []
    store = ChatStore(tmp_path / "chat.sqlite")
    session = ChatSession.begin(coach, store)
    session.add_clip(CoachInput(clip_paths[i].stem, read_pose(clip_paths[i])))
    for question in (SHOW_ME, "How sure are you of the level?", QUESTION):
        terminal.append(session.talk.prompt(question, session.history()).messages)
        list(session.ask(question))
    store.close()
    assert any(is_call for e in session.exchanges[:2] for _, is_call in split_calls(e.raw))
    messages = about(parts[i], "...")
    for exchange, expected in zip(session.exchanges, terminal, strict=True):
        messages.append({"role": "user", "content": exchange.question})
        answer = text(say(messages))
        assert prompts[-1] == expected
        motions = r" ?\[\w+ of this clip: POST /v1/coach\]"
        assert re.sub(motions, "", answer) == exchange.answer.strip()
        messages.append({"role": "assistant", "content": answer})


def test_a_call_comes_back_as_the_model_wrote_it(say, server, parts, prompts, coach: Coach) -> None:
    """Also where the server does not remember the answer any more."""
    messages = about(parts[SQUATS[0]], "...", SHOW_ME)
    answer = say(messages)
    assert " of this clip: POST /v1/coach]" in text(answer)
    (seen,) = (
        seen
        for _, seen in server.service.clips._seen.values()
        if seen.sha256 == answer.model_extra["poise"]["sha256"]
    )
    messages += [{"role": "assistant", "content": text(answer)}]
    messages += [{"role": "user", "content": QUESTION}]
    for _ in range(2):
        say(messages, max_tokens=2)
        told = prompts[-1][-2]["content"]
        assert any(is_call for _, is_call in split_calls(told))
        assert told == seen.written.get(("", text(answer)), told) and "POST" not in told
        seen.written.clear()
    assert prompts[-1] == prompts[-2]


def test_another_activity_in_between_is_passed_over(say, parts, alone) -> None:
    a, b = SQUATS[:2]
    messages = [*about(parts[a], "..."), {"role": "user", "content": [parts[THROW]]}]
    thrown = say(messages)
    assert thrown.model_extra["poise"]["activity"] == "basketball_free_throw"
    assert thrown.model_extra["poise"]["earlier_sha256"] is None
    assert "Against" not in text(thrown) and "Measured" not in text(thrown)
    messages += [
        {"role": "assistant", "content": text(thrown)},
        {"role": "user", "content": [parts[b]]},
    ]
    answer = say(messages)
    assert text(answer).startswith(f"{text(alone[1])}\nAgainst clip{a}: ")
    first = alone[0].model_extra["poise"]["sha256"]
    assert answer.model_extra["poise"]["earlier_sha256"] == first


def test_the_same_clip_again_is_no_further_clip(say, parts, alone) -> None:
    answer = say(between(parts[SQUATS[0]], "...", parts[SQUATS[0]]))
    assert text(answer) == text(alone[0])
    assert answer.model_extra["poise"]["earlier_sha256"] is None


def test_two_clips_and_a_question_at_once(say, server, parts, alone) -> None:
    """Both as parts of one message; the streamed answer is the same; what follows is about the
    newest clip and is not compared again."""
    a, b = SQUATS[:2]
    one_message = [parts[a], parts[b], {"type": "text", "text": QUESTION}]
    messages: list[dict[str, Any]] = [{"role": "user", "content": one_message}]
    answer = say(messages)
    lone = say([{"role": "user", "content": [parts[b], {"type": "text", "text": QUESTION}]}])
    own, _, compared = text(answer).rpartition("\n")
    assert compared.startswith(f"Against clip{a}: Measured: ")
    said, earlier = answer.model_extra["poise"], alone[0].model_extra["poise"]["sha256"]
    assert said["sha256"] == alone[1].model_extra["poise"]["sha256"]
    assert said["earlier_sha256"] == earlier
    if not server.service.chats._taught:  # one that has learned dialogues is told of the first clip
        assert own == text(lone)
    chunks = list(say(messages, stream=True))
    pieces = [c.choices[0].delta.content or "" for c in chunks if c.choices]
    assert "".join(pieces) == text(answer)
    assert chunks[0].model_extra["poise"]["earlier_sha256"] == earlier
    messages += about(parts[b], text(answer), QUESTION)[1:]
    later = say(messages)
    assert "Against" not in text(later)
    assert later.model_extra["poise"]["earlier_sha256"] == earlier


def test_what_the_model_reads_is_what_it_wrote(say, server, parts, monkeypatch) -> None:
    """The comparison in an answer that comes back as history is taken out again."""
    a, b = SQUATS[:2]
    one_message = [parts[a], parts[b], {"type": "text", "text": QUESTION}]
    messages: list[dict[str, Any]] = [{"role": "user", "content": one_message}]
    answer = text(say(messages))
    seen: list[Any] = []
    stream = server.service.line.stream

    def watched(prompt: Any, options: GenerationOptions) -> Any:
        seen.append(prompt)
        return stream(prompt, options)

    monkeypatch.setattr(server.service.line, "stream", watched)
    medical = ({"role": "user", "content": "my knee hurts"},
               {"role": "assistant", "content": REFERRAL})  # fmt: skip
    messages += [{"role": "assistant", "content": answer}, *medical]
    say([*messages, {"role": "user", "content": "And then?"}], max_tokens=4)
    told = [m["content"] for m in seen[-1].messages]
    assert told[-1] == "And then?" and told[-2].partition("<|")[0] in answer
    assert not any("Against" in content or "hurts" in content for content in told)


def test_a_cut_answer_is_told_as_cut_and_still_compared(say, parts) -> None:
    messages = between(parts[SQUATS[0]], "...", parts[SQUATS[1]])
    answer = say(messages, max_tokens=3, temperature=1, seed=1)
    assert answer.choices[0].finish_reason == "length"
    assert "\nAgainst clip0: " in text(answer)


def test_a_medical_question_is_not_compared(say, parts) -> None:
    content = [parts[SQUATS[0]], parts[SQUATS[1]], {"type": "text", "text": "my knee hurts"}]
    assert text(say([{"role": "user", "content": content}])) == REFERRAL


def test_many_pairs_at_once_are_not_mixed_up(say, parts, alone) -> None:
    pairs = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)]

    def ask(pair: tuple[int, int]) -> str:
        first, second = pair
        return text(say(between(parts[SQUATS[first]], "...", parts[SQUATS[second]])))

    one_by_one = [ask(pair) for pair in pairs]
    assert len(set(one_by_one)) == len(pairs)
    for (first, second), answer in zip(pairs, one_by_one, strict=True):
        assert answer.startswith(f"{text(alone[second])}\nAgainst clip{SQUATS[first]}: ")
    with ThreadPoolExecutor(len(pairs)) as threads:
        assert list(threads.map(ask, pairs)) == one_by_one


def test_clips_inside_the_request_are_removed_after_it(say, server, clip_paths) -> None:
    def inside(path: Path) -> dict[str, Any]:
        data = base64.b64encode(path.read_bytes()).decode()
        url = f"data:application/octet-stream;base64,{data}"
        return {"type": "file", "file": {"file_data": url, "filename": path.name}}

    before = sorted(server.service.store.folder.iterdir())
    given = [inside(clip_paths[i]) for i in (SQUATS[2], THROW, *SQUATS[:2])]
    answer = say([{"role": "user", "content": given}])
    assert "\nAgainst clip2: " not in text(answer) and "\nAgainst clip0: " in text(answer)
    assert sorted(server.service.store.folder.iterdir()) == before


@pytest.mark.parametrize("route", ["chat/completions", "coach"])
def test_who_leaves_while_clips_are_opened_leaves_no_file(
    server, clip_paths, monkeypatch, route: str
) -> None:
    name = "open_clip" if route == "coach" else "open_clips"
    opened, begun, go = getattr(server_module, name), Event(), Event()

    def slow(*given: Any) -> Any:
        begun.set()
        assert go.wait(WAIT)
        return opened(*given)

    monkeypatch.setattr(server_module, name, slow)
    data = base64.b64encode(clip_paths[0].read_bytes()).decode()
    part = {"type": "input_file", "file_data": f"data:application/x-npz;base64,{data}"}
    body = {"clip": [part]} if route == "coach" else {"model": MODEL, "messages": about(part)}
    before = sorted(server.service.store.folder.iterdir())
    left = server.metric("poise_cancelled_total")
    added, add = [], server.service.store.add

    def counted(*given: Any, **options: Any) -> Any:
        added.append(add(*given, **options))
        return added[-1]

    monkeypatch.setattr(server.service.store, "add", counted)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(server.http.post, f"/v1/{route}", json=body, timeout=2.0)
        assert begun.wait(WAIT)
        assert isinstance(asked.exception(WAIT), httpx2.TimeoutException)
    wait_until(lambda: server.metric("poise_cancelled_total") > left, "the client's leave")
    go.set()
    wait_until(lambda: bool(added), "the file")
    wait_until(lambda: not added[0].path.exists(), "the file's end")
    assert sorted(server.service.store.folder.iterdir()) == before


def test_a_coaching_takes_one_clip(server, parts) -> None:
    answer = server.http.post("/v1/coach", json={"clip": [parts[0], parts[2]]})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "several_clips"
