"""A chat: kept whole or not at all, resumed, filled from what was measured, routed by one rule."""

import io
import json
import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assistant import cli
from assistant.chat import ClipTalk, Filling, SeenClip, Show
from assistant.chat_session import ChatSession
from assistant.chat_store import ChatStore, Exchange
from assistant.clip import PoseSequence
from assistant.coach import Coach
from assistant.coach_result import CoachInput
from assistant.engine.base import GenerationOptions, Prompt
from assistant.engine.dummy_engine import DummyEngine
from assistant.errors import PoiseError
from assistant.medical import REFERRAL
from assistant.model.processing_poise import ModelInputs
from assistant.pose.read import read_pose, write_pose
from prompts.vocabulary import (
    LEVEL_PROBABILITY,
    MEASURED,
    MEASURED_CHANGE,
    SHOW_CORRECTION,
    SHOW_DEMONSTRATION,
)

ASKED = "What should I fix first?"


class Talking(DummyEngine):
    """Coaches as the dummy engine does and answers questions by a fixed text with calls."""

    said = f"First the legs. {MEASURED['legs']} Look. {SHOW_DEMONSTRATION} {LEVEL_PROBABILITY} Ok."

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.prompts: list[Prompt] = []

    def stream(self, prompt: Prompt, options: GenerationOptions) -> Iterator[str]:
        self.prompts.append(prompt)
        yield from self.said.split("|-|")


@pytest.fixture
def coach(stub_coach: Coach) -> Coach:
    stub_coach.engine = Talking(stub_coach.config)
    return stub_coach


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ChatStore]:
    opened = ChatStore(tmp_path / "deep" / "chat.sqlite")
    yield opened
    opened.close()


def test_a_chat_is_resumed_where_it_was_left(
    coach: Coach, store: ChatStore, squat: PoseSequence
) -> None:
    session = ChatSession.begin(coach, store)
    opening = session.add_clip(CoachInput("monday", squat))
    record = session.clips[0].feedback
    first = record["remarks"][record["focus"]["remark"]]["text"]
    assert first in opening and record["focus"]["drill"] in opening
    events = list(session.ask(ASKED))
    assert Show("demonstration") in events
    again = ChatSession.resume(coach, store, session.session_id)
    assert again.exchanges == session.exchanges and again.opening() == opening
    (kept,) = again.exchanges
    assert (kept.raw, kept.origin, kept.shown) == (Talking.said, "model", ("demonstration",))
    assert "<|" not in kept.answer and "%" in kept.answer
    one, two = session.clips[0].seen, again.clips[0].seen
    assert one is not None and two is not None and one.commentary == two.commentary
    for field in ("pose", "score", "regions"):
        assert np.array_equal(getattr(one.inputs, field), getattr(two.inputs, field))
    list(again.ask("And my knees?"))
    engine: Any = coach.engine
    messages = engine.prompts[-1].messages
    assert [m["content"] for m in messages[-3:]] == [ASKED, Talking.said, "And my knees?"]
    shown = again.motion("correction")
    assert shown is not None and shown.joints.shape[1:] == (17, 3)


def test_a_second_clip_is_compared_with_the_first(
    coach: Coach, store: ChatStore, squat: PoseSequence
) -> None:
    session = ChatSession.begin(coach, store)
    session.add_clip(CoachInput("monday", squat))
    list(session.ask(ASKED))
    session.add_clip(CoachInput("tuesday", squat))
    assert session.talk.earlier is not None and session.talk.earlier.name == "monday"
    assert session.talk.told_earlier is not None and session.history() == []
    list(session.ask("Am I better?"))
    engine: Any = coach.engine
    prompt = engine.prompts[-1]
    assert [m["content"] for m in prompt.messages[-2:]] == [
        session.talk.told_earlier,
        "Am I better?",
    ]
    assert prompt.calls and session.talk.told_earlier in prompt.numbers_from


def test_medical_questions_and_unjudged_clips_never_reach_the_model(
    coach: Coach, store: ChatStore, squat: PoseSequence
) -> None:
    session = ChatSession.begin(coach, store)
    with pytest.raises(PoiseError, match="no clip in this chat"):
        next(session.ask(ASKED))
    session.add_clip(CoachInput("monday", squat))
    engine: Any = coach.engine
    before = len(engine.prompts)
    assert list(session.ask("my knee hurts")) == [REFERRAL]
    assert session.exchanges[-1].origin == "rule" and len(engine.prompts) == before
    assert session.history() == []
    with pytest.raises(PoiseError, match="nothing was asked"):
        next(session.ask("  "))


