"""Calibration files to cameras: Qualisys XML, Pose2Sim TOML, Ego-Exo4D camera_pose JSON.

Which of the three a file is, is told by its content. docs/data/multiview.md lists the fields that
are read.
"""

import json
import re
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.spatial.transform import Rotation

from assistant.errors import PoiseError
from assistant.files import check_file
from assistant.pose.camera import Camera

_FORMATS: Final = (
    "a Qualisys calibration (XML), a Pose2Sim calibration (TOML) or an Ego-Exo4D camera_pose (JSON)"
)
_MAX_BYTES: Final = 256 * 2**20
_SUBPIXEL: Final = 64.0  # Qualisys counts in 1/64 pixel
_FLIP: Final = np.diag([1.0, -1.0, -1.0])  # Qualisys cameras look along -z, y up
_QUALISYS_BENDS: Final = (
    "radialDistortion1",
    "radialDistortion2",
    "tangentalDistortion1",
    "tangentalDistortion2",
    "radialDistortion3",
)
# The frames that Ego-Exo4D's exo cameras were calibrated on; the files do not state it.
_EGOEXO_SIZE: Final = (3840.0, 2160.0)
_CENTRE_TOLERANCE: Final = 0.15
_UPRIGHT: Final = 0.5


def read_calibration(path: Path) -> list[Camera]:
    """The static cameras of a calibration file, in its order, metres, z up.

    Raises:
        PoiseError: with one line: no such file, none of the formats, a field that is missing or no
            number, fewer than two cameras, or a world whose z axis does not point up.
    """
    check_file(path, "calibration", _FORMATS)
    if path.stat().st_size > _MAX_BYTES:
        raise _bad(path, "more than 256 MB", _FORMATS)
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise _bad(path, "no text", _FORMATS) from fault
    except OSError as fault:
        raise _bad(path, (fault.strerror or str(fault)).lower(), _FORMATS) from fault
    start = text.lstrip()[:1]
    reader = _qualisys if start == "<" else _egoexo if start == "{" else _pose2sim
    try:
        cameras = reader(path, text)
    except KeyError as fault:
        raise _bad(path, f"no field {fault.args[0]}", f"every field of {_kind(reader)}") from fault
    except (ValueError, TypeError, AttributeError) as fault:
        raise _bad(path, str(fault).split("\n")[0], f"numbers as in {_kind(reader)}") from fault
    return _checked(path, cameras)


def match_cameras(cameras: Sequence[Camera], films: Mapping[str, Path]) -> dict[str, Camera]:
    """The camera of each view.

    A film belongs to the camera whose name stands in its file name (`take_cam02.mp4`, `cam02`).
    If no film names a camera, the view exoN belongs to the N-th camera of the file.

    Args:
        cameras: of one calibration.
        films: view name to film.

    Raises:
        PoiseError: some films name a camera and others do not, two views share one, or a view's
            number has no camera.
    """
    named = {view: _named(cameras, film.stem) for view, film in films.items()}
    if not any(named.values()):
        named = {view: _numbered(cameras, view) for view in films}
    known = ", ".join(camera.name for camera in cameras)
    found: dict[str, Camera] = {}
    for view, camera in named.items():
        if camera is None:
            raise PoiseError(
                f"no camera for view {view} ({films[view].name})",
                got=f"a calibration of {known}",
                expected="a camera for every view",
                remedy="put the camera's name into the film's name, or leave the view out",
            )
        if any(camera is other for other in found.values()):
            raise PoiseError(
                f"two views of camera {camera.name}",
                got=" and ".join(str(films[v]) for v, c in named.items() if c is camera),
                expected="one film a camera",
            )
        found[view] = camera
    return found


def _named(cameras: Sequence[Camera], stem: str) -> Camera | None:
    """The camera whose name is a whole word of the stem, the longest such name."""
    hits = [
        camera
        for camera in cameras
        if re.search(rf"(?<![a-z0-9]){re.escape(camera.name.lower())}(?![a-z0-9])", stem.lower())
    ]
    return max(hits, key=lambda camera: len(camera.name), default=None)


