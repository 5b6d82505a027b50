"""A contact sheet of every drill, fault and distractor, to be looked at by a coach.

    poise data drills --gallery sheet.png --activities golf_swing

A row is a clip: six instants, each from the right side and from the front, by cameras that keep the
direction which the person faces when the repetition starts. The bar of the press is drawn between
the hands, the ball of the penalty kick where the foot meets it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.errors import PoiseError
from assistant.skeleton import LEFT_WRIST, RIGHT_WRIST, pelvis
from data_prep.drills.cameras import Camera, facing, look_at
from data_prep.drills.distractors import DISTRACTORS
from data_prep.drills.faults import FAULTS, KNOWN
from data_prep.drills.performer import sample_performer
from data_prep.drills.records import Drill
from data_prep.drills.render import render_views
from data_prep.drills.simulate import simulate

COLUMNS: Final = 6
SEVERITIES: Final = (0.3, 0.6, 1.0)
EXPERT: Final = 3
SIZE: Final = 128  # pixels of one picture
DISTANCE: Final = 4.6
HEIGHT: Final = 1.15  # of the camera and of what it looks at, metres
LOOK: Final = 11  # the seed of clothes and room
TALL: Final = 2.55  # metres that a picture shows
BAR_END: Final = 0.35  # metres that the bar stands out beside each hand
PRESS, KICK = "overhead_press", "soccer_penalty_kick"


def draw_gallery(path: Path, seed: int = 3, activities: Sequence[str] | None = None) -> None:
    """Write the sheet as a PNG; `activities` None means all, with the distractors.

    Raises:
        PoiseError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = gallery_rows(seed, KNOWN if activities is None else activities, activities is None)
    figure = Figure(figsize=(2 * COLUMNS * SIZE / 100, 1.12 * len(rows) * SIZE / 100))
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), COLUMNS, squeeze=False)
    for row, (title, drill) in enumerate(rows):
        for column, time in enumerate(_instants(drill)):
            draw_instant(axes[row, column], drill, float(time))
        axes[row, 0].set_title(title, fontsize=6, loc="left", pad=2)
    figure.subplots_adjust(0, 0, 1, 1 - 0.15 / len(rows), 0.01, 0.12)
    try:
        figure.savefig(path, dpi=100)
    except OSError as fault:
        raise PoiseError(
            f"cannot write gallery {path}", got=str(fault), remedy="name another file"
        ) from fault


def draw_instant(axes: Any, drill: Drill, time: float) -> None:
    """One instant from the right side and, to the right of it, from the front."""
    frame = min(int(time * drill.pose.fps), len(drill.pose) - 1)
    joints = drill.pose.joints[frame].astype(np.float64)
    first = int(drill.repetitions[0][0] * drill.pose.fps) if drill.repetitions else 0
    ahead = facing(drill.pose.joints[first : first + 1].astype(np.float64))[0]
    right = np.array([ahead[1], -ahead[0], 0.0])
    pictures = []
    for number, direction in enumerate((right, ahead)):
        camera = _camera(pelvis(joints[None])[0], direction)
        film = render_views(
            drill.pose, ["exo1"], np.array([time]), size=SIZE, seed=LOOK, cameras={"exo1": camera}
        )
        pictures.append(film["exo1"][0])
        for line in _things(drill, joints):
            pixels = camera.project(line[None])[0] + np.array([number * SIZE, 0.0])
            axes.plot(*pixels.T, color="black", linewidth=1.2, solid_capstyle="round")
    axes.imshow(np.concatenate(pictures, axis=1))
    step = drill.step_names[drill.steps[frame]]
    axes.text(2, 8, f"{time:.2f} s {step}", fontsize=4)
    axes.set(xlim=(0, 2 * SIZE), ylim=(SIZE, 0))
    axes.axis("off")


def _camera(centre: np.ndarray, direction: np.ndarray) -> Camera:
    """A camera that stands `direction` of a pelvis and looks at the body's middle."""
    target = np.array([centre[0], centre[1], HEIGHT])
    position = target + DISTANCE * direction
    rotation = look_at(target - position)
    focal = SIZE * DISTANCE / TALL
    intrinsics = np.array([[focal, 0, SIZE / 2], [0, focal, SIZE / 2], [0, 0, 1.0]])
    return Camera("exo1", SIZE, intrinsics, rotation[None], (-rotation @ position)[None])


def _things(drill: Drill, joints: np.ndarray) -> list[np.ndarray]:
    """Lines [N, 3] of the bar or the ball that belong to the drill."""
    if drill.activity == PRESS:
        left, right = joints[LEFT_WRIST], joints[RIGHT_WRIST]
        out = (left - right) / np.linalg.norm(left - right) * BAR_END
        return [np.stack([left + out, right - out])]
    if drill.activity == KICK:
        turn = np.linspace(0, 2 * np.pi, 13)[:, None]
        ball = _ball(drill)
        up, across = np.array([0, 0, 0.11]), np.array([0.11, 0, 0])
        return [
            ball + np.cos(turn) * up + np.sin(turn) * across,
            ball + np.cos(turn) * up + np.sin(turn) * across[[1, 0, 2]],
        ]
    return []


def _ball(drill: Drill) -> np.ndarray:
    """Where the ball of the first kick lies: just ahead of the faster ankle at the contact."""
    contact = int(np.flatnonzero(drill.steps == 4)[0])
    ankles = drill.pose.joints[contact - 1 : contact + 2, 15:17].astype(np.float64)
    path = ankles[2] - ankles[0]
    kicking = int(np.linalg.norm(path, axis=-1).argmax())
    ahead = path[kicking] * [1, 1, 0]
    ball = ankles[1, kicking] + 0.20 * ahead / np.linalg.norm(ahead)
    return np.array([ball[0], ball[1], 0.11])


def gallery_rows(
    seed: int, activities: Sequence[str], distractors: bool
) -> list[tuple[str, Drill]]:
    """Title and clip of each row."""
    rows = []
    for activity in activities:
        names = [None, None, *((f.name, s) for f in FAULTS[activity] for s in SEVERITIES)]
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
    for number, activity in enumerate(DISTRACTORS if distractors else ()):
        rng = np.random.default_rng([seed, 100 + number])
        rows.append((activity, simulate(activity, None, sample_performer(rng), rng)))
    return rows


def _instants(drill: Drill) -> np.ndarray:
    """Six times that show the repetition, or the whole clip of a distractor."""
    if not drill.repetitions:
        return np.linspace(0.05, 0.95, COLUMNS) * drill.pose.duration
    start, end = drill.repetitions[0]
    if drill.activity == PRESS:
        top, lower = (np.flatnonzero(drill.steps == k)[0] / drill.pose.fps for k in (2, 3))
        up = top - start
        return np.array([start, start + 0.22 * up, start + 0.5 * up, lower, lower + 0.4, end])
    if len(drill.step_names) < 6:
        return np.linspace(start, end - 0.05, COLUMNS)
    begins = [np.flatnonzero(drill.steps == k)[0] / drill.pose.fps for k in (2, 3, 4)]
    if drill.activity == KICK:
        return np.array([begins[0] - 0.3, *begins, begins[2] + 0.1, begins[2] + 0.27])
    if drill.activity == "golf_swing":
        half, impact = (start + begins[0]) / 2, begins[1]
        return np.array([start, half, begins[0], impact, impact + 0.13, begins[2] + 0.2])
    return np.array([start, *begins, begins[-1] + 0.35, end - 0.05])