def test_what_is_left_half_way_is_not_kept(
    coach: Coach, store: ChatStore, squat: PoseSequence
) -> None:
    session = ChatSession.begin(coach, store)
    session.add_clip(CoachInput("monday", squat))
    answer = session.ask(ASKED)
    next(answer)
    answer.close()  # type: ignore[attr-defined]
    assert ChatSession.resume(coach, store, session.session_id).exchanges == []


def test_a_killed_process_leaves_the_last_whole_exchange(tmp_path: Path) -> None:
    path, told = tmp_path / "chat.sqlite", tmp_path / "told"
    child = os.fork()
    if child == 0:
        store = ChatStore(path)
        chat = store.begin("sha")
        store.add_clip(chat, "a", {}, None, {})
        store.add(chat, Exchange(0, "q", "r", "a", "model"))
        store._db.execute("BEGIN IMMEDIATE")
        store._db.execute("DELETE FROM exchanges")
        told.write_text(chat)
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    chat = told.read_text()
    store = ChatStore(path)
    assert store.exchanges(chat) == [Exchange(0, "q", "r", "a", "model")]
    assert [row.session_id for row in store.sessions()] == [chat]
    store.delete(chat)
    assert store.sessions() == [] and store.clips(chat) == [] and store.exchanges(chat) == []
    store.close()


def test_wrong_stores_and_chats_are_one_clear_line(tmp_path: Path, coach: Coach) -> None:
    path = tmp_path / "no.sqlite"
    path.write_text("not a data base, but long enough to be looked at" * 40)
    with pytest.raises(PoiseError, match="cannot open the chats"):
        ChatStore(path)
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(PoiseError, match="schema 99"):
        ChatStore(newer)
    store = ChatStore(tmp_path / "ok.sqlite")
    known = store.begin("another model")
    with pytest.raises(PoiseError, match=f"no such chat.*{known}"):
        ChatSession.resume(coach, store, "abc")
    with pytest.raises(PoiseError, match="another model"):
        ChatSession.resume(coach, store, known)


