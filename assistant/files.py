"""Checks on files that the user names."""

import os
import tempfile
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
    """Write a file whole or not at all; an OSError leaves no partial file behind."""
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", newline="\n", dir=path.parent, suffix=".part", delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(text)
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

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
