"""Datasets to and from the formats of others: LLaVA conversations, TRC and C3D.

    poise data export runs/set --format llava -o runs/llava
    poise data import walk.trc jump.trc --format trc -o runs/captured

Exported folders appear whole or not at all.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from assistant.dataset import iterate_samples, write_samples
from assistant.errors import PoiseError

LLAVA: Final = "llava"
FORMATS: Final = (LLAVA, "trc", "c3d")


def export_dataset(
    dataset: Path, form: str, output: Path, progress: Callable[[int], None]
) -> dict[str, Any]:
    """Write a dataset's samples in another format into a new folder; returns what was written.

    Args:
        dataset: of `poise data`.
        form: one of FORMATS. trc, c3d: one file a pose. llava: `conversations.json` and `poses/`;
            films are named, not copied.
        progress: called with the samples done.

    Raises:
        PoiseError: an unknown format, a folder in use, or no sample that the format can hold.
    """
    _check_format(form)
    write = _export_llava if form == LLAVA else _export_markers
    with _new_folder(output) as scratch:
        count, skipped = write(dataset, form, scratch, progress)
        if not count:
            raise PoiseError(
                f"nothing of {dataset} can be written as {form}",
                got=f"{skipped} samples without {'a text' if form == LLAVA else 'a pose'}",
            )
    return {"folder": str(output), "format": form, "written": count, "skipped": skipped}


def import_files(files: Sequence[Path], form: str, output: Path, up: str | None) -> dict[str, Any]:
    """Read files of others into a new dataset; returns what was read and what was not understood.

    Args:
        files: of the format.
        form: one of FORMATS.
        output: the dataset's folder, new or empty.
        up: for trc and c3d, the axis that points up, as for `read_markers`.

    Raises:
        PoiseError: the first file that cannot be used; nothing is then written.
    """
    from data_prep.card import write_card

    _check_format(form)
    told: dict[str, Any] = {"folder": str(output), "format": form, "files": len(files)}
    if form == LLAVA:
        from data_prep.llava import read_conversations

        samples: Iterator[dict[str, Any]] = (
            _unpathed(sample, output) for path in files for sample in read_conversations(path)
        )
    else:
        told["markers"] = []
        samples = _marker_samples(files, form, up, told["markers"])
    counted = _Counted(samples)
    told["sha256"] = write_samples(counted, output, {"format": form})
    write_card(output)
    return told | {"samples": counted.count}


def _check_format(form: str) -> None:
    if form not in FORMATS:
        raise PoiseError("unknown format", got=repr(form), expected=", ".join(FORMATS))


class _Counted:
    """An iterable that says how many it gave, and refuses a name that comes twice."""

    def __init__(self, samples: Iterator[dict[str, Any]]) -> None:
        self._samples = samples
        self._names: set[str] = set()

    @property
    def count(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for sample in self._samples:
            name = sample["sample_id"]
            if name in self._names:
                raise PoiseError(
                    "two samples of one name", got=name, expected="files with different names"
                )
            self._names.add(name)
            yield sample


def _marker_samples(
    files: Sequence[Path], form: str, up: str | None, told: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    from assistant.pose.markers import read_markers

    for path in files:
        if path.suffix.lower() != f".{form}":
            raise PoiseError(f"cannot use {path} as {form}", got=path.suffix, expected=f".{form}")
        read = read_markers(path, up)
        told.append(
            {
                "file": str(path),
                "up": read.up,
                "joints": len(read.markers.joints),
                "missing": list(read.markers.missing),
                "unused": list(read.markers.unused),
            }
        )
        yield {
            "sample_id": path.stem,
            "take_id": path.stem,
            "span": [0.0, read.pose.duration],
            "pose": read.pose,
            "origin": f"{form.upper()} file {path.name}",
        }


def _export_markers(
    dataset: Path, form: str, folder: Path, progress: Callable[[int], None]
) -> tuple[int, int]:
    from assistant.pose.markers import write_markers

    count = skipped = 0
    for number, sample in enumerate(iterate_samples(dataset), 1):
        if sample["pose"] is None:
            skipped += 1
        else:
            write_markers(folder / f"{_name(sample)}.{form}", sample["pose"])
            count += 1
        progress(number)
    return count, skipped


def _export_llava(
    dataset: Path, form: str, folder: Path, progress: Callable[[int], None]
) -> tuple[int, int]:
    from assistant.pose.read import write_pose
    from data_prep.llava import CONVERSATIONS, to_conversation

    (folder / "poses").mkdir()
    count = skipped = 0
    with (folder / CONVERSATIONS).open("w", encoding="utf-8") as file:
        for number, sample in enumerate(iterate_samples(dataset), 1):
            pose = None if sample["pose"] is None else f"poses/{_name(sample)}.npz"
            films = [str((dataset / path).resolve()) for path in (sample["views"] or {}).values()]
            item = to_conversation(sample, films, pose)
            if item is None:
                skipped += 1
            else:
                if pose is not None:
                    write_pose(folder / pose, sample["pose"])
                file.write(("[\n" if count == 0 else ",\n") + json.dumps(item, ensure_ascii=False))
                count += 1
            progress(number)
        file.write("\n]\n")
    return count, skipped


def _unpathed(sample: dict[str, Any], output: Path) -> dict[str, Any]:
    """The sample with the paths of its views relative to the new dataset."""
    views: Mapping[str, str] = sample["views"] or {}
    root = output.resolve()
    return sample | {"views": {v: os.path.relpath(path, root) for v, path in views.items()} or None}


def _name(sample: Mapping[str, Any]) -> str:
    return quote(str(sample["sample_id"]), safe=" ()+,")


@contextmanager
def _new_folder(output: Path) -> Iterator[Path]:
    """A scratch folder that becomes `output` when the block ends well."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise PoiseError(
            f"cannot write {output}", got="it is there already", expected="a new or empty folder"
        )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}-"))
    except OSError as fault:
        raise PoiseError(
            f"cannot write {output}", got=str(fault), remedy="name another folder"
        ) from fault
    try:
        yield scratch
        scratch.chmod(0o755)
        if output.exists():
            output.rmdir()
        scratch.rename(output)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