def test_a_store_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    store = ChatStore(tmp_path / "chat.sqlite")
    chat = store.begin("sha")
    store.add_clip(chat, "a", {}, None, {})
    asked = Exchange(0, "q", "r", "a", "model")
    store._db.execute("PRAGMA busy_timeout = 0")
    with sqlite3.connect(store.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(PoiseError, match=r"cannot write the chats.*locked"):
            store.add(chat, asked)
        other.execute("ROLLBACK")
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(PoiseError, match=r"cannot write the chats.*full"):
        store.add(chat, Exchange(0, "q" * 100_000, "r", "a", "model"))
    assert store.exchanges(chat) == []
    store.add(chat, asked)  # goes on
    assert store.exchanges(chat) == [asked]
    store.close()


def seen(name: str, knee: float, evidence: bool = True) -> SeenClip:
    shown = {"quantity": "knee_flexion_max", "value": knee, "unit": "deg", "error": 4.0,
             "expert_mean": 112.0, "expert_std": 7.0}  # fmt: skip
    measured = {k: shown[k] for k in ("quantity", "value", "unit", "error")} | {"time": 1.0}
    feedback = {
        "activity": {"name": "bodyweight_squat"},
        "proficiency": {"level": "Novice", "probabilities": [0.62, 0.2, 0.1, 0.08]},
        "remarks": [{"region": "legs", "polarity": "needs_improvement", "text": "Too high.",
                     "evidence": shown if evidence else None}],
        "focus": {"region": "legs", "remark": 0, "drill": "Sit, three sets of five."},
        "measurements": [measured],
    }  # fmt: skip
    return SeenClip(name, ModelInputs(), "Proficiency Level: Novice. ...", feedback)


def test_calls_are_filled_by_what_was_measured_and_leave_no_gap() -> None:
    from assistant.evidence import ExpertQuantity

    experts = {"knee_flexion_max": ExpertQuantity("legs", "deg", 112.0, 7.0, 9)}
    talk = ClipTalk(seen("now", 110.0), seen("then", 80.0), experts)
    filling = Filling(talk)
    for piece in ("So.", f" {MEASURED['legs']}", f" {MEASURED['head']}", " Now. ",
                  MEASURED_CHANGE, f" {SHOW_CORRECTION} End."):  # fmt: skip
        filling.add(piece)
    assert filling.text == (
        "So. Measured: Knee flexion (highest) 110.0 ± 4.0°, simulated experts 112 ± 7°. Now. "
        "Measured: Knee flexion (highest) 80.0 ± 4.0° then, 110.0 ± 4.0° now "
        "(nearer to the experts). End."
    )
    assert filling.shown == ["correction"]
    assert talk.told_earlier == (
        "My earlier clip: Novice. To improve then: legs. Measured since then: legs better."
    )
    alone = Filling(ClipTalk(seen("now", 110.0, evidence=False)))
    for piece in ("So. ", MEASURED["legs"], " ", MEASURED_CHANGE, " End."):
        alone.add(piece)
    assert alone.text == "So. End."


@pytest.fixture
def without_weights(coach: Coach, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Coach, "from_pretrained", classmethod(lambda *_, **__: coach))


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lines: str, *given: object
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    code = cli.main(["chat", *map(str, given)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.usefixtures("without_weights")
def test_the_terminal_answers_shows_and_resumes(
    squat: PoseSequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    pose, store = tmp_path / "mine.npz", tmp_path / "chat.sqlite"
    write_pose(pose, squat)
    given = ("--store", store, "--out", tmp_path / "shown")
    code, out, err = run(monkeypatch, capsys, f"{ASKED}\n/quit\nnever read\n", pose, *given)
    assert code == 0 and "Level:" in out and "First the legs." in out and "never" not in out
    assert sum("\u2801" <= c <= "\u28ff" for c in out) > 50 and "demonstration:" in out
    session = err.split()[1].strip(";")
    code, out, _ = run(
        monkeypatch, capsys, "/show correction\nmy hip hurts\n", "--resume", session, "--json",
        *given,
    )  # fmt: skip
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [row["origin"] for row in rows] == ["clip", "command", "rule"]
    (shown,) = rows[1]["shown"]
    assert read_pose(Path(shown["file"])).joints.shape[1:] == (17, 3)
    assert rows[2]["answer"] == REFERRAL
    code, out, err = run(
        monkeypatch, capsys, "/clip nowhere.npz\n/what\n/clip\n", "--resume", session, *given
    )
    assert code == 1 and err.count("poise: ") == 3 and "nowhere.npz" in err
    assert "no clip was named; got: /clip; expected: /clip FILE" in err
    code, out, _ = run(monkeypatch, capsys, "", "--list", "--json", *given)
    (row,) = json.loads(out)["sessions"]
    assert (row["session"], row["n"], row["clips"]) == (session, 2, ["mine"])
    assert run(monkeypatch, capsys, "", "--delete", session, *given)[0] == 0
    assert run(monkeypatch, capsys, "", "--resume", session, *given)[0] == 1
    assert run(monkeypatch, capsys, "", *given)[0] == 2


@pytest.mark.usefixtures("without_weights")
def test_a_line_of_another_encoding_is_a_question_like_any(
    squat: PoseSequence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """As under the C locale, where such bytes become surrogates that no tokenizer takes."""
    pose = tmp_path / "mine.npz"
    write_pose(pose, squat)
    written = io.BytesIO("und jetzt schw\u00e4cher?\n/show  correction\n".encode("latin-1"))
    piped = io.TextIOWrapper(written, encoding="utf-8", errors="surrogateescape")
    monkeypatch.setattr(sys, "stdin", piped)
    given = ["--store", tmp_path / "chat.sqlite", "--out", tmp_path / "shown", "--json"]
    assert cli.main(["chat", str(pose), *map(str, given)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["origin"] for row in rows] == ["clip", "model", "command"]
    assert rows[1]["question"] == "und jetzt schw\N{REPLACEMENT CHARACTER}cher?"
    assert [shown["motion"] for shown in rows[2]["shown"]] == ["correction"]
