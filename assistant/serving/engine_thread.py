"""One thread that owns an engine: requests wait in line, and chats that wait are decoded together.

An engine of one process must never run in parallel threads, so everything goes through here:
answers in pieces (awaited), likelihoods (awaited), and, for the pipeline of a whole coaching that
runs in a thread of its own, the engine's verbs themselves (`QueuedEngine`).
"""

import asyncio
import sys
import traceback
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from threading import Condition, Event, Thread
from typing import Any, Final, Protocol

import numpy as np

from assistant.engine.base import Generation, GenerationOptions, Piece, Prompt
from assistant.engine.transformers_engine import TransformersEngine
from assistant.model.configuration_poise import PoiseConfig
from assistant.serving.errors import ApiError
from assistant.serving.metrics import Metrics

# A coaching scores a hundred demonstrations; chats come in between after so many.
_SCORED_AT_ONCE: Final = 64


class Abandoned(Exception):
    """Nobody waits for this coaching any more."""


class _Stream:
    """A chat's answer: waits in line, then a row of a batch."""

    def __init__(self, prompt: Prompt, options: GenerationOptions) -> None:
        self.prompt = prompt
        self.options = options
        self.left = Event()
        self._loop = asyncio.get_running_loop()
        self.pieces: asyncio.Queue[Piece | BaseException] = asyncio.Queue()

    def tell(self, what: Piece | BaseException) -> None:
        """Called in the engine's thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.pieces.put_nowait, what)


class EngineThread:
    """The line before an engine.

    Args:
        engine: used by this thread alone from now on.
        max_batch: chats decoded together.
    """

    scored_at_once = _SCORED_AT_ONCE

    def __init__(self, engine: TransformersEngine, metrics: Metrics, *, max_batch: int) -> None:
        self._engine = engine
        self._metrics = metrics
        self._max_batch = max_batch
        self._calls: deque[Callable[[], None]] = deque()  # short: likelihoods for chats
        self._streams: deque[_Stream] = deque()
        self._background: deque[Callable[[], None]] = deque()  # steps of coachings
        self._chats_last = False
        self._closed = False
        self._changed = Condition()
        self._thread = Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the engine still answers."""
        return self._thread.is_alive() and not self._closed

    async def stream(
        self, prompt: Prompt, options: GenerationOptions
    ) -> AsyncGenerator[Piece, None]:
        """Pieces of an answer, the last one marked; leaving early gives the slot free."""
        row = _Stream(prompt, options)
        self._add(self._streams, row)
        try:
            while True:
                piece = await row.pieces.get()
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
                if piece.ended:
                    return
        finally:
            row.left.set()
            self._forget(row)

    async def score(self, prompt: Prompt, continuations: Sequence[Any]) -> np.ndarray:
        """Log-likelihoods [N] of a few continuations."""
        future: Future[np.ndarray] = Future()
        self._add(self._calls, _call(future, lambda: self._engine.score(prompt, continuations)[0]))
        return await asyncio.wrap_future(future)

    def run(self, work: Callable[[TransformersEngine], Any]) -> Any:
        """Let the engine do one step of a coaching; blocks the calling thread."""
        future: Future[Any] = Future()
        self._add(self._background, _call(future, lambda: work(self._engine)))
        return future.result()

    def close(self) -> None:
        """Finish the step under way, refuse what waits, end the thread."""
        with self._changed:
            self._closed = True
            for row in self._streams:
                row.tell(_stopping())
            self._streams.clear()
            self._changed.notify_all()
        self._thread.join()

    def _add(self, line: "deque[Any]", item: Any) -> None:
        with self._changed:
            if self._closed:
                raise _stopping()
            line.append(item)
            self._metrics.waiting.set(len(self._streams))
            self._changed.notify_all()

    def _forget(self, row: _Stream) -> None:
        with self._changed:
            if row in self._streams:
                self._streams.remove(row)
                self._metrics.waiting.set(len(self._streams))

    def _work(self) -> None:
        while (step := self._next()) is not None:
            step()

    def _next(self) -> Callable[[], None] | None:
        """What to do next: likelihoods first, then chats and coachings in turns."""
        with self._changed:
            while not (self._calls or self._streams or self._background or self._closed):
                self._changed.wait()
            if self._calls:
                return self._calls.popleft()
            if self._background and (self._chats_last or not self._streams):
                self._chats_last = False
                return self._background.popleft()
            if self._streams:
                self._chats_last = True
                rows = self._batch()
                return lambda: self._decode(rows)
            return None

    def _batch(self) -> list[_Stream]:
        """The first chat in line and those behind it with the same options."""
        options = self._streams[0].options
        rows = [row for row in self._streams if row.options == options]
        # Sampled answers depend on their seed alone: they are not mixed.
        rows = rows[: self._max_batch if options.temperature == 0 else 1]
        for row in rows:
            self._streams.remove(row)
        self._metrics.waiting.set(len(self._streams))
        return rows

    def _decode(self, rows: list[_Stream]) -> None:
        self._metrics.batch.observe(len(rows))
        open_rows = set(range(len(rows)))
        self._metrics.running.set(len(open_rows))
        prompts = [row.prompt for row in rows]
        try:
            for step in self._engine.stream_many(
                prompts, rows[0].options, left=lambda i: rows[i].left.is_set()
            ):
                for piece in step:
                    rows[piece.row].tell(piece)
                    if piece.ended:
                        open_rows.discard(piece.row)
                self._metrics.running.set(len(open_rows))
        except Exception as fault:  # each client is told, the engine lives
            traceback.print_exc(file=sys.stderr)
            for i in open_rows:
                rows[i].tell(fault)
        finally:
            self._metrics.running.set(0)


