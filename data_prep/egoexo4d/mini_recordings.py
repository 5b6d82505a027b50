"""The files of one take of the miniature: body pose, cameras, gaze, features, films."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.dataset import FEATURE_KINDS
from assistant.pose.read import EGOEXO_FPS
from assistant.skeleton import JOINTS
from data_prep.egoexo4d.mini_takes import EXPERTS, Mini

_PICTURE: Final = 64
_FEATURE_RATE: Final = 30 / 16


def write_take(root: Path, take: Mini, motion: PoseSequence) -> None:
    """All files of one take, damaged as its `oddity` says."""
    for source, split, scale in take.poses:
        manual = source == "annotation"
        # Annotators mark every third frame of the first half.
        joints = motion.joints[: len(motion) // 2 : 3] + 0.01 if manual else motion.joints
        frames = body_frames(joints, 0, 3 if manual else 1, scale)
        dump(_pose_path(root, take, source, split), frames)
    split = take.poses[0][1] if take.poses else "train"
    cameras = {
        Path(path).stem.partition("_")[0]: _camera(i) for i, path in enumerate(take.videos.values())
    }
    known = {"metadata": {"take_uid": take.uid, "take_name": take.name}} | cameras
    dump(root / f"annotations/ego_pose/{split}/camera_pose/{take.uid}.json", known)
    if take.gaze:
        _write_gaze(root / "takes" / take.name / "eye_gaze", take.gaze, motion.duration)
    _write_features(root, take.uid, list(cameras), motion.duration)
    _write_films(root, take, motion.duration)
    _damage(root, take)


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

    rows = max(round(seconds * _FEATURE_RATE), 1)
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


def _damage(root: Path, take: Mini) -> None:
    """Damage the files of a take as its `oddity` says."""
    full = [root / path for path in take.videos.values()]
    small = [path.parent / "downscaled" / "448" / path.name for path in full]
    if take.oddity == "downscaled only":
        for path in full:
            path.unlink()
    elif take.oddity == "video missing":
        full[2].unlink()
        small[2].unlink()
    elif take.oddity == "empty pose, corrupt video and rating":
        _pose_path(root, take, *take.poses[0][:2]).write_bytes(b"")
        data = small[1].read_bytes()
        small[1].write_bytes(data[: len(data) // 3])
        rating = root / "annotations/expert_commentary" / take.name / EXPERTS[0] / "data.json"
        rating.write_text('{"proficiency": {"rating": 5')
    elif take.oddity == "pose jumps":
        path = _pose_path(root, take, *take.poses[0][:2])
        frames = json.loads(path.read_text())
        for number, people in frames.items():
            if int(number) % 20 == 7:
                for point in people[0]["annotation3D"].values():
                    point["x"] += 3.0
        dump(path, frames)


def _pose_path(root: Path, take: Mini, source: str, split: str) -> Path:
    return root / f"annotations/ego_pose/{split}/body/{source}/{take.uid}.json"


def dump(path: Path, value: Mapping[Any, Any] | Sequence[Any]) -> None:
    """Write a JSON file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")
