"""One's own expert library: a LanceDB table in a folder, opened when it is first needed.

Every change is one commit of the store: a process that is killed while it writes leaves the table
as it was. Writers wait for each other; readers wait for nobody and see the last commit.

    with_mine = DemoStore.open(Path("my-library"))
    with_mine.nearest(window, Choice(activity="bodyweight_squat", regions=("legs",)), 20)
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.demos.choice import Choice, listed
from assistant.demos.embedding import EMBEDDING, EMBEDDING_SIZE, embed
from assistant.demos.library import TABLE, UNITS_PER_METRE, Demonstration, Library, whole_units
from assistant.errors import PoiseError
from assistant.skeleton import N_JOINTS
from assistant.tasks.window import WINDOW_FRAMES

SCHEMA_VERSION: Final = 1
NAME: Final = "demonstrations"
FOLDER: Final = f"{NAME}.lance"
# From so many rows on vectors are searched by an index; fewer are compared one by one.
INDEX_FROM: Final = 50_000
# So many of the index's partitions are searched always, the others while fewer than asked for were
# found (0: no bound), so that narrow conditions lose nothing.
LEAST_PROBES: Final = 20
MOST_PROBES: Final = 0
ROWS_A_BATCH: Final = 1024
# Every commit adds a file; so many are joined into one.
MOST_FILES: Final = 64
_LOCK: Final = ".lock"
_PLAIN: Final = (
    "demonstration_id", "activity", "start", "end", "level", "unconditional", "fps", "licence",
    "source", "origin", "note", "thumbnail",
)  # fmt: skip


def is_store(folder: Path) -> bool:
    """Whether a table was ever committed there: a creation that was killed leaves no version."""
    return any((folder / FOLDER / "_versions").glob("*.manifest"))


def open_library(folder: Path) -> Library:
    """The library in `folder`: one's own, or a checkpoint's.

    Raises:
        PoiseError: there is none, or it is damaged.
    """
    if (folder / TABLE).is_file():
        return Library.load(folder)
    return DemoStore.open(folder)


class DemoStore(Library):
    """A library on disk; it answers what `Library` answers without holding everything in memory.

    Attributes:
        folder: where it lies.
        encoded_by: sha256 of the checkpoint whose codes and likelihoods it holds.
        any_activity: as in `Library`.
    """

    def __init__(
        self, folder: Path, table: Any, encoded_by: str, *, any_activity: bool = False
    ) -> None:
        self.folder = folder
        self.encoded_by = encoded_by
        self.any_activity = any_activity
        self._table = table

    @classmethod
    def create(
        cls,
        folder: Path,
        encoded_by: str,
        items: Iterable[Demonstration],
        *,
        any_activity: bool = False,
        index_from: int = INDEX_FROM,
    ) -> "DemoStore":
        """Write a new library in one commit: all of `items` (there may be none) or nothing.

        From `index_from` rows on their vectors are indexed.

        Raises:
            PoiseError: there is a library already, other files, or the folder cannot be written.
        """
        with _writing(folder) as lancedb:
            others = [path.name for path in folder.iterdir() if path.name not in (_LOCK, FOLDER)]
            if is_store(folder) or others:
                raise PoiseError(
                    f"cannot build a library in {folder}",
                    got=f"{others[0]} in it" if others else "a library",
                    expected="a new or empty folder",
                    remedy="name another folder, or add to a library with `poise demos add`",
                )
            shutil.rmtree(folder / FOLDER, ignore_errors=True)  # of a creation that was killed
            about = {"schema_version": SCHEMA_VERSION, "embedding": EMBEDDING}
            about |= {"encoded_by": encoded_by, "any_activity": any_activity}
            schema = _schema(about)
            with _own_faults(items) as guarded, _faults(folder, "write"):
                table = lancedb.connect(str(folder)).create_table(
                    NAME, data=_batches(guarded, schema), schema=schema
                )
            store = cls(folder, table, encoded_by, any_activity=any_activity)
            with _faults(folder, "write"):
                store.tidy(index_from)
        return store

    @classmethod
    def create_or_open(cls, folder: Path, encoded_by: str) -> "DemoStore":
        """The library of this checkpoint in `folder`, an empty one where there is none.

        Raises:
            PoiseError: as `create`, `open` and `check_encoding`.
        """
        if not is_store(folder):
            # Two may come here at once: the second finds the first one's library.
            try:
                return cls.create(folder, encoded_by, ())
            except PoiseError:
                if not is_store(folder):
                    raise
        store = cls.open(folder)
        store.check_encoding(encoded_by)
        return store

    def check_encoding(self, checkpoint: str) -> None:
        """Raise PoiseError unless the checkpoint of this sha256 has encoded the library."""
        if self.encoded_by != checkpoint:
            raise PoiseError(
                f"the library in {self.folder} was encoded by another checkpoint",
                got=self.encoded_by[:12],
                expected=checkpoint[:12],
                remedy=f"encode it anew: `poise demos build {self.folder} -o NEW`",
            )

    @classmethod
    def open(cls, folder: Path) -> "DemoStore":
        """The library in `folder`.

        Raises:
            PoiseError: there is none, it is damaged, or another version of Poise wrote it.
        """
        if not is_store(folder):
            raise no_library(folder)
        with _faults(folder, "read"):
            table = _lancedb().connect(str(folder)).open_table(NAME)
            about = {k: json.loads(v) for k, v in (table.schema.metadata or {}).items()}
        found = (about.get(b"schema_version"), about.get(b"embedding"))
        if found != (SCHEMA_VERSION, EMBEDDING) or b"encoded_by" not in about:
            raise PoiseError(
                f"cannot use the library in {folder}",
                got=f"schema version {found[0]}, embedding {found[1]}",
                expected=f"{SCHEMA_VERSION}, {EMBEDDING}",
                remedy="build it again with `poise demos build`",
            )
        # Stores from before there was such a thing do not say.
        any_activity = about.get(b"any_activity", False)
        return cls(folder, table, about[b"encoded_by"], any_activity=any_activity)

    def __len__(self) -> int:
        with _faults(self.folder, "read"):
            return int(self._table.count_rows())

    @property
    def items(self) -> list[Demonstration]:  # type: ignore[override]
        """Everything, in memory: for small libraries and for building another one."""
        return self.select(Choice())

    def select(self, choice: Choice, limit: int | None = None) -> list[Demonstration]:
        """The demonstrations that `choice` allows, by name, at most `limit`."""
        with _faults(self.folder, "read"):
            chosen = self._names(choice)[:limit]
            rows = self._rows(chosen)
        return [rows[name] for name in chosen]

    def each(self) -> Iterator[Demonstration]:
        """All demonstrations by name, some at a time in memory."""
        with _faults(self.folder, "read"):
            remaining = iter(self._names(Choice()))
            while part := list(islice(remaining, ROWS_A_BATCH)):
                rows = self._rows(part)
                yield from (rows[name] for name in part)

    def nearest(self, window: np.ndarray, choice: Choice, limit: int) -> list[Demonstration]:
        """As `Library.nearest`; the conditions hold before the nearest are taken."""
        wanted = embed(window)
        with _faults(self.folder, "read"):
            query = self._table.search(wanted, vector_column_name="vector")
            query = query.distance_type("l2")
            query = query.minimum_nprobes(LEAST_PROBES).maximum_nprobes(MOST_PROBES)
            if (condition := choice.sql()) is not None:
                query = query.where(condition, prefilter=True)
            columns = [*_columns(), "vector", "_distance"]
            found = query.select(columns).limit(limit).to_arrow().to_pylist()
        # Where a condition leaves fewer rows than `limit`, the index gives those outside the
        # partitions it has searched without their distance (as infinite), in no order.
        found.sort(key=lambda row: float(np.square(np.float32(row["vector"]) - wanted).sum()))
        return [_item(row) for row in found]

    def add(self, items: Sequence[Demonstration]) -> None:
        """Add demonstrations in one commit: all of them or none.

        Raises:
            PoiseError: a name that is taken, or the folder cannot be written.
        """
        names = [item.demonstration_id for item in items]
        with _writing(self.folder), _faults(self.folder, "write"):
            self._table.checkout_latest()
            taken = [*self._rows(names), *(n for n in names if names.count(n) > 1)]
            if taken:
                raise PoiseError(
                    f"a demonstration of this name is in {self.folder} already",
                    got=taken[0],
                    remedy="choose another span or --id, or take it out: `poise demos remove`",
                )
            self._table.add(_stream(items, self._table.schema))  # the whole stream is one commit
            self.tidy()

    def remove(self, names: Sequence[str]) -> None:
        """Take demonstrations out in one commit.

        Raises:
            PoiseError: a name that is not there.
        """
        with _writing(self.folder), _faults(self.folder, "write"):
            self._table.checkout_latest()
            there = self._rows(names)
            missing = [name for name in names if name not in there]
            if missing:
                raise PoiseError(
                    f"no such demonstration in {self.folder}",
                    got=missing[0],
                    remedy="`poise demos list` names them",
                )
            self._table.delete(_named(names))

    def _names(self, choice: Choice) -> list[str]:
        """Names of the demonstrations that `choice` allows, sorted."""
        query = self._table.search()
        if (condition := choice.sql()) is not None:
            query = query.where(condition)
        names = query.select(["demonstration_id"]).limit(None).to_arrow()
        return sorted(names.column("demonstration_id").to_pylist())

    def _rows(self, names: Sequence[str]) -> dict[str, Demonstration]:
        """Those of the named demonstrations that are there."""
        found: dict[str, Demonstration] = {}
        remaining = iter(names)
        while part := list(islice(remaining, ROWS_A_BATCH)):
            query = self._table.search().where(_named(part)).select(_columns()).limit(None)
            found |= {row["demonstration_id"]: _item(row) for row in query.to_arrow().to_pylist()}
        return found

    def tidy(self, index_from: int = INDEX_FROM) -> None:
        """Join small files, and index the vectors of a large library."""
        if self._table.stats()["fragment_stats"]["num_fragments"] > MOST_FILES:
            self._table.optimize()
        if self._table.count_rows() >= index_from and not self._table.list_indices():
            from lancedb.index import IvfFlat

            self._table.create_index("vector", config=IvfFlat(distance_type="l2"))


def no_library(folder: Path) -> PoiseError:
    """That there is none, and how to come by one."""
    return PoiseError(
        f"no expert library in {folder}",
        got="no such folder" if not folder.exists() else f"no {FOLDER}",
        remedy=f"make one with `poise demos build -o {folder}` or `poise demos add FILM`",
    )


def _lancedb() -> Any:
    try:
        import lancedb
    except ModuleNotFoundError as fault:
        raise PoiseError(
            "one's own expert library needs lancedb",
            got="no such package",
            remedy="install it: pip install 'poise[demos]'",
        ) from fault
    return lancedb


@contextmanager
def _writing(folder: Path) -> Iterator[Any]:
    """Hold the folder's lock, which the system lets go of when the process dies."""
    import fcntl

    lancedb = _lancedb()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("w")
    except OSError as fault:
        raise PoiseError(
            f"cannot write the library in {folder}",
            got=fault.strerror or str(fault),
            remedy="name a writable folder",
        ) from fault
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lancedb


