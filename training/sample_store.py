"""Conversations on disk: made once, read by every process and again by a resumed run.

One safetensors file: all token ids, labels and weights after one another, all features likewise,
and their lengths. Its sha names the data of a run.
"""

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from assistant.model.processing_poise import MODALITIES, ModelInputs
from training.atomic import PART, publish
from training.language_samples import TokenSample

PER_TOKEN = {"ids": np.int32, "labels": np.int32, "weights": np.float64}
SETTINGS = tuple(spec.name for spec in fields(ModelInputs) if spec.name not in MODALITIES)


def write_samples(path: Path, samples: Sequence[TokenSample]) -> None:
    """Write the file whole or not at all."""
    tensors = {"lengths": np.array([len(s.ids) for s in samples])}
    for name, dtype in PER_TOKEN.items():
        values = [np.array(getattr(s, name), dtype=dtype) for s in samples]
        tensors[name] = np.concatenate(values)
    for modality in MODALITIES:
        tensors |= _stacked(modality, [getattr(s.inputs, modality) for s in samples])
    told = {
        "sample_ids": [s.sample_id for s in samples],
        **{name: [getattr(s.inputs, name) for s in samples] for name in SETTINGS},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + PART)
    save_file(tensors, part, metadata={"samples": json.dumps(told)})
    publish(part, path)


def _stacked(modality: str, rows: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
    """The values of one modality and how many rows each sample has: -1 none, -2 a flat vector."""
    counts = [-1 if row is None else -2 if row.ndim == 1 else len(row) for row in rows]
    present = [np.atleast_2d(row) for row in rows if row is not None]
    found = {f"{modality}.rows": np.array(counts)}
    return found | ({modality: np.concatenate(present)} if present else {})


def read_samples(path: Path) -> list[TokenSample]:
    """What `write_samples` wrote."""
    with safe_open(path, "numpy") as file:
        told: dict[str, list[Any]] = json.loads(file.metadata()["samples"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    ends = np.cumsum(tensors["lengths"])[:-1]
    columns = {n: [v.tolist() for v in np.split(tensors[n], ends)] for n in PER_TOKEN}
    features: dict[str, list[Any]] = {m: _unstacked(m, tensors) for m in MODALITIES}
    return [
        TokenSample(
            **{name: column[i] for name, column in columns.items()},
            inputs=ModelInputs(
                **{modality: rows[i] for modality, rows in features.items()},
                **{name: told[name][i] for name in SETTINGS},
            ),
            sample_id=sample_id,
        )
        for i, sample_id in enumerate(told["sample_ids"])
    ]


def _unstacked(modality: str, tensors: dict[str, np.ndarray]) -> list[np.ndarray | None]:
    rows: list[np.ndarray | None] = []
    begin = 0
    for count in tensors[f"{modality}.rows"].tolist():
        if count == -1:
            rows.append(None)
            continue
        end = begin + (1 if count == -2 else count)
        values = tensors[modality][begin:end]
        rows.append(values[0] if count == -2 else values)
        begin = end
    return rows
