"""Video files to pictures and back: the only importer of PyAV.

A film is scanned once without decoding (packets only), so the times of all frames are exact, also
for variable frame rates, and a truncated file is found before any work is done. Times are seconds
from the first shown frame. Rotation and pixel shape of the file are applied to every picture.

Single frames are reached from the key frame before them; they are the same, bit by bit, as those
that decoding from the first frame gives. Where a container leads elsewhere than it was asked (edit
lists, films without full key frames), the reader goes back further, at last to the start.
"""

import contextlib
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from assistant.errors import PoiseError
from assistant.files import check_file

_EXPECTED: Final = "a video (mp4, mov or webm) that plays to its end"
_REMEDY: Final = "export or copy the film again and check that it plays"
# Playlists and the like could make the demuxer open other files: only real containers are let in.
_CONTAINERS: Final = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm"
# The stated length may exceed the last frame a little (rounding, an edit list).
_MISSING_SECONDS: Final = 0.5
_MISSING_SHARE: Final = 0.05
# A still picture has no rate; any number will do.
_STILL_FPS: Final = 25.0
# More than any camera's: a film whose pictures grow beyond it ends there, before memory does.
_most_pixels: ContextVar[int] = ContextVar("most_pixels", default=2**26)
# Key frames that are tried, one before the other, until decoding begins early enough.
_ENTRIES: Final = 3


@dataclass(frozen=True)
class VideoInfo:
    """What a film is, as it is shown (after rotation).

    Attributes:
        width: pixels.
        height: pixels.
        fps: mean frames per second.
        frames: number of frames.
        duration: seconds, from the first frame to the end of the last.
    """

    width: int
    height: int
    fps: float
    frames: int
    duration: float


@dataclass(frozen=True)
class _Index:
    """Presentation times of a film's frames, ascending, in units of `base` seconds."""

    pts: np.ndarray
    keyframes: np.ndarray
    base: float

    def nearest(self, times: np.ndarray) -> np.ndarray:
        """Frame numbers shown nearest to `times` [N] seconds, clamped to the film."""
        wanted = np.asarray(times) / self.base + self.pts[0]
        right = np.clip(np.searchsorted(self.pts, wanted), 1, max(len(self.pts) - 1, 1))
        left = right - 1
        right = np.minimum(right, len(self.pts) - 1)
        return np.where(wanted - self.pts[left] <= self.pts[right] - wanted, left, right)

    def seconds(self, pts: int) -> float:
        """Seconds from the first frame."""
        return float((pts - self.pts[0]) * self.base)

    def entries(self, pts: int) -> list[int]:
        """Key frames at or before `pts`, the last first: where decoding may begin."""
        count = int(np.searchsorted(self.keyframes, pts, side="right"))
        return self.keyframes[max(count - _ENTRIES, 0) : count][::-1].tolist()

    def saves(self, at: int, entry: int) -> bool:
        """Whether decoding from `entry` skips a frame that lies after `at`."""
        return int(np.searchsorted(self.pts, entry) - np.searchsorted(self.pts, at)) > 1


@contextlib.contextmanager
def at_most_pixels(pixels: int) -> Iterator[None]:
    """Within it, a film is damaged where its coded pictures, padded to whole blocks, are larger:
    also where they grow after the header and the first frames."""
    before = _most_pixels.set(pixels)
    try:
        yield
    finally:
        _most_pixels.reset(before)


def probe(path: Path) -> VideoInfo:
    """Size, rate and length of a film; decodes its first frame only.

    Raises:
        PoiseError: the file is missing, empty, no video, or truncated.
    """
    index = _index(path)
    with _Reader(path, index) as reader:
        height, width = reader.picture(int(index.pts[0]), None).shape[:2]
    return _info(width, height, index)


def header(path: Path) -> VideoInfo:
    """Size, rate and length by the file's own word and its packets; nothing is decoded.

    For films of strangers: width and height are those of the stored picture, before rotation.

    Raises:
        PoiseError: the file is missing, empty, no video, or truncated.
    """
    index = _index(path)
    with _open(path) as container:
        context = container.streams.video[0].codec_context
        width, height = context.width, context.height
    return _info(width, height, index)


def _info(width: int, height: int, index: _Index) -> VideoInfo:
    span = index.seconds(int(index.pts[-1]))
    fps = round((len(index.pts) - 1) / span, 4) if span > 0 else _STILL_FPS
    return VideoInfo(width, height, fps, len(index.pts), span + 1 / fps)


