"""What every self-contained page needs: embedded data, one hashed script, an atomic write."""

import base64
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from assistant.errors import PoiseError

TEMPLATES = Path(__file__).parent / "templates"


def embed(data: Mapping[str, Any]) -> Markup:
    """JSON that is safe between script tags: nothing in it can close the tag."""
    text = json.dumps(data, separators=(",", ":"), sort_keys=True, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def joined_script(files: Sequence[Path]) -> tuple[Markup, str]:
    """The files as one script, and its hash for the page's content security policy."""
    script = "\n".join(path.read_text("utf-8") for path in files)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return Markup(script), digest


def write_page(page: str, path: Path, what: str, remedy: str) -> Path:
    """Write a page, atomically; its folder is made if missing.

    Args:
        what: for the message, "the report" or the like; remedy: what to do when it fails.

    Raises:
        PoiseError: the folder cannot be written; no partial file stays behind.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", newline="\n", dir=path.parent, suffix=".part", delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(page)
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise PoiseError(
            f"cannot write {what} into {path.parent}",
            got=error.strerror or str(error),
            remedy=remedy,
        ) from error
    return path
