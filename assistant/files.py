"""Checks on files that the user names, and writing that a kill cannot halve."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Final

from assistant.errors import PoiseError

MIN_FRAMES: Final = 10
MIN_SECONDS: Final = 0.5


def check_file(path: Path, what: str, expected: str = "") -> None:
    """Raise PoiseError unless `path` is a plain file with content that can be read.

    Args:
        path: what the user named.
        what: the kind of file that is wanted ("video", "pose file"), for the message.
        expected: the message's "expected"; by default the kind of file, with content.
    """
    if not path.exists():
        got, remedy = "no such file", "check the path"
    elif not path.is_file():
        got, remedy = "a folder" if path.is_dir() else "no plain file", "name the file itself"
    else:
        try:
            with path.open("rb") as file:
                if file.read(1):
                    return
            got, remedy = "an empty file (0 bytes)", "export or copy it again"
        except OSError as fault:
            got, remedy = (fault.strerror or str(fault)).lower(), "check its permissions"
    raise PoiseError(
        f"cannot read {what} {path}",
        got=got,
        expected=expected or f"a {what} with content",
        remedy=remedy,
    )


def file_sha256(path: Path) -> str:
    """Hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_length(path: Path, what: str, frames: int, fps: float) -> None:
    """Raise PoiseError where a clip is too short to show a movement."""
    if frames >= MIN_FRAMES and frames / fps >= MIN_SECONDS:
        return
    raise PoiseError(
        f"{what} {path} is too short",
        got=f"{frames} frame{'' if frames == 1 else 's'} at {fps:g} fps",
        expected=f"at least {MIN_FRAMES} frames and {MIN_SECONDS} s",
        remedy="give the whole movement",
    )


def replace_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all; it is on the disk when this returns.

    An older file stays until the new one is whole; an OSError leaves no partial file behind.
    """
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", newline="\n", dir=path.parent, suffix=".part", delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
        sync(path.parent)
    except OSError:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """`replace_whole` with one clear line where it cannot be done.

    Raises:
        PoiseError: the folder cannot be written.
    """
    try:
        replace_whole(path, text)
    except OSError as fault:
        raise PoiseError(
            f"cannot write {path}",
            got=(fault.strerror or str(fault)).lower(),
            remedy="name a file in a writable folder",
        ) from fault


def check_writable(output: Path | None) -> None:
    """Fail before minutes of work when the result could not be written."""
    if output is None:
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=output.parent):
            pass
    except OSError as error:
        raise PoiseError(
            f"cannot write {output}",
            got=error.strerror or str(error),
            remedy="give another -o FILE",
        ) from error


def make_folder(folder: Path, what: str, remedy: str) -> Path:
    """The folder, made where it is missing; errors as `unwritable` words them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise unwritable(folder, what, remedy, fault) from fault
    return folder


def check_folder(folder: Path, what: str, remedy: str) -> None:
    """Fail before any work where nothing could be written into the folder; leaves nothing behind.

    Errors as `unwritable` words them.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryDirectory(dir=existing):
            pass
    except OSError as fault:
        raise unwritable(folder, what, remedy, fault) from fault


def unwritable(folder: Path, what: str, remedy: str, fault: OSError) -> PoiseError:
    """That `what` ("the report") cannot be written into a folder, and what to do."""
    got = (fault.strerror or str(fault)).lower()
    return PoiseError(f"cannot write {what} into {folder}", got=got, remedy=remedy)


def sync(path: Path) -> None:
    """Wait until a file, or the list of names of a folder, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, what: str) -> Iterator[FileIO]:
    """Open a file to append without buffer, made where missing, and keep other runs away from it.

    The lock ends with the block or with the process, however that dies.

    Args:
        what: what cannot be done when it is taken, for the message.

    Raises:
        PoiseError: another run has it, or it cannot be written.
    """
    import fcntl

    try:
        file = path.open("ab", buffering=0)
    except OSError as fault:
        raise PoiseError(
            what,
            got=(fault.strerror or str(fault)).lower(),
            remedy="name a file in a writable folder",
        ) from fault
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            raise PoiseError(
                what, got="another run that writes there", remedy="wait for it to end"
            ) from fault
        yield file
