"""Features that others have extracted: the official `features/<kind>/*.pt` of Ego-Exo4D.

A file holds one tensor [N, D] (or [N, 1, D]) of a whole take, row i at second i / rate. They are
loaded with `weights_only=True`, so that a file cannot run code.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from assistant.errors import PoiseError


class PrecomputedEncoder:
    """The encoder named `precomputed`: looks features up instead of computing them.

    Args:
        folder: holds `<take_uid>_<camera>_<stream>.pt`.
        rate: rows a second (omnivore_video: 30 / 16 = 1.875, a stride of 16 frames).
    """

    name = "precomputed"

    def __init__(self, folder: str | Path, rate: float) -> None:
        if not rate > 0:
            raise PoiseError("features' rate", got=str(rate), expected="rows a second, above 0")
        self.folder = Path(folder)
        self.rate = rate

    def encode(
        self, take: str, cameras: Mapping[str, str], span: tuple[float, float]
    ) -> tuple[list[str], np.ndarray]:
        """Mean features over a span in seconds.

        Args:
            take: the take's uid.
            cameras: view name to `<camera>_<stream>`, such as {"ego": "aria01_rgb"}.
            span: start and end.

        Returns:
            the views whose file exists, and their features [V, D].
        """
        found = {
            view: path
            for view, camera in cameras.items()
            if (path := self.folder / f"{take}_{camera}.pt").is_file()
        }
        if not found:
            raise PoiseError(
                f"no features of take {take}",
                got=str(self.folder),
                expected=", ".join(f"{take}_{camera}.pt" for camera in cameras.values()),
            )
        rows = [mean_over(load_features(path), span, self.rate) for path in found.values()]
        if len({len(row) for row in rows}) > 1:
            raise PoiseError(
                f"features of take {take} differ in width",
                got=", ".join(str(len(row)) for row in rows),
                expected="files of one kind",
            )
        return list(found), np.stack(rows)


def load_features(path: str | Path) -> np.ndarray:
    """One file's features, float32 [N, D]; raises PoiseError for anything but a finite tensor."""
    try:
        tensor = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as fault:
        raise PoiseError(f"cannot read features {path}", got=str(fault).splitlines()[0]) from fault
    if not isinstance(tensor, torch.Tensor) or tensor.ndim not in (2, 3):
        got = tuple(tensor.shape) if isinstance(tensor, torch.Tensor) else type(tensor).__name__
        raise PoiseError(f"features {path}", got=str(got), expected="one tensor [N, D]")
    rows = tensor.float().reshape(len(tensor), -1).numpy()
    if not len(rows) or not np.isfinite(rows).all():
        raise PoiseError(f"features {path}", got="no rows, NaN or infinity", expected="finite rows")
    return rows


def mean_over(features: np.ndarray, span: tuple[float, float], rate: float) -> np.ndarray:
    """Mean of the rows [N, D] -> [D] in a span of seconds, at least the nearest row."""
    first = min(max(round(span[0] * rate), 0), len(features) - 1)
    last = min(max(round(span[1] * rate), first + 1), len(features))
    return features[first:last].mean(axis=0)
