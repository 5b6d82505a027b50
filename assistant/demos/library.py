"""The expert library: windows of expert performances, one Parquet table and one npz of poses.

Written once by `poise train`; later it moves into an embedded store.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from assistant.clip import PoseSequence
from assistant.errors import PoiseError

TABLE, POSES = "library.parquet", "library.npz"
# Stored poses are whole tenths of a millimetre: far below any error of a pose, and small.
UNITS_PER_METRE = 10_000


@dataclass(frozen=True)
class Demonstration:
    """One window of an expert.

    Attributes:
        demonstration_id: unique name.
        activity: what is shown.
        start, end: seconds inside the expert's own clip.
        level: the expert's level name.
        correct_regions: regions done correctly in it.
        joints: [n, 17, 3] metres, root-centred and heading-normalised, at `fps`.
        codes: [frames, tokens] of the correction window's frames.
        unconditional: mean log-likelihood of the codes without any clip.
    """

    demonstration_id: str
    activity: str
    start: float
    end: float
    level: str
    correct_regions: tuple[str, ...]
    joints: np.ndarray
    fps: float
    codes: np.ndarray
    unconditional: float

    def pose(self) -> PoseSequence:
        """The window as a pose sequence centred on the pelvis."""
        confidence = np.ones(self.joints.shape[:2], dtype=np.float32)
        return PoseSequence(self.joints, confidence, self.fps, source="simulated", world=False)


class Library:
    """All demonstrations, in a fixed order."""

    def __init__(self, items: Sequence[Demonstration]) -> None:
        self.items = list(items)

    def __len__(self) -> int:
        return len(self.items)

    def of_activity(self, activity: str) -> list[Demonstration]:
        """The demonstrations of one activity; empty when there is none."""
        return [item for item in self.items if item.activity == activity]

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
        columns = ("demonstration_id", "activity", "start", "end", "level", "unconditional", "fps")
        table = {name: [getattr(item, name) for item in self.items] for name in columns}
        table["correct_regions"] = [list(item.correct_regions) for item in self.items]
        folder.mkdir(parents=True, exist_ok=True)
        # Each file appears at once: a killed training leaves the old or the new one.
        pq.write_table(pa.table(table), folder / f"{TABLE}.part", compression="zstd")
        os.replace(folder / f"{TABLE}.part", folder / TABLE)
        joints = np.stack([item.joints for item in self.items])
        np.savez_compressed(
            folder / f"part.{POSES}",
            joints=np.round(joints * UNITS_PER_METRE).astype(np.int16),
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
            rows, joints, codes = _read(folder)
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
            ]
        )


def _read(folder: Path) -> tuple[list[dict[str, Any]], np.ndarray, np.ndarray]:
    """Rows of the table, joints in metres and codes."""
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / TABLE).to_pylist()
    with np.load(folder / POSES, allow_pickle=False) as arrays:
        joints = arrays["joints"].astype(np.float32) / UNITS_PER_METRE
        return rows, joints, arrays["codes"].astype(np.int64)


def _damaged(folder: Path, got: str) -> PoiseError:
    return PoiseError(
        f"the expert library in {folder} is damaged",
        got=got,
        expected="a table and as many poses and codes",
        remedy="copy or train it again",
    )
