"""Chats on disk: sessions with their clips, motions and messages in one SQLite file.

Every change is one transaction (WAL): a killed process leaves the last whole exchange. Features and
motions are stored as npz without pickle, so a session goes on without looking at its clips again.
"""

import io
import json
import os
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.errors import PoiseError

if TYPE_CHECKING:  # listing chats needs no model library
    from assistant.chat import SeenClip
    from assistant.model.processing_poise import ModelInputs

SCHEMA_VERSION: Final = 1
STORE_VARIABLE: Final = "POISE_CHAT_STORE"
_SCHEMA: Final = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    created TEXT NOT NULL,
    model_sha256 TEXT NOT NULL
) STRICT;
CREATE TABLE clips (
    session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    name TEXT NOT NULL,
    commentary TEXT,
    feedback TEXT NOT NULL,
    inputs BLOB,
    PRIMARY KEY (session, place)
) STRICT;
CREATE TABLE motions (
    session TEXT NOT NULL,
    place INTEGER NOT NULL,
    kind TEXT NOT NULL,
    pose BLOB NOT NULL,
    PRIMARY KEY (session, place, kind),
    FOREIGN KEY (session, place) REFERENCES clips (session, place) ON DELETE CASCADE
) STRICT;
CREATE TABLE exchanges (
    session TEXT NOT NULL,
    number INTEGER NOT NULL,
    place INTEGER NOT NULL,
    question TEXT NOT NULL,
    raw TEXT NOT NULL,
    answer TEXT NOT NULL,
    origin TEXT NOT NULL,
    shown TEXT NOT NULL,
    PRIMARY KEY (session, number),
    FOREIGN KEY (session, place) REFERENCES clips (session, place) ON DELETE CASCADE
) STRICT;
"""


@dataclass(frozen=True)
class Exchange:
    """A question with its answer.

    Attributes:
        place: of the clip that it was about.
        raw: the answer as the model wrote it, calls and all; answer: as it was shown.
        origin: "model", "rule" (a medical question) or "clip" (a clip that was not judged).
        shown: motions that were shown.
    """

    place: int
    question: str
    raw: str
    answer: str
    origin: str
    shown: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredClip:
    """A clip of a session: `seen` is None where it was not judged."""

    place: int
    name: str
    feedback: Mapping[str, Any]
    seen: "SeenClip | None"


@dataclass(frozen=True)
class SessionRow:
    """A session in a list."""

    session_id: str
    created: str
    clips: tuple[str, ...]
    exchanges: int


def default_store() -> Path:
    """`$POISE_CHAT_STORE`, else `poise/chat.sqlite` in the user's data folder."""
    if given := os.environ.get(STORE_VARIABLE):
        return Path(given)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "poise" / "chat.sqlite"


