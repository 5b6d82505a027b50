"""Everything that one server holds, started and ended together."""

import asyncio
import contextlib
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event
from time import time
from typing import TYPE_CHECKING, Any, Final

from assistant.serving.chat import ChatAnswerer
from assistant.serving.clips import ClipCache
from assistant.serving.coaching import Coachings
from assistant.serving.engine_thread import EngineThread, QueuedEngine
from assistant.serving.errors import ApiError
from assistant.serving.files import FileStore
from assistant.serving.gate import Admission
from assistant.serving.metrics import Metrics
from assistant.serving.perception_pool import PerceptionPool
from assistant.serving.settings import ServeSettings
from assistant.serving.vllm_line import VllmLine

if TYPE_CHECKING:
    from assistant.coach import Coach

_SWEEP_SECONDS: Final = 30.0


@dataclass
class Service:
    """The parts behind the routes.

    Attributes:
        coach: the checkpoint's parts; its engine belongs to the line from now on.
        settings: of this server.
        metrics: its counts, the pool's among them.
        pool: its workers; they may have been launched before the coach was loaded.
    """

    coach: "Coach"
    settings: ServeSettings
    metrics: Metrics
    pool: PerceptionPool
    created: int = field(default_factory=lambda: int(time()))
    stopping: bool = False

    def __post_init__(self) -> None:
        settings, metrics = self.settings, self.metrics
        self.store = FileStore(settings.stored_bytes, settings.file_seconds, metrics.stored.set)
        self.clips = ClipCache(
            self.pool, metrics, most=settings.cached_clips, seconds=settings.file_seconds
        )
        engine: Any = self.coach.engine
        self.line = _line(engine, metrics, settings.max_batch)
        self.chats = ChatAnswerer(self.coach, engine.processor, self.line)
        self.coachings = Coachings(self.coach, self._queued(engine.name), self.store)
        self.admissions = {
            ("POST", "/v1/chat/completions"): Admission("chat", settings.max_chats, metrics),
            ("POST", "/v1/coach"): Admission("coach", settings.max_coachings, metrics),
            ("POST", "/v1/files"): Admission("upload", settings.max_uploads, metrics),
        }
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def models(self) -> list[str]:
        """Names that requests may ask for, the checkpoint's first."""
        adapters: Sequence[str] = getattr(self.coach.engine, "adapters", ())
        return [self.coach.checkpoint.name, *adapters]

    def adapter(self, model: str) -> str | None:
        """The adapter of a model's name, None for the checkpoint itself.

        Raises:
            ApiError: an unknown name.
        """
        if model not in self.models:
            raise ApiError(
                404,
                f"no model {model!r}; expected: {', '.join(self.models)}",
                "model_not_found",
                param="model",
            )
        return None if model == self.models[0] else model

    def check_activity(self, activity: str | None) -> None:
        """Raise PoiseError unless the activity is None or known."""
        self.coach.check_activity(activity)

    async def start(self) -> None:
        """Start the workers; returns when they are ready."""
        await self.pool.start()
        self._sweeper = asyncio.create_task(self._sweep())

    async def close(self) -> None:
        """End everything and remove all uploaded files."""
        self.stopping = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self.line.close()
        self.pool.close()
        self.coachings.close()
        self.store.close()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(_SWEEP_SECONDS, self.settings.file_seconds / 2))
            try:
                await asyncio.to_thread(self.store.sweep)
                self.clips.sweep()
            except Exception:  # logged; the next round tries again
                traceback.print_exc(file=sys.stderr)

    def _queued(self, name: str) -> Callable[[Event], QueuedEngine]:
        return lambda left: QueuedEngine(self.line, name, self.coach.config, left)


def _line(engine: Any, metrics: Metrics, max_batch: int) -> EngineThread | VllmLine:
    """vLLM batches the requests of all threads by itself; other engines get a thread."""
    if engine.name == "vllm":
        return VllmLine(engine, metrics)
    return EngineThread(engine, metrics, max_batch=max_batch)