@contextmanager
def _faults(folder: Path, doing: str) -> Iterator[None]:
    """One clear line for whatever the store says of files that it cannot read or write."""
    try:
        yield
    except PoiseError:
        raise
    except BaseException as fault:
        # The store's Rust half raises plain errors, and panics that are no Exception.
        if not isinstance(fault, Exception) and type(fault).__name__ != "PanicException":
            raise
        said = str(fault).strip().splitlines() or [type(fault).__name__]
        raise PoiseError(
            f"cannot {doing} the library in {folder}",
            got=said[0][:200],
            expected="the files as Poise wrote them, and room on the disk",
            remedy="restore the folder from a copy, or build another with `poise demos build`",
        ) from fault


@contextmanager
def _own_faults(items: Iterable[Demonstration]) -> Iterator[Iterator[Demonstration]]:
    """`items` whose own faults come out as they are, not as faults of the store that reads them."""
    own: list[Exception] = []

    def guarded() -> Iterator[Demonstration]:
        try:
            yield from items
        except Exception as fault:
            own.append(fault)
            raise

    try:
        yield guarded()
    except PoiseError:
        if own:
            raise own[0] from None
        raise


def _schema(about: dict[str, Any]) -> Any:
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    kinds: dict[str, Any] = dict.fromkeys(_PLAIN, text)
    kinds |= dict.fromkeys(("start", "end", "unconditional", "fps"), number)
    kinds |= {"thumbnail": pa.binary(), "correct_regions": pa.list_(text)}
    kinds |= {"joints": pa.list_(pa.int16()), "codes": pa.list_(pa.int16())}
    kinds["vector"] = pa.list_(pa.float32(), EMBEDDING_SIZE)
    return pa.schema(kinds.items(), metadata={k: json.dumps(v) for k, v in about.items()})


