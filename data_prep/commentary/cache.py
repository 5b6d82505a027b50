"""Answers that were paid for: an embedded database beside which a run may be killed at any time.

The key is a hash over everything that makes an answer: model, prompt, comment, settings. Each
answer is committed when it arrives (SQLite, write-ahead log), so a run that is killed and started
again asks only for what it never got. Failures are not stored.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from assistant.errors import PoiseError

_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY,
    answer TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt_sha256 TEXT NOT NULL,
    stored TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
)
"""


def default_cache() -> Path:
    """`poise/labels.sqlite` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "poise" / "labels.sqlite"


def request_key(request: Mapping[str, Any]) -> str:
    """sha256 of a whole request: model, messages, schema and settings."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


class AnswerCache:
    """Answers by request key; use it as a context manager.

    Args:
        path: the database; it and its folder are created. Several processes may share it.

    Raises:
        PoiseError: the file is no such database, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Autocommit: every statement is its own transaction. Others are waited for 30 s.
            self._database = sqlite3.connect(path, timeout=30.0, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute(_TABLE)
        except (OSError, sqlite3.Error) as fault:
            raise PoiseError(
                f"cannot use the cache {path}",
                got=str(fault),
                expected="a cache of labels, or a new file in a folder that can be written",
                remedy="name another file by --cache",
            ) from fault

    def __enter__(self) -> "AnswerCache":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()

    def get(self, key: str) -> str | None:
        """The stored answer, or None."""
        row = self._database.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def put(self, key: str, answer: str, *, model: str, prompt_sha256: str) -> None:
        """Store an answer; it is on disk when this returns."""
        self._database.execute(
            "INSERT OR REPLACE INTO answers (key, answer, model, prompt_sha256)"
            " VALUES (?, ?, ?, ?)",
            (key, answer, model, prompt_sha256),
        )
