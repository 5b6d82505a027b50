"""Whole coachings behind the engine's line, and the corrected motion as a file to fetch."""

import asyncio
import copy
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assistant.serving.clips import SeenClip
from assistant.serving.files import FileStore
from assistant.timing import Timings

if TYPE_CHECKING:
    from assistant.coach import Coach
    from assistant.coach_result import CoachResult
    from assistant.engine.base import Engine

AT_ONCE: Final = 2


class Coachings:
    """Runs the pipeline after perception in a few threads, its engine steps in the line.

    Args:
        coach: its parts are shared; its own engine is not used here.
        engine: makes the engine that a coaching asks, which raises once its event is set.
    """

    def __init__(
        self, coach: "Coach", engine: Callable[[Event], "Engine"], store: FileStore
    ) -> None:
        self._coach = coach
        self._engine = engine
        self._store = store
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="coaching")
        _ = coach.identity  # hashes the checkpoint once, before copies are made

    async def coach(
        self, seen: SeenClip, name: str, timings: Timings, seed: int, owner: str
    ) -> dict[str, Any]:
        """The record of `poise coach --json`; `correction.pose` is where the motion is fetched.

        Cancelled, the coaching ends before its next engine step.
        """
        left = Event()
        work = partial(self._work, seen, name, timings, seed, owner, left)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            left.set()

    def close(self) -> None:
        """Wait for the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _work(
        self, seen: SeenClip, name: str, timings: Timings, seed: int, owner: str, left: Event
    ) -> dict[str, Any]:
        coach = copy.copy(self._coach)
        coach.engine = self._engine(left)
        item = replace(seen.perceived, given=replace(seen.perceived.given, clip_id=name))
        result = coach.answer([item], timings=timings, seed=seed)[0]
        record = result.feedback.to_json()
        if result.correction is not None:
            record["correction"]["pose"] = self._keep(result, name, owner)
        return record

    def _keep(self, result: "CoachResult", name: str, owner: str) -> str:
        """Store the corrected motion; the path that it is fetched from."""
        motion = result.correction
        assert motion is not None
        file = io.BytesIO()
        np.savez_compressed(
            file, joints=motion.joints, confidence=motion.confidence, fps=np.float64(motion.fps)
        )
        file.seek(0)
        stored = self._store.add(
            file,
            f"{name}.correction.npz",
            owner=owner,
            max_bytes=file.getbuffer().nbytes,
            purpose="correction",
        )
        return f"/v1/files/{stored.file_id}/content"
