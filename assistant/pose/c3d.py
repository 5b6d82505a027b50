"""C3D, the binary marker file of motion capture systems, read and written by ezc3d."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.errors import PoiseError

EXPECTED: Final = "a C3D file with 3D points"
_MAGIC: Final = 0x50  # second byte of every C3D file


def read_c3d(path: Path) -> tuple[list[str], np.ndarray, float, str, str | None]:
    """Marker names, points [F, M, 3] as they stand (NaN where unseen), frames a second, unit, and
    the axis that points up where the file says so ("y", "z", "-z", ...).

    Raises:
        PoiseError: no ezc3d, no C3D file, or one without points.
    """
    ezc3d = _library(path)
    if path.read_bytes()[1:2] != bytes([_MAGIC]):
        raise _bad(path, "no C3D header")
    try:
        file = ezc3d.c3d(str(path))
        settings = file["parameters"]["POINT"]
        points = np.asarray(file["data"]["points"], np.float64)[:3].transpose(2, 1, 0)  # [F, M, 3]
        residuals = np.asarray(file["data"]["meta_points"]["residuals"])[0].T  # [F, M]
        rate = float(settings["RATE"]["value"][0])
        names = _labels(settings)
    except (OSError, RuntimeError, ValueError, LookupError, MemoryError) as fault:
        raise _bad(path, str(fault).splitlines()[0] if str(fault) else "unreadable data") from fault
    names = names[: points.shape[1]]
    points = np.where(residuals[..., None] < 0, np.nan, points)[:, : len(names)]
    if not points.size or not rate > 0:
        raise _bad(path, f"{len(names)} markers in {len(points)} frames at {rate:g} Hz")
    return names, points, rate, _text(settings, "UNITS").lower() or "mm", _up(settings)


def write_c3d(path: Path, names: list[str], points: np.ndarray, rate: float) -> None:
    """Write points [F, M, 3] in metres, z up, as millimetres; NaN becomes an unseen point.

    Raises:
        PoiseError: no ezc3d. OSError where the file cannot be written.
    """
    file = _library(path).c3d()
    settings = file["parameters"]["POINT"]
    settings["RATE"]["value"] = [float(rate)]
    settings["LABELS"]["value"] = list(names)
    settings["UNITS"]["value"] = ["mm"]
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
    unseen = np.isnan(points).any(axis=-1)  # [F, M]
    cells = np.ones((4, points.shape[1], len(points)))
    cells[:3] = 1000 * np.where(unseen[..., None], np.nan, points).transpose(2, 1, 0)
    file["data"]["points"] = cells
    file["data"]["meta_points"]["residuals"] = np.where(unseen.T, -1.0, 0.0)[None]
    try:
        file.write(str(path))
    except RuntimeError as fault:
        raise OSError(str(fault)) from fault


def _labels(settings: Any) -> list[str]:
    """Names of the points; more than 255 go on in LABELS2 and so on."""
    names = list(settings["LABELS"]["value"])
    number = 2
    while f"LABELS{number}" in settings:
        names += settings[f"LABELS{number}"]["value"]
        number += 1
    return [str(name).strip() for name in names]


def _text(settings: Any, key: str) -> str:
    values = settings[key]["value"] if key in settings else []
    return str(values[0]).strip() if len(values) else ""


def _up(settings: Any) -> str | None:
    axis = _text(settings, "Y_SCREEN").lower().removeprefix("+")
    return axis if axis.removeprefix("-") in ("x", "y", "z") and axis else None


def _library(path: Path) -> Any:
    try:
        import ezc3d
    except ImportError as fault:
        raise PoiseError(
            f"cannot use {path}",
            got="no ezc3d on this machine",
            remedy="pip install 'poise[mocap]', or convert the file to TRC or npz",
        ) from fault
    return ezc3d


def _bad(path: Path, got: str) -> PoiseError:
    return PoiseError(
        f"cannot use pose file {path}", got=got, expected=EXPECTED, remedy="export it again"
    )
