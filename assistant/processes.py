"""Work over processes that never outlive the one that started them."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import connection, get_context, parent_process
from typing import Any, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def spread(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int, *, chunk: int = 1
) -> Iterator[Result]:
    """Results in the order of the jobs: from this process where one is enough, else from a pool.

    Args:
        work: importable by name; workers: processes at most; chunk: jobs handed over at once.
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        yield from map(work, jobs)
        return
    with worker_pool(workers) as pool:
        yield from pool.map(work, jobs, chunksize=chunk)


def worker_pool(
    workers: int, initializer: Callable[..., None] | None = None, initargs: tuple[Any, ...] = ()
) -> ProcessPoolExecutor:
    """A pool of fresh processes.

    They are spawned, since a copy of a process whose libraries run threads may hang; and they end
    with this process even if it is killed, where the pool alone would leave them waiting for ever.

    Args:
        workers: processes at most; initializer, initargs: called first in each, as in the pool.
    """
    return ProcessPoolExecutor(
        workers,
        mp_context=get_context("spawn"),
        initializer=_start,
        initargs=(initializer, initargs),
    )


def _start(initializer: Callable[..., None] | None, initargs: tuple[Any, ...]) -> None:
    threading.Thread(target=_die_with_parent, daemon=True).start()
    if initializer is not None:
        initializer(*initargs)


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