def _numbered(cameras: Sequence[Camera], view: str) -> Camera | None:
    number = int(view.removeprefix("exo")) - 1 if view.startswith("exo") else -1
    return cameras[number] if 0 <= number < len(cameras) else None


# The three formats


def _qualisys(path: Path, text: str) -> list[Camera]:
    """camera/transform (mm) and camera/intrinsic (1/64 pixel)."""
    if "<!DOCTYPE" in text[:4096].upper() or "<!ENTITY" in text.upper():
        raise _bad(path, "an XML document with its own entities", "plain Qualisys XML")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as fault:
        raise _bad(path, f"broken XML ({fault})", "Qualisys XML") from fault
    return [_qualisys_camera(path, node) for node in root.iter("camera")]


def _qualisys_camera(path: Path, node: ElementTree.Element) -> Camera:
    name = node.attrib["serial"]
    if float(node.get("viewrotation", "0")) != 0:
        raise _bad(
            path,
            f"camera {name} with viewrotation {node.get('viewrotation')}",
            "viewrotation 0: films turned as they were calibrated",
        )
    place, lens, field = node.find("transform"), node.find("intrinsic"), node.find("fov_video")
    if place is None or lens is None or field is None:
        raise _bad(
            path,
            f"camera {name} without all parts",
            "fov_video, transform and intrinsic in every camera",
        )
    turn = np.array([[_attribute(place, f"r{i}{j}") for j in (1, 2, 3)] for i in (1, 2, 3)])
    position = np.array([_attribute(place, axis) for axis in "xyz"]) / 1000
    rotation = _FLIP @ turn
    left, top = _attribute(field, "left"), _attribute(field, "top")
    matrix = np.array(
        [
            [
                _attribute(lens, "focalLengthU"),
                _attribute(lens, "skew", 0.0),
                _attribute(lens, "centerPointU"),
            ],
            [0.0, _attribute(lens, "focalLengthV"), _attribute(lens, "centerPointV")],
            [0.0, 0.0, _SUBPIXEL],
        ]
    )
    matrix = matrix / _SUBPIXEL - np.array([[0, 0, left], [0, 0, top], [0, 0, 0]])
    return Camera(
        name=name,
        size=(_attribute(field, "right") - left + 1, _attribute(field, "bottom") - top + 1),
        matrix=matrix,
        distortion=np.array([_attribute(lens, key, 0.0) for key in _QUALISYS_BENDS]),
        fisheye=False,
        rotation=rotation,
        translation=-rotation @ position,
    )


def _attribute(node: ElementTree.Element, key: str, default: float | None = None) -> float:
    if key not in node.attrib and default is not None:
        return default
    return float(node.attrib[key])


