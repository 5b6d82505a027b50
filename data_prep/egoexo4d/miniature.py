"""Trees like an Ego-Exo4D download: a small one with its oddities, and a large one by size.

    python -m data_prep.egoexo4d.miniature DIR                # nine takes, a few seconds
    python -m data_prep.egoexo4d.miniature DIR --full-size    # annotations of the official size

Then `poise data egoexo4d DIR -o OUT` and `poise data doctor DIR` work as on the real one. All
people are simulated drills, all texts are made up; nothing comes from Ego-Exo4D but its layout.
"""

import argparse
import json
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.dataset import FEATURE_KINDS
from assistant.pose.read import EGOEXO_FPS
from assistant.skeleton import JOINTS
from prompts.vocabulary import VIEWS

_PICTURE: Final = 64
_DS: Final = "20240401_12:00:00"
EXPERTS: Final = ("ab12cd", "ef34gh")
FEATURE_RATE: Final = 30 / 16


@dataclass(frozen=True)
class Mini:
    """One take of the small tree and what is odd about it.

    Attributes:
        name: take_name; its uid is derived from it.
        split: of the proficiency files.
        scenario, task: as the official files name them.
        university, participant: who.
        level: proficiency_score.
        poses: source to (split of its folder, scale of its unit); none: no pose.
        gaze: "personalized", "general" or none.
        cameras: of exo1..exo4; None: the take lacks this view.
        oddity: what `_apply_oddity` does to its files.
    """

    name: str
    split: str
    scenario: str
    task: str
    university: str
    participant: str
    level: str
    poses: tuple[tuple[str, str, float], ...] = ()
    gaze: str | None = None
    cameras: tuple[str | None, ...] = ("cam01", "cam02", "cam03", "cam04")
    oddity: str = ""

    @property
    def uid(self) -> str:
        """A take_uid that is the same in every tree."""
        return uid_of(self.name)

    @property
    def videos(self) -> dict[str, str]:
        """View to path as in `video_paths`."""
        folder = f"takes/{self.name}/frame_aligned_videos"
        files = dict(zip(VIEWS, ("aria01_214-1", *self.cameras), strict=True))
        return {view: f"{folder}/{name}.mp4" for view, name in files.items() if name is not None}


