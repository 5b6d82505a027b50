"""The HTTP app: routes of the OpenAI interface for clips, and `/v1/coach`.

`poise serve` runs it (`assistant.serving.cli`); docs/serving.md says how to talk to it.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from time import monotonic, time
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from assistant import __version__
from assistant.engine.base import Piece
from assistant.errors import PoiseError
from assistant.serving import openapi
from assistant.serving.chat import ChatAnswer
from assistant.serving.connection import (
    ClientGone,
    Deadline,
    EventStream,
    error_event,
    while_connected,
)
from assistant.serving.conversation import read_conversation
from assistant.serving.errors import ApiError, on_error, on_http_error
from assistant.serving.files import StoredFile
from assistant.serving.gate import Gate
from assistant.serving.looking import look_at
from assistant.serving.schema import (
    AnswerMessage,
    ChatCompletion,
    ChatRequest,
    Choice,
    CoachRequest,
    FileDeleted,
    FileList,
    FileObject,
    ModelList,
    ModelObject,
    Usage,
)
from assistant.serving.service import Service
from assistant.serving.sources import open_clip, open_clips
from assistant.timing import Timings

Body = TypeVar("Body", bound=BaseModel)
Opened = TypeVar("Opened")
_GONE_STATUS = 499


def create_app(service: Service) -> FastAPI:
    """The app around a service, which is started and closed with it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            await service.start()
            yield
        finally:
            await service.close()

    app = FastAPI(
        title="Poise",
        version=__version__,
        lifespan=lifespan,
        openapi_url="/openapi.json",
        docs_url=None,  # its page would load scripts from another machine
        redoc_url=None,
    )
    app.state.service = service
    app.add_middleware(
        Gate,
        settings=service.settings,
        metrics=service.metrics,
        admissions=service.admissions,
        stopping=lambda: service.stopping,
    )
    for fault in (ApiError, PoiseError):
        app.add_exception_handler(fault, on_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(ClientGone, _on_gone)
    keyed = bool(service.settings.api_keys)
    app.openapi = lambda: openapi.describe(app, keyed=keyed)  # type: ignore[method-assign]
    _add_routes(app)
    return app


def _add_routes(app: FastAPI) -> None:
    said: dict[str, Any] = {"responses": openapi.ERRORS}
    app.get("/health")(health)
    app.get("/metrics", response_class=Response)(metrics)
    app.get("/v1/models", **said)(models)
    app.get("/v1/models/{model}", **said)(model_object)
    app.post("/v1/files", openapi_extra=openapi.UPLOAD, **said)(upload)
    app.get("/v1/files", **said)(files)
    app.get("/v1/files/{file_id}", **said)(file_object)
    app.delete("/v1/files/{file_id}", **said)(delete_file)
    app.get("/v1/files/{file_id}/content", response_class=FileResponse, **said)(file_content)
    app.post(
        "/v1/chat/completions",
        response_model=ChatCompletion,
        openapi_extra=openapi.json_body(ChatRequest),
        **said,
    )(chat_completions)
    app.post(
        "/v1/coach", openapi_extra=openapi.json_body(CoachRequest), responses=openapi.FEEDBACK
    )(coach)


async def health(request: Request) -> JSONResponse:
    """Whether the server takes requests; needs no key."""
    service = _service(request)
    if service.stopping:
        return JSONResponse({"status": "stopping"}, 503)
    if not service.line.alive:
        return JSONResponse({"status": "the engine has stopped"}, 503)
    return JSONResponse({"status": "ok"})


async def metrics(request: Request) -> Response:
    """Counts in Prometheus' form."""
    return Response(_service(request).metrics.render(), media_type=CONTENT_TYPE_LATEST)


async def models(request: Request) -> ModelList:
    """The served model and its adapters."""
    service = _service(request)
    return ModelList(data=[ModelObject(id=n, created=service.created) for n in service.models])


async def model_object(request: Request, model: str) -> ModelObject:
    """One of them."""
    service = _service(request)
    service.adapter(model)
    return ModelObject(id=model, created=service.created)


async def upload(request: Request) -> FileObject:
    """Keep a clip for later requests of the same key."""
    service = _service(request)
    async with request.form(max_files=1, max_fields=8) as form:
        given, purpose = form.get("file"), form.get("purpose")
        if not isinstance(given, UploadFile):
            raise ApiError(400, "no file in the form; expected: a field file", "no_file")
        stored = await asyncio.to_thread(
            service.store.add,
            given.file,
            given.filename or "clip",
            owner=_owner(request),
            max_bytes=service.settings.upload_bytes,
            purpose=purpose if isinstance(purpose, str) else "user_data",
        )
    return _file_object(service, stored)


async def files(request: Request) -> FileList:
    """The files of this key."""
    service = _service(request)
    return FileList(
        data=[_file_object(service, s) for s in service.store.of_owner(_owner(request))]
    )


async def file_object(request: Request, file_id: str) -> FileObject:
    """One of them."""
    service = _service(request)
    return _file_object(service, service.store.get(file_id, _owner(request)))


async def file_content(request: Request, file_id: str) -> FileResponse:
    """Its bytes."""
    stored = _service(request).store.get(file_id, _owner(request))
    return FileResponse(stored.path, media_type="application/octet-stream", filename=stored.name)


async def delete_file(request: Request, file_id: str) -> FileDeleted:
    """Remove it now."""
    _service(request).store.delete(file_id, _owner(request))
    return FileDeleted(id=file_id)


async def coach(request: Request) -> JSONResponse:
    """Feedback on one clip."""
    service = _service(request)
    asked = await _read(request, CoachRequest)
    service.check_activity(asked.activity)
    deadline = _deadline(service)

    async def work() -> dict[str, Any]:
        timings = Timings()
        with timings("perception"):
            given = await _opened(open_clip, asked.clip, request)
            seen = await service.clips.see(given, asked.activity)
        return await service.coachings.coach(seen, given.name, timings, asked.seed, _owner(request))

    return JSONResponse(await while_connected(request, deadline.wait(work())))


async def chat_completions(request: Request) -> Response:
    """The answer to the last message of a conversation about clips."""
    service, began = _service(request), monotonic()
    asked = await _read(request, ChatRequest)
    adapter = service.adapter(asked.model)
    service.check_activity(asked.activity)
    talk = read_conversation(asked.messages)
    deadline = _deadline(service)

    async def begin() -> tuple[ChatAnswer, Piece]:
        given = await _opened(open_clips, talk.parts, request)
        clip, earlier = await look_at(given, service.clips, asked.activity)
        answer = await service.chats.answer(clip, earlier, talk, asked, adapter)
        return answer, await anext(answer.pieces)

    answer, first = await while_connected(request, deadline.wait(begin()))
    service.metrics.first_token.observe(monotonic() - began)
    pieces = _timed(service, answer, first, deadline)
    if asked.stream:
        usage = asked.stream_options is not None and asked.stream_options.include_usage
        return EventStream(
            _events(asked.model, answer, pieces, usage=usage), left=service.metrics.cancelled.inc
        )
    return await while_connected(request, _completion(asked.model, answer, pieces))


async def _timed(
    service: Service, answer: ChatAnswer, first: Piece, deadline: Deadline
) -> AsyncGenerator[Piece, None]:
    """All pieces, the first one included, before the deadline."""
    piece, counted = first, 0
    async with aclosing(answer.pieces):
        while True:
            service.metrics.tokens.inc(piece.tokens - counted)
            counted = piece.tokens
            yield piece
            if piece.ended:
                return
            piece = await deadline.wait(anext(answer.pieces))


async def _completion(
    model: str, answer: ChatAnswer, pieces: AsyncGenerator[Piece, None]
) -> JSONResponse:
    text, tokens = "", 0
    async with aclosing(pieces):
        async for piece in pieces:
            text, tokens = text + piece.text, piece.tokens
    completion = ChatCompletion(
        id=_answer_id(),
        created=int(time()),
        model=model,
        choices=[
            Choice(message=AnswerMessage(content=text), finish_reason=_reason(answer, tokens))
        ],
        usage=_usage(answer, tokens),
        poise=answer.said,
    )
    return JSONResponse(completion.model_dump())


async def _events(
    model: str, answer: ChatAnswer, pieces: AsyncGenerator[Piece, None], *, usage: bool
) -> AsyncGenerator[str, None]:
    """Chunks of the OpenAI interface; a fault after the first becomes an error event."""
    shared = {
        "id": _answer_id(),
        "object": "chat.completion.chunk",
        "created": int(time()),
        "model": model,
    }

    def chunk(delta: dict[str, str], reason: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return json.dumps({**shared, "choices": [choice], **more})

    tokens = 0
    async with aclosing(pieces):
        yield chunk({"role": "assistant", "content": ""}, poise=answer.said.model_dump())
        try:
            async for piece in pieces:
                tokens = piece.tokens
                if piece.text:
                    yield chunk({"content": piece.text})
        except Exception as fault:
            yield json.dumps(error_event(fault))
            return
        yield chunk({}, _reason(answer, tokens))
        if usage:
            told = _usage(answer, tokens).model_dump()
            yield json.dumps({**shared, "choices": [], "usage": told})
        yield "[DONE]"


def _reason(answer: ChatAnswer, tokens: int) -> Any:
    return "length" if tokens >= answer.most_tokens else "stop"


def _usage(answer: ChatAnswer, tokens: int) -> Usage:
    return Usage(
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=tokens,
        total_tokens=answer.prompt_tokens + tokens,
    )


def _deadline(service: Service) -> Deadline:
    late = service.metrics.timeouts.labels("request").inc
    return Deadline(service.settings.request_seconds, late)


def _answer_id() -> str:
    return f"chatcmpl-{secrets.token_hex(12)}"


async def _read(request: Request, model: type[Body]) -> Body:
    """The JSON body as `model`, its deepest fault told by its place."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(
            415, f"a body of type {kind[:60]!r}; expected: application/json", "content_type"
        )
    body = await request.body()
    try:
        return await asyncio.to_thread(model.model_validate_json, body)
    except ValidationError as fault:
        faults = fault.errors(include_url=False, include_input=False, include_context=False)
        # Of the forms that a content may have, the one that was meant got furthest.
        meant = max(faults, key=lambda each: len(each["loc"]))
        place = ".".join(str(part) for part in meant["loc"]) or "the body"
        raise ApiError(400, f"{place}: {meant['msg']}", "invalid_request", param=place) from None


async def _opened(work: Callable[..., Opened], parts: Any, request: Request) -> Opened:
    """What `open_clip` or `open_clips` finds, in a thread.

    Cancelled, what the thread still finds is closed when it is done.
    """
    service = _service(request)
    opening = asyncio.ensure_future(
        asyncio.to_thread(work, parts, service.store, service.settings, _owner(request))
    )
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise


def _close(opening: "asyncio.Future[Any]") -> None:
    """Remove the temporary files of clips that nobody waits for."""
    if opening.cancelled() or opening.exception() is not None:
        return
    found = opening.result()
    for clip in found if isinstance(found, list) else [found]:
        clip.close()


def _file_object(service: Service, stored: StoredFile) -> FileObject:
    return FileObject(
        id=stored.file_id,
        bytes=stored.size,
        created_at=stored.created,
        filename=stored.name,
        purpose=stored.purpose,
        expires_at=stored.created + int(service.settings.file_seconds),
    )


async def _on_gone(request: Request, _: Exception) -> Response:
    _service(request).metrics.cancelled.inc()
    return Response(status_code=_GONE_STATUS)


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _owner(request: Request) -> str:
    owner: str = request.state.owner
    return owner
