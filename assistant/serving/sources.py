"""From the parts of a request to the files of a clip: uploads, data URLs, allowed local files.

Nothing is ever fetched from another machine.
"""

import base64
import binascii
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from assistant.clip_input import LONE_VIEW, VIDEO_SUFFIXES
from assistant.files import file_sha256
from assistant.serving.errors import ApiError
from assistant.serving.files import FileStore, StoredFile, checked_suffix, plain_name
from assistant.serving.schema import ClipPart, FileReference, VideoPart
from assistant.serving.settings import ServeSettings

_NAMES: Final = {
    "video/mp4": "clip.mp4",
    "video/quicktime": "clip.mov",
    "video/webm": "clip.webm",
    "application/x-npz": "pose.npz",
    "application/json": "pose.json",
}
TEMPORARY: Final = ""
"""Owner of files that live as long as their request."""
_POSE: Final = "pose"


@dataclass(frozen=True)
class GivenClip:
    """The files of one clip.

    Attributes:
        name: for results.
        views: view name to film.
        pose: a pose file, or None.
        store: where the temporary ones are removed.
    """

    name: str
    views: dict[str, StoredFile]
    pose: StoredFile | None
    store: FileStore

    @property
    def files(self) -> list[StoredFile]:
        """All of them."""
        return [*self.views.values(), *([self.pose] if self.pose is not None else [])]

    def sha256(self) -> str:
        """One hash over the content of all files and what they are."""
        digest = hashlib.sha256()
        for role, stored in sorted([*self.views.items(), *self._posed()]):
            digest.update(f"{role} {stored.path.suffix} {stored.sha256}\n".encode())
        return digest.hexdigest()

    def close(self) -> None:
        """Remove the files that came inside the request."""
        for stored in self.files:
            if stored.file_id and stored.owner == TEMPORARY:
                self.store.discard(stored)

    def _posed(self) -> list[tuple[str, StoredFile]]:
        return [] if self.pose is None else [(_POSE, self.pose)]


def open_clip(
    parts: Sequence[ClipPart], store: FileStore, settings: ServeSettings, owner: str
) -> GivenClip:
    """Find or write the files of one clip (blocking: called in a thread).

    Raises:
        ApiError: a file that is not there, not allowed, too large, or given twice.
    """
    clips = open_clips([parts], store, settings, owner)
    if len(clips) > 1:
        for clip in clips:
            clip.close()
        raise ApiError(
            400,
            "two films of one view, or two pose files, for one clip; name each film's view, and "
            "give one pose file",
            "several_clips",
            param="clip",
        )
    return clips[0]


def open_clips(
    messages: Sequence[Sequence[ClipPart]], store: FileStore, settings: ServeSettings, owner: str
) -> list[GivenClip]:
    """Find or write the files of a conversation's clips, in order (blocking).

    The parts of a message are one clip, until one comes for a view that has its film already, or a
    second pose: it begins the next clip.

    Args:
        messages: the parts of each, at least one.

    Raises:
        ApiError: a file that is not there, not allowed or too large.
    """
    found: list[dict[str, StoredFile]] = []
    try:
        for parts in messages:
            found.append({})
            for part in parts:
                stored = _open(part, store, settings, owner)
                film = stored.path.suffix.lower() in VIDEO_SUFFIXES
                place = (part.view or LONE_VIEW) if film else _POSE
                if place in found[-1]:
                    found.append({})
                found[-1][place] = stored
    except BaseException:
        for files in filter(None, found):
            _clip(files, store).close()
        raise
    return [_clip(files, store) for files in found]


def _clip(files: dict[str, StoredFile], store: FileStore) -> GivenClip:
    """Files by view, the pose by its own name."""
    views = {place: stored for place, stored in files.items() if place != _POSE}
    pose = files.get(_POSE)
    first = next(iter(views.values()), pose)
    assert first is not None
    return GivenClip(Path(first.name).stem, views, pose, store)


def _open(part: ClipPart, store: FileStore, settings: ServeSettings, owner: str) -> StoredFile:
    if isinstance(part, VideoPart):
        return _from_url(part.video_url.url, None, store, settings)
    reference = part if isinstance(part, FileReference) else part.file
    if reference.file_id is not None:
        return store.get(reference.file_id, owner)
    assert reference.file_data is not None
    return _from_url(reference.file_data, reference.filename, store, settings)


def _from_url(url: str, name: str | None, store: FileStore, settings: ServeSettings) -> StoredFile:
    scheme = url[:20].partition(":")[0].lower()
    if scheme == "data":
        return _from_data(url, name, store, settings.data_url_bytes)
    if scheme == "file":
        return local_file(url, settings.allow_folders)
    raise ApiError(
        400,
        f"cannot use a clip by {scheme[:10]!r}: nothing is fetched from other machines; "
        "expected: a data URL, an uploaded file's file_id, or file:// inside an allowed folder",
        "url_not_allowed",
    )


def _from_data(url: str, name: str | None, store: FileStore, most: int) -> StoredFile:
    """The clip of `data:TYPE;base64,...`, its size checked before it is decoded."""
    head, comma, body = url.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise ApiError(400, "not a data URL; expected: data:TYPE;base64,...", "data_url")
    if len(body) * 3 // 4 > most + 2:
        raise ApiError(
            413,
            f"the clip in the data URL is larger than {most} bytes; upload it",
            "file_too_large",
        )
    kind = head[5 : -len(";base64")].partition(";")[0].strip().lower()
    name = plain_name(name) if name else _NAMES.get(kind)
    if name is None:
        raise ApiError(
            400,
            f"cannot tell what a clip of type {kind[:60]!r} is; expected: a filename beside it, or "
            f"one of {', '.join(_NAMES)}",
            "file_type",
        )
    checked_suffix(name)
    try:
        data = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as fault:
        raise ApiError(400, "the data URL holds no base64", "data_url") from fault
    return store.add(io.BytesIO(data), name, owner=TEMPORARY, max_bytes=most)


def local_file(url: str, allowed: Sequence[Path]) -> StoredFile:
    """A file of this machine, where the server was told to allow its folder.

    The answer to a path outside is the same whether it exists or not.
    """
    parts = urlsplit(url)
    refusal = ApiError(
        403,
        "this file is not in a folder that the server allows (poise serve --allow-folder DIR)",
        "file_not_allowed",
    )
    if parts.netloc not in ("", "localhost"):
        raise refusal
    try:
        path = Path(unquote(parts.path)).resolve()
    except (OSError, ValueError, RuntimeError) as fault:
        raise refusal from fault
    if not any(path.is_relative_to(folder.resolve()) for folder in allowed):
        raise refusal
    if not path.is_file():
        raise ApiError(404, f"no file {path.name!r} in the allowed folder", "file_not_found")
    checked_suffix(path.name)
    state = path.stat()
    digest = _hashed(path, state.st_size, state.st_mtime_ns)
    return StoredFile("", path.name, path, state.st_size, digest)


@lru_cache(maxsize=256)
def _hashed(path: Path, size: int, changed: int) -> str:
    """`size` and `changed` tell a file from another that takes its place."""
    return file_sha256(path)
