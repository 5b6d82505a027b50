"""Workers that hang or die are replaced; the next clip is seen as if nothing had happened."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from assistant.checkpoint import Checkpoint
from assistant.coach_result import Judged
from assistant.serving import perception_pool
from assistant.serving.errors import ApiError
from assistant.serving.metrics import Metrics
from assistant.serving.perception_pool import PerceptionPool
from assistant.serving.perception_worker import SeeJob
from assistant.serving.settings import ServeSettings

from .conftest import DEMO

POSE = SeeJob("x", {}, DEMO / "squat_demo.npz")


@pytest.mark.slow
def test_a_worker_that_hangs_or_dies_is_replaced(tmp_path: Path) -> None:
    # A pipe without a writer: whoever opens it to read waits for ever.
    os.mkfifo(tmp_path / "stuck.npz")
    stuck = SeeJob("stuck", {}, tmp_path / "stuck.npz")
    settings = ServeSettings(workers=1, perception_seconds=20.0)
    metrics = Metrics()

    async def run() -> None:
        pool = PerceptionPool(Checkpoint.open().folder, settings, metrics)
        try:
            await pool.start()
            assert isinstance(await pool.see(POSE), Judged)
            process = pool._workers[0]._process
            os.kill(process.pid, signal.SIGSTOP)
            with pytest.raises(ApiError) as caught:
                await pool.see(stuck)
            assert caught.value.status == 504
            assert not process.is_alive()
            assert isinstance(await pool.see(POSE), Judged)
            os.kill(pool._workers[0]._process.pid, signal.SIGKILL)
            with pytest.raises(ApiError) as caught:
                await pool.see(POSE)
            assert caught.value.code == "perception_failed"
            assert isinstance(await pool.see(POSE), Judged)
            assert metrics.registry.get_sample_value("poise_worker_restarts_total") == 2
        finally:
            await asyncio.to_thread(pool.close)

    asyncio.run(asyncio.wait_for(run(), 550))


def test_a_worker_that_does_not_start_is_no_fault_of_the_clip(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(perception_pool, "work", print)  # a process that ends before it is ready

    async def run() -> None:
        pool = PerceptionPool(tmp_path, ServeSettings(workers=1), Metrics())
        pool.start_lazily()
        try:
            await pool.start()
            with pytest.raises(ApiError, match="a perception worker did not start") as caught:
                await pool.see(POSE)
            assert (caught.value.status, caught.value.code) == (503, "perception_stopped")
            assert "Retry-After" in caught.value.headers
        finally:
            await asyncio.to_thread(pool.close)

    asyncio.run(asyncio.wait_for(run(), 300))
