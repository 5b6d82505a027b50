"""The identity of the prompts: one sha-256 over every template file, written into every result."""

import hashlib
from pathlib import Path
from typing import Final

TEMPLATE_FOLDER: Final = Path(__file__).parent / "templates"
TEMPLATE_SUFFIXES: Final = (".jinja", ".json", ".md")


def template_files(folder: Path = TEMPLATE_FOLDER) -> list[Path]:
    """The template files of `folder` in a fixed order (by name)."""
    return sorted(path for path in folder.iterdir() if path.suffix in TEMPLATE_SUFFIXES)


def prompt_sha256(folder: Path = TEMPLATE_FOLDER) -> str:
    """Hexadecimal sha-256 over names and contents of all template files.

    Every name and content is preceded by its length, so moving a byte from one to another changes
    the sum.

    Raises:
        FileNotFoundError: the folder holds no template (a broken installation).
    """
    files = template_files(folder)
    if not files:
        raise FileNotFoundError(
            f"no prompt template in {folder}; expected files ending in "
            f"{' or '.join(TEMPLATE_SUFFIXES)}; reinstall poise"
        )
    digest = hashlib.sha256()
    for path in files:
        for part in (path.name.encode(), path.read_bytes()):
            digest.update(f"{len(part)}:".encode())
            digest.update(part)
    return digest.hexdigest()