def _columns() -> list[str]:
    return [*_PLAIN, "correct_regions", "joints", "codes"]


def _batches(items: Iterable[Demonstration], schema: Any) -> Iterator[Any]:
    """Rows of the table, a few at a time and at least one batch; `items` may be a generator."""
    import pyarrow as pa

    remaining = iter(items)
    yield pa.RecordBatch.from_pylist([], schema=schema)  # the store takes no empty stream
    while part := list(islice(remaining, ROWS_A_BATCH)):
        rows = [_row(item) for item in part]
        vectors = embed(np.stack([item.window for item in part]))
        for row, vector in zip(rows, vectors, strict=True):
            row["vector"] = vector
        yield pa.RecordBatch.from_pylist(rows, schema=schema)


def _stream(items: Iterable[Demonstration], schema: Any) -> Any:
    """The batches as one reader, which the store takes in one commit."""
    import pyarrow as pa

    return pa.RecordBatchReader.from_batches(schema, _batches(items, schema))


def _row(item: Demonstration) -> dict[str, Any]:
    return {name: getattr(item, name) for name in _PLAIN} | {
        "correct_regions": list(item.correct_regions),
        "joints": whole_units(item.joints).ravel(),
        "codes": item.codes.astype(np.int16).ravel(),
    }


def _item(row: dict[str, Any]) -> Demonstration:
    joints = np.array(row["joints"], dtype=np.float32).reshape(-1, N_JOINTS, 3) / UNITS_PER_METRE
    return Demonstration(
        **{name: row[name] for name in _PLAIN},
        correct_regions=tuple(row["correct_regions"]),
        joints=joints,
        codes=np.array(row["codes"], dtype=np.int64).reshape(WINDOW_FRAMES, -1),
    )


def _named(names: Sequence[str]) -> str:
    return f"demonstration_id IN ({listed(names)})" if names else "false"
