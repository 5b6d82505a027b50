"""A contact sheet of every drill, fault and distractor, to be looked at by a coach."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.errors import PoiseError
from assistant.skeleton import DRAWN_BONES, LEFT_HIP, RIGHT_HIP, pelvis
from data_prep.drills.distractors import DISTRACTORS
from data_prep.drills.faults import FAULTS
from data_prep.drills.performer import sample_performer
from data_prep.drills.records import Drill
from data_prep.drills.simulate import simulate

COLUMNS: Final = 6
SEVERITIES: Final = (0.3, 0.6, 1.0)
EXPERT: Final = 3


def draw_gallery(path: Path, seed: int = 3) -> None:
    """Write the sheet as a PNG: a row a clip, six instants, each from the side and from behind.

    Raises:
        PoiseError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = _rows(seed)
    figure = Figure(figsize=(2.0 * COLUMNS, 1.35 * len(rows)))
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), COLUMNS, squeeze=False)
    for row, (title, drill) in enumerate(rows):
        for column, time in enumerate(_instants(drill)):
            frame = min(int(time * drill.pose.fps), len(drill.pose) - 1)
            draw_pose(axes[row, column], drill.pose.joints[frame], f"{time:.1f} s")
        axes[row, 0].set_title(title, fontsize=6, loc="left")
    figure.subplots_adjust(0, 0, 1, 0.99, 0.02, 0.16)
    try:
        figure.savefig(path, dpi=100)
    except OSError as fault:
        raise PoiseError(
            f"cannot write gallery {path}", got=str(fault), remedy="name another file"
        ) from fault


def draw_pose(axes: Any, joints: np.ndarray, label: str = "") -> None:
    """One pose [17, 3] from its right side and, to the right of it, from behind."""
    from matplotlib.collections import LineCollection

    lateral = joints[LEFT_HIP] - joints[RIGHT_HIP]
    lateral = np.array([lateral[0], lateral[1], 0]) / np.hypot(lateral[0], lateral[1])
    forward = np.array([lateral[1], -lateral[0], 0])
    centred = joints - pelvis(joints)
    bones = np.array(DRAWN_BONES)
    right = (bones > 4).all(1) & (bones % 2 == 0).all(1)
    lines: list[np.ndarray] = [np.array([[-1.2, 0.0], [1.2, 0.0]])]
    for direction, shift in ((forward, -0.55), (-lateral, 0.55)):
        flat = np.stack([centred @ direction + shift, joints[:, 2]], 1)
        lines += list(flat[bones])
    colours = ["0.7", *np.tile(np.where(right, "tab:red", "tab:blue"), 2)]
    axes.add_collection(LineCollection(lines, colors=colours, linewidths=1))
    axes.text(-1.2, 0.05, label, fontsize=4)
    axes.set(xlim=(-1.2, 1.2), ylim=(-0.02, 2.4), aspect="equal")
    axes.axis("off")


def _rows(seed: int) -> list[tuple[str, Drill]]:
    rows = []
    for activity, faults in FAULTS.items():
        names = [None, None, *((f.name, s) for f in faults for s in SEVERITIES)]
        for number, shown in enumerate(names):
            person = 0 if shown is not None else number
            performer = sample_performer(np.random.default_rng([seed, person]))
            drill = simulate(
                activity,
                EXPERT,
                performer,
                np.random.default_rng(seed),
                repetitions=1,
                faults={} if shown is None else {shown[0]: (shown[1], frozenset({0}))},
            )
            fault = "no fault" if shown is None else f"{shown[0]} {shown[1]}"
            rows.append((f"{activity}: {fault}", drill))
    for number, activity in enumerate(DISTRACTORS):
        rng = np.random.default_rng([seed, 100 + number])
        rows.append((activity, simulate(activity, None, sample_performer(rng), rng)))
    return rows


def _instants(drill: Drill) -> np.ndarray:
    """Six times that show the repetition, or the whole clip of a distractor."""
    if not drill.repetitions:
        return np.linspace(0.05, 0.95, COLUMNS) * drill.pose.duration
    start, end = drill.repetitions[0]
    if drill.activity != "basketball_free_throw":
        return np.linspace(start, end - 0.05, COLUMNS)
    begins = [np.flatnonzero(drill.steps == k)[0] / drill.pose.fps for k in (2, 3, 4)]
    return np.array([start, *begins, begins[-1] + 0.35, end - 0.05])
