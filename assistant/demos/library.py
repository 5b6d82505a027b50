"""The expert library: windows of expert performances that are filtered, searched and shown.

A checkpoint's library is written once by `poise train`: one Parquet table and one npz of poses,
the same bytes from the same seed. One's own library is a store that grows (`assistant.demos.store`)
and answers the same questions; its `open_library` opens either.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np

from assistant.clip import PoseSequence
from assistant.demos.choice import Choice
from assistant.demos.embedding import embed
from assistant.errors import PoiseError
from assistant.tasks.window import WINDOW_FPS

TABLE, POSES = "library.parquet", "library.npz"
# Stored poses are whole tenths of a millimetre: far below any error of a pose, and small.
UNITS_PER_METRE = 10_000
# Of what `poise train` simulates.
SIMULATED_LICENCE: Final = "Apache-2.0"
# So many are scored by the language model at most; of a larger library the nearest.
MOST_CANDIDATES: Final = 512
_TOLD: Final = (
    "demonstration_id", "activity", "start", "end", "level", "correct_regions", "unconditional",
    "fps", "licence", "source", "origin", "note",
)  # fmt: skip
_SNAPSHOT_COLUMNS: Final = (
    "demonstration_id", "activity", "start", "end", "level", "unconditional", "fps",
)  # fmt: skip
# Beside them where any of these is not what `poise train` gives to what it simulates.
_ORIGIN: Final = {"licence": SIMULATED_LICENCE, "source": "simulated", "origin": ""}
_ANY_ACTIVITY: Final = b"any_activity"  # in the metadata of the table


@dataclass(frozen=True)
class Demonstration:
    """One window of an expert.

    Attributes:
        demonstration_id: unique name.
        activity: what is shown.
        start, end: seconds inside the expert's own clip.
        level: the expert's level name; None where nobody has stated it.
        correct_regions: regions done correctly in it.
        joints: [n, 17, 3] metres, root-centred and heading-normalised, at `fps`.
        codes: [frames, tokens] of the correction window's frames.
        unconditional: mean log-likelihood of the codes without any clip.
        licence: under which it may be shown; None where nobody has stated it.
        source: where the pose is from, as in `PoseSequence`.
        origin: the film, pose file or data set that it was cut from.
        note: what its owner says of it.
        thumbnail: a JPEG picture; None where it is drawn from the pose.
    """

    demonstration_id: str
    activity: str
    start: float
    end: float
    level: str | None
    correct_regions: tuple[str, ...]
    joints: np.ndarray
    fps: float
    codes: np.ndarray
    unconditional: float
    licence: str | None = SIMULATED_LICENCE
    source: str = "simulated"
    origin: str = ""
    note: str = ""
    thumbnail: bytes | None = field(default=None, repr=False)

    @property
    def window(self) -> np.ndarray:
        """[10, 17, 3] frames of the correction window, those that the codes stand for."""
        return self.joints[:: round(self.fps / WINDOW_FPS)]

    def pose(self) -> PoseSequence:
        """The window as a pose sequence centred on the pelvis."""
        confidence = np.ones(self.joints.shape[:2], dtype=np.float32)
        return PoseSequence(self.joints, confidence, self.fps, source=self.source, world=False)


class Library:
    """Demonstrations in a fixed order, in memory.

    Args:
        any_activity: all of them are candidates for every clip (ExpertAF section 4), since their
            activities are not those that Stage 1 tells apart.
    """

    def __init__(self, items: Sequence[Demonstration], *, any_activity: bool = False) -> None:
        self.items = list(items)
        self.any_activity = any_activity

    def __len__(self) -> int:
        return len(self.items)

    def of_activity(self, activity: str) -> list[Demonstration]:
        """The demonstrations of one activity; empty when there is none."""
        return self.select(Choice(activity=activity))

    def select(self, choice: Choice, limit: int | None = None) -> list[Demonstration]:
        """The demonstrations that `choice` allows, in order, at most `limit`."""
        return [item for item in self.items if choice.allows(item)][:limit]

    def nearest(self, window: np.ndarray, choice: Choice, limit: int) -> list[Demonstration]:
        """Of those that `choice` allows the `limit` nearest by their embedding, nearest first.

        Args:
            window: [10, 17, 3] as `WindowFrames.joints`.
        """
        allowed = [i for i, item in enumerate(self.items) if choice.allows(item)]
        if not allowed:
            return []
        distance = ((self._embeddings[allowed] - embed(window)) ** 2).sum(-1)
        return [self.items[allowed[i]] for i in np.argsort(distance, kind="stable")[:limit]]

    def candidates(self, activity: str, window: np.ndarray) -> list[Demonstration]:
        """What the language model ranks: all of the activity, or the nearest of very many."""
        choice = Choice() if self.any_activity else Choice(activity=activity)
        found = self.select(choice, MOST_CANDIDATES + 1)
        if len(found) <= MOST_CANDIDATES:
            return found
        return self.nearest(window, choice, MOST_CANDIDATES)

    def each(self) -> Iterator[Demonstration]:
        """All demonstrations in their order, one by one."""
        return iter(self.items)

    def sha256(self) -> str:
        """One hash over all demonstrations, pictures left out: libraries of the same hash give the
        same answers."""
        digest = hashlib.sha256(_ANY_ACTIVITY if self.any_activity else b"")
        for item in self.each():
            told = [getattr(item, name) for name in _TOLD]
            digest.update(json.dumps(told).encode())
            digest.update(whole_units(item.joints).tobytes())
            digest.update(item.codes.astype(np.int16).tobytes())
        return digest.hexdigest()

    @cached_property
    def _embeddings(self) -> np.ndarray:
        return embed(np.stack([item.window for item in self.items]))  # [items, 204]

    def save(self, folder: Path) -> None:
        """Write both files.

        Raises:
            PoiseError: there is no demonstration.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self.items:
            raise PoiseError(
                "the expert library would be empty",
                got="no demonstration",
                remedy="simulate more performers for it (data.library_performers)",
            )
        told = any(getattr(i, name) != usual for i in self.items for name, usual in _ORIGIN.items())
        names = (*_SNAPSHOT_COLUMNS, *(_ORIGIN if told else ()))
        columns = {name: [getattr(item, name) for item in self.items] for name in names}
        columns["correct_regions"] = [list(item.correct_regions) for item in self.items]
        table = pa.table(columns)
        if self.any_activity:
            table = table.replace_schema_metadata({_ANY_ACTIVITY: b"true"})
        folder.mkdir(parents=True, exist_ok=True)
        # Each file appears at once: a killed training leaves the old or the new one.
        pq.write_table(table, folder / f"{TABLE}.part", compression="zstd")
        os.replace(folder / f"{TABLE}.part", folder / TABLE)
        joints = np.stack([item.joints for item in self.items])
        np.savez_compressed(
            folder / f"part.{POSES}",
            joints=whole_units(joints),
            codes=np.stack([item.codes for item in self.items]).astype(np.int16),
        )
        os.replace(folder / f"part.{POSES}", folder / POSES)

    @classmethod
    def load(cls, folder: Path) -> "Library":
        """Read both files.

        Raises:
            PoiseError: a file is missing or damaged, or they disagree.
        """

        for name in (TABLE, POSES):
            if not (folder / name).is_file():
                raise PoiseError(
                    f"no expert library in {folder}",
                    got=f"no {name}",
                    remedy="train one with `poise train mini`, or give the folder of a checkpoint",
                )
        try:
            rows, joints, codes, any_activity = _read(folder)
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as fault:
            raise _damaged(folder, str(fault)) from fault
        if not len(rows) == len(joints) == len(codes):
            raise _damaged(
                folder, f"{len(rows)} rows, {len(joints)} poses and {len(codes)} code sequences"
            )
        return cls(
            [
                Demonstration(
                    **{**row, "correct_regions": tuple(row["correct_regions"])},
                    joints=joints[i],
                    codes=codes[i],
                )
                for i, row in enumerate(rows)
            ],
            any_activity=any_activity,
        )


def whole_units(joints: np.ndarray) -> np.ndarray:
    """Joints as they are stored, whole tenths of a millimetre."""
    return np.round(joints * UNITS_PER_METRE).astype(np.int16)


def _read(folder: Path) -> tuple[list[dict[str, Any]], np.ndarray, np.ndarray, bool]:
    """Rows of the table, joints in metres, codes, and whether any activity is ranked."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder / TABLE)
    any_activity = _ANY_ACTIVITY in (table.schema.metadata or {})
    with np.load(folder / POSES, allow_pickle=False) as arrays:
        joints = arrays["joints"].astype(np.float32) / UNITS_PER_METRE
        return table.to_pylist(), joints, arrays["codes"].astype(np.int64), any_activity


def _damaged(folder: Path, got: str) -> PoiseError:
    return PoiseError(
        f"the expert library in {folder} is damaged",
        got=got,
        expected="a table and as many poses and codes",
        remedy="copy or train it again",
    )
