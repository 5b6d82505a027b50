"""Drives many chats at once and checks each answer against the one that its clip got alone.

For servers that may be asked so: `poise bench load` and the tests start their own.
"""

import asyncio
import base64
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Final

import numpy as np
import openai
from openai import AsyncOpenAI, OpenAI

from assistant.checkpoint import DEFAULT_NAME
from assistant.errors import PoiseError

QUESTIONS: Final = ("What should I fix first?", "How do I practise that?")
_ANSWER_SECONDS: Final = 170.0
_WATCH_SECONDS: Final = 2.0


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
    """What happened to every request.

    Attributes:
        chats: how many people talked at once.
        answered: whole answers.
        wrong, lost: a line on each answer that another clip or turn should have got, and on each
            question that got none.
        rejected: refusals by status, code and whether the client was told when to come again.
        first_text_s: seconds from a streamed question to its first text.
        memory_mb: resident memory of the watched processes, every two seconds.
        seconds: from the first question to the last answer.
    """

    chats: int
    answered: int = 0
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    first_text_s: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def memory_by_quarter(self) -> list[float]:
        """Mean memory in MB of each quarter of the time, [] where it was watched too shortly."""
        quarter = len(self.memory_mb) // 4
        starts = range(len(self.memory_mb) - 4 * quarter, len(self.memory_mb), max(quarter, 1))
        return [float(np.mean(self.memory_mb[i : i + quarter])) for i in starts] if quarter else []

    def figures(self) -> dict[str, Any]:
        """What happened, in numbers."""
        median, most = np.percentile(self.first_text_s or [np.nan], [50, 95])
        return {
            "seconds": round(self.seconds, 1),
            "answered": self.answered,
            "of another clip": len(self.wrong),
            "lost": len(self.lost),
            **({"first lost": self.lost[0]} if self.lost else {}),
            "refused": sum(self.rejected.values()),
            "reasons": ", ".join(sorted(self.rejected)) or "none",
            "first_text_s": {"median": round(float(median), 2), "95%": round(float(most), 2)},
            "memory_mb_by_quarter": [round(mb) for mb in self.memory_by_quarter()],
        }


def learn_alone(url: str, key: str, paths: Sequence[Path]) -> list[ClipTalk]:
    """Upload the clips and ask about each, one request at a time.

    Args:
        url: of the server, without `/v1`; key: one of its API keys, any where it has none.
    """
    talks = []
    with OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=_ANSWER_SECONDS) as ask:
        for path in paths:
            with path.open("rb") as file:
                file_id = ask.files.create(file=file, purpose="user_data").id
            talk = ClipTalk(path, file_id, ())
            for turn in range(len(QUESTIONS) + 1):
                messages: Any = talk.messages(turn, inline=False)
                answer = ask.chat.completions.create(model=DEFAULT_NAME, messages=messages)
                text = answer.choices[0].message.content or ""
                talk = ClipTalk(path, file_id, (*talk.answers, text))
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
    asked = {"model": DEFAULT_NAME, "messages": talk.messages(turn, inline=number % 2 == 1)}
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
        if answer.choices[0].finish_reason != "stop":
            raise PoiseError("the answer was cut", got=str(answer.choices[0].finish_reason))
        return answer.choices[0].message.content
    text, finished = "", False
    async with await client.chat.completions.create(**asked, stream=True) as stream:
        async for chunk in stream:
            if not text and chunk.choices[0].delta.content:
                report.first_text_s.append(monotonic() - began)
            text += chunk.choices[0].delta.content or ""
            finished = chunk.choices[0].finish_reason == "stop"
    if not finished:
        raise PoiseError("the stream ended before its answer", got=repr(text[-80:]))
    return text


async def _watch(report: LoadReport, processes: Sequence[int]) -> None:
    while processes:
        report.memory_mb.append(sum(map(memory_mb, processes)))
        await asyncio.sleep(_WATCH_SECONDS)


def memory_mb(process: int) -> float:
    """Resident memory of a process (VmRSS, Linux)."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise PoiseError("cannot read a process's memory", got=f"no VmRSS of process {process}")
