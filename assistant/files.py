"""Checks on files that the user names."""

from pathlib import Path

from assistant.errors import PoiseError


def check_file(path: Path, what: str) -> None:
    """Raise PoiseError unless `path` is a plain file with content that can be read.

    Args:
        path: what the user named.
        what: the kind of file that is wanted ("video", "pose file"), for the message.
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
        f"cannot read {what} {path}", got=got, expected=f"a {what} with content", remedy=remedy
    )
