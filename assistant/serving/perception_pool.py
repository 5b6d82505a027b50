"""Worker processes that look at clips beside the engine; one that hangs or dies is replaced."""

import asyncio
import multiprocessing
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from assistant.errors import PoiseError
from assistant.serving.errors import ApiError
from assistant.serving.metrics import Metrics
from assistant.serving.perception_worker import READY, Broken, Refused, SeeJob, work
from assistant.serving.settings import ServeSettings

if TYPE_CHECKING:
    from assistant.coach_result import Judged, NotJudged

_START_SECONDS: Final = 600.0
_STOP_SECONDS: Final = 2.0


class _Worker:
    """One process and the pipe to it; started when it is first needed, or anew after it ended."""

    def __init__(self, folder: Path, settings: ServeSettings, metrics: Metrics) -> None:
        self._folder = folder
        self._settings = settings
        self._metrics = metrics
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._closed = False

    def start(self) -> None:
        """Start the process and wait until its models are loaded.

        Raises:
            PoiseError: it ended or did not get ready.
        """
        if self._process is not None and self._process.is_alive():
            return
        self.stop()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, self._folder, self._settings.clip)
        self._process = context.Process(
            target=work, args=arguments, daemon=True, name="poise-perception"
        )
        self._process.start()
        theirs.close()
        if self._receive(_START_SECONDS) != READY:
            self.stop()
            raise PoiseError(
                "a perception worker did not start",
                got=f"nothing in {_START_SECONDS:g} s, or its end",
                expected="loaded models",
                remedy="see the lines above; fewer --workers need less memory",
            )

    def run(self, job: SeeJob) -> "Judged | NotJudged":
        """Look at one clip (blocking).

        Raises:
            ApiError: it cannot be used, took too long, the worker died of it or does not start.
        """
        if self._closed:
            raise ApiError(503, "the server is stopping", "stopping")
        try:
            self.start()
        except PoiseError as fault:  # no fault of the clip
            raise ApiError(503, str(fault), "perception_stopped", retry_after=60) from fault
        assert self._pipe is not None
        began = monotonic()
        try:
            self._pipe.send(job)
            answer = self._receive(self._settings.perception_seconds)
        except (BrokenPipeError, OSError):
            answer = None
        self._metrics.perception.observe(monotonic() - began)
        if answer is None:
            raise self._replaced(monotonic() - began)
        if isinstance(answer, Refused):
            raise ApiError(400, answer.reason, "clip_unusable")
        if isinstance(answer, Broken):
            raise ApiError(
                500, f"looking at the clip failed ({answer.name}); see the log", "perception_failed"
            )
        return answer

    def stop(self, *, for_good: bool = False) -> None:
        """End the process."""
        self._closed = self._closed or for_good
        process, self._process = self._process, None
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()
        if process is not None:
            process.kill()
            process.join(_STOP_SECONDS)

    def _receive(self, seconds: float) -> Any:
        """The worker's answer; None when it took too long or ended."""
        pipe = self._pipe
        try:
            if pipe is None or not pipe.poll(seconds):
                return None
            return pipe.recv()
        except (EOFError, OSError):
            return None

    def _replaced(self, seconds: float) -> ApiError:
        late = seconds >= self._settings.perception_seconds
        self.stop()
        self._metrics.restarts.inc()
        if late:
            self._metrics.timeouts.labels("perception").inc()
            return ApiError(
                504,
                f"the clip took longer than {self._settings.perception_seconds:g} s to look at",
                "perception_timeout",
            )
        return ApiError(500, "looking at the clip ended its worker", "perception_failed")


class PerceptionPool:
    """A fixed number of workers; a clip waits for a free one."""

    def __init__(self, folder: Path, settings: ServeSettings, metrics: Metrics) -> None:
        self._workers = [_Worker(folder, settings, metrics) for _ in range(settings.workers)]
        self._threads = ThreadPoolExecutor(settings.workers, thread_name_prefix="perception")
        self._lazy = False
        self._starting: list[Future[None]] = []
        self._idle: asyncio.Queue[_Worker] = asyncio.Queue()

    def launch(self) -> None:
        """Begin to start all workers and return at once."""
        if not self._starting:
            self._starting = [self._threads.submit(w.start) for w in self._workers]

    def start_lazily(self) -> None:
        """Start a worker only when a clip needs it (a server that answers without clips)."""
        self._lazy = True

    async def start(self) -> None:
        """Wait until all workers are ready; errors as `_Worker.start`."""
        if not self._lazy:
            self.launch()
        await asyncio.gather(*map(asyncio.wrap_future, self._starting))
        for worker in self._workers:
            self._idle.put_nowait(worker)

    async def see(self, job: SeeJob) -> "Judged | NotJudged":
        """Look at a clip when a worker is free; errors as `_Worker.run`.

        Cancelled while it waits, nothing happens; later, the work goes on and the worker is free
        when it is done.
        """
        worker = await self._idle.get()
        running = asyncio.get_running_loop().run_in_executor(self._threads, worker.run, job)
        running.add_done_callback(lambda done: self._free(worker, done))
        return await asyncio.shield(running)

    def _free(self, worker: _Worker, done: "asyncio.Future[Any]") -> None:
        if not done.cancelled():
            done.exception()  # looked at here, in case nobody waits any more
        self._idle.put_nowait(worker)

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.stop(for_good=True)
        self._threads.shutdown(wait=True, cancel_futures=True)
