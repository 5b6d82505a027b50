"""The gate before all routes: keys, hosts, bounded lines, sizes and pauses of bodies.

It is plain ASGI, so that a request is refused before its body is read.
"""

import asyncio
import hashlib
import hmac
import math
import sys
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant.serving.errors import ApiError, as_api_error
from assistant.serving.metrics import Metrics
from assistant.serving.settings import LOOPBACK, ServeSettings

HEALTH: Final = "/health"
OPEN_OWNER: Final = "anyone"
_REMEMBERED: Final = 32
_LONGEST_RETRY: Final = 60
_ROUTES: Final = (
    HEALTH,
    "/metrics",
    "/openapi.json",
    "/v1/models",
    "/v1/files",
    "/v1/coach",
    "/v1/chat/completions",
)


class Admission:
    """At most `most` requests of a kind at a time, running or waiting."""

    def __init__(self, kind: str, most: int, metrics: Metrics) -> None:
        self.kind = kind
        self.most = most
        self.active = 0
        self._ended: deque[float] = deque(maxlen=_REMEMBERED)
        self._metrics = metrics

    def enter(self) -> None:
        """Take a place.

        Raises:
            ApiError: 429, when all are taken.
        """
        if self.active >= self.most:
            self._metrics.rejected.labels("busy").inc()
            raise ApiError(
                429,
                f"the server is busy: {self.active} requests of the kind {self.kind} run or wait, "
                f"at most {self.most} may; try again after the seconds of Retry-After",
                "server_busy",
                retry_after=self._retry_after(),
            )
        self.active += 1
        self._metrics.active.labels(self.kind).set(self.active)

    def leave(self) -> None:
        """Give the place back."""
        self.active -= 1
        self._ended.append(monotonic())
        self._metrics.active.labels(self.kind).set(self.active)

    def _retry_after(self) -> int:
        """Seconds until half of the line is done, at the pace of the last requests."""
        if len(self._ended) < 2:
            return 1
        pace = (monotonic() - self._ended[0]) / len(self._ended)
        return min(max(math.ceil(pace * self.active / 2), 1), _LONGEST_RETRY)


class Gate:
    """Lets requests through to the app.

    Args:
        app: what stands behind.
        admissions: by method and path; other routes do no work that needs a line.
        stopping: whether the server finishes what runs and takes nothing new.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: ServeSettings,
        metrics: Metrics,
        admissions: Mapping[tuple[str, str], Admission],
        stopping: Callable[[], bool],
    ) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._admissions = admissions
        self._stopping = stopping
        self._keys = [(_digest(key), _digest(key).hex()[:16]) for key in settings.api_keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route, method = _route(scope["path"]), scope["method"]
        began = monotonic()
        status = 0

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await asyncio.wait_for(send(message), self._settings.io_seconds)

        try:
            await self._admitted(scope, receive, counted)
        except Exception as fault:
            if not isinstance(fault, ApiError | TimeoutError):
                traceback.print_exc(file=sys.stderr)
            if not status:
                await as_api_error(fault).response()(scope, receive, counted)
        finally:
            self._metrics.requests.labels(route, method, str(status or 499)).inc()
            self._metrics.duration.labels(route).observe(monotonic() - began)

    async def _admitted(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        path = scope["path"]
        self._check_host(headers)
        if path != HEALTH:
            scope.setdefault("state", {})["owner"] = self._owner(headers)
        if self._stopping() and path != HEALTH:
            self._metrics.rejected.labels("stopping").inc()
            raise ApiError(503, "the server is stopping", "stopping", retry_after=10)
        admission = self._admissions.get((scope["method"], path))
        most = self._settings.body_bytes
        if path == "/v1/files":
            most = self._settings.upload_bytes + 2**16  # a file and the form around it
        self._check_length(headers, most)
        if admission is None:
            await self._app(scope, self._limited(receive, most), send)
            return
        admission.enter()
        try:
            await self._app(scope, self._limited(receive, most), send)
        finally:
            admission.leave()

    def _check_host(self, headers: Headers) -> None:
        """Without keys, only pages and programs that name this machine: no rebound DNS names."""
        if self._keys:
            return
        host = headers.get("host", "").rpartition("@")[2]
        name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.split(":")[0]
        if name.lower() not in LOOPBACK:
            self._metrics.rejected.labels("host").inc()
            raise ApiError(403, f"no server for the host {name[:60]!r} here", "host_not_allowed")

    def _owner(self, headers: Headers) -> str:
        """Whose key it is; all keys are compared, each in constant time."""
        if not self._keys:
            return OPEN_OWNER
        scheme, _, given = headers.get("authorization", "").partition(" ")
        digest = _digest(given.strip())
        owners = [owner for key, owner in self._keys if hmac.compare_digest(key, digest)]
        if not owners or scheme.lower() != "bearer":
            self._metrics.rejected.labels("key").inc()
            raise ApiError(
                401, "no valid API key; expected: Authorization: Bearer KEY", "invalid_api_key"
            )
        return owners[0]

    def _check_length(self, headers: Headers, most: int) -> None:
        stated = headers.get("content-length", "0")
        if not stated.isdigit() or int(stated) > most:
            raise self._too_large(most)

    def _too_large(self, most: int) -> ApiError:
        self._metrics.rejected.labels("size").inc()
        return ApiError(413, f"the request is larger than {most} bytes", "request_too_large")

    def _limited(self, receive: Receive, most: int) -> Callable[[], Awaitable[Message]]:
        """`receive` that ends a body which is too large, pauses too long or takes too long."""
        size, complete = 0, False
        until = monotonic() + self._settings.request_seconds

        async def limited() -> Message:
            nonlocal size, complete
            if complete:
                return await receive()
            seconds = max(min(self._settings.io_seconds, until - monotonic()), 0.0)
            try:
                message: Any = await asyncio.wait_for(receive(), seconds)
            except TimeoutError:
                self._metrics.timeouts.labels("body").inc()
                raise ApiError(408, "the request's body came too slowly", "body_timeout") from None
            size += len(message.get("body", b""))
            if size > most:
                raise self._too_large(most)
            complete = not message.get("more_body", False)
            return message

        return limited


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


def _route(path: str) -> str:
    """A route's name for the metrics: few values, whatever is asked for."""
    if path.startswith("/v1/files/"):
        return "/v1/files/{file_id}"
    return path if path in _ROUTES else "other"
