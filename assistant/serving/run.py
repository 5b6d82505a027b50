"""Start a server, print its address when it takes requests, and end it without losing answers."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

import uvicorn

from assistant.checkpoint import Checkpoint
from assistant.coach import Coach
from assistant.errors import PoiseError
from assistant.openmp import rest_threads
from assistant.serving.metrics import Metrics
from assistant.serving.perception_pool import PerceptionPool
from assistant.serving.server import create_app
from assistant.serving.service import Service
from assistant.serving.settings import ServeSettings

_BACKLOG: Final = 512
# Longer than clients (the openai package: 5 s) and proxies (60 s) keep an idle connection: who asks
# must be the one that closes it, else a question now and then meets a closing connection.
_IDLE_SECONDS: Final = 75
_LOGS: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stderr",
            "formatter": "plain",
        }
    },
    "loggers": {"uvicorn": {"handlers": ["stderr"], "level": "INFO", "propagate": False}},
}


class Server(uvicorn.Server):
    """Tells its app when it begins to stop, and ends with exit code 0 when it was asked to."""

    def __init__(self, config: uvicorn.Config, service: Service, address: str) -> None:
        super().__init__(config)
        self._service = service
        self._address = address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; the address is the first line of stdout."""
        await super().startup(sockets)
        if self.started:
            print(self._address, flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal lets finish what runs, the second ends at once."""
        if self._service.stopping:
            self.force_exit = True
        self._service.stopping = True
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals while serving, without raising them again at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may
            return
        signals = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def load(
    model: Path | None,
    settings: ServeSettings,
    *,
    engine: str = "transformers",
    library: Path | None = None,
    adapters: Mapping[str, Path] | None = None,
) -> Service:
    """The service of a checkpoint; its workers start while its models are loaded here.

    Args:
        model: the checkpoint's folder; None is the one that ships with Poise.
        engine: what runs the language model.
        library: folder of demonstrations in place of the checkpoint's.
        adapters: for the vLLM engine: folders by the name that requests give as their model.

    Raises:
        PoiseError: no checkpoint or library there, an adapter of the checkpoint's name, or the
            engine cannot run it.
    """
    checkpoint = Checkpoint.open(model)
    if checkpoint.name in (adapters or {}):
        raise PoiseError(
            "an adapter cannot have the name of the checkpoint that it is for",
            got=f"--adapter {checkpoint.name}=...",
            expected="another name: requests for this one get the checkpoint itself",
        )
    metrics = Metrics()
    pool = PerceptionPool(checkpoint.folder, settings, metrics)
    pool.launch()
    leave_cores_to_workers(settings.workers)
    try:
        given: dict[str, Any] = {"adapters": dict(adapters)} if adapters else {}
        coach = Coach.from_pretrained(model, engine=engine, library=library, **given)
        return Service(coach, settings, metrics, pool)
    except BaseException:
        pool.close()
        raise


def leave_cores_to_workers(workers: int) -> None:
    """Let the engine's threads and the workers share the cores, not fight for them."""
    import torch

    if not torch.cuda.is_available():
        torch.set_num_threads(max(len(os.sched_getaffinity(0)) - workers, 1))


def listen(settings: ServeSettings) -> socket.socket:
    """A bound socket.

    Raises:
        PoiseError: the address is taken or not this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((settings.host, settings.port))
        bound.listen(_BACKLOG)
    except OSError as fault:
        bound.close()
        raise PoiseError(
            f"cannot listen at {settings.host}:{settings.port}",
            got=(fault.strerror or str(fault)).lower(),
            remedy="give another --port (0 takes a free one) or --host",
        ) from fault
    return bound


def address_of(bound: socket.socket) -> str:
    """The URL of a bound socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def server_of(service: Service, bound: socket.socket) -> Server:
    """The server of a service, to be run with its socket."""
    config = uvicorn.Config(
        create_app(service),
        http="h11",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=_LOGS,
        server_header=False,
        timeout_graceful_shutdown=round(service.settings.grace_seconds),
        backlog=_BACKLOG,
        timeout_keep_alive=_IDLE_SECONDS,
    )
    return Server(config, service, address_of(bound))


def serve(service: Service, bound: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        PoiseError: the server did not start.
    """
    server = server_of(service, bound)
    rest_threads()  # this thread has loaded the models, others compute from now on
    asyncio.run(server.serve(sockets=[bound]))
    if not server.started:
        raise PoiseError("the server did not start", remedy="see the lines above")