def uid_of(name: str) -> str:
    """The take_uid of a take's name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"poise/{name}"))


_HOOPS: Final = ("Basketball", "Basketball Drills - Mid-Range Jump Shooting", "ego4d-unc")
_BALL: Final = ("Soccer", "Soccer Drills - Penalty Kick", "ego4d-sfu")
_WALL: Final = ("Rock Climbing", "LosAndes_V2_R1", "ego4d-university-sa")


def _mini(
    name: str, split: str, what: tuple[str, str, str], who: str, level: str, **more: Any
) -> Mini:
    return Mini(name, split, *what, who, level, **more)


TAKES: Final = (
    _mini(
        "unc_basketball_01_1",
        "train",
        _HOOPS,
        "30",
        "Late Expert",
        poses=(("annotation", "train", 1.0), ("automatic", "train", 1.0)),
        gaze="personalized",
    ),
    _mini(
        "unc_basketball_01_2",
        "train",
        _HOOPS,
        "30",
        "Intermediate Expert",
        poses=(("automatic", "val", 1.0),),
        gaze="general",
        cameras=("cam01", "cam02", None, "cam04"),
    ),
    _mini("unc_basketball_02_1", "train", _HOOPS, "31", "Novice", oddity="downscaled only"),
    _mini(
        "sfu_soccer_03_1",
        "train",
        _BALL,
        "p003",
        "Early Expert",
        cameras=("cam01", "cam02", "cam03", "cam05"),
        oddity="video missing",
    ),
    _mini("uniandes_bouldering_04_1", "train", _WALL, "133", "Intermediate Expert"),
    _mini(
        "uniandes_bouldering_04_2",
        "train",
        _WALL,
        "133",
        "Late Expert",
        poses=(("automatic", "train", 1.0),),
        oddity="empty pose, corrupt video",
    ),
    _mini(
        "sfu_soccer_05_1",
        "val",
        _BALL,
        "p005",
        "Novice",
        poses=(("automatic", "test", 1000.0),),
    ),
    _mini(
        "unc_basketball_01_3",
        "val",
        _HOOPS,
        "30",
        "Early Expert",
        poses=(("automatic", "val", 1.0),),
        oddity="pose jumps",
    ),
    _mini("uniandes_bouldering_06_1", "val", _WALL, "140", "Novice"),
)
PHANTOM: Final = uid_of("unc_basketball_99_9")
UNLABELLED: Final = "cmu_bike15_4"


def write_miniature(root: Path, *, films: bool = True) -> Path:
    """Write the small tree into a new or empty folder; returns it. `films`: with the videos."""
    motions = _motions(len(TAKES))
    for take, motion in zip(TAKES, motions, strict=True):
        _write_take(root, take, motion, films)
    _write_metadata(root, motions)
    _write_proficiency(root, motions)
    _write_texts(root, motions)
    for take in TAKES:
        _apply_oddity(root, take, films)
    return root


def body_frames(
    joints: np.ndarray, first: int, step: int, scale: float = 1.0, cameras: int = 1
) -> dict[str, Any]:
    """A body pose file's content: joints [F, 17, 3] metres at every `step`-th frame from `first`.

    Every tenth frame lacks its wrists, as occluded joints are left out of the official files.
    """
    names = [name.replace("_", "-") for name in JOINTS]
    flat = {name: {"x": 100.0, "y": 200.0, "placement": "auto"} for name in names}
    frames = {}
    for i, body in enumerate(joints * scale):
        marks = {
            name: dict(zip("xyz", map(float, point), strict=True)) | {"num_views_for_3d": 4}
            for name, point in zip(names, body, strict=True)
            if i % 10 or "wrist" not in name
        }
        views = {f"cam{k + 1:02d}": flat for k in range(cameras)}
        frames[str(first + i * step)] = [{"annotation3D": marks, "annotation2D": views}]
    return frames


def _motions(count: int) -> list[PoseSequence]:
    """Performances of simulated drills."""
    from data_prep.drills.faults import KNOWN
    from data_prep.drills.simulate import simulate_performer

    drills = simulate_performer(0, count, 7, "train", KNOWN, 0.0)
    return [drill.pose for drill in drills]


def _write_take(root: Path, take: Mini, motion: PoseSequence, films: bool) -> None:
    """Films, poses, cameras, gaze and features of one take."""
    for source, split, scale in take.poses:
        manual = source == "annotation"
        # Annotators mark every third frame of the first half.
        joints = motion.joints[: len(motion) // 2 : 3] + 0.01 if manual else motion.joints
        frames = body_frames(joints, 0, 3 if manual else 1, scale)
        _dump(root / f"annotations/ego_pose/{split}/body/{source}/{take.uid}.json", frames)
    split = take.poses[0][1] if take.poses else "train"
    cameras = {
        Path(path).stem.partition("_")[0]: _camera(i) for i, path in enumerate(take.videos.values())
    }
    known = {"metadata": {"take_uid": take.uid, "take_name": take.name}} | cameras
    _dump(root / f"annotations/ego_pose/{split}/camera_pose/{take.uid}.json", known)
    if take.gaze:
        _write_gaze(root / "takes" / take.name / "eye_gaze", take.gaze, motion.duration)
    _write_features(root, take.uid, list(cameras), motion.duration)
    if films:
        _write_films(root, take, motion.duration)


def _write_films(root: Path, take: Mini, seconds: float) -> None:
    from assistant.video.decode import write_video

    frames = round(seconds * EGOEXO_FPS)
    pictures = np.zeros((frames, _PICTURE, _PICTURE, 3), np.uint8)
    for i in range(frames):
        pictures[i, :, i % _PICTURE] = 255
    with tempfile.TemporaryDirectory() as scratch:
        film = Path(scratch) / "film.mp4"
        write_video(film, pictures, EGOEXO_FPS)
        data = film.read_bytes()
    for path in take.videos.values():
        full = root / path
        small = full.parent / "downscaled" / "448" / full.name
        small.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(data)
        small.write_bytes(data)


def _write_gaze(folder: Path, kind: str, seconds: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["tracking_timestamp_us,frame_num,x,y"]
    for i in range(int(seconds * 10)):
        # Lost for a moment, as with a blink.
        point = "," if i == 5 else f"{704 + 100 * np.sin(i / 5):.2f},{504.0:.2f}"
        lines.append(f"{1_000_000 + 100_000 * i},{i},{point}")
    (folder / f"{kind}_eye_gaze_2d.csv").write_text("\n".join(lines) + "\n")


def _write_features(root: Path, uid: str, cameras: Sequence[str], seconds: float) -> None:
    import torch

    rows = max(round(seconds * FEATURE_RATE), 1)
    for kind in FEATURE_KINDS:
        folder = root / "features" / kind
        folder.mkdir(parents=True, exist_ok=True)
        for camera in cameras:
            streams = ("rgb", "slam-left") if camera.startswith("aria") else ("0",)
            for stream in streams:
                torch.save(torch.zeros(rows, 8), folder / f"{uid}_{camera}_{stream}.pt")


def _camera(number: int) -> dict[str, Any]:
    """One camera as in camera_pose: world to camera, fixed around the performer or (ego) moving."""
    angle = np.pi / 2 * number
    # Rows: right, down and forward of a camera 4 m away at 1.5 m that looks at the middle.
    axes = np.array(
        [
            [-np.sin(angle), np.cos(angle), 0.0],
            [0.0, 0.0, -1.0],
            [-np.cos(angle), -np.sin(angle), 0.0],
        ]
    )
    place = np.array([4 * np.cos(angle), 4 * np.sin(angle), 1.5])
    turn = np.column_stack([axes, -axes @ place]).tolist()
    if number == 0:
        lens = [[150.0, 0.0, 255.5], [0.0, 150.0, 255.5], [0.0, 0.0, 1.0]]
        return {"camera_intrinsics": lens, "camera_extrinsics": {"0": turn, "1": turn}}
    return {
        "camera_intrinsics": [[1760.0, 0.0, 1920.0], [0.0, 1760.0, 1080.0], [0.0, 0.0, 1.0]],
        "camera_extrinsics": turn,
        "distortion_coeffs": [0.05, 0.0, 0.0, 0.0],
    }


def _write_metadata(root: Path, motions: Sequence[PoseSequence]) -> None:
    entries = []
    for number, (take, motion) in enumerate(zip(TAKES, motions, strict=True)):
        entry = take_entry(take.name, take.uid, motion.duration, take.videos.values())
        if number == 4:
            entry |= {"best_exo": None, "duration_sec": None}
        entries.append(entry)
    unlabelled = take_entry(UNLABELLED, uid_of(UNLABELLED), 20.0, ())
    _dump(root / "takes.json", [*entries, entries[0], unlabelled])
    _dump(root / "captures.json", [])
    people = sorted({(take.university, take.participant) for take in TAKES})
    _dump(root / "participants.json", [{"participant_uid": i} for i, _ in enumerate(people)])


def take_entry(name: str, uid: str, seconds: float, videos: Any) -> dict[str, Any]:
    """One entry of takes.json."""
    aligned = {Path(path).stem.partition("_")[0]: {"0": {"relative_path": path}} for path in videos}
    return {
        "root_dir": f"takes/{name}",
        "take_name": name,
        "take_uid": uid,
        "is_dropped": False,
        "best_exo": "cam02",
        "duration_sec": seconds,
        "capture": {"capture_name": name.rpartition("_")[0]},
        "frame_aligned_videos": aligned,
    }


def _labels(take: Mini) -> dict[str, Any]:
    return {
        "task_id": 1000 + TAKES.index(take),
        "task_name": take.task,
        "scenario_name": take.scenario,
        "university_id": take.university,
        "origin_participant_id": take.participant,
        "take_uid": take.uid,
        "video_paths": take.videos,
    }


def _write_proficiency(root: Path, motions: Sequence[PoseSequence]) -> None:
    """The demonstrator and demonstration files; train wrapped, val bare."""
    for split in ("train", "val"):
        theirs = [(t, m) for t, m in zip(TAKES, motions, strict=True) if t.split == split]
        levels = [_labels(take) | {"proficiency_score": take.level} for take, _ in theirs]
        shown = [_labels(take) | _lists(take, m.duration, split == "train") for take, m in theirs]
        if split == "train":
            phantom = levels[0] | {"take_uid": PHANTOM}
            levels += [levels[0], phantom]
        for kind, entries in (("demonstrator", levels), ("demonstration", shown)):
            wrapped = {"ds": _DS, "annotations": entries} if split == "train" else entries
            _dump(root / f"annotations/proficiency_{kind}_{split}.json", wrapped)


def _lists(take: Mini, seconds: float, as_text: bool) -> dict[str, Any]:
    """Good executions and tips; the official train file writes the lists as text."""

    def note(sentence: str, share: float) -> dict[str, Any]:
        sentences: Any = str([sentence]) if as_text else [sentence]
        when = {"video_time": share * seconds, "list": sentences}
        return when | {"expert_uid": EXPERTS[0], "video_name": take.name}

    return {
        "good_executions": [note("the knees don't cave in on the way down", 0.5)],
        "tips_for_improvement": [note("keep the elbow under the ball", 0.8)],
    }


def _write_texts(root: Path, motions: Sequence[PoseSequence]) -> None:
    """Commentary and atomic descriptions; booleans of train are strings."""
    for split in ("train", "val"):
        theirs = [(t, m) for t, m in zip(TAKES, motions, strict=True) if t.split == split]
        spoken = {take.uid: _spoken(root, take, m.duration) for take, m in theirs}
        written = {take.uid: _written(take, m.duration, split == "train") for take, m in theirs}
        if split == "train":
            spoken[PHANTOM] = [{"take_uid": PHANTOM, "commentary_data": []}]
        for kind, entries in (("expert_commentary", spoken), ("atomic_descriptions", written)):
            _dump(root / f"annotations/{kind}_{split}.json", {"ds": _DS, "annotations": entries})


def _spoken(root: Path, take: Mini, seconds: float) -> list[dict[str, Any]]:
    """What two experts said; the second one's first recording failed, his last one is empty."""
    entries = []
    for number, expert in enumerate(EXPERTS):
        base = root / "annotations" / "expert_commentary" / take.name / expert
        shares = (0.45, 0.9) if number == 0 else (0.3, 0.6, 0.95)
        said = [
            {
                "recording": f"{i}.webm",
                "video_time": share * seconds,
                "text": f" so here the hips drop {'nicely' if i else 'a bit late'} and, uh, yeah",
                "duration_approx": 9.5,
                "error": False,
            }
            for i, share in enumerate(shares)
        ]
        if number == 1:
            said[0] |= {"error": True, "text": "Traceback (most recent call last)"}
            said[2] |= {"text": "  "}
        where = f"{take.name}/{expert}"
        entry = {"take_name": take.name, "take_uid": take.uid, "commentary": where}
        entries.append(entry | {"task_id": 1, "task_name": take.task, "commentary_data": said})
        rated = {"rating": 4 + 3 * number, "why": "steady rhythm"}
        _dump(
            base / "data.json", {"user_id": expert, "video_name": take.name, "proficiency": rated}
        )
        texts = {spoken["recording"]: {"text": spoken["text"], "error": False} for spoken in said}
        _dump(base / "transcriptions.json", texts)
    return entries


