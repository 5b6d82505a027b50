"""Takes as both stages of Look Closer read them, kept on disk so that they are made once.

Stage 1 reads a few frames of every stream; the prototype dynamics read windows of all frames. Of a
take only these remain, so a film of minutes costs no more than one of seconds.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.proficiency.pdm import Bucket, action_dynamics, proposal_dynamics
from assistant.proficiency.streams import Stream
from training.proficiency.look_closer import StreamClip

DYNAMIC_STREAMS: Final = ("ego", "exo", "pose")


@dataclass(frozen=True)
class Windows:
    """Action dynamics of one stream of a take.

    Attributes:
        annotated: [N, D] z around the atomic actions; buckets: N.
        proposals: [P, D] z of uniform 2 s proposals.
    """

    annotated: np.ndarray
    buckets: tuple[Bucket, ...]
    proposals: np.ndarray


@dataclass(frozen=True)
class TakeFeatures:
    """One take.

    Attributes:
        name: unique; activity: its name.
        clip: what Stage 1 reads, with level, performer and aspect labels.
        windows: of ego, exo and pose, where the take has them.
    """

    name: str
    activity: str
    clip: StreamClip
    windows: Mapping[str, Windows]


def evenly(frames: np.ndarray, count: int) -> np.ndarray:
    """`count` of the frames [F, D], the middles of equal parts; all where there are fewer."""
    if len(frames) <= count:
        return frames
    return frames[((np.arange(count) + 0.5) * len(frames) / count).astype(int)]


def windows_of(stream: Stream, activity: str, actions: Sequence[tuple[float, str]]) -> Windows:
    """Dynamics of a stream around the actions (seconds of the clip, name) that it shows."""
    inside = [(when, name) for when, name in actions if stream.start <= when < stream.end]
    found = [action_dynamics(stream.values, stream.fps, t - stream.start) for t, _ in inside]
    columns = stream.values.shape[1]
    return Windows(
        np.array(found, np.float32).reshape(-1, columns),
        tuple((activity, name) for _, name in inside),
        proposal_dynamics(stream.values, stream.fps).astype(np.float32),
    )


def cached_takes(
    folder: Path, name: str, made_of: Mapping[str, Any], make: Callable[[], list[TakeFeatures]]
) -> list[TakeFeatures]:
    """The takes in `folder`, made where none of the same origin are there.

    Args:
        made_of: everything that decides them, as JSON; its hash is part of the file's name.
    """
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
    path = folder / f"takes_{name}_{digest[:16]}.npz"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        save_takes(path, make())
    return load_takes(path)


def save_takes(path: Path, takes: Sequence[TakeFeatures]) -> None:
    """Write takes without pickle, all or nothing."""
    arrays: dict[str, np.ndarray] = {
        "about": np.array(
            json.dumps(
                [
                    [t.name, t.activity, t.clip.participant, t.clip.activity, t.clip.level]
                    for t in takes
                ]
            )
        ),
        "aspects": np.array([t.clip.aspects for t in takes]),
    }
    for i, take in enumerate(takes):
        for modality, values in take.clip.streams.items():
            arrays[f"{i}/stage1/{modality}"] = values
        for stream, windows in take.windows.items():
            arrays[f"{i}/annotated/{stream}"] = windows.annotated
            arrays[f"{i}/proposals/{stream}"] = windows.proposals
            arrays[f"{i}/buckets/{stream}"] = np.array(json.dumps(windows.buckets))
    part = path.with_suffix(".part.npz")
    np.savez(part, **arrays)  # type: ignore[arg-type]
    part.replace(path)


def load_takes(path: Path) -> list[TakeFeatures]:
    """Inverse of `save_takes`."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    found = []
    for i, row in enumerate(json.loads(str(arrays["about"]))):
        name, activity, participant, index, level = row
        streams, windows = {}, {}
        for modality in ("ego", "exo", "gaze", "pose"):
            if f"{i}/stage1/{modality}" in arrays:
                streams[modality] = arrays[f"{i}/stage1/{modality}"]
            if f"{i}/annotated/{modality}" in arrays:
                buckets = json.loads(str(arrays[f"{i}/buckets/{modality}"]))
                windows[modality] = Windows(
                    arrays[f"{i}/annotated/{modality}"],
                    tuple((b[0], b[1]) for b in buckets),
                    arrays[f"{i}/proposals/{modality}"],
                )
        clip = StreamClip(streams, index, level, participant, arrays["aspects"][i])
        found.append(TakeFeatures(name, activity, clip, windows))
    return found
