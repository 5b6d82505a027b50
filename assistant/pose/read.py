"""Pose files in and out: `.npz` (joints, fps, confidence) and Ego-Exo4D body JSON.

Marker files (`.trc`, `.c3d`) come in by `assistant.pose.markers`.
"""

import os
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.files import check_file, check_length
from assistant.skeleton import (
    INDEX,
    JOINTS,
    LEFT_ANKLE,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_SHOULDER,
    N_JOINTS,
    RIGHT_ANKLE,
    RIGHT_HIP,
    RIGHT_KNEE,
    RIGHT_SHOULDER,
    pelvis,
)

POSE_SUFFIXES: Final = (".npz", ".json", ".trc", ".c3d")
SOURCES: Final = ("file", "simulated", "mediapipe", "triangulated")
EGOEXO_FPS: Final = 30.0
# Thigh plus shin of people from small children to the tallest, metres.
_LEG_METRES: Final = (0.35, 1.25)
_UNITS: Final = {"metres": 1.0, "centimetres": 0.01, "millimetres": 0.001}
_UNIT_NAMES: Final = "metres, centimetres or millimetres"
_CENTRED_METRES: Final = 2e-3
_NPZ: Final = "joints [frames, 17, 3] in metres with z up, fps, optionally confidence [frames, 17]"


def read_pose(path: Path) -> PoseSequence:
    """A pose file, checked: `.npz` of DESIGN section 2, Ego-Exo4D body `.json`, `.trc` or `.c3d`.

    `world` is False where every frame is centred on the pelvis.

    Raises:
        PoiseError: with one line, for everything that is wrong with the file.
    """
    check_file(path, "pose file")
    if path.suffix.lower() == ".json":
        return read_egoexo_body(path)[0]
    if path.suffix.lower() in (".trc", ".c3d"):
        from assistant.pose.markers import read_markers

        return read_markers(path).pose
    return _read_npz(path)


def write_pose(path: Path, pose: PoseSequence) -> None:
    """Write `.npz` without pickle; the file appears whole or not at all.

    Raises:
        PoiseError: the folder cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".part")
    except OSError as fault:
        raise _unwritable(path, fault) from fault
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(
                file,
                joints=pose.joints.astype(np.float32),
                confidence=pose.confidence.astype(np.float32),
                fps=np.float64(pose.fps),
                source=np.array(pose.source),
            )
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError as fault:
        raise _unwritable(path, fault) from fault
    finally:
        Path(name).unlink(missing_ok=True)


def read_egoexo_body(path: Path) -> tuple[PoseSequence, int]:
    """Ego-Exo4D `ego_pose/.../body/*/<take_uid>.json` and the number of its first frame (30 fps).

    Annotated every k-th frame, the pose has 30/k fps. Joints and frames that the file lacks get
    confidence 0 and positions interpolated over time. Units (not stated in the files) are told by
    the length of the legs.

    Raises:
        PoiseError: no such JSON, no frames, unknown joints or unit, or a check of `read_pose`.
    """
    check_file(path, "pose file")
    people = _egoexo_people(path)
    numbers = np.array(sorted(people))
    stride = max(int(np.gcd.reduce(np.diff(numbers))) if len(numbers) > 1 else 1, 1)
    count = int(numbers[-1] - numbers[0]) // stride + 1
    joints = np.zeros((count, N_JOINTS, 3))
    confidence = np.zeros((count, N_JOINTS))
    for number, person in people.items():
        row = (number - int(numbers[0])) // stride
        for name, point in person.items():
            joints[row, INDEX[name]] = point
            confidence[row, INDEX[name]] = 1.0
    joints = fill_gaps(joints, confidence)
    unit = _unit(joints, confidence)
    if unit is None:
        raise bad_pose_file(
            path,
            f"legs of {_leg_length(joints, confidence):.3g} units",
            f"legs of a person in {_UNIT_NAMES}",
        )
    pose = checked_pose(path, joints * _UNITS[unit], confidence, EGOEXO_FPS / stride, "file")
    return pose, int(numbers[0])


def fill_gaps(joints: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Positions of joints with confidence 0, interpolated linearly over time.

    The ends are held; a joint that is never seen takes the mean of those seen in the frame.

    Args:
        joints: [F, J, D], any unit; values at confidence 0 are not read.
        confidence: [F, J].
    """
    filled = np.where(confidence[..., None] > 0, joints, 0.0)
    times = np.arange(len(joints))
    for j in range(joints.shape[1]):
        seen = np.flatnonzero(confidence[:, j] > 0)
        if 0 < len(seen) < len(joints):
            for axis in range(joints.shape[2]):
                filled[:, j, axis] = np.interp(times, seen, filled[seen, j, axis])
    never = ~(confidence > 0).any(axis=0)
    if never.any() and not never.all():
        filled[:, never] = filled[:, ~never].mean(axis=1, keepdims=True)
    return filled


