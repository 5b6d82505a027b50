"""`poise bench library`: the nearest of many demonstrations, by index, without, and from memory.

The vectors are mixtures of the checkpoint's own windows with some noise, so that they lie where
motions lie; a query is one of them with more noise. Every search has the same condition on the
activity, which holds before anything is ranked. Recall is the share of the exact nearest found.
"""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np

from assistant.bench import compared, in_turns
from assistant.checkpoint import LIBRARY_FOLDER, Checkpoint
from assistant.demos import store as stores
from assistant.demos.choice import Choice
from assistant.demos.embedding import embed
from assistant.demos.library import Demonstration, Library
from assistant.pose.alignment import pa_mpjpe

ITEMS: Final = 100_000
QUERIES: Final = 15
LIMIT: Final = 20
NOISE: Final = 0.005  # metres


def run() -> dict[str, Any]:
    """Milliseconds a query; `ratio` is how many times faster the index is than each other way."""
    own = Library.load(Checkpoint.open().folder / LIBRARY_FOLDER)
    rng = np.random.default_rng(0)
    windows = _mixtures(own, rng)
    names = [own.items[i % len(own)].activity for i in range(ITEMS)]
    vectors = np.concatenate([embed(part) for part in np.array_split(windows, 50)])
    chosen = [i for i, name in enumerate(names) if name == names[0]]
    queries = windows[rng.choice(chosen, QUERIES)]
    queries = queries + rng.normal(0, NOISE, queries.shape).astype(np.float32)
    choice = Choice(activity=names[0])
    matrix, lengths = vectors[chosen], (vectors[chosen] ** 2).sum(1)

    def from_memory(query: np.ndarray) -> list[str]:
        distance = lengths - 2 * (matrix @ embed(query))
        nearest = np.argpartition(distance, LIMIT)[:LIMIT]
        return [f"item-{chosen[i]}" for i in nearest]

    with tempfile.TemporaryDirectory() as folder:
        start = perf_counter()
        plain = _store(Path(folder) / "plain", own, windows, names)
        written = perf_counter() - start
        shutil.copytree(plain.folder, Path(folder) / "indexed")
        indexed = stores.DemoStore.open(Path(folder) / "indexed")
        start = perf_counter()
        indexed.tidy(index_from=0)
        built = perf_counter() - start

        def by(store: stores.DemoStore, query: np.ndarray) -> list[str]:
            return [item.demonstration_id for item in store.nearest(query, choice, LIMIT)]

        exact = [set(from_memory(query)) for query in queries]
        found = [set(by(indexed, query)) for query in queries]
        recall = np.mean([len(f & e) / LIMIT for f, e in zip(found, exact, strict=True)])
        turns = iter(np.repeat(np.arange(QUERIES), 3))
        works = [
            lambda: by(indexed, queries[next(turns)]),
            lambda: by(plain, queries[next(turns)]),
            lambda: from_memory(queries[next(turns)]),
        ]
        spent = [[1000 * t for t in row] for row in in_turns(works, QUERIES)]
    others = ("the store without an index", "all vectors in memory, one product")
    return {
        "measured": f"a query of {ITEMS:,} items",
        **compared(
            spent[0],
            dict(zip(others, spent[1:], strict=True)),
            ours_is="the store with its index",
            unit="ms",
        ),
        "recall": round(float(recall), 3),
        "nearest": LIMIT,
        "write_s": round(written, 1),
        "index_s": round(built, 1),
        "memory_mb": round(vectors.nbytes / 1e6),
        "checkpoint": _checkpoint_library(own),
    }


def _mixtures(own: Library, rng: np.random.Generator) -> np.ndarray:
    """[ITEMS, 10, 17, 3] float32: each a window of the library, mixed with another one."""
    base = np.stack([item.window for item in own.items])
    first = np.arange(ITEMS) % len(base)
    share = rng.uniform(0, 0.5, (ITEMS, 1, 1, 1)).astype(np.float32)
    mixed = (1 - share) * base[first] + share * base[rng.integers(0, len(base), ITEMS)]
    noise = rng.standard_normal(mixed.shape, dtype=np.float32)
    return np.asarray(mixed + NOISE * noise, dtype=np.float32)


def _store(folder: Path, own: Library, windows: np.ndarray, names: list[str]) -> stores.DemoStore:
    """A store of the windows, without an index."""

    def items() -> Any:
        for i, (window, name) in enumerate(zip(windows, names, strict=True)):
            like: Demonstration = own.items[i % len(own)]
            yield replace(like, demonstration_id=f"item-{i}", activity=name, joints=window, fps=5.0)

    return stores.DemoStore.create(folder, "bench", items(), index_from=len(windows) + 1)


def _checkpoint_library(own: Library) -> dict[str, Any]:
    """What the checkpoint's own library costs, and how well its vectors stand for PA-MPJPE."""
    start = perf_counter()
    Library.load(Checkpoint.open().folder / LIBRARY_FOLDER)
    loaded = perf_counter() - start
    rng = np.random.default_rng(1)
    found: dict[int, list[bool]] = {1: [], 10: [], 50: []}
    spent = []
    for i in rng.choice(len(own), 60, replace=False):
        query = own.items[i]
        window = query.window + rng.normal(0, 0.02, (1, *query.window.shape[1:]))
        others = Library([o for o in own.of_activity(query.activity) if not _same(o, query)])
        others.nearest(window, Choice(), 1)  # its vectors are made once
        start = perf_counter()
        order = others.nearest(window, Choice(), 50)
        spent.append(1000 * (perf_counter() - start))
        errors = pa_mpjpe(np.stack([o.window for o in others.items]), window[None]).mean(1)
        best = others.items[int(errors.argmin())].demonstration_id
        place = [o.demonstration_id for o in order]
        for limit, hits in found.items():
            hits.append(best in place[:limit])
    return {
        "items": len(own),
        "load_ms": round(1000 * loaded, 1),
        "search_ms": round(float(np.median(spent)), 2),
        "nearest_by_pa_mpjpe_among_first": {
            str(k): round(float(np.mean(v)), 3) for k, v in found.items()
        },
        "queries": 60,
        "import_lancedb_s": _import_seconds(),
    }


def _same(a: Demonstration, b: Demonstration) -> bool:
    """Whether both are of one clip, which would be found too easily."""
    return a.demonstration_id.split("@")[0] == b.demonstration_id.split("@")[0]


def _import_seconds() -> float:
    code = "import time; t = time.perf_counter(); import lancedb; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return round(float(done.stdout), 2)