class EngineSteps(Protocol):
    """A line that lets a thread do one step with the engine, of at most so many likelihoods."""

    scored_at_once: int

    def run(self, work: Callable[[Any], Any]) -> Any: ...


class QueuedEngine:
    """The engine's verbs for a thread that is not the engine's.

    Args:
        line: where the steps wait.
        name, config: of the engine.
        left: set when nobody waits for the result any more; the next step then raises.
    """

    def __init__(self, line: EngineSteps, name: str, config: PoiseConfig, left: Event) -> None:
        self.name = name
        self.config = config
        self._line = line
        self._left = left

    def generate(self, prompts: Sequence[Prompt], options: GenerationOptions) -> list[Generation]:
        """As the engine does."""
        return self._run(lambda engine: engine.generate(prompts, options))

    def stream(self, prompt: Prompt, options: GenerationOptions) -> Iterator[str]:
        """The whole answer as one piece."""
        yield from (answer.text for answer in self.generate([prompt], options))

    def score(self, prompt: Prompt, continuations: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """As the engine does, in parts, so that chats need not wait for all of them."""
        starts = range(0, max(len(continuations), 1), self._line.scored_at_once)
        chunks = [continuations[i : i + self._line.scored_at_once] for i in starts]
        parts = [self._run(partial(_scored, prompt, chunk)) for chunk in chunks]
        sums, counts = zip(*parts, strict=True)
        return np.concatenate(sums), np.concatenate(counts)

    def _run(self, work: Callable[[TransformersEngine], Any]) -> Any:
        if self._left.is_set():
            raise Abandoned
        return self._line.run(work)


def _scored(
    prompt: Prompt, continuations: Sequence[Any], engine: TransformersEngine
) -> tuple[np.ndarray, np.ndarray]:
    return engine.score(prompt, continuations)


def _call(future: "Future[Any]", work: Callable[[], Any]) -> Callable[[], None]:
    """Work whose result or fault goes into `future`; nothing where nobody waits any more."""

    def call() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(work())
        except BaseException as fault:  # raised where it is awaited
            future.set_exception(fault)

    return call


def _stopping() -> ApiError:
    return ApiError(503, "the server is stopping", "stopping", retry_after=10)
