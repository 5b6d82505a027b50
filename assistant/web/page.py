"""What every self-contained page needs: embedded data, one hashed script, an atomic write."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from assistant.files import replace_whole, unwritable

TEMPLATES = Path(__file__).parent / "templates"


def page_environment(folder: Path) -> jinja2.Environment:
    """The templates of `folder` as pages: escaped, and a missing value is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(path, page)
    except OSError as error:
        raise unwritable(path.parent, what, remedy, error) from error
    return path
