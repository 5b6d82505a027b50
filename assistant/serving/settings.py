"""How a server runs: limits, time-outs, keys and folders, all faults told at once."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from assistant.errors import PoiseError

KEYS_VARIABLE: Final = "POISE_API_KEYS"
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class ClipLimits:
    """What a clip may be at most; checked from its header, before anything is decoded.

    Attributes:
        pixels: width times height of a film.
        seconds: length of a film or pose file.
        frames: of a film or pose file.
        unpacked_bytes: arrays of a pose file, unpacked.
    """

    pixels: int = 4096 * 2304
    seconds: float = 180.0
    frames: int = 11_000
    unpacked_bytes: int = 64 * 2**20


@dataclass(frozen=True)
class ServeSettings:
    """Settings of one server; sizes in bytes, times in seconds.

    Attributes:
        host, port: where it listens; port 0 takes a free one.
        api_keys: any of them opens every route; none is allowed on the own machine only.
        allow_folders: clips named by file:// URLs must lie in one of them; none by default.
        clip: limits of a clip.
        upload_bytes: of one uploaded file.
        data_url_bytes: of a clip inside a JSON body, decoded.
        stored_bytes: of all uploaded files together.
        file_seconds: an uploaded file is removed so long after its last use.
        max_chats, max_coachings, max_uploads: requests of a kind that run or wait; more get 429.
        max_batch: chats that the transformers engine decodes together.
        workers: processes that decode films, estimate poses and compute features.
        request_seconds: from a request's admission to its last byte.
        perception_seconds: of one clip in a worker, which is then ended.
        io_seconds: a client's longest pause while it sends or reads.
        grace_seconds: how long a stopping server waits for what runs.
        cached_clips: clips whose features are kept.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    allow_folders: tuple[Path, ...] = ()
    clip: ClipLimits = ClipLimits()
    upload_bytes: int = 256 * 2**20
    data_url_bytes: int = 32 * 2**20
    stored_bytes: int = 4 * 2**30
    file_seconds: float = 3600.0
    max_chats: int = 96
    max_coachings: int = 8
    max_uploads: int = 16
    max_batch: int = 32
    workers: int = 1
    request_seconds: float = 180.0
    perception_seconds: float = 120.0
    io_seconds: float = 30.0
    grace_seconds: float = 180.0
    cached_clips: int = 128

    def __post_init__(self) -> None:
        faults = [
            f"{name} {getattr(self, name)}, expected a number above 0"
            for name, kind in self.__annotations__.items()
            if kind in (int, float) and name != "port" and getattr(self, name) <= 0
        ]
        faults += [f"port {self.port}, expected 0 to 65535"] * (not 0 <= self.port <= 65535)
        faults += [
            f"an API key of {len(key)} characters, expected at least 8"
            for key in self.api_keys
            if len(key) < 8
        ]
        faults += [
            f"no folder {folder} to allow" for folder in self.allow_folders if not folder.is_dir()
        ]
        if not self.api_keys and self.host not in LOOPBACK:
            faults.append(f"no API key for a server that others reach at {self.host}")
        if faults:
            raise PoiseError(
                "cannot serve with these settings",
                got="; ".join(faults),
                remedy=f"see poise serve --help; keys are best given in {KEYS_VARIABLE}",
            )

    @property
    def body_bytes(self) -> int:
        """Largest JSON body: a clip in base64, some text and marks."""
        return self.data_url_bytes * 4 // 3 + 2**20


def keys_from_environment() -> tuple[str, ...]:
    """The keys in POISE_API_KEYS, separated by commas."""
    return tuple(k.strip() for k in os.environ.get(KEYS_VARIABLE, "").split(",") if k.strip())


def default_workers() -> int:
    """Half the cores that may be used, at least one: the engine needs the others."""
    return max(len(os.sched_getaffinity(0)) // 2, 1)