def _pose2sim(path: Path, text: str) -> list[Camera]:
    """One table a camera: size, matrix, distortions, rotation (Rodrigues), translation (m)."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise _bad(path, f"neither XML, JSON nor TOML ({fault})", _FORMATS) from fault
    cameras = []
    for key, table in tables.items():
        if key == "metadata" or not isinstance(table, dict):
            continue
        fisheye = bool(table.get("fisheye", False))
        width, height = _array(key, "size", table["size"], (2,))
        cameras.append(
            Camera(
                name=str(table.get("name", key)),
                size=(float(width), float(height)),
                matrix=_array(key, "matrix", table["matrix"], (3, 3)),
                distortion=_padded(key, table["distortions"], fisheye),
                fisheye=fisheye,
                rotation=Rotation.from_rotvec(
                    _array(key, "rotation", table["rotation"], (3,))
                ).as_matrix(),
                translation=_array(key, "translation", table["translation"], (3,)),
            )
        )
    return cameras


def _egoexo(path: Path, text: str) -> list[Camera]:
    """camera_intrinsics, camera_extrinsics (world to camera) and distortion_coeffs (fisheye).

    Cameras with one extrinsic matrix a frame (the Aria glasses, which move) are left out.
    """
    try:
        tables = json.loads(text)
    except json.JSONDecodeError as fault:
        raise _bad(path, f"broken JSON ({fault})", "an Ego-Exo4D camera_pose file") from fault
    cameras = []
    for key, table in tables.items():
        if key == "metadata" or not isinstance(table, dict):
            continue
        if isinstance(table.get("camera_extrinsics"), dict):
            continue
        matrix = _array(key, "camera_intrinsics", table["camera_intrinsics"], (3, 3))
        pose = np.asarray(table["camera_extrinsics"], dtype=np.float64)
        pose = _array(key, "camera_extrinsics", pose[:3] if pose.shape == (4, 4) else pose, (3, 4))
        off = np.abs(matrix[:2, 2] / _EGOEXO_SIZE - 0.5)
        if off.max() > _CENTRE_TOLERANCE:
            raise _bad(
                path,
                f"camera {key} with its centre at {matrix[0, 2]:.0f}, {matrix[1, 2]:.0f}",
                "intrinsics of frames of 3840 x 2160 pixels",
            )
        cameras.append(
            Camera(
                name=key,
                size=_EGOEXO_SIZE,
                matrix=matrix,
                distortion=_padded(key, table.get("distortion_coeffs") or [0.0], fisheye=True),
                fisheye=True,
                rotation=pose[:, :3],
                translation=pose[:, 3],
            )
        )
    return cameras


def _array(camera: str, field: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A field as float64 of this shape; ValueError names camera and field otherwise."""
    try:
        found = np.asarray(value, dtype=np.float64)
    except (ValueError, TypeError):
        raise ValueError(f"{field} of camera {camera} that is no list of numbers") from None
    if found.shape != shape:
        raise ValueError(f"{field} of camera {camera} of shape {found.shape}, not {shape}")
    return found


def _padded(camera: str, value: Any, fisheye: bool) -> np.ndarray:
    """Distortion coefficients with the higher ones that are not given as zeros."""
    length = 4 if fisheye else 5
    given = np.asarray(value, dtype=np.float64).ravel()
    if len(given) > length:
        if given[length:].any():
            raise ValueError(f"{len(given)} distortion coefficients of camera {camera}")
        given = given[:length]
    return np.concatenate([given, np.zeros(length - len(given))])


def _checked(path: Path, cameras: list[Camera]) -> list[Camera]:
    """The cameras, after checks that hold for every format."""
    if len(cameras) < 2:
        raise _bad(path, f"{len(cameras)} static cameras", "at least two of " + _FORMATS)
    for camera in cameras:
        parts = (camera.matrix, camera.distortion, camera.rotation, camera.translation)
        if not all(np.isfinite(part).all() for part in parts) or min(camera.size) <= 0:
            raise _bad(path, f"camera {camera.name} with infinite or NaN values", "finite numbers")
        gap = np.abs(camera.rotation @ camera.rotation.T - np.eye(3)).max()
        if gap > 1e-2 or np.linalg.det(camera.rotation) < 0:
            raise _bad(path, f"camera {camera.name} whose rotation is none", "a rotation matrix")
        if min(camera.matrix[0, 0], camera.matrix[1, 1]) <= 0:
            raise _bad(path, f"camera {camera.name} of focal length 0 or below", "pixels above 0")
    names = [camera.name for camera in cameras]
    if len(set(names)) < len(names):
        raise _bad(path, f"cameras named {', '.join(names)}", "one name a camera")
    # Films are nearly always upright, so the mean of the cameras' own up directions shows whether
    # the calibration's world has z up.
    up = -np.mean([camera.rotation[1] for camera in cameras], axis=0)
    if up[2] < _UPRIGHT * np.linalg.norm(up):
        raise _bad(
            path,
            f"cameras whose upright is ({', '.join(f'{u:.1f}' for u in up)}) in its world",
            "a world with z up",
            "calibrate, or turn the calibration, with the z axis against gravity",
        )
    return cameras


def _kind(reader: Any) -> str:
    names = {_qualisys: "Qualisys XML", _pose2sim: "Pose2Sim TOML"}
    return names.get(reader, "an Ego-Exo4D camera_pose file")


def _bad(path: Path, got: str, expected: str, remedy: str = "") -> PoiseError:
    return PoiseError(
        f"cannot read calibration {path}",
        got=got,
        expected=expected,
        remedy=remedy or "export the calibration of this take again",
    )
