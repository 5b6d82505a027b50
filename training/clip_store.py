"""What perception sees of the pool, kept in a run's `work/` and read again while nothing changed.

Pretraining and the language stage, and every ablation of them, read the same clips. A store names
what it was made from by one hash: the motions, the frozen parts, the library, the seed and this
code. Arrays only, no pickle; a store appears whole or not at all.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

import assistant
import data_prep
import training
from assistant.model.processing_poise import ModelInputs
from assistant.tasks.window import WindowFrames, given_as_text
from data_prep.drills.records import Drill
from training.language_samples import PerceivedClip
from training.progress import Progress

Arrays = Mapping[str, np.ndarray]
# What is kept of each clip; the rest of it is its drill, or cheap to make.
WINDOW = ("start", "end", "yaw", "joints", "heights")
FEATURES = ("pose", "score", "regions", "stage1")
OWN = ("twin", "learner_codes", "target_codes", "gold")


def kept(path: Path, identity: str, make: Callable[[], Arrays], progress: Progress) -> Arrays:
    """The arrays in `path` if they were made from what `identity` names, else `make()`, stored."""
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as stored:
                if str(stored["identity"]) == identity:
                    progress.say(f"{path.name} read")
                    return {name: stored[name] for name in stored.files if name != "identity"}
            progress.say(f"{path.name} is of something else: made again")
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as fault:
            progress.say(f"{path.name} is damaged: made again ({fault})")
    arrays = make()
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    with partial.open("wb") as file:
        named: dict[str, Any] = {**arrays, "identity": np.array(identity)}
        np.savez(file, **named)
    partial.replace(path)
    return arrays


def clip_arrays(clips: Sequence[PerceivedClip]) -> dict[str, np.ndarray]:
    """Rows [N, ...] of everything that cost time; no text and no video."""
    rows = {name: [getattr(clip.window, name) for clip in clips] for name in WINDOW}
    rows |= {name: [getattr(clip.inputs, name) for clip in clips] for name in FEATURES}
    rows |= {name: [getattr(clip, name) for clip in clips] for name in OWN}
    return {name: np.stack(values) for name, values in rows.items()}


def clips_of(
    drills: Sequence[Drill],
    arrays: Arrays,
    videos: Sequence[np.ndarray | None],
    numbers: str,
    pose_form: str,
) -> list[PerceivedClip]:
    """The clips again, yet untold, with video features and the forms of their numbers and pose."""
    clips = []
    for i, drill in enumerate(drills):
        start, end, yaw = (float(arrays[name][i]) for name in ("start", "end", "yaw"))
        features = {name: arrays[name][i] for name in FEATURES}
        window = WindowFrames(start, end, arrays["joints"][i], arrays["heights"][i], yaw)
        clips.append(
            PerceivedClip(
                drill=drill,
                window=window,
                twin=arrays["twin"][i],
                inputs=ModelInputs(
                    video=videos[i],
                    numbers=numbers,
                    pose_text=given_as_text(window, pose_form),
                    **features,
                ),
                learner_codes=arrays["learner_codes"][i],
                target_codes=arrays["target_codes"][i],
                gold=int(arrays["gold"][i]),
            )
        )
    return clips


def video_arrays(videos: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
    """All views' features in one array [sum of V, D], and each clip's number of views (0: none)."""
    given = [video for video in videos if video is not None]
    return {
        "features": np.concatenate(given) if given else np.zeros((0, 0), np.float32),
        "views": np.array([0 if video is None else len(video) for video in videos]),
    }


def videos_of(arrays: Arrays) -> list[np.ndarray | None]:
    """[V, D] features of each clip, None where it has none."""
    parts = np.split(arrays["features"], np.cumsum(arrays["views"])[:-1])
    return [part if len(part) else None for part in parts]


def sha_of(*parts: str) -> str:
    """One sha-256 of several texts."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(f"{len(part)}:{part}".encode())
    return whole.hexdigest()


def files_sha(folder: Path, pattern: str = "*") -> str:
    """One sha-256 over names and bytes of the files below a folder; of nothing without one."""
    files = sorted(path for path in folder.rglob(pattern) if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in files]
    return sha_of(*names, *(hashlib.sha256(path.read_bytes()).hexdigest() for path in files))


def code_sha() -> str:
    """Of the code that perceives: a store made by other code is not trusted."""
    folders = (Path(str(package.__file__)).parent for package in (assistant, data_prep, training))
    return sha_of(*(files_sha(folder, "*.py") for folder in folders))


def arrays_sha(arrays: Iterable[np.ndarray]) -> str:
    """One sha-256 over the values of several arrays."""
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(f"{array.dtype}{array.shape}".encode())
        whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()
