"""Frozen video features of a dataset, once per view and clip: what an item is and becomes.

    poise data features runs/set -o runs/features [--encoder FOLDER|NAME] [--workers N]

Each view of each clip is an `Item`; `Extractor` turns an item into a file. The files lie in a
folder named by the encoder's sha (weights, configuration, frame sampling): encoders never mix.

    runs/features/<sha>/<sample_id>.<view>.safetensors   features [T', D] per frame, times [T]
    runs/features/<sha>/index.jsonl                       one line a file, written at the end
    runs/features/<sha>/failed.jsonl                      one line a film that could not be read

A file appears whole or not at all and says which film and span it is of, so a run that was killed
goes on where it stopped, and a film that has changed is read again. A film that cannot be read is
listed; no other sample takes its place.
"""

import json
import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import numpy as np

from assistant.errors import PoiseError
from assistant.video.sampling import uniform_times

if TYPE_CHECKING:
    from assistant.video.encoder import VideoEncoder

SUFFIX: Final = ".safetensors"
SHA_LETTERS: Final = 16
SHIPPED: Final = (
    Path(__file__).parents[1] / "assistant" / "weights" / "poise-mini" / "video_encoder"
)


@dataclass(frozen=True)
class Item:
    """One view of one clip.

    Attributes:
        sample_id, view: which.
        film: path of the file.
        span: seconds of the film that the clip covers; None for all of it.
    """

    sample_id: str
    view: str
    film: str
    span: tuple[float, float] | None

    @property
    def file(self) -> str:
        """Name of its features' file."""
        return f"{quote(self.sample_id, safe='')}.{self.view}{SUFFIX}"


@dataclass(frozen=True)
class Outcome:
    """An item that was "computed", "reused" or "failed" with the reason, and by which process."""

    item: Item
    status: str
    reason: str = ""
    worker: str = field(default_factory=lambda: f"{platform.node()}:{os.getpid()}")


def load_encoder(source: str | None) -> "VideoEncoder":
    """A frozen encoder: a folder as `poise train` writes it, or FAMILY=CHECKPOINT.

    Args:
        source: a folder; `timesformer=facebook/timesformer-base-finetuned-k600` or another family
            with a hub name or folder; None for the shipped one.
    """
    from assistant.video.encoder import FAMILIES, VideoEncoder

    if source is None:
        return VideoEncoder.from_pretrained(SHIPPED)
    if Path(source).is_dir():
        return VideoEncoder.from_pretrained(source)
    family, separator, checkpoint = source.partition("=")
    if not separator:
        raise PoiseError(
            f"no video encoder {source}",
            got="no such folder",
            expected=f"a trained encoder's folder, or FAMILY=CHECKPOINT of {', '.join(FAMILIES)}",
            remedy="--encoder timesformer=facebook/timesformer-base-finetuned-k600, for example",
        )
    return VideoEncoder.from_backbone(family, checkpoint)


class Extractor:
    """Items to files: the code that every process and every machine runs.

    Args:
        encoder: source as for `load_encoder`.
        folder: where the files go, `features_folder`; on several machines all of them see it.
        threads: of torch in this process; 0 leaves them as they are.
    """

    def __init__(self, encoder: str | None, folder: str, threads: int = 0) -> None:
        import torch

        from assistant.progress import quiet_libraries

        if threads:
            torch.set_num_threads(threads)
        with quiet_libraries():
            self._encoder = load_encoder(encoder)
        self._folder = Path(folder)
        sha = self._encoder.sha256()
        if not sha.startswith(self._folder.name):
            raise PoiseError(
                "this machine has another video encoder", got=sha, expected=self._folder.name
            )
        if torch.cuda.is_available():
            self._encoder.cuda()

    def __call__(self, item: Item) -> Outcome:
        """Make an item's file unless it is there; a film that cannot be read is "failed".

        Raises:
            PoiseError: the file cannot be written, which is no fault of the film.
        """
        from safetensors.numpy import save

        try:
            origin = _origin(item)
            if _read_origin(self._folder / item.file) == origin:
                return Outcome(item, "reused")
            tensors = self._read(item)
        except PoiseError as fault:
            return Outcome(item, "failed", str(fault))
        write_whole(self._folder / item.file, save(tensors, metadata=origin))
        return Outcome(item, "computed")

    def _read(self, item: Item) -> dict[str, np.ndarray]:
        """What is stored for an item: features [T', D] and the times [T] of the frames."""
        from assistant.video.decode import probe
        from assistant.video.views import span_pictures

        encoder, film = self._encoder, Path(item.film)
        span = item.span or (0.0, probe(film).duration)
        pictures = span_pictures(film, span, encoder.frames, encoder.film_side)
        features = encoder.encode_frames(pictures[None])[0]
        if not np.isfinite(features).all():
            raise PoiseError(
                f"features of {film}", got="NaN or infinity", expected="finite numbers"
            )
        return {
            "features": features,
            "times": uniform_times(*span, encoder.frames).astype(np.float32),
        }


def features_folder(output: Path, sha: str) -> Path:
    """Where the features of the encoder with this sha lie; is made."""
    folder = output / sha[:SHA_LETTERS]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise PoiseError(
            f"cannot write features into {output}", got=str(fault), remedy="name another folder"
        ) from fault
    return folder


def dataset_items(dataset: Path) -> list[Item]:
    """The views of all clips, those of one film together, so that a process scans it once.

    Raises:
        PoiseError: no dataset there, or one without views.
    """
    from assistant.dataset import SampleTable

    items = [
        Item(row["sample_id"], view, str((dataset / path).resolve()), _span(row["span"]))
        for row in SampleTable(dataset).columns(("sample_id", "views", "span"))
        for view, path in (row["views"] or {}).items()
        if path is not None
    ]
    if not items:
        raise PoiseError(
            f"nothing to extract from {dataset}",
            got="clips without views",
            expected="a dataset with films",
            remedy="make one with `poise data drills --render 2 -o DIR`, for example",
        )
    return sorted(items, key=lambda item: (item.film, item.span or (0.0, 0.0), item.sample_id))


def read_features(folder: Path, sample_id: str, view: str) -> np.ndarray:
    """Features [T', D] of one view of one clip; their mean over T' is the view's feature.

    Raises:
        PoiseError: there are none.
    """
    from safetensors.numpy import load_file

    path = folder / Item(sample_id, view, "", None).file
    if not path.is_file():
        raise PoiseError(
            f"no features of {sample_id}, {view}", got=str(folder), expected=path.name,
            remedy="run `poise data features` on its dataset",
        )  # fmt: skip
    return load_file(path)["features"]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all, also after a kill."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError as fault:
        Path(name).unlink(missing_ok=True)
        raise PoiseError(f"cannot write {path}", got=str(fault)) from fault


def _origin(item: Item) -> dict[str, str]:
    """What the features are of; another size or time of change is another film."""
    from assistant.files import check_file

    check_file(Path(item.film), "video")
    state = os.stat(item.film)
    return {
        "sample_id": item.sample_id,
        "view": item.view,
        "span": json.dumps(item.span),
        "film_bytes": str(state.st_size),
        "film_changed_ns": str(state.st_mtime_ns),
    }


def _read_origin(path: Path) -> dict[str, str] | None:
    """The origin that a file states, None where there is no whole file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            return file.metadata()
    except (OSError, SafetensorError):
        return None


def _span(span: Sequence[float] | None) -> tuple[float, float] | None:
    return None if span is None else (float(span[0]), float(span[1]))
