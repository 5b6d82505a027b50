"""A real server over HTTP: uvicorn in a thread, the shipped checkpoint, one perception worker."""

import struct
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from openai import OpenAI

from assistant.checkpoint import WEIGHTS_FOLDER
from assistant.coach import Coach
from assistant.pose.read import write_pose
from assistant.serving.metrics import Metrics
from assistant.serving.own_server import START_SECONDS
from assistant.serving.perception_pool import PerceptionPool
from assistant.serving.run import listen, server_of
from assistant.serving.service import Service
from assistant.serving.settings import ServeSettings
from data_prep.drills.performer import sample_performer
from data_prep.drills.simulate import simulate

DEMO = WEIGHTS_FOLDER / "demo"
MODEL = "poise-mini"
WAIT = 180.0
"""Seconds that any wait of a test may take."""


@dataclass
class RunningServer:
    """A server that answers, and its service inside this process."""

    service: Service
    url: str
    http: httpx2.Client = field(repr=False)
    openai: OpenAI = field(repr=False)

    def metric(self, name: str, **labels: str) -> float:
        """A sample of the registry, 0 where it was never counted."""
        return self.service.metrics.registry.get_sample_value(name, labels) or 0.0


def wait_until(true: Callable[[], bool], what: str, seconds: float = WAIT) -> None:
    """Poll a condition; fail, naming it, when it does not come true."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"{what}: not within {seconds} s"
        time.sleep(0.02)


@contextmanager
def running(coach: Coach, settings: ServeSettings, *, workers: bool = True) -> Iterator[Any]:
    """A server in a thread. Without `workers` none is started before a clip needs it."""
    metrics = Metrics()
    pool = PerceptionPool(coach.checkpoint.folder, settings, metrics)
    if not workers:
        pool.start_lazily()
    service = Service(coach, settings, metrics, pool)
    bound = listen(settings)
    server = server_of(service, bound)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    try:
        wait_until(
            lambda: server.started or not thread.is_alive(), "start of the server", START_SECONDS
        )
        assert server.started
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        key = settings.api_keys[0] if settings.api_keys else "none"
        with (
            httpx2.Client(base_url=url, timeout=WAIT) as http,
            OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=WAIT) as client,
        ):
            yield RunningServer(service, url, http, client)
    finally:
        server.should_exit = True
        thread.join(WAIT)
        assert not thread.is_alive()
        assert not service.store.folder.exists()


@pytest.fixture(scope="session")
def coach() -> Coach:
    return Coach.from_pretrained()


@pytest.fixture(scope="session")
def clips_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine different squats and free throws as pose files, and a clip of nothing known."""
    folder = tmp_path_factory.mktemp("clips")
    for i in range(9):
        rng = np.random.default_rng(100 + i)
        activity = ("bodyweight_squat", "basketball_free_throw")[i % 2]
        take = simulate(activity, i % 4, sample_performer(rng, "train"), rng)
        write_pose(folder / f"clip{i}.npz", take.pose)
    return folder


@pytest.fixture(scope="session")
def clip_paths(clips_folder: Path) -> list[Path]:
    return sorted(clips_folder.glob("clip*.npz"))


@pytest.fixture(scope="session")
def server(coach: Coach, clips_folder: Path) -> Iterator[RunningServer]:
    """The server that most tests share: no keys, small limits, the clips' folder allowed."""
    settings = ServeSettings(
        port=0,
        allow_folders=(clips_folder,),
        upload_bytes=3 * 2**20,
        data_url_bytes=2**20,
        max_batch=8,
    )
    with running(coach, settings) as started:
        yield started


def npz(path: Path, header_shape: tuple[int, ...], content: bytes = b"") -> Path:
    """An archive whose array states another shape than it holds."""
    shape = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {header_shape}, }}"
    shape += " " * (-(len(shape) + 11) % 64) + "\n"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(shape)) + shape.encode() + content
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("joints.npy", array)
    return path


def file_part(file_id: str) -> dict[str, Any]:
    return {"type": "file", "file": {"file_id": file_id}}


def about(part: dict[str, Any], *turns: str) -> list[dict[str, Any]]:
    """Messages: the clip, then an answer and a question in turns."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": [part]}]
    for i, text in enumerate(turns):
        messages.append({"role": "assistant" if i % 2 == 0 else "user", "content": text})
    return messages
