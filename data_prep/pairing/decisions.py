"""`poise data pair --apply FILE -o DIR`: take over what a person decided on the review page.

The file is `{"schema_version": 1, "dataset_sha256": ..., "decisions": [...]}` with decisions
`{"learner", "region", "rank", "decision": "accept" | "reject" | "fix", "expert_start"}`;
`expert_start` (seconds of the take) is needed for `fix` only. All are taken over or none.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.dataset import SampleTable
from assistant.errors import PoiseError
from assistant.files import check_file
from data_prep.pairing.motions import FPS
from data_prep.pairing.run import finished_dataset, write_results
from data_prep.pairing.store import Pair, PairStore
from data_prep.pairing.windows import PairWindows

SCHEMA_VERSION: Final = 1
STATUS: Final = {"accept": "accepted", "reject": "rejected", "fix": "fixed"}


def apply_decisions(path: Path, folder: Path) -> dict[str, Any]:
    """Write the decisions into the pairs and the dataset of `folder`; returns their numbers.

    Raises:
        PoiseError: a file that is none, of another dataset, or with a decision that cannot be.
    """
    with PairStore(folder) as store:
        settings = store.settings()
        decisions = _read(path, settings["dataset_sha256"])
        pairs = {(p.learner, p.region, p.rank): p for p in store.pairs()}
        dataset = finished_dataset(folder)
        windows = PairWindows(SampleTable(dataset), settings["window"])
        changed: dict[tuple[str, str, int], Pair] = {}
        for number, decision in enumerate(decisions):
            try:
                key = (decision["learner"], decision["region"], decision["rank"])
                changed[key] = _decided(pairs[key], decision, windows)
            except (KeyError, TypeError, ValueError) as fault:
                raise PoiseError(
                    f"decision {number} of {path}",
                    got=f"{type(fault).__name__}: {fault}",
                    expected="learner, region and rank of a pair in the folder, a decision of "
                    + ", ".join(STATUS),
                    remedy="export the decisions again from the review page of this folder",
                ) from fault
        store.replace(changed.values())
        write_results(store, dataset, folder)
        statuses = [pair.status for pair in changed.values()]
        return {
            "folder": str(folder),
            **{status: statuses.count(status) for status in STATUS.values()},
            "undecided": sum(pair.status == "mined" for pair in store.pairs()),
        }


def _decided(pair: Pair, decision: Mapping[str, Any], windows: PairWindows) -> Pair:
    status = STATUS[decision["decision"]]
    if status != "fixed":
        return replace(pair, status=status)
    _, segment, errors = windows.of(pair)
    position = round((float(decision["expert_start"]) - segment.start) * FPS)
    if not 0 <= position < len(errors) or not np.isfinite(errors[position]):
        last = segment.start + (len(errors) - 1) / FPS
        raise ValueError(
            f"a window from {decision['expert_start']} s, while those that contain the expert's "
            f"time {pair.expert_time:.2f} s begin between {segment.start:.2f} and {last:.2f} s"
        )
    start = segment.start + position / FPS
    length = pair.expert_end - pair.expert_start
    return replace(
        pair,
        status=status,
        expert_start=round(start, 6),
        expert_end=round(start + length, 6),
        pa_mpjpe_mm=round(float(errors[position]), 4),
    )


def _read(path: Path, dataset_sha256: str) -> list[Mapping[str, Any]]:
    check_file(path, "decisions")
    try:
        record = json.loads(path.read_text("utf-8"))
        version, sha = record["schema_version"], record["dataset_sha256"]
        decisions: list[Mapping[str, Any]] = list(record["decisions"])
    except (ValueError, KeyError, TypeError) as fault:
        raise PoiseError(
            f"cannot read decisions {path}",
            got=f"{type(fault).__name__}: {fault}",
            expected="the JSON file that the review page exports",
        ) from fault
    if version != SCHEMA_VERSION or sha != dataset_sha256:
        raise PoiseError(
            f"decisions {path} do not belong to these pairs",
            got=f"schema version {version}, dataset {str(sha)[:12]}",
            expected=f"schema version {SCHEMA_VERSION}, dataset {dataset_sha256[:12]}",
            remedy="review the pairs of this folder: `poise data pair --review DIR`",
        )
    return decisions
