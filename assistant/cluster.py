"""Work over the machines of a Ray cluster: the same worker class as on one machine, by Ray Data.

    ray start --head                      on one machine, `ray start --address=HOST:6379` on others
    poise batch runs/set -o feedback.jsonl --ray HOST:6379

All machines see data and outputs under the same paths and have Poise installed with its extra
`cluster`. Work and results cross as text, usually JSON. Only this module imports ray.
"""

import logging
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from assistant.errors import PoiseError

BLOCKS_PER_WORKER: Final = 4
Work = Callable[[str], str]


class RowWorker:
    """A worker whose rows are Ray's: {"work": text} -> {"result": text}."""

    def __init__(self, make: Callable[..., Work], arguments: Mapping[str, Any]) -> None:
        self._work = make(**arguments)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """One piece of work."""
        return {"result": self._work(row["work"])}


def on_cluster(
    make: Callable[..., Work],
    arguments: Mapping[str, Any],
    work: Sequence[str],
    *,
    address: str,
    workers: int | None,
    blocks: int | None = None,
) -> Iterator[str]:
    """Results in the order in which they come, by the workers of a cluster.

    Args:
        make: a worker's class, importable on every machine; arguments: of its constructor.
        work: pieces, each of which is done once.
        address: of the cluster, HOST:PORT, or "auto" for the one of this machine.
        workers: processes in all; None takes one for each GPU, or CPU where there are none.
        blocks: results come a block at a time; None makes a few for each worker.

    Raises:
        PoiseError: no ray, no cluster at the address, or a fault inside it.
    """
    try:
        import ray
        import ray.data
    except ImportError as fault:
        raise PoiseError(
            "no Ray on this machine", got=str(fault), remedy="pip install 'poise[cluster]'"
        ) from fault
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (OSError, ValueError, RuntimeError) as fault:
        raise PoiseError(
            f"no Ray cluster at {address}",
            got=str(fault).splitlines()[0],
            expected="HOST:PORT of a running one",
            remedy="start it with `ray start --head`",
        ) from fault
    try:
        yield from _run(make, arguments, work, workers, blocks)
    except ray.exceptions.RayError as fault:
        raise PoiseError(
            "the cluster could not finish",
            got=_cause(fault),
            remedy="run again, what is done is kept",
        ) from fault
    finally:
        ray.shutdown()


def _run(
    make: Callable[..., Work],
    arguments: Mapping[str, Any],
    work: Sequence[str],
    workers: int | None,
    blocks: int | None,
) -> Iterator[str]:
    import ray

    ray.data.DataContext.get_current().enable_progress_bars = False
    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    count = min(workers or gpus or max(int(resources.get("CPU", 1)), 1), len(work))
    rows = ray.data.from_items(
        [{"work": piece} for piece in work],
        override_num_blocks=min(len(work), blocks or BLOCKS_PER_WORKER * count),
    )
    worker: Any = RowWorker  # a class of workers, which the annotations of Ray leave out
    results = rows.map(
        worker,
        fn_constructor_kwargs={"make": make, "arguments": dict(arguments)},
        compute=ray.data.ActorPoolStrategy(size=count),
        num_cpus=1,
        num_gpus=1 if gpus else None,
    )
    for row in results.iter_rows():
        yield row["result"]


def _knock(address: str) -> None:
    """Raise OSError where nobody listens; Ray itself would try for ten minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        with socket.create_connection((host, int(port)), timeout=10):
            pass


def _cause(fault: BaseException) -> str:
    """The last line of Ray's long message, which names the fault itself."""
    return str(fault).strip().splitlines()[-1]
