"""Answers that end with their client's connection, and answers as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from time import monotonic
from typing import Any, TypeVar

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from assistant.serving.errors import as_api_error, timed_out

T = TypeVar("T")


class ClientGone(Exception):
    """The client has closed its connection; nobody reads an answer."""


class Deadline:
    """The time by which a request must be done; `late` is called when it is not."""

    def __init__(self, seconds: float, late: Callable[[], object]) -> None:
        self._until = monotonic() + seconds
        self._late = late

    async def wait(self, work: Awaitable[T]) -> T:
        """The result of `work`.

        Raises:
            ApiError: 504, when the time is over; the work is cancelled.
        """
        try:
            return await asyncio.wait_for(work, max(self._until - monotonic(), 0.0))
        except TimeoutError:
            self._late()
            raise timed_out() from None


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled when the client goes away.

    The request's body must have been read.

    Raises:
        ClientGone: the client went away.
    """
    working = asyncio.ensure_future(work)
    gone = asyncio.create_task(_gone(request.receive))
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGone
    finally:
        await _cancelled(gone)
        await _cancelled(working)


class EventStream(Response):
    """Server-sent events from a generator, which is closed when the client goes away.

    Args:
        events: texts of the events' data, without line breaks.
        left: called when the client went away before the end.
    """

    media_type = "text/event-stream"

    def __init__(
        self, events: AsyncGenerator[str, None], *, left: Callable[[], object] = lambda: None
    ) -> None:
        self.status_code = 200
        self.background: BackgroundTask | None = None
        self.body = b""
        self.init_headers({"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self.raw_headers = [item for item in self.raw_headers if item[0] != b"content-length"]
        self._events = events
        self._left = left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send(send))
        gone = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
            else:
                self._left()
        finally:
            await _cancelled(gone)
            await _cancelled(sending)
            await self._events.aclose()

    async def _send(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        async for event in self._events:
            body = f"data: {event}\n\n".encode()
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def error_event(fault: Exception) -> dict[str, Any]:
    """What a stream tells that fails after it began."""
    return as_api_error(fault).body()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancelled(task: "asyncio.Future[Any]") -> None:
    """End a task and wait until it has ended; its fault was or will be told by another."""
    if not task.done():
        task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()
