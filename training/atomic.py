"""Folders, and files that libraries write, that appear whole or not at all, whenever the process
is killed; `assistant.files.write_text` does it for text."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from assistant.files import sync, write_text

PART = ".part"


def write_json(path: Path, content: Any) -> None:
    """`write_text` of a JSON object with sorted keys."""
    write_text(path, json.dumps(content, indent=1, sort_keys=True, default=float) + "\n")


def publish(part: Path, final: Path) -> None:
    """Give a finished file or flat folder its final name, once its bytes are on the disk.

    A file replaces an older one; a folder must not exist yet.
    """
    if part.is_dir():
        for path in part.iterdir():
            sync(path)
    sync(part)
    os.replace(part, final)
    sync(final.parent)


def install(source: Path, destination: Path) -> None:
    """Move every file of `source` into `destination`, each of them at once, and remove `source`.

    A reader finds each file whole at any moment, old or new.
    """
    destination.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        publish(path, destination / path.name)
    shutil.rmtree(source)
