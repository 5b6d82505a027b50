"""`poise data pair DATASET -o DIR`: mine pairs, then write the dataset that names them.

DIR holds `pairs.sqlite` (all pairs, grows while the run goes on), `pairs.parquet` (the same table
for training) and `dataset/` (the records of DATASET, `demonstration` filled with each learner's
closest expert that no review rejected).
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from assistant.dataset import (
    INFO_FILE,
    SampleTable,
    iterate_samples,
    read_info,
    write_samples,
)
from assistant.errors import PoiseError
from assistant.progress import Progress
from data_prep.card import CARD_FILE, write_card
from data_prep.pairing.executions import COLUMNS, find_executions
from data_prep.pairing.mine import Tally, mine
from data_prep.pairing.motions import Motions
from data_prep.pairing.store import Pair, PairStore
from data_prep.paths import moved_paths

WINDOW: Final = 2.0  # seconds
DATASET: Final = "dataset"
TABLE: Final = "pairs.parquet"
FULL_SIZE: Final = 25_000 * 200  # learners x experts of Ego-Exo4D, for the projection
_OWN_FILES: Final = ("dataset_info.json", "state.json", INFO_FILE, CARD_FILE)
_COMPUTED: Final = ("schema_version", "rows", "sha256", "pairs")


def pair_dataset(
    source: Path,
    folder: Path,
    bar: Callable[[], AbstractContextManager[Progress]],
    *,
    train_top: int = 5,
    test_top: int = 1,
    window: float = WINDOW,
    block: int = 64,
) -> dict[str, Any]:
    """Pair a dataset, or resume a run that was stopped; returns what there is now.

    Args:
        source: the dataset; folder: where the results go.
        bar: opens the progress bar, once there is something to do.
        train_top, test_top: experts a learner of split train, and of the others.
        window: seconds that are aligned.
        block: learners a transaction.

    Raises:
        PoiseError: no dataset, no regions labelled in it, or a folder of another run.
    """
    table = SampleTable(source)
    executions = find_executions(table.columns(COLUMNS))
    if not executions.learners or not executions.experts:
        raise PoiseError(
            f"nothing to pair in {source}",
            got=f"{len(executions.learners)} regions of learners to improve, "
            f"{len(executions.experts)} of experts done correctly",
            expected="at least one of each",
            remedy="label the regions of spoken comments first: `poise data label`",
        )
    settings = {
        "dataset_sha256": table.info["sha256"],
        "train_top": train_top,
        "test_top": test_top,
        "window": window,
    }
    with PairStore(folder, create=True) as store:
        store.claim(settings)
        start = perf_counter()
        top = {"train": train_top, "other": test_top}
        with bar() as progress:
            motions = Motions(table.pose, window)
            tally = mine(executions, motions, store, top, progress, block=block)
        seconds = perf_counter() - start
        write_results(store, source, folder)
        return _summary(store, folder, tally, seconds)


def write_results(store: PairStore, source: Path, folder: Path) -> None:
    """Write the table and the dataset anew from the store; each replaces the old one at once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pairs = store.pairs()
    part = folder / f".{TABLE}.part"
    names = list(asdict(pairs[0])) if pairs else []
    columns = {name: [getattr(pair, name) for pair in pairs] for name in names}
    pq.write_table(pa.table(columns), part)
    os.replace(part, folder / TABLE)
    fresh, final, old = (folder / f"{kind}{DATASET}" for kind in (".new-", "", ".old-"))
    shutil.rmtree(fresh, ignore_errors=True)
    info = {k: v for k, v in read_info(source).items() if k not in _COMPUTED}
    info["pairs"] = store.settings()
    best = best_pairs(pairs)
    write_samples(_with_demonstrations(source, final, best), fresh, info)
    _link_films(source, fresh)
    write_card(fresh)
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        os.replace(final, old)
    os.replace(fresh, final)
    shutil.rmtree(old, ignore_errors=True)


def finished_dataset(folder: Path) -> Path:
    """The dataset of a finished run.

    Raises:
        PoiseError: the run was stopped before it wrote one.
    """
    if not (folder / DATASET / INFO_FILE).is_file():
        raise PoiseError(
            f"pairs in {folder} are not finished",
            got=f"no {DATASET}/{INFO_FILE}",
            remedy=f"go on with the same `poise data pair DATASET -o {folder}`",
        )
    return folder / DATASET


def best_pairs(pairs: list[Pair]) -> dict[str, Pair]:
    """Each learner's pair of least error over its regions, rejected ones left out."""
    best: dict[str, Pair] = {}
    for pair in pairs:
        rival = best.get(pair.learner)
        if pair.status != "rejected" and (rival is None or pair.pa_mpjpe_mm < rival.pa_mpjpe_mm):
            best[pair.learner] = pair
    return best


def _with_demonstrations(
    source: Path, final: Path, best: Mapping[str, Pair]
) -> Iterator[dict[str, Any]]:
    """The records, with films that lie outside of `source` named from the folder `final`."""
    for record in iterate_samples(source):
        sample = moved_paths(record, source, final, linked=True)
        pair = best.get(sample["sample_id"])
        sample["demonstration"] = pair and {
            "take_id": pair.expert_take,
            "span": [pair.expert_start, pair.expert_end],
            "pa_mpjpe_mm": pair.pa_mpjpe_mm,
        }
        yield sample


def _link_films(source: Path, folder: Path) -> None:
    """Views are named relative to the dataset: link what lies beside its own files."""
    for path in source.iterdir():
        if path.name not in _OWN_FILES and path.suffix != ".arrow":
            (folder / path.name).symlink_to(path.resolve())


def _summary(store: PairStore, folder: Path, tally: Tally, seconds: float) -> dict[str, Any]:
    pairs = store.pairs()
    first = [pair.pa_mpjpe_mm for pair in pairs if pair.rank == 0]
    without = store.without()
    rate = tally.compared / seconds if tally.compared else None
    return {
        "folder": str(folder),
        "learners": len(store.done()),
        "pairs": len(pairs),
        "pairs_by_split": {
            split: sum(pair.split == split for pair in pairs)
            for split in sorted({pair.split for pair in pairs})
        },
        "closest_pa_mpjpe_mm": round(sum(first) / len(first), 2) if first else None,
        "without_pair": {
            reason: {"count": len(names), "first": [" ".join(name) for name in names[:5]]}
            for reason, names in sorted(without.items())
        },
        "this_run": {
            "learners": tally.learners,
            "compared": tally.compared,
            "seconds": round(seconds, 2),
            "compared_per_second": None if rate is None else round(rate, 1),
            "hours_for_25000_x_200": None if rate is None else round(FULL_SIZE / rate / 3600, 2),
        },
    }
