"""What a client is told when something is wrong: the error object of the OpenAI interface."""

from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from assistant.errors import EngineStopped, PoiseError


class ApiError(Exception):
    """A refusal with its HTTP status.

    Args:
        status: HTTP status.
        message: one line for people.
        code: one word for programs.
        param: the field of the request that is meant.
        retry_after: seconds after which it may work.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str,
        *,
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.headers: dict[str, str] = {}
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)
        if status == 401:
            self.headers["WWW-Authenticate"] = "Bearer"

    def body(self) -> dict[str, Any]:
        """The JSON object."""
        kinds = {401: "authentication_error", 429: "rate_limit_error"}
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {
            "error": {
                "message": str(self),
                "type": kinds.get(self.status, kind),
                "param": self.param,
                "code": self.code,
            }
        }

    def response(self) -> JSONResponse:
        """The whole answer."""
        return JSONResponse(self.body(), self.status, self.headers)


def as_api_error(fault: BaseException) -> ApiError:
    """What a client may know of a fault: a user's mistake in full, a fault of ours by name only."""
    if isinstance(fault, ApiError):
        return fault
    if isinstance(fault, EngineStopped):
        # Whoever watches /health starts the server anew; what went wrong is in its log.
        return ApiError(503, "the engine has stopped", "engine_stopped", retry_after=60)
    if isinstance(fault, PoiseError):
        return ApiError(400, str(fault), "clip_unusable")
    if isinstance(fault, TimeoutError):
        return timed_out()
    return ApiError(500, f"the server failed ({type(fault).__name__}); see its log", "server_error")


def timed_out() -> ApiError:
    """The request took too long."""
    return ApiError(504, "the answer took too long and was given up", "timeout", retry_after=10)


async def on_error(_: Request, fault: Exception) -> JSONResponse:
    """Handler of `ApiError` and `PoiseError`."""
    return as_api_error(fault).response()


async def on_http_error(request: Request, fault: Exception) -> JSONResponse:
    """Handler of what the framework refuses: unknown routes, wrong methods, broken forms."""
    assert isinstance(fault, HTTPException)
    codes = {404: "not_found", 405: "method_not_allowed"}
    message = fault.detail
    if fault.status_code in codes:
        message = f"{fault.detail}: {request.method} {request.url.path}"
    return ApiError(
        fault.status_code, message, codes.get(fault.status_code, "bad_request")
    ).response()
