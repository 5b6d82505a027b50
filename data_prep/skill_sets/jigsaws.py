"""JIGSAWS (Gao et al. 2014): trials on a surgical robot with global rating scores and experience.

    poise data jigsaws DIR -o OUT

Each task's folder holds `meta_file_<Task>.txt` (trial, experience N, I or E, total of the global
rating score, its six items), `kinematics/AllGestures/<trial>.txt` (76 columns, 30 rows a second),
`transcriptions/<trial>.txt` (first frame, last frame, gesture) and `video/`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from assistant.dataset import write_samples
from assistant.errors import PoiseError

TASKS: Final = ("Suturing", "Knot_Tying", "Needle_Passing")
COLUMNS: Final = 76
FPS: Final = 30.0
EXPERIENCE: Final = "NIE"
ITEMS: Final = 6  # each 1 to 5, so a total is 6 to 30


@dataclass(frozen=True)
class Trial:
    """One line of a meta file."""

    task: str
    name: str
    experience: str
    score: int
    items: tuple[int, ...]

    @property
    def user(self) -> str:
        """The surgeon's letter: leave-one-user-out holds out one of them."""
        return self.name.removeprefix(f"{self.task}_")[0]

    @property
    def supertrial(self) -> int:
        """Which repetition of the surgeon: leave-one-supertrial-out (LOSO) holds out one."""
        return int(self.name.removeprefix(f"{self.task}_")[1:])


def convert_jigsaws(root: Path, folder: Path, tasks: Sequence[str] = TASKS) -> dict[str, Any]:
    """Write one row a trial; returns what was written and what was left out, by name.

    `score` is the total of the global rating score, `proficient` 1 above the median of its task,
    `experienced` 1 for I and E, which SSE section 3.2 combines.

    Raises:
        PoiseError: a meta file or a trial's kinematics is missing or of another format.
    """
    read = [trial for task in tasks for trial in read_meta(root, task)]
    have = [trial for trial in read if _kinematics(root, trial).is_file()]
    if not have:
        raise PoiseError(f"no kinematics below {root}", expected=str(_kinematics(root, read[0])))
    middle = {task: median([t.score for t in have if t.task == task] or [0]) for task in tasks}

    def rows() -> Iterator[dict[str, Any]]:
        for trial in have:
            yield _row(root, trial, middle[trial.task])

    sha = write_samples(rows(), folder, {"source": "JIGSAWS", "medians": middle})
    return {
        "folder": str(folder),
        "rows": len(have),
        "users": len({trial.user for trial in have}),
        "medians": middle,
        "without_kinematics": [trial.name for trial in read if trial not in have],
        "total_is_not_the_sum": [t.name for t in have if sum(t.items) != t.score],
        "sha256": sha,
    }


def read_meta(root: Path, task: str) -> list[Trial]:
    """The trials of `meta_file_<task>.txt`, in its order."""
    path = root / task / f"meta_file_{task}.txt"
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        raise PoiseError(f"no file {path}", remedy="name the folder that holds the tasks") from None
    return [
        _trial(path, task, number, line) for number, line in enumerate(lines, 1) if line.strip()
    ]


def _trial(path: Path, task: str, number: int, line: str) -> Trial:
    parts = line.split()
    try:
        name, experience, *numbers = parts
        score, *items = (int(part) for part in numbers)
        trial = Trial(task, name, experience, score, tuple(items))
        good = (
            name.startswith(f"{task}_")
            and trial.supertrial > 0
            and experience in EXPERIENCE
            and len(items) == ITEMS
            and all(1 <= item <= 5 for item in items)
            and ITEMS <= score <= 5 * ITEMS
        )
    except (ValueError, IndexError):
        good = False
    if not good:
        raise PoiseError(
            f"{path} line {number} has another format",
            got=repr(line.strip()),
            expected=f"{task}_B001, N, I or E, a total of 6 to 30 and six items of 1 to 5",
        )
    return trial


def _kinematics(root: Path, trial: Trial) -> Path:
    return root / trial.task / "kinematics" / "AllGestures" / f"{trial.name}.txt"


def read_kinematics(path: Path) -> np.ndarray:
    """[F, 76]: left and right master, then left and right slave, 19 numbers each."""
    try:
        values = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as fault:
        raise PoiseError(f"cannot read {path}", got=str(fault).splitlines()[0]) from None
    if values.shape[1] != COLUMNS or not np.isfinite(values).all():
        raise PoiseError(
            f"{path} has another format",
            got=f"{values.shape[1]} columns" if np.isfinite(values).all() else "no number",
            expected=f"{COLUMNS} columns of numbers",
        )
    return values


def read_gestures(path: Path, frames: int) -> tuple[np.ndarray, list[str]] | None:
    """Index [F] into the names of a transcription, "none" first; None without a file."""
    if not path.is_file():
        return None
    names, steps = ["none"], np.zeros(frames, dtype=np.int64)
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            first, last, gesture = line.split()
            begin, end = int(first) - 1, int(last)  # frames count from 1, the last included
        except ValueError:
            raise PoiseError(
                f"{path} line {number} has another format",
                got=repr(line.strip()),
                expected="first frame, last frame, gesture",
            ) from None
        if gesture not in names:
            names.append(gesture)
        steps[begin:end] = names.index(gesture)
    return steps, names


def _row(root: Path, trial: Trial, middle: float) -> dict[str, Any]:
    path = _kinematics(root, trial)
    frames = len(read_kinematics(path))
    told = read_gestures(root / trial.task / "transcriptions" / path.name, frames)
    film = root / trial.task / "video" / f"{trial.name}_capture1.avi"
    return {
        "sample_id": f"jigsaws-{trial.name}",
        "take_id": trial.name,
        "participant_id": trial.user,
        "activity": trial.task.lower(),
        "views": {"exo1": str(film.relative_to(root))} if film.is_file() else None,
        "span": [0.0, frames / FPS],
        "steps": None if told is None else told[0],
        "step_names": None if told is None else told[1],
        "origin": "JIGSAWS",
        "score": float(trial.score),
        "proficient": int(trial.score > middle),
        "experienced": int(trial.experience != "N"),
        "supertrial": trial.supertrial,
        "kinematics": str(path.relative_to(root)),
    }