class ChatStore:
    """The file; one connection, for one thread.

    Raises:
        PoiseError: the file is no chat store, of a newer Poise, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=10.0)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._prepare()
        except (sqlite3.Error, OSError) as fault:
            raise PoiseError(
                f"cannot open the chats in {path}",
                got=str(fault),
                expected="a file that poise chat has written, in a folder that can be written",
                remedy="name another file with --store",
            ) from fault

    def _prepare(self) -> None:
        with self._change():  # two processes may open a new file at once
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _SCHEMA.split(";\n"):
                    if statement.strip():
                        self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        if version not in (0, SCHEMA_VERSION):
            raise PoiseError(
                f"the chats in {self.path} are of another version",
                got=f"schema {version}",
                expected=f"schema {SCHEMA_VERSION}",
                remedy="use the Poise that wrote them, or name another file with --store",
            )

    @contextmanager
    def _change(self) -> Iterator[None]:
        """One transaction: all of it or nothing.

        Raises:
            PoiseError: the file cannot be written.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as fault:
            if self._db.in_transaction:  # where the disk is full SQLite has ended it itself
                self._db.execute("ROLLBACK")
            if not isinstance(fault, sqlite3.Error):
                raise
            raise PoiseError(
                f"cannot write the chats in {self.path}",
                got=str(fault),
                remedy="make room, or end what else writes there; what was kept before stays",
            ) from fault

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def begin(self, model_sha256: str) -> str:
        """A new session's id."""
        session_id = secrets.token_hex(4)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._change():
            self._db.execute(
                "INSERT INTO sessions VALUES (?, ?, ?)", (session_id, now, model_sha256)
            )
        return session_id

    def model_of(self, session_id: str) -> str:
        """Sha-256 of the model that a session was begun with.

        Raises:
            PoiseError: no such session; the latest ones are listed.
        """
        row = self._db.execute(
            "SELECT model_sha256 FROM sessions WHERE id = ?", (session_id,)
        ).fetchone()
        if row is None:
            known = ", ".join(found.session_id for found in self.sessions()[:10])
            raise PoiseError(
                "no such chat", got=session_id, expected=known or "none is stored in this file"
            )
        model: str = row[0]
        return model

    def sessions(self) -> list[SessionRow]:
        """All sessions, the newest first."""
        rows = self._db.execute(
            "SELECT id, created, (SELECT count(*) FROM exchanges WHERE session = id)"
            " FROM sessions ORDER BY created DESC, rowid DESC"
        ).fetchall()
        return [SessionRow(row[0], row[1], self._names(row[0]), row[2]) for row in rows]

    def _names(self, session_id: str) -> tuple[str, ...]:
        found = self._db.execute(
            "SELECT name FROM clips WHERE session = ? ORDER BY place", (session_id,)
        )
        return tuple(name for (name,) in found)

    def delete(self, session_id: str) -> None:
        """Remove a session with all that belongs to it."""
        self.model_of(session_id)
        with self._change():
            self._db.execute("DELETE FROM sessions WHERE id = ?", (session_id,))

    def add_clip(
        self,
        session_id: str,
        name: str,
        feedback: Mapping[str, Any],
        seen: "SeenClip | None",
        motions: Mapping[str, PoseSequence],
    ) -> StoredClip:
        """Keep a clip with what is known of it."""
        with self._change():
            (place,) = self._db.execute(
                "SELECT count(*) FROM clips WHERE session = ?", (session_id,)
            ).fetchone()
            self._db.execute(
                "INSERT INTO clips VALUES (?, ?, ?, ?, ?, ?)",
                (
                    session_id,
                    place,
                    name,
                    None if seen is None else seen.commentary,
                    json.dumps(feedback),
                    None if seen is None else _pack_inputs(seen.inputs),
                ),
            )
            for kind, pose in motions.items():
                self._db.execute(
                    "INSERT INTO motions VALUES (?, ?, ?, ?)",
                    (session_id, place, kind, _pack_pose(pose)),
                )
        return StoredClip(place, name, feedback, seen)

    def clips(self, session_id: str) -> list[StoredClip]:
        """The clips of a session, in order."""
        from assistant.chat import SeenClip

        found = []
        for place, name, commentary, feedback, inputs in self._db.execute(
            "SELECT place, name, commentary, feedback, inputs FROM clips WHERE session = ?"
            " ORDER BY place",
            (session_id,),
        ):
            record, seen = json.loads(feedback), None
            if inputs is not None:
                seen = SeenClip(name, _unpack_inputs(inputs), commentary, record)
            found.append(StoredClip(place, name, record, seen))
        return found

    def motion(self, session_id: str, place: int, kind: str) -> PoseSequence | None:
        """The demonstration or correction of a clip, None where there is none."""
        row = self._db.execute(
            "SELECT pose FROM motions WHERE session = ? AND place = ? AND kind = ?",
            (session_id, place, kind),
        ).fetchone()
        return None if row is None else _unpack_pose(row[0])

    def add(self, session_id: str, exchange: Exchange) -> None:
        """Keep a question with its whole answer."""
        with self._change():
            self._db.execute(
                "INSERT INTO exchanges SELECT ?, count(*), ?, ?, ?, ?, ?, ? FROM exchanges"
                " WHERE session = ?",
                (
                    session_id,
                    exchange.place,
                    exchange.question,
                    exchange.raw,
                    exchange.answer,
                    exchange.origin,
                    json.dumps(exchange.shown),
                    session_id,
                ),
            )

    def exchanges(self, session_id: str) -> list[Exchange]:
        """All that was asked and answered, in order."""
        rows = self._db.execute(
            "SELECT place, question, raw, answer, origin, shown FROM exchanges WHERE session = ?"
            " ORDER BY number",
            (session_id,),
        ).fetchall()
        return [
            Exchange(place, question, raw, answer, origin, tuple(json.loads(shown)))
            for place, question, raw, answer, origin, shown in rows
        ]


def _pack(arrays: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _pack_inputs(inputs: "ModelInputs") -> bytes:
    values = {spec.name: getattr(inputs, spec.name) for spec in fields(inputs)}
    return _pack({name: np.asarray(v) for name, v in values.items() if v is not None})


def _unpack_inputs(blob: bytes) -> "ModelInputs":
    from assistant.model.processing_poise import MODALITIES, ModelInputs

    with np.load(io.BytesIO(blob), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    features = {name: arrays[name] for name in MODALITIES if name in arrays}
    text = arrays.get("pose_text")  # a chat that was begun earlier has none
    return ModelInputs(
        **features,
        frames=int(arrays["frames"]),
        numbers=str(arrays["numbers"].item()),
        pose_text="" if text is None else str(text.item()),
    )


def _pack_pose(pose: PoseSequence) -> bytes:
    return _pack(
        {"joints": pose.joints, "confidence": pose.confidence, "fps": np.float64(pose.fps)}
    )


def _unpack_pose(blob: bytes) -> PoseSequence:
    with np.load(io.BytesIO(blob), allow_pickle=False) as file:
        return PoseSequence(
            file["joints"], file["confidence"], float(file["fps"]), source="chat", world=False
        )
