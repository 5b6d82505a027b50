"""Time to the first token of a chat, for a new clip and for the second question about it.

`poise bench chat` starts `poise serve` as users do and talks to it by the official client. A clip
is new when its bytes are: a film gets another comment at its end, a pose another, unread array.
"""

import base64
import io
from time import perf_counter
from typing import Any, Final

import numpy as np
from openai import OpenAI

from assistant.bench import SHARE, Aim, compared
from assistant.checkpoint import DEFAULT_NAME, WEIGHTS_FOLDER
from assistant.errors import PoiseError
from assistant.serving.own_server import ServerProcess

ROUNDS: Final = 5
AIM: Final = Aim("ratio", "at_most", 0.2)
QUESTION: Final = "What should I fix first?"
ACTIVITY: Final = "bodyweight_squat"
_DEMO: Final = WEIGHTS_FOLDER / "demo" / "squat_demo"
_ANSWER_SECONDS: Final = 300.0


def run() -> dict[str, Any]:
    """Seconds to the first token: the second question (`ours`) beside the new clip (`baseline`)."""
    with ServerProcess() as server, _client(server.url) as client:
        film, pose = (_measure(client, make(ROUNDS + 1)) for make in (_films, _poses))
    return {
        "measured": "a film of 7 s, its pose estimated",
        **film,
        "parts": {"a pose file": pose},
        "engine": "transformers",
        "model": DEFAULT_NAME,
    }


def _measure(client: OpenAI, clips: list[dict[str, Any]]) -> dict[str, Any]:
    """Cold and second question of each clip; the first clip only warms the server up."""
    times: list[tuple[float, float]] = []
    for part in clips:
        messages: list[dict[str, Any]] = [{"role": "user", "content": [part]}]
        cold, answer = _first_token(client, messages)
        for _ in range(2):
            messages += [
                {"role": "assistant", "content": answer},
                {"role": "user", "content": QUESTION},
            ]
            again, answer = _first_token(client, messages)
        times.append((cold, again))
    first, second = zip(*times[1:], strict=True)
    return compared(
        second,
        {"first answer about a new clip": first},
        ours_is="second question about it",
        unit="s to the first token",
        ratio_is=SHARE,
        aims=[AIM],
    )


def _first_token(client: OpenAI, messages: Any) -> tuple[float, str]:
    """Seconds from the request to its first text, and the whole text."""
    began, first, text = perf_counter(), None, ""
    with client.chat.completions.create(
        model=DEFAULT_NAME, messages=messages, stream=True, extra_body={"activity": ACTIVITY}
    ) as stream:
        for chunk in stream:
            piece = chunk.choices[0].delta.content
            if piece and first is None:
                first = perf_counter() - began
            text += piece or ""
    if first is None:
        raise PoiseError("the server answered nothing", got=repr(messages[-1])[:80])
    return first, text


def _films(count: int) -> list[dict[str, Any]]:
    """The bundled film with different bytes: an mp4 may end in boxes that nobody reads."""
    film = _DEMO.with_suffix(".mp4").read_bytes()
    marks = [f"round {i}".ljust(16).encode() for i in range(count)]
    boxes = [(8 + len(mark)).to_bytes(4, "big") + b"free" + mark for mark in marks]
    return [_inline("video/mp4", film + box, "squat.mp4") for box in boxes]


def _poses(count: int) -> list[dict[str, Any]]:
    """The bundled pose with different bytes."""
    with np.load(_DEMO.with_suffix(".npz"), allow_pickle=False) as archive:
        arrays = dict(archive)
    parts = []
    for i in range(count):
        file = io.BytesIO()
        np.savez_compressed(file, **arrays, round=np.int64(i))
        parts.append(_inline("application/octet-stream", file.getvalue(), "squat.npz"))
    return parts


def _inline(kind: str, data: bytes, name: str) -> dict[str, Any]:
    url = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    return {"type": "file", "file": {"file_data": url, "filename": name}}


def _client(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=_ANSWER_SECONDS)
