"""TRC, the tab-separated marker file of OpenSim and Pose2Sim: five header lines and a table.

There is no maintained library for the format alone; its table is read by pandas, which bears empty
cells, trailing tabs and CRLF.
"""

import io
from pathlib import Path
from typing import Final

import numpy as np

from assistant.errors import PoiseError

EXPECTED: Final = "a TRC file: DataRate and Units in line 2, marker names in line 4, then the table"


def read_trc(path: Path) -> tuple[list[str], np.ndarray, float, str]:
    """Marker names, points [F, M, 3] as they stand (NaN where empty), frames a second, unit.

    Raises:
        PoiseError: no such header, or a table that does not fit it.
    """
    import pandas

    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError as fault:
        raise bad_trc(path, str(fault)) from fault
    if len(lines) < 6 or "DataRate" not in lines[1]:
        raise bad_trc(path, "no TRC header")
    header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=False))
    names = [name.strip() for name in lines[3].split("\t")[2:]]
    names = [name for name in names if name]
    try:
        rate = float(header["DataRate"])
        unit = header["Units"].strip().lower()
        table = pandas.read_csv(
            io.StringIO("\n".join(lines[5:])),
            sep="\t",
            header=None,
            names=range(2 + 3 * len(names)),
            usecols=range(2 + 3 * len(names)),
            index_col=False,
            dtype=np.float64,
            skipinitialspace=True,
        )
    except (KeyError, ValueError) as fault:
        raise bad_trc(path, f"{type(fault).__name__}: {fault}") from fault
    points = table.to_numpy()[:, 2:].reshape(len(table), len(names), 3)
    if not np.isfinite(rate) or rate <= 0:
        raise bad_trc(path, f"DataRate {rate:g}")
    if not points.size:
        raise bad_trc(path, f"{len(names)} markers in {len(table)} frames")
    return names, points, rate, unit


def trc_text(name: str, names: list[str], points: np.ndarray, rate: float) -> str:
    """The file's text for points [F, M, 3] in metres; NaN becomes an empty cell."""
    frames, markers = points.shape[:2]
    keys = "DataRate CameraRate NumFrames NumMarkers Units OrigDataRate OrigDataStartFrame"
    values = [f"{rate:g}", f"{rate:g}", frames, markers, "m", f"{rate:g}", 1, frames]
    axes = [f"{axis}{i}" for i in range(1, markers + 1) for axis in "XYZ"]
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{name}",
        "\t".join([*keys.split(), "OrigNumFrames"]),
        "\t".join(map(str, values)),
        "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t",
        "\t\t" + "\t".join(axes),
    ]
    for frame, row in enumerate(points.reshape(frames, -1)):
        cells = ["" if np.isnan(value) else f"{value:.6f}" for value in row]
        lines.append("\t".join([str(frame + 1), f"{frame / rate:.6f}", *cells]))
    return "\n".join(lines) + "\n"


def bad_trc(path: Path, got: str) -> PoiseError:
    """The one line for a file that is no TRC."""
    return PoiseError(
        f"cannot use pose file {path}", got=got, expected=EXPECTED, remedy="export it again"
    )