def _read_npz(path: Path) -> PoseSequence:
    arrays = _load_arrays(path)
    missing = [key for key in ("joints", "fps") if key not in arrays]
    if missing:
        raise bad_pose_file(
            path, f"no {' and no '.join(missing)}; it holds {_listed(arrays)}", _NPZ
        )
    joints, fps = arrays["joints"], arrays["fps"]
    if joints.dtype.kind not in "fiu" or joints.ndim != 3 or joints.shape[2] != 3:
        raise bad_pose_file(path, f"joints of shape {joints.shape} and type {joints.dtype}", _NPZ)
    if joints.shape[1] != N_JOINTS:
        raise bad_pose_file(
            path,
            f"{joints.shape[1]} joints",
            f"{N_JOINTS} joints in COCO order ({JOINTS[0]}, {JOINTS[1]}, ..., {JOINTS[-1]})",
        )
    if fps.size != 1 or fps.dtype.kind not in "fiu" or not 0 < float(fps.reshape(())) < np.inf:
        raise bad_pose_file(path, f"fps {_listed(fps.ravel()[:4])}", "one number above 0")
    confidence = arrays.get("confidence", np.ones(joints.shape[:2]))
    if confidence.dtype.kind not in "fiub" or confidence.shape != joints.shape[:2]:
        raise bad_pose_file(
            path, f"confidence of shape {confidence.shape}", f"shape {joints.shape[:2]}, 0 to 1"
        )
    _check_finite(path, joints, "joints")
    _check_finite(path, confidence[..., None], "confidence")
    if confidence.min(initial=0.0) < 0 or confidence.max(initial=0.0) > 1:
        raise bad_pose_file(
            path, f"confidence {confidence.min():g} to {confidence.max():g}", "0 to 1"
        )
    source = str(arrays.get("source", np.array("file")))
    source = source if source in SOURCES else "file"
    return checked_pose(path, joints, confidence, float(fps.reshape(())), source)


