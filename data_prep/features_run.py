"""Runs the extraction of features over processes, counts what became of every item."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from assistant.errors import PoiseError
from assistant.files import locked
from assistant.processes import worker_pool
from data_prep.features import Extractor, Item, Outcome, write_whole

INDEX: Final = "index.jsonl"
FAILED: Final = "failed.jsonl"
LOCK: Final = ".lock"

_extractor: Extractor | None = None  # of a worker process


def extract(
    outcomes: Iterable[Outcome],
    total: int,
    folder: Path,
    *,
    max_failed: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Drive a run to its end; returns counts, failures by name, and where the files are.

    Args:
        outcomes: of `total` items, in any order, each once; work is done as they are asked for.
        folder: `features_folder`.
        max_failed: more films than this that cannot be read stop the run.
        progress: called with items done and items in all.

    Raises:
        PoiseError: more than `max_failed` failures, or another run at the same folder.
    """
    counts = {"computed": 0, "reused": 0}
    failed: list[Outcome] = []
    done: list[Item] = []
    workers: set[str] = set()
    with locked(folder / LOCK, f"cannot write features into {folder}"):
        for part in folder.glob(".*.part"):  # of a run that was killed
            part.unlink(missing_ok=True)
        for number, outcome in enumerate(outcomes, 1):
            workers.add(outcome.worker)
            if outcome.status == "failed":
                failed.append(outcome)
                if len(failed) > max_failed:
                    _write_lines(folder / FAILED, map(_failure, failed))
                    raise _too_many(failed, number, max_failed, folder)
            else:
                counts[outcome.status] += 1
                done.append(outcome.item)
            if progress:
                progress(number, total)
        done.sort(key=lambda item: item.file)
        _write_lines(folder / FAILED, map(_failure, failed))
        _write_lines(folder / INDEX, (asdict(item) | {"file": item.file} for item in done))
    return {
        "folder": str(folder),
        "items": total,
        "workers": len(workers),
        **counts,
        "failed": len(failed),
        "failures": [_failure(outcome) for outcome in failed],
    }


def in_processes(
    items: Sequence[Item], encoder: str | None, folder: Path, workers: int
) -> Iterator[Outcome]:
    """Outcomes in the order of `items`, by `workers` processes; by this one where it is 1.

    Raises:
        PoiseError: a worker died (out of memory, or a decoder that crashed).
    """
    if workers == 1:
        yield from map(Extractor(encoder, str(folder)), items)
        return
    threads = max((os.cpu_count() or 1) // workers, 1)
    try:
        with worker_pool(workers, _start_worker, (encoder, str(folder), threads)) as pool:
            yield from pool.map(_work, items)
    except BrokenProcessPool as fault:
        raise PoiseError(
            "a worker process died",
            got=str(fault),
            remedy="run again, what is done is kept; with --workers 1 the last line of the "
            "progress tells which film it is",
        ) from fault


def _start_worker(encoder: str | None, folder: str, threads: int) -> None:
    global _extractor
    _extractor = Extractor(encoder, folder, threads)


def _work(item: Item) -> Outcome:
    assert _extractor is not None
    return _extractor(item)


def _failure(outcome: Outcome) -> dict[str, str]:
    item = outcome.item
    return {
        "sample_id": item.sample_id,
        "view": item.view,
        "film": item.film,
        "reason": outcome.reason,
    }


def _write_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    write_whole(path, "".join(json.dumps(record) + "\n" for record in records).encode())


def _too_many(failed: list[Outcome], done: int, allowed: int, folder: Path) -> PoiseError:
    names = ", ".join(f"{o.item.sample_id} {o.item.view}" for o in failed[:3])
    return PoiseError(
        "too many films cannot be read",
        got=f"{len(failed)} of the first {done} ({names}, ...); the first: {failed[0].reason}",
        expected=f"at most {allowed}",
        remedy=f"see {folder / FAILED}, mend them, or allow more by --max-failed; what is done is "
        "kept",
    )