def frames(
    path: Path,
    times: Iterable[float] | None = None,
    *,
    max_side: int | None = None,
    seek: bool = True,
) -> Iterator[tuple[float, np.ndarray]]:
    """Pictures of a film, as (seconds from its start, uint8 RGB [H, W, 3]).

    Args:
        path: the film.
        times: seconds; for each, in ascending order, the frame shown nearest to it is given
            (times outside the film are clamped to it, a time asked twice comes twice). The file is
            entered at the key frame before the next time where that saves decoding. None: all
            frames.
        max_side: pictures with a longer side are shrunk to it.
        seek: False decodes from the first frame on whatever `times` are: the same pictures, later.

    Raises:
        PoiseError: the file is missing, empty, no video, truncated, or damaged inside.
    """
    index = _index(path)
    if times is None:
        wanted = np.arange(len(index.pts))
    else:
        wanted = np.sort(index.nearest(np.array(list(times), dtype=np.float64)))
    shown: int | None = None
    with _Reader(path, index, seek) as reader:
        for pts in index.pts[wanted].tolist():
            if shown != pts:
                picture = reader.picture(pts, max_side)
            shown = pts
            yield index.seconds(pts), picture


def write_video(path: Path, pictures: np.ndarray, fps: float) -> None:
    """Write uint8 RGB [F, H, W, 3] (even H and W) as mp4: H.264 where the build has it, else
    MPEG-4. One thread, so that the same pictures give the same bytes."""
    if pictures.ndim != 4 or pictures.shape[-1] != 3 or pictures.dtype != np.uint8:
        raise ValueError(f"pictures {pictures.dtype} {pictures.shape}, expected uint8 [F, H, W, 3]")
    if not len(pictures) or pictures.shape[1] % 2 or pictures.shape[2] % 2:
        raise ValueError(f"pictures {pictures.shape}, expected at least one, of even sides")
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream = cast(VideoStream, container.add_stream(codec, rate=rate))
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "26", "preset": "slow"} if codec == "libx264" else {"qscale": "5"}
        stream.codec_context.thread_count = 1
        for picture in pictures:
            container.mux(stream.encode(VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


class _Reader:
    """Pictures of ascending presentation times, entered at key frames where that saves decoding."""

    def __init__(self, path: Path, index: _Index, seek: bool = True) -> None:
        self._path = path
        self._index = index
        self._seek = seek
        self._container = _open(path)
        self._decoded: Iterator[VideoFrame] = iter(())
        self._frame: VideoFrame | None = None
        self._at: int | None = None  # presentation time of `_frame`

    def __enter__(self) -> "_Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def picture(self, pts: int, max_side: int | None) -> np.ndarray:
        """The frame shown at `pts`, uint8 RGB; the next one where the decoder skips it."""
        entries = self._index.entries(pts) if self._seek else []
        at = self._at
        if at is None or (at < pts and entries and self._index.saves(at, entries[0])):
            at = self._enter(entries, pts)
        while at is not None and at < pts:
            at = self._advance()
        if at is None or self._frame is None:
            raise _damaged(self._path, f"decoding stops before {self._index.seconds(pts):.2f} s")
        return _picture(self._frame, _pixel_shape(self._container), max_side)

    def _advance(self) -> int | None:
        """Decode one frame; its time, None at the end."""
        self._frame = next(self._decoded, None)
        self._at = None if self._frame is None else self._frame.pts
        return self._at

    def _enter(self, entries: list[int], pts: int) -> int | None:
        """Begin at one of `entries` from which a frame at or before `pts` comes first."""
        for entry in entries:
            self._decoded = _decode_from(self._path, self._container, entry)
            at = self._advance()
            if at is not None and at <= pts:
                return at
        self._container.close()
        self._container = _open(self._path)
        self._decoded = _decode_from(self._path, self._container, None)
        return self._advance()


def _decode_from(path: Path, container: InputContainer, pts: int | None) -> Iterator[VideoFrame]:
    """Frames in order of presentation from the key frame at `pts` on, or from the first."""
    stream = container.streams.video[0]
    try:
        if pts is not None:
            container.seek(pts, stream=stream, backward=True)
        for frame in container.decode(stream):
            if frame.pts is not None:
                yield frame
    except (av.error.FFmpegError, ValueError) as fault:
        raise _damaged(path, _reason(fault)) from fault


def _open(path: Path) -> InputContainer:
    check_file(path, "video")
    limit = {"max_pixels": str(_most_pixels.get())}
    try:
        container = av.open(
            f"file:{path}",
            mode="r",
            container_options={"format_whitelist": _CONTAINERS},
            stream_options=cast(Any, [limit]),  # PyAV's type says str
        )
    except (av.error.FFmpegError, ValueError) as fault:
        raise _damaged(path, "no readable video data") from fault
    if not container.streams.video:
        container.close()
        raise _damaged(path, "no picture track")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    stream.codec_context.options = limit
    return container


def forget_films() -> None:
    """Drop the kept indices, so that the next call reads its film anew (for benchmarks)."""
    _scanned.cache_clear()


def _index(path: Path) -> _Index:
    """The index of a film, kept for the next call: a take is read for many clips and views."""
    check_file(path, "video")
    state = path.stat()
    return _scanned(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=16)
def _scanned(path: Path, size: int, changed: int) -> _Index:
    """`size` and `changed` tell a film from another that takes its place."""
    with _open(path) as container:
        return _scan(path, container)


def _scan(path: Path, container: InputContainer) -> _Index:
    """Read all packets without decoding; raise where the film stops before its stated length."""
    stream = container.streams.video[0]
    shown: list[int] = []
    keys: list[int] = []
    try:
        for packet in container.demux(stream):
            if packet.pts is None or packet.is_discard:
                continue
            shown.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
    except (av.error.FFmpegError, ValueError) as fault:
        raise _damaged(path, _reason(fault)) from fault
    if not shown or not keys:
        raise _damaged(path, "no frames")
    assert stream.time_base is not None
    index = _Index(np.unique(shown), np.unique(keys), float(stream.time_base))
    _check_length(path, container, index)
    return index


def _check_length(path: Path, container: InputContainer, index: _Index) -> None:
    """Raise where the picture track ends before the length that the file states."""
    got = index.seconds(int(index.pts[-1]))
    stated = _stated_seconds(container, float(index.pts[0] * index.base))
    if stated - got > max(_MISSING_SECONDS, _MISSING_SHARE * stated):
        raise _damaged(path, f"truncated, {got:.1f} s of the {stated:.1f} s that it states")
    stream = container.streams.video[0]
    if stream.frames and len(index.pts) < (1 - _MISSING_SHARE) * stream.frames - 1:
        raise _damaged(
            path, f"truncated, {len(index.pts)} of the {stream.frames} frames that it states"
        )


def _stated_seconds(container: InputContainer, start: float) -> float:
    """Length of the picture track by the file's own word, 0 where it says none.

    WebM states when it ends in a tag, so its `start` is taken off; the length of the whole file
    counts only without a sound track.
    """
    stream = container.streams.video[0]
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    parts = stream.metadata.get("DURATION", "").split(":")
    if len(parts) == 3:
        with contextlib.suppress(ValueError):
            hours, minutes, seconds = (float(part) for part in parts)
            return 3600 * hours + 60 * minutes + seconds - start
    if len(container.streams) == 1 and container.duration:
        return container.duration / av.time_base - max(start, 0.0)
    return 0.0


def _picture(frame: VideoFrame, pixel_shape: float, max_side: int | None) -> np.ndarray:
    """RGB uint8 [H, W, 3] with square pixels, upright."""
    width, height = frame.width * pixel_shape, float(frame.height)
    shrink = min(1.0, max_side / max(width, height)) if max_side is not None else 1.0
    picture = frame.reformat(
        width=max(round(width * shrink), 1), height=max(round(height * shrink), 1), format="rgb24"
    ).to_ndarray()
    # Both count counter-clockwise.
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def _pixel_shape(container: InputContainer) -> float:
    """Width over height of a pixel; 1 where the file does not say."""
    ratio = container.streams.video[0].sample_aspect_ratio
    return float(ratio) if ratio else 1.0


def _damaged(path: Path, got: str) -> PoiseError:
    return PoiseError(f"cannot read video {path}", got=got, expected=_EXPECTED, remedy=_REMEDY)


def _reason(fault: Exception) -> str:
    text = getattr(fault, "strerror", None) or str(fault)
    return "no readable video data" if "Invalid data" in text else text.lower()
