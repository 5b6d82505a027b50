"""A scratch table on disk that joins the annotation files by take.

The files list takes in different orders, so a join must hold one side somewhere. SQLite holds it
on disk: memory stays the same however large the files are.
"""

import json
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any


class TakeIndex:
    """(kind, take_uid) -> values in the order in which they came; a context manager.

    Args:
        folder: where the scratch file lives until the block ends; None: the system's own place.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="poise-index-", dir=folder)
        self._table = sqlite3.connect(f"{self._scratch.name}/takes.sqlite", isolation_level=None)
        # The file dies with the process: no journal, no waiting for the disk.
        self._table.execute("PRAGMA journal_mode = OFF")
        self._table.execute("PRAGMA synchronous = OFF")
        self._table.execute("CREATE TABLE entries (kind TEXT, take TEXT, value TEXT)")

    def __enter__(self) -> "TakeIndex":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._table.close()
        self._scratch.cleanup()

    def fill(self, kind: str, values: Iterable[tuple[str, Any]]) -> int:
        """Store (take_uid, JSON-like value) pairs; returns how many."""
        rows = ((kind, take, json.dumps(value)) for take, value in values)
        before = self._table.total_changes
        self._table.execute("BEGIN")
        self._table.executemany("INSERT INTO entries VALUES (?, ?, ?)", rows)
        self._table.execute("COMMIT")
        return self._table.total_changes - before

    def get(self, kind: str, take: str) -> list[Any]:
        """All values of a take."""
        self._sort()
        found = self._table.execute(
            "SELECT value FROM entries WHERE kind = ? AND take = ? ORDER BY rowid", (kind, take)
        )
        return [json.loads(value) for (value,) in found]

    def takes(self, kind: str) -> Iterator[str]:
        """The takes that have this kind, each once, in order of their uid."""
        self._sort()
        found = self._table.execute(
            "SELECT DISTINCT take FROM entries WHERE kind = ? ORDER BY take", (kind,)
        )
        for (take,) in found:
            yield take

    def _sort(self) -> None:
        """Make look-ups fast; nothing to do from the second call on."""
        self._table.execute("CREATE INDEX IF NOT EXISTS places ON entries (kind, take)")
