"""One thread that owns vLLM's engine: it takes requests from any thread and batches them.

vLLM's `LLMEngine` belongs to one thread. The loop builds it there, adds requests as they come,
steps while any is unfinished and hands every result to its own future. A request that vLLM refuses
fails alone; a fault of a step fails all that wait, and every later request is told why.
"""

import atexit
import itertools
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any

from vllm import SamplingParams
from vllm.lora.request import LoRARequest
from vllm.outputs import RequestOutput
from vllm.v1.engine.llm_engine import LLMEngine

from assistant.errors import EngineStopped, PoiseError
from assistant.openmp import rest_threads


@dataclass(eq=False)
class Request:
    """What one answer needs.

    Attributes:
        prompt: token ids and features as vLLM takes them.
        params: how to decode.
        adapter: LoRA weights, or None.
        on_tokens: called in the loop's thread with each step's new ids (`params` asks for deltas).
        result: the finished output; cancelling it frees the request's place in the batch.
    """

    prompt: dict[str, Any]
    params: SamplingParams
    adapter: LoRARequest | None = None
    on_tokens: Callable[[list[int]], None] | None = None
    result: "Future[RequestOutput]" = field(default_factory=Future)

    def fail(self, fault: BaseException) -> None:
        """Tell who waits; whoever has cancelled meanwhile is not told."""
        with suppress(InvalidStateError):
            self.result.set_exception(fault)

    def tell(self, output: RequestOutput) -> None:
        """Pass on a step's output; a listener that fails has left."""
        if self.on_tokens is not None and not self.result.cancelled():
            try:
                self.on_tokens(list(output.outputs[0].token_ids))
            except Exception:  # its event loop is closed, say: no fault of the engine
                self.result.cancel()
        if output.finished:
            with suppress(InvalidStateError):
                self.result.set_result(output)


class EngineLoop:
    """Runs an engine in its own thread until `close`.

    Args:
        build: makes the engine; called in the thread, its errors are raised here.
    """

    _process = Lock()  # vLLM's parallel state belongs to the process: one engine at a time

    def __init__(self, build: Callable[[], LLMEngine]) -> None:
        if not self._process.acquire(blocking=False):
            raise PoiseError(
                "an engine of vLLM runs in this process already",
                expected="one at a time",
                remedy="close it first, or give several adapters to one engine",
            )
        self._build = build
        self._engine: LLMEngine | None = None
        self._inbox: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._numbers = itertools.count()
        self._running: dict[str, Request] = {}
        self._fault: Exception | None = None
        self._lock, self._closed = Lock(), False
        started: Future[None] = Future()
        self._thread = Thread(target=self._run, args=(started,), daemon=True, name="vllm")
        self._thread.start()
        started.result()
        atexit.register(self.close)  # vLLM does not bear that its thread is cut off

    @property
    def unfinished(self) -> int:
        """Requests that wait or run."""
        return len(self._running)

    @property
    def alive(self) -> bool:
        """Whether requests are still answered."""
        return self._fault is None and self._engine is not None

    def submit(self, request: Request) -> "Future[RequestOutput]":
        """Queue a request; its future is returned."""
        rest_threads()  # who asks is about to wait
        self._put(lambda: self._add(request))
        return request.result

    def call(self, work: Callable[[LLMEngine], Any]) -> Any:
        """Run `work` with the engine in its thread, between two steps, and wait for the answer."""
        answer: Future[Any] = Future()

        def run() -> None:
            try:
                answer.set_result(work(self._alive()))
            except Exception as fault:  # raised to the caller, who waits
                answer.set_exception(fault)

        self._put(run)
        return answer.result()

    def close(self) -> None:
        """Stop after the current step; what is unfinished fails. May be called again."""
        self._inbox.put(None)
        self._thread.join()
        atexit.unregister(self.close)

    def _put(self, work: Callable[[], None]) -> None:
        with self._lock:
            if not self._closed:
                self._inbox.put(work)
                return
        work()  # which finds no engine, and says so

    def _alive(self) -> LLMEngine:
        if self._fault is not None or self._engine is None:
            raise EngineStopped(
                "the vLLM engine has stopped",
                got="closed" if self._fault is None else f"{self._fault!r}",
                remedy="start it again",
            ) from self._fault
        return self._engine

    def _run(self, started: "Future[None]") -> None:
        try:
            engine = self._engine = self._build()
        except BaseException as fault:  # raised in the constructor
            self._process.release()
            started.set_exception(fault)
            return
        started.set_result(None)
        while self._take():
            if self._running:
                self._step(engine)
        self._engine = None
        with self._lock:
            self._closed = True
        self._fail_all()
        self._drain()
        engine.engine_core.shutdown()
        self._process.release()

    def _take(self) -> bool:
        """Do what has come in; wait when there is nothing else to do. False at the end."""
        while True:
            if not self._running and self._inbox.empty():
                rest_threads()
            try:
                work = self._inbox.get(block=not self._running)
            except Empty:
                return True
            if work is None:
                return False
            work()

    def _drain(self) -> None:
        with suppress(Empty):
            while True:
                work = self._inbox.get_nowait()
                if work is not None:
                    work()

    def _add(self, request: Request) -> None:
        if request.result.cancelled():
            return
        name = str(next(self._numbers))
        try:
            engine = self._alive()
            engine.add_request(
                name,
                engine.renderer.render_cmpl([request.prompt])[0],
                request.params,
                lora_request=request.adapter,
            )
        except Exception as fault:  # of this request alone
            request.fail(fault)
            return
        self._running[name] = request

    def _step(self, engine: LLMEngine) -> None:
        try:
            left = [name for name, request in self._running.items() if request.result.cancelled()]
            if left:
                engine.abort_request(left)
                for name in left:
                    del self._running[name]
            for output in engine.step() if self._running else ():
                request = self._running.get(output.request_id)
                if request is not None:
                    request.tell(output)
                    if output.finished:
                        del self._running[output.request_id]
        except Exception as fault:
            traceback.print_exc(file=sys.stderr)
            self._fault = fault
            self._fail_all()

    def _fail_all(self) -> None:
        for request in self._running.values():
            try:
                self._alive()
            except EngineStopped as told:
                request.fail(told)
        self._running.clear()
