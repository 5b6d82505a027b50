"""Drives many chats at once and checks each answer against the one that its clip got alone."""

import asyncio
import base64
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import openai
from openai import AsyncOpenAI, OpenAI

MODEL = "poise-mini"
QUESTIONS = ("What should I fix first?", "How do I practise that?")
_ANSWER_SECONDS = 170.0


@dataclass(frozen=True)
class ClipTalk:
    """A clip and what is said about it when nobody else asks: first answer, then the questions."""

    path: Path
    file_id: str
    answers: tuple[str, ...]

    def messages(self, turn: int, *, inline: bool) -> list[dict[str, Any]]:
        """The conversation up to a turn, the clip as an upload or inside the request."""
        part: dict[str, Any] = {"type": "file", "file": {"file_id": self.file_id}}
        if inline:
            data = base64.b64encode(self.path.read_bytes()).decode()
            url = f"data:application/octet-stream;base64,{data}"
            part = {"type": "file", "file": {"file_data": url, "filename": self.path.name}}
        messages: list[dict[str, Any]] = [{"role": "user", "content": [part]}]
        for answer, question in zip(self.answers[:turn], QUESTIONS[:turn], strict=True):
            messages.append({"role": "assistant", "content": answer})
            messages.append({"role": "user", "content": question})
        return messages


@dataclass
class LoadReport:
    """What happened to every request."""

    chats: int
    answered: int = 0
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    first_text_s: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def summary(self) -> str:
        """One line of numbers."""
        waits = np.percentile(self.first_text_s or [0.0], [50, 95])
        memory = [f"{m:.0f}" for m in self.memory_mb[:: max(len(self.memory_mb) // 8, 1)]]
        return (
            f"{self.chats} chats, {self.seconds:.0f} s: {self.answered} answered, "
            f"{len(self.wrong)} wrong, {len(self.lost)} lost, rejected {dict(self.rejected)}; "
            f"first text after {waits[0]:.2f} s (median), {waits[1]:.2f} s (95%); "
            f"VmRSS of server and worker {' '.join(memory)} MB"
        )


def learn_alone(url: str, key: str, paths: Sequence[Path]) -> list[ClipTalk]:
    """Upload the clips and ask about each, one request at a time."""
    talks = []
    with OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=_ANSWER_SECONDS) as ask:
        for path in paths:
            with path.open("rb") as file:
                file_id = ask.files.create(file=file, purpose="user_data").id
            talk = ClipTalk(path, file_id, ())
            for turn in range(len(QUESTIONS) + 1):
                messages = talk.messages(turn, inline=False)
                answer = ask.chat.completions.create(model=MODEL, messages=messages)
                talk = ClipTalk(path, file_id, (*talk.answers, answer.choices[0].message.content))
            talks.append(talk)
    return talks


async def drive(
    url: str,
    key: str,
    talks: Sequence[ClipTalk],
    *,
    chats: int,
    rounds: int = 10**9,
    seconds: float = 300.0,
    processes: Sequence[int] = (),
) -> LoadReport:
    """Let `chats` people talk at once, each about one clip after the other.

    Args:
        rounds, seconds: each ends after so many clips, and begins none after so long.
        processes: whose memory is watched.
    """
    report = LoadReport(chats)
    began = monotonic()
    async with AsyncOpenAI(
        base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=_ANSWER_SECONDS
    ) as client:
        watching = asyncio.create_task(_watch(report, processes))

        async def person(number: int) -> None:
            for round_ in range(rounds):
                talk = talks[(number + 5 * round_) % len(talks)]
                for turn in range(len(QUESTIONS) + 1):
                    if monotonic() - began > seconds:
                        return
                    await _turn(client, report, talk, turn, number)

        await asyncio.gather(*map(person, range(chats)))
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    report.seconds = monotonic() - began
    return report


async def _turn(
    client: AsyncOpenAI, report: LoadReport, talk: ClipTalk, turn: int, number: int
) -> None:
    """One question, asked again while the server is busy."""
    asked = {"model": MODEL, "messages": talk.messages(turn, inline=number % 2 == 1)}
    until = monotonic() + _ANSWER_SECONDS
    while monotonic() < until:
        try:
            text = await _ask(client, report, asked, streamed=(number + turn) % 3 != 0)
        except openai.APIStatusError as refusal:
            reason = f"{refusal.status_code} {refusal.code}"
            after = refusal.response.headers.get("retry-after")
            report.rejected[reason + (", with Retry-After" if after else "")] += 1
            await asyncio.sleep(float(after or 1) * random.uniform(0.5, 1.0))
            continue
        except Exception as fault:
            report.lost.append(f"chat {number}, turn {turn}: {fault!r}")
            return
        report.answered += 1
        if text != talk.answers[turn]:
            report.wrong.append(f"chat {number}, {talk.path.name}, turn {turn}: {text!r}")
        return
    report.lost.append(f"chat {number}, turn {turn}: refused for {_ANSWER_SECONDS:g} s")


async def _ask(
    client: AsyncOpenAI, report: LoadReport, asked: dict[str, Any], *, streamed: bool
) -> str:
    began = monotonic()
    if not streamed:
        answer = await client.chat.completions.create(**asked)
        assert answer.choices[0].finish_reason == "stop"
        return answer.choices[0].message.content
    text, finished = "", False
    async with await client.chat.completions.create(**asked, stream=True) as stream:
        async for chunk in stream:
            if not text and chunk.choices[0].delta.content:
                report.first_text_s.append(monotonic() - began)
            text += chunk.choices[0].delta.content or ""
            finished = chunk.choices[0].finish_reason == "stop"
    assert finished, "the stream ended before its answer"
    return text


async def _watch(report: LoadReport, processes: Sequence[int]) -> None:
    while processes:
        report.memory_mb.append(sum(map(memory_mb, processes)))
        await asyncio.sleep(2.0)


def memory_mb(process: int) -> float:
    """Resident memory of a process (VmRSS)."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"no VmRSS of process {process}")