def _written(take: Mini, seconds: float, as_text: bool) -> list[dict[str, Any]]:
    """What two annotators wrote; the second one's work was rejected."""

    def flag(value: bool) -> bool | str:
        return str(int(value)) if as_text else value

    def line(text: str, share: float, unsure: bool = False, subject: str = "C") -> dict[str, Any]:
        view = {"ego_visible": flag(True), "best_exo": {"cam_id": "cam02"}}
        when = {"text": text, "timestamp": share * seconds, "subject": subject}
        return when | view | {"unsure": flag(unsure)}

    good = [
        line("C bends the knees.", 0.4),
        line("C straightens up.", 0.7),
        line("C touches something.", 0.5, unsure=True),
        line("O claps.", 0.6, subject="O"),
    ]
    bad = [line("C does what nobody saw.", 0.5)]
    return [
        {"annotation_uid": f"{take.name}-a", "rejected": flag(False), "descriptions": good},
        {"annotation_uid": f"{take.name}-b", "rejected": flag(True), "descriptions": bad},
    ]


def _apply_oddity(root: Path, take: Mini, films: bool) -> None:
    """Damage the files of a take as its `oddity` says."""
    videos = [root / path for path in take.videos.values()]
    small = [path.parent / "downscaled" / "448" / path.name for path in videos]
    if take.oddity == "downscaled only" and films:
        for path in videos:
            path.unlink()
    if take.oddity == "video missing" and films:
        videos[2].unlink()
        small[2].unlink()
    if take.oddity == "empty pose, corrupt video":
        source, split, _ = take.poses[0]
        pose = root / f"annotations/ego_pose/{split}/body/{source}/{take.uid}.json"
        pose.write_bytes(b"")
        rating = root / "annotations/expert_commentary" / take.name / EXPERTS[0] / "data.json"
        rating.write_text('{"proficiency": {"rating": 5')
        if films:
            data = small[1].read_bytes()
            small[1].write_bytes(data[: len(data) // 3])
    if take.oddity == "pose jumps":
        source, split, _ = take.poses[0]
        pose = root / f"annotations/ego_pose/{split}/body/{source}/{take.uid}.json"
        frames = json.loads(pose.read_text())
        for number, people in frames.items():
            if int(number) % 20 == 7:
                for point in people[0]["annotation3D"].values():
                    point["x"] += 3.0
        pose.write_text(json.dumps(frames))


def _dump(path: Path, value: Mapping[Any, Any] | Sequence[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.egoexo4d.miniature")
    parser.add_argument("folder", type=Path, help="new or empty folder")
    parser.add_argument("--full-size", action="store_true", help="as many takes as the real one")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size")
    options = parser.parse_args(arguments)
    if options.folder.exists() and any(options.folder.iterdir()):
        print(f"{options.folder} is not empty; name a new folder", file=sys.stderr)
        return 1
    if options.full_size:
        from data_prep.egoexo4d.full_size import write_full_size

        print(json.dumps(write_full_size(options.folder, options.scale)))
    else:
        print(write_miniature(options.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
