"""The pairs found so far, in SQLite: one transaction a block of learners.

A learner's pairs and the mark that it is done are written together, so a run that is killed at any
time resumes with nothing lost and nothing twice.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any, Final

from assistant.errors import PoiseError

FILE: Final = "pairs.sqlite"
STATUSES: Final = ("mined", "accepted", "fixed", "rejected")


@dataclass(frozen=True)
class Pair:
    """A learner's window and an expert's, seconds of their takes.

    Attributes:
        learner, expert: sample ids; region: what the learner needs to improve.
        rank: 0 is the closest expert of this learner and region.
        split, activity: of both.
        learner_take, expert_take: recordings.
        learner_time, expert_time: when the region was spoken of.
        learner_start, learner_end, expert_start, expert_end: the windows.
        pa_mpjpe_mm: mean over frames of the per-frame PA-MPJPE, the expert moved onto the learner.
        status: one of STATUSES, the last three by review.
    """

    learner: str
    region: str
    rank: int
    expert: str
    split: str
    activity: str
    learner_take: str
    expert_take: str
    learner_time: float
    expert_time: float
    learner_start: float
    learner_end: float
    expert_start: float
    expert_end: float
    pa_mpjpe_mm: float
    status: str = "mined"


_NAMES: Final = [f.name for f in fields(Pair)]
_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS done (
    learner TEXT, region TEXT, reason TEXT, PRIMARY KEY (learner, region)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pairs (
    {", ".join(_NAMES)}, PRIMARY KEY (learner, region, rank)
) WITHOUT ROWID;
"""


class PairStore:
    """Pairs on disk; use it as a context manager.

    Raises:
        PoiseError: the file cannot be opened, or is none of ours.
    """

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        self.path = folder / FILE
        if not create and not self.path.is_file():
            raise PoiseError(
                f"no pairs in {folder}",
                got=f"no {FILE}",
                remedy=f"make them with `poise data pair DATASET -o {folder}`",
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(self.path, isolation_level=None)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as fault:
            raise PoiseError(
                f"cannot open {self.path}", got=str(fault), remedy="name another folder"
            ) from fault

    def __enter__(self) -> "PairStore":
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    def settings(self) -> dict[str, Any]:
        """What the pairs were made with."""
        return {k: json.loads(v) for k, v in self._base.execute("SELECT name, value FROM settings")}

    def claim(self, settings: Mapping[str, Any]) -> None:
        """Note the settings of a new run, or check that they are those of the run to resume."""
        kept = self.settings()
        if not kept:
            rows = [(name, json.dumps(value)) for name, value in settings.items()]
            with self._transaction():
                self._base.executemany("INSERT INTO settings VALUES (?, ?)", rows)
            return
        other = [name for name, value in settings.items() if kept.get(name) != value]
        if other:
            raise PoiseError(
                f"pairs in {self.path.parent} were made with other settings",
                got=", ".join(f"{name} {settings[name]}" for name in other),
                expected=", ".join(f"{name} {kept.get(name)}" for name in other),
                remedy="name another folder, or repeat the first settings to resume",
            )

    def done(self) -> set[tuple[str, str]]:
        """(learner, region) that need not be looked at again."""
        return set(self._base.execute("SELECT learner, region FROM done"))

    def add(self, pairs: Iterable[Pair], done: Iterable[tuple[str, str, str | None]]) -> None:
        """Write a block: its pairs, and (learner, region, why there is no pair or None)."""
        places = ", ".join("?" * len(_NAMES))
        with self._transaction():
            self._base.executemany(f"INSERT INTO pairs VALUES ({places})", map(astuple, pairs))
            self._base.executemany("INSERT INTO done VALUES (?, ?, ?)", done)

    def pairs(self) -> list[Pair]:
        """All pairs, ordered by learner, region and rank."""
        order = "SELECT * FROM pairs ORDER BY learner, region, rank"
        return [Pair(*row) for row in self._base.execute(order)]

    def without(self) -> dict[str, list[tuple[str, str]]]:
        """Reason to the (learner, region) that have no pair for it."""
        found: dict[str, list[tuple[str, str]]] = {}
        query = "SELECT learner, region, reason FROM done WHERE reason IS NOT NULL"
        for learner, region, reason in self._base.execute(query):
            found.setdefault(reason, []).append((learner, region))
        return found

    def replace(self, pairs: Iterable[Pair]) -> None:
        """Write reviewed pairs over those of the same learner, region and rank, all or none."""
        names = [n for n in _NAMES if n not in ("learner", "region", "rank")]
        change = ", ".join(f"{name} = :{name}" for name in names)
        where = "learner = :learner AND region = :region AND rank = :rank"
        with self._transaction():
            self._base.executemany(
                f"UPDATE pairs SET {change} WHERE {where}", [asdict(pair) for pair in pairs]
            )

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._base)


class _Transaction:
    """BEGIN IMMEDIATE to COMMIT, or ROLLBACK when something fails."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base

    def __enter__(self) -> None:
        self._base.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self._base.execute("COMMIT" if kind is None else "ROLLBACK")