def _load_arrays(path: Path) -> dict[str, np.ndarray]:
    got = "no readable .npz archive"
    if zipfile.is_zipfile(path):
        try:
            with np.load(path, allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
        except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as fault:
            got = "Python objects" if "pickle" in str(fault) else got
    raise bad_pose_file(path, got, f"an .npz file with {_NPZ}")


def _egoexo_people(path: Path) -> dict[int, dict[str, tuple[float, float, float]]]:
    """Frame number to joint name to position, of frames with any 3D joint.

    Frames are parsed one at a time: a take of ten minutes is a file of some 200 MB.
    """
    import ijson

    expected = 'Ego-Exo4D body JSON, {"<frame>": [{"annotation3D": {"left-hip": {x, y, z}}}]}'
    found = {}
    try:
        with path.open("rb") as file:
            for number, people in ijson.kvitems(file, "", use_float=True):
                if person := _person(people):
                    found[int(number)] = person
    except (ijson.JSONError, ValueError, TypeError, KeyError, AttributeError) as fault:
        broken = isinstance(fault, ijson.JSONError)
        reason = "broken JSON" if broken else type(fault).__name__
        first_line = str(fault).partition("\n")[0]
        raise bad_pose_file(path, f"{reason}: {first_line}", expected) from fault
    if not found:
        raise bad_pose_file(path, "no frame with 3D joints", expected)
    return found


def _person(people: Any) -> dict[str, tuple[float, float, float]]:
    """The first annotated person's joints by Poise's names."""
    if not people:
        return {}
    marks = (people[0] if isinstance(people, list) else people).get("annotation3D") or {}
    found = {}
    for name, point in marks.items():
        joint = name.replace("-", "_")
        if joint not in INDEX:
            raise ValueError(f"unknown joint {name!r}")
        found[joint] = (float(point["x"]), float(point["y"]), float(point["z"]))
        if not np.isfinite(found[joint]).all():
            raise ValueError(f"NaN at joint {name!r}")
    return found


def checked_pose(
    path: Path, joints: np.ndarray, confidence: np.ndarray, fps: float, source: str
) -> PoseSequence:
    """The checks that all formats share, and the pose [F, 17, 3] that passes them."""
    check_length(path, "pose file", len(joints), fps)
    if not (confidence > 0).any():
        raise bad_pose_file(
            path, "confidence 0 at every joint of every frame", "joints that were seen"
        )
    unit = _unit(joints, confidence)
    if unit != "metres" and np.isfinite(length := _leg_length(joints, confidence)):
        guess = f", as if in {unit}" if unit else ""
        raise bad_pose_file(path, f"legs {length:.3g} long{guess}", "metres (legs of 0.35 to 1.25)")
    _check_upright(path, joints, confidence)
    seen = (confidence[:, LEFT_HIP] > 0) & (confidence[:, RIGHT_HIP] > 0)
    offset = np.abs(pelvis(joints)[seen])
    return PoseSequence(
        joints=joints.astype(np.float32),
        confidence=confidence.astype(np.float32),
        fps=fps,
        source=source,
        world=not (offset.size and offset.max() < _CENTRED_METRES),
    )


def _check_finite(path: Path, values: np.ndarray, name: str) -> None:
    """Raise, saying how many NaN there are and where, for values [F, 17, n]."""
    bad = ~np.isfinite(values).all(axis=-1)
    if not bad.any():
        return
    frame, joint = (int(i) for i in np.argwhere(bad)[0])
    raise PoiseError(
        f"cannot use pose file {path}",
        got=f"NaN or infinite {name} at {int(bad.sum())} of {bad.size} joints in "
        f"{int(bad.any(axis=1).sum())} of {len(bad)} frames, first {JOINTS[joint]} in frame "
        f"{frame}",
        expected="finite numbers",
        remedy="give missing joints confidence 0 and any finite position",
    )


def _check_upright(path: Path, joints: np.ndarray, confidence: np.ndarray) -> None:
    """Raise where the body hangs head down or lies along one axis all the time."""
    ends = [LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ANKLE, RIGHT_ANKLE]
    seen = (confidence[:, ends] > 0).all(axis=1)
    if not seen.any():
        return
    up = joints[seen][:, ends[:2]].mean(axis=1) - joints[seen][:, ends[2:]].mean(axis=1)
    up = up / np.maximum(np.linalg.norm(up, axis=1, keepdims=True), 1e-9)
    typical = np.median(up, axis=0)
    axis = int(np.abs(typical).argmax())
    if abs(typical[axis]) < 0.85 or (axis == 2 and typical[2] > 0):
        return
    sign = "" if typical[axis] > 0 else "-"
    raise bad_pose_file(
        path,
        f"from ankles to shoulders the body points along {sign}{'xyz'[axis]}",
        "z up, gravity along -z",
        "turn the axes so that z is up",
    )


def _leg_length(joints: np.ndarray, confidence: np.ndarray) -> float:
    """Median thigh plus shin in the file's unit; NaN where no leg was seen."""
    lengths = []
    for hip, knee, ankle in (
        (LEFT_HIP, LEFT_KNEE, LEFT_ANKLE),
        (RIGHT_HIP, RIGHT_KNEE, RIGHT_ANKLE),
    ):
        seen = (confidence[:, [hip, knee, ankle]] > 0).all(axis=1)
        leg = joints[seen]
        lengths.append(
            np.linalg.norm(leg[:, hip] - leg[:, knee], axis=-1)
            + np.linalg.norm(leg[:, knee] - leg[:, ankle], axis=-1)
        )
    every = np.concatenate(lengths)
    return float(np.median(every)) if len(every) else float("nan")


def _unit(joints: np.ndarray, confidence: np.ndarray) -> str | None:
    """The unit that makes the legs human, None where none does or no leg was seen."""
    length = _leg_length(joints, confidence)
    for unit, scale in _UNITS.items():
        if _LEG_METRES[0] <= length * scale <= _LEG_METRES[1]:
            return unit
    return None


def _listed(values: Any) -> str:
    return ", ".join(str(value) for value in values) or "nothing"


def bad_pose_file(path: Path, got: str, expected: str, remedy: str = "") -> PoiseError:
    """The one line for a pose file that cannot be used."""
    return PoiseError(
        f"cannot use pose file {path}",
        got=got,
        expected=expected,
        remedy=remedy or "write the file again as the README shows",
    )


def _unwritable(path: Path, fault: OSError) -> PoiseError:
    return PoiseError(
        f"cannot write pose file {path}",
        got=(fault.strerror or str(fault)).lower(),
        expected="a folder that can be written",
        remedy="name another place",
    )
