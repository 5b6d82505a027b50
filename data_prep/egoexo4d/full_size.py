"""Annotations as large as the official ones, to measure memory and time on.

Assumed sizes: 5,035 takes in takes.json (v2), 3,481 of them labelled (466 of these in val, as in
the papers; the rest in train), 3 experts a take with 11 comments of some 60 words each (117,812
commented sentences are published), 120 atomic descriptions a take (432,000 are published) and as
many rejected ones, 12 good executions and tips. Half of the labelled takes have an automatic pose,
of 10 s; three takes of ten minutes, the longest to be expected, have one of their full length with
the 2D points of five cameras. There are no films.

    python -m data_prep.egoexo4d.miniature DIR --full-size [--scale 0.1]
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from data_prep.egoexo4d.mini_annotations import take_entry
from data_prep.egoexo4d.mini_recordings import body_frames
from data_prep.egoexo4d.mini_takes import uid_of
from prompts.vocabulary import LEVELS, VIEWS

TAKES: Final = 5035
LABELLED: Final = 3481
VALIDATION: Final = 466
EXPERTS: Final = 3
COMMENTS: Final = 11
DESCRIPTIONS: Final = 120
LISTED: Final = 12
SECONDS: Final = 158.0
LONG_SECONDS: Final = 600
LONG_POSES: Final = 3
POSE_SECONDS: Final = 10
_WORDS: Final = (
    "so what i really like here is how the shoulders stay level while the hips start to turn and "
    "that gives the arm room but then the foot lands a little bit early and you can see the knee "
    "drift in which costs some power on the follow through so i would ask for a wider stance and "
    "a slower start"
)
_SCENARIOS: Final = ("Basketball", "Soccer", "Rock Climbing", "Dance", "Music", "Cooking")
# takes.json of v2 carries the capture's and all streams' metadata with every take.
_STREAMS: Final = 80


@dataclass(frozen=True)
class _Person:
    number: int
    split: str

    @property
    def name(self) -> str:
        return f"unc_basketball_{self.number:05d}_1"

    @property
    def uid(self) -> str:
        return uid_of(self.name)

    @property
    def has_pose(self) -> bool:
        return self.number % 2 == 0 and self.split != "none"

    @property
    def is_long(self) -> bool:
        return self.has_pose and self.number < 2 * LONG_POSES


def write_full_size(root: Path, scale: float = 1.0) -> dict[str, Any]:
    """Write the tree; returns how many takes and bytes of JSON it has."""
    labelled = max(round(LABELLED * scale), 2)
    held_out = max(round(VALIDATION * scale), 1)
    people = [_Person(i, "val" if i < held_out else "train") for i in range(labelled)]
    takes = max(round(TAKES * scale), labelled)
    everyone = [*people, *(_Person(i, "none") for i in range(labelled, takes))]
    _write_list(root / "takes.json", map(_metadata, everyone))
    for split in ("train", "val"):
        theirs = [person for person in people if person.split == split]
        base = root / "annotations"
        _write_list(base / f"proficiency_demonstrator_{split}.json", map(_level, theirs))
        _write_list(base / f"proficiency_demonstration_{split}.json", map(_lists, theirs))
        _write_map(base / f"expert_commentary_{split}.json", theirs, _spoken)
        _write_map(base / f"atomic_descriptions_{split}.json", theirs, _written)
    poses = _write_poses(root, [person for person in people if person.has_pose])
    files = [path for path in root.rglob("*.json") if path.is_file()]
    shared = [path for path in files if "ego_pose" not in path.parts]
    return {
        "takes": takes,
        "labelled": labelled,
        "poses": poses,
        "annotation_megabytes": round(sum(path.stat().st_size for path in shared) / 1e6),
        "pose_megabytes": round(
            sum(path.stat().st_size for path in set(files) - set(shared)) / 1e6
        ),
    }


def _metadata(person: _Person) -> dict[str, Any]:
    entry = take_entry(person.name, person.uid, LONG_SECONDS if person.is_long else SECONDS, ())
    stream = {"is_collage": False, "width": 3840, "height": 2160, "relative_path": "x" * 300}
    return entry | {"frame_aligned_videos": {f"stream{i}": stream for i in range(_STREAMS)}}


def _labels(person: _Person) -> dict[str, Any]:
    folder = f"takes/{person.name}/frame_aligned_videos"
    files = ("aria01_214-1", "cam01", "cam02", "cam03", "cam04")
    return {
        "task_name": f"Task {person.number % 40}",
        "scenario_name": _SCENARIOS[person.number % len(_SCENARIOS)],
        "university_id": "ego4d-unc",
        "origin_participant_id": f"{person.split}{person.number % 400}",
        "take_uid": person.uid,
        "video_paths": {v: f"{folder}/{f}.mp4" for v, f in zip(VIEWS, files, strict=True)},
    }


def _level(person: _Person) -> dict[str, Any]:
    return _labels(person) | {"proficiency_score": LEVELS[person.number % len(LEVELS)]}


def _lists(person: _Person) -> dict[str, Any]:
    when = [5.0 + 10 * i for i in range(LISTED // 2)]
    notes = [{"video_time": t, "list": [_WORDS], "expert_uid": "exp00"} for t in when]
    return _labels(person) | {"good_executions": notes, "tips_for_improvement": notes}


def _spoken(person: _Person) -> list[dict[str, Any]]:
    times = [(i + 1) * SECONDS / (COMMENTS + 1) for i in range(COMMENTS)]
    said = [
        {"recording": f"{i}.webm", "video_time": t, "text": f"{i} {_WORDS}", "error": False}
        for i, t in enumerate(times)
    ]
    where = {"take_name": person.name, "take_uid": person.uid}
    return [
        where | {"commentary": f"{person.name}/exp{k:02d}", "commentary_data": said}
        for k in range(EXPERTS)
    ]


def _written(person: _Person) -> list[dict[str, Any]]:
    view = {"ego_visible": "1", "best_exo": {"cam_id": "cam02", "cam_type": "exo"}, "unsure": "0"}
    lines = [
        {"text": f"C moves part {i}.", "timestamp": i * SECONDS / DESCRIPTIONS, "subject": "C"}
        | view
        for i in range(DESCRIPTIONS)
    ]
    return [
        {"annotation_uid": f"{person.uid}-{k}", "rejected": str(k), "descriptions": lines}
        for k in (0, 1)
    ]


def _write_poses(root: Path, people: list[_Person]) -> int:
    """Returns how many; a scaled tree keeps the longest takes, since memory depends on them."""
    rng = np.random.default_rng(0)
    folder = root / "annotations/ego_pose/train/body/automatic"
    for person in people:
        seconds, cameras = (LONG_SECONDS, 5) if person.is_long else (POSE_SECONDS, 1)
        frames = iter_body(rng, 30 * seconds, cameras)
        _write_object(folder / f"{person.uid}.json", frames)
    return len(people)


def iter_body(rng: np.random.Generator, frames: int, cameras: int) -> Iterator[tuple[str, Any]]:
    """Frames of a body that sways, noisy by 15 mm, as (frame number, people)."""
    from data_prep.drills.performer import sample_performer
    from data_prep.drills.simulate import simulate

    motion = simulate("stand", None, sample_performer(rng, "train", "p"), rng, sample_id="s").pose
    still = motion.joints[0]
    block = 300
    for start in range(0, frames, block):
        times = np.arange(start, min(start + block, frames)) / 30
        sway = 0.1 * np.sin(times)[:, None, None] * np.array([1.0, 0.3, 0.0])
        joints = still + sway + rng.normal(0, 0.015, (len(times), *still.shape))
        yield from body_frames(joints, start, 1, cameras=cameras).items()


def _write_list(path: Path, entries: Iterable[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for number, entry in enumerate(entries):
            file.write(("," if number else "") + json.dumps(entry))
        file.write("]")


def _write_object(path: Path, pairs: Iterable[tuple[str, Any]], before: str = "{") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.write(before)
        for number, (key, value) in enumerate(pairs):
            file.write(("," if number else "") + f"{json.dumps(key)}: {json.dumps(value)}")
        file.write("}" * before.count("{"))


def _write_map(
    path: Path, people: Iterable[_Person], entries: Callable[[_Person], list[dict[str, Any]]]
) -> None:
    pairs = ((person.uid, entries(person)) for person in people)
    _write_object(path, pairs, before='{"ds": "full", "annotations": {')
