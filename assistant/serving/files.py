"""Uploaded clips on disk: random names in one private folder, removed after their time or at exit.

A file's own name is kept for people to read and never becomes part of a path.
"""

import hashlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from threading import Lock
from typing import BinaryIO, Final

from assistant.clip_input import VIDEO_SUFFIXES
from assistant.serving.errors import ApiError

# C3D is read by native code that was not made for files of strangers.
UPLOAD_SUFFIXES: Final = (*VIDEO_SUFFIXES, ".npz", ".json", ".trc")
_CHUNK: Final = 2**20
_PREFIX: Final = "poise-serve-"
_NAME_CHARACTERS: Final = 200


@dataclass(frozen=True)
class StoredFile:
    """One file of a clip that may be opened.

    Attributes:
        file_id: how a client names it; empty for files that no client may name.
        name: as the client called it, for messages only.
        path: where it lies.
        size: bytes.
        sha256: of its content.
        owner: the client that may use it.
        created: seconds since 1970.
        purpose: as the client said.
    """

    file_id: str
    name: str
    path: Path
    size: int
    sha256: str
    owner: str = ""
    created: int = 0
    purpose: str = "user_data"


class FileStore:
    """Uploaded files of one server, in a folder that only its user may read.

    Args:
        max_bytes: of all files together.
        seconds: a file is removed so long after its last use.
        changed: told the bytes that are stored, after every change.
    """

    def __init__(
        self, max_bytes: int, seconds: float, changed: Callable[[int], object] = lambda _: None
    ) -> None:
        _remove_leftovers()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._changed = changed
        self._files: dict[str, StoredFile] = {}
        self._used: dict[str, float] = {}
        self._writing = 0  # bytes of files that are not whole yet
        self._lock = Lock()

    def add(
        self, source: BinaryIO, name: str, *, owner: str, max_bytes: int, purpose: str = "user_data"
    ) -> StoredFile:
        """Copy an upload into the store and hash it on the way.

        Raises:
            ApiError: an unknown ending, too large, empty, or no room left beside what is stored
                and being written.
        """
        name = plain_name(name)
        suffix = checked_suffix(name)
        file_id = f"file-{secrets.token_hex(12)}"
        path = self.folder / f"{file_id}{suffix}"
        size = _checked_size(source, max_bytes)
        self._reserve(size)
        try:
            digest = _copy(source, path)
            stored = StoredFile(
                file_id, name, path, size, digest, owner, int(time.time()), purpose[:40]
            )
            with self._lock:
                self._files[file_id] = stored
                self._used[file_id] = time.monotonic()
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            with self._lock:
                self._writing -= size
        self._told()
        return stored

    def get(self, file_id: str, owner: str) -> StoredFile:
        """A file of this owner; its time begins anew.

        Raises:
            ApiError: no such file, or another owner's, which is told the same.
        """
        with self._lock:
            stored = self._files.get(file_id)
            if stored is not None and stored.owner == owner:
                self._used[file_id] = time.monotonic()
                return stored
        raise ApiError(
            404,
            f"no file {file_id[:60]!r}: it was never uploaded with this key, or its time is over",
            "file_not_found",
        )

    def of_owner(self, owner: str) -> list[StoredFile]:
        """The files of an owner, the oldest first."""
        with self._lock:
            return [stored for stored in self._files.values() if stored.owner == owner]

    def delete(self, file_id: str, owner: str) -> None:
        """Remove a file of this owner; errors as `get`."""
        self._drop([self.get(file_id, owner)])

    def discard(self, stored: StoredFile) -> None:
        """Remove a file that may be gone already."""
        self._drop([stored])

    def sweep(self) -> int:
        """Remove files whose time is over; how many."""
        late = time.monotonic() - self._seconds
        with self._lock:
            old = [self._files[i] for i, used in self._used.items() if used < late]
        self._drop(old)
        return len(old)

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _drop(self, files: list[StoredFile]) -> None:
        for stored in files:
            with self._lock:
                self._files.pop(stored.file_id, None)
                self._used.pop(stored.file_id, None)
            stored.path.unlink(missing_ok=True)
        self._told()

    def _reserve(self, size: int) -> None:
        """Take room for a file before it is written."""
        with self._lock:
            taken = self._writing + sum(stored.size for stored in self._files.values())
            if taken + size > self._max_bytes:
                raise ApiError(
                    507, "the server's store of files is full", "store_full", retry_after=60
                )
            self._writing += size

    def _told(self) -> None:
        with self._lock:
            self._changed(sum(stored.size for stored in self._files.values()))


def _checked_size(source: BinaryIO, most: int) -> int:
    """Bytes of a source, which is at its start again."""
    size = source.seek(0, os.SEEK_END)
    source.seek(0)
    if size > most:
        raise ApiError(413, f"the file is larger than {most} bytes", "file_too_large")
    if not size:
        raise ApiError(400, "the file is empty", "file_empty")
    return size


def _copy(source: BinaryIO, path: Path) -> str:
    """Hash of what was copied."""
    digest = hashlib.sha256()
    with path.open("xb") as target:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            target.write(chunk)
    return digest.hexdigest()


def plain_name(name: str) -> str:
    """The last part of a file's name, without folders or control characters."""
    last = PureWindowsPath(PurePosixPath(name).name).name
    return "".join(c for c in last if c.isprintable())[-_NAME_CHARACTERS:] or "clip"


def checked_suffix(name: str) -> str:
    """The ending of a clip's name.

    Raises:
        ApiError: an ending that is not served.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in UPLOAD_SUFFIXES:
        raise ApiError(
            400,
            f"cannot use {name!r} as a clip; expected: a name ending in "
            f"{', '.join(UPLOAD_SUFFIXES)}",
            "file_type",
        )
    return suffix


def _remove_leftovers() -> None:
    """Remove folders of servers of this user that were killed."""
    if not Path("/proc/self").exists():
        return  # who lives cannot be told
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        number = folder.name.removeprefix(_PREFIX).partition("-")[0]
        try:
            mine = folder.lstat().st_uid == os.getuid() and not folder.is_symlink()
            if mine and number.isdigit() and not Path(f"/proc/{number}").exists():
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # another server's, removed meanwhile
            continue
