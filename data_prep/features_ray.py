"""The extraction of features over the machines of a Ray cluster: the same code for every item.

poise data features runs/set -o /shared/features --ray HOST:6379      (see assistant/cluster.py)
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from assistant.cluster import on_cluster
from data_prep.features import Extractor, Item, Outcome


class JsonExtractor:
    """An `Extractor` of items and outcomes as JSON, since Ray's tables know no optional spans."""

    def __init__(self, encoder: str | None, folder: str) -> None:
        self._extractor = Extractor(encoder, folder, threads=1)

    def __call__(self, text: str) -> str:
        """The outcome of one item."""
        return json.dumps(asdict(self._extractor(_item(json.loads(text)))))


def by_cluster(
    items: Sequence[Item], encoder: str | None, folder: Path, address: str, workers: int | None
) -> Iterator[Outcome]:
    """Outcomes in the order in which they come; address, workers and errors as for `on_cluster`."""
    found = on_cluster(
        JsonExtractor,
        {"encoder": encoder, "folder": str(folder)},
        [json.dumps(asdict(item)) for item in items],
        address=address,
        workers=workers,
    )
    for text in found:
        record = json.loads(text)
        yield Outcome(**record | {"item": _item(record["item"])})


def _item(record: dict[str, Any]) -> Item:
    span = record["span"]
    return Item(**record | {"span": None if span is None else (span[0], span[1])})
