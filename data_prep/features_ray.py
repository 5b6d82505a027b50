"""The extraction of features over the machines of a Ray cluster: the same code for every item.

    ray start --head                      on one machine, `ray start --address=HOST:6379` on others
    poise data features runs/set -o /shared/features --ray HOST:6379

All machines see the dataset and the output under the same paths and have Poise installed with its
extra `cluster`. Only this module imports ray.
"""

import json
import logging
import socket
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from assistant.errors import PoiseError
from data_prep.features import Extractor, Item, Outcome

BLOCKS_PER_WORKER = 4


class RayExtractor:
    """An `Extractor` whose rows are JSON, since Ray's tables know no optional spans."""

    def __init__(self, encoder: str | None, folder: str) -> None:
        self._extractor = Extractor(encoder, folder, threads=1)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """One item, {"item": JSON} -> {"outcome": JSON}."""
        outcome = self._extractor(_item(json.loads(row["item"])))
        return {"outcome": json.dumps(asdict(outcome))}


def on_cluster(
    items: Sequence[Item], encoder: str | None, folder: Path, address: str, workers: int | None
) -> Iterator[Outcome]:
    """Outcomes in the order in which they come, by the workers of a cluster.

    Args:
        address: of the cluster, HOST:PORT, or "auto" for the one of this machine.
        workers: processes in all; None takes one for each GPU, or CPU where there are none.

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
        yield from _run(items, encoder, folder, workers)
    except ray.exceptions.RayError as fault:
        raise PoiseError(
            "the cluster could not finish",
            got=_cause(fault),
            remedy="run again, what is done is kept",
        ) from fault
    finally:
        ray.shutdown()


def _run(
    items: Sequence[Item], encoder: str | None, folder: Path, workers: int | None
) -> Iterator[Outcome]:
    import ray

    ray.data.DataContext.get_current().enable_progress_bars = False
    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    count = workers or gpus or max(int(resources.get("CPU", 1)), 1)
    count = min(count, len(items))
    rows = ray.data.from_items(
        [{"item": json.dumps(asdict(item))} for item in items],
        override_num_blocks=min(len(items), BLOCKS_PER_WORKER * count),
    )
    extractor: Any = RayExtractor  # a class of workers, which the annotations of Ray leave out
    outcomes = rows.map(
        extractor,
        fn_constructor_kwargs={"encoder": encoder, "folder": str(folder)},
        compute=ray.data.ActorPoolStrategy(size=count),
        num_cpus=1,
        num_gpus=1 if gpus else None,
    )
    for row in outcomes.iter_rows():
        record = json.loads(row["outcome"])
        yield Outcome(**record | {"item": _item(record["item"])})


def _knock(address: str) -> None:
    """Raise OSError where nobody listens; Ray itself would try for ten minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        with socket.create_connection((host, int(port)), timeout=10):
            pass


def _item(record: dict[str, Any]) -> Item:
    span = record["span"]
    return Item(**record | {"span": None if span is None else (span[0], span[1])})


def _cause(fault: BaseException) -> str:
    """The last line of Ray's long message, which names the fault itself."""
    return str(fault).strip().splitlines()[-1]
