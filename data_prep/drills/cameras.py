"""Where the cameras stand: one on the performer's head and up to four around the performer.

Pinhole cameras in the convention of computer vision: a world point X has camera coordinates
`R X + t` with x right, y down, z forward, and falls on pixel `K (R X + t)`, divided by its third
coordinate. Placement is seeded per view, so that a view looks the same whichever others are asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.skeleton import (
    LEFT_ANKLE,
    LEFT_EAR,
    LEFT_EYE,
    LEFT_HIP,
    LEFT_SHOULDER,
    NOSE,
    RIGHT_ANKLE,
    RIGHT_EAR,
    RIGHT_EYE,
    RIGHT_HIP,
    RIGHT_SHOULDER,
    pelvis,
)
from prompts.vocabulary import VIEWS

UP = np.array([0.0, 0.0, 1.0])
ANKLE_HEIGHT = 0.08  # metres of the ankle joint over the floor, in standing


@dataclass(frozen=True)
class CameraStyle:
    """Ranges from which a camera is drawn; angles in degrees, lengths in metres.

    Attributes:
        azimuths: the direction of exo1..exo4 seen from the performer, 0 in front, 90 to the left.
        azimuth_jitter: half width of the uniform noise on it.
        distance: range from the performer.
        height: range over the floor.
        fill: range of the share of the picture that the motion fills.
        ego_pitch: range of the ego camera's angle below the head's own direction.
        ego_field: range of the ego camera's whole field of view.
    """

    azimuths: tuple[float, ...] = (45.0, 315.0, 135.0, 225.0)
    azimuth_jitter: float = 20.0
    distance: tuple[float, float] = (2.8, 4.2)
    height: tuple[float, float] = (0.9, 1.9)
    fill: tuple[float, float] = (0.86, 1.0)
    ego_pitch: tuple[float, float] = (34.0, 46.0)
    ego_field: tuple[float, float] = (95.0, 110.0)


STANDARD = CameraStyle()
# Outside the training ranges, for the shifted split.
SHIFTED = CameraStyle(
    azimuths=(80.0, 280.0, 170.0, 10.0),
    azimuth_jitter=10.0,
    distance=(5.0, 7.0),
    height=(2.1, 3.0),
    fill=(0.6, 0.75),
    ego_pitch=(50.0, 58.0),
    ego_field=(80.0, 92.0),
)


@dataclass(frozen=True)
class Camera:
    """One calibrated view over N frames; a fixed camera repeats its pose.

    Attributes:
        view: "ego" or "exo1".."exo4".
        size: side of the square picture in pixels.
        intrinsics: K [3, 3] in pixels.
        rotation: R [N, 3, 3], world to camera.
        translation: t [N, 3], metres.
    """

    view: str
    size: int
    intrinsics: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """World points [N, J, 3] in camera coordinates [N, J, 3], metres."""
        return np.einsum("nij,nkj->nki", self.rotation, points) + self.translation[:, None]

    def project(self, points: np.ndarray) -> np.ndarray:
        """World points [N, J, 3] in pixels [N, J, 2]; points behind the camera give nonsense."""
        camera = self.to_camera(points)
        pixels = camera @ self.intrinsics.T
        return pixels[..., :2] / pixels[..., 2:]

    @property
    def moves(self) -> bool:
        """True where the pose changes over the frames."""
        return self.view == "ego"

    def to_record(self) -> dict[str, object]:
        """The `calibration` of a record: K, R, t as lists, one R and t for a fixed camera."""
        moving = self.moves
        return {
            "size": self.size,
            "K": self.intrinsics.tolist(),
            "R": (self.rotation if moving else self.rotation[0]).tolist(),
            "t": (self.translation if moving else self.translation[0]).tolist(),
        }


def place_cameras(
    pose: PoseSequence,
    views: Sequence[str],
    times: np.ndarray,
    *,
    size: int = 64,
    seed: int = 0,
    style: CameraStyle = STANDARD,
) -> dict[str, Camera]:
    """The cameras of a clip, their frames at `times` [N] seconds.

    Fixed cameras depend on the whole clip, not on `times`. A pose without a root path is put on
    the floor first (`grounded`). Raises PoiseError for a view that does not exist.
    """
    unknown = [view for view in views if view not in VIEWS]
    if unknown:
        raise PoiseError("unknown view", got=", ".join(unknown), expected=", ".join(VIEWS))
    pose = grounded(pose)
    cameras = {}
    for view in views:
        rng = np.random.default_rng([seed, VIEWS.index(view)])
        if view == "ego":
            cameras[view] = _ego_camera(pose.at_times(times, pose.fps).joints, size, style, rng)
        else:
            cameras[view] = _exo_camera(pose.joints, view, len(times), size, style, rng)
    return cameras


def calibration_record(cameras: dict[str, Camera]) -> dict[str, dict[str, object]]:
    """The record's `calibration`: view name to K, R, t."""
    return {view: camera.to_record() for view, camera in cameras.items()}


def grounded(pose: PoseSequence) -> PoseSequence:
    """The pose standing on the floor z = 0: unchanged where its world is real, else lifted so that
    the lowest ankle of every frame is at the height of a standing ankle."""
    if pose.world:
        return pose
    joints = pose.joints - pelvis(pose.joints)[:, None]
    lowest = joints[:, [LEFT_ANKLE, RIGHT_ANKLE], 2].min(axis=1)
    joints[..., 2] += (ANKLE_HEIGHT - lowest)[:, None]
    return PoseSequence(joints, pose.confidence, pose.fps, pose.source, world=True)


def facing(joints: np.ndarray) -> np.ndarray:
    """Horizontal unit vector [F, 3] to which the trunk faces, from hips and shoulders."""
    across = joints[:, LEFT_HIP] - joints[:, RIGHT_HIP]
    across = across + joints[:, LEFT_SHOULDER] - joints[:, RIGHT_SHOULDER]
    return _unit(np.cross(across * [1.0, 1.0, 0.0], UP))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-6)


def look_at(forward: np.ndarray) -> np.ndarray:
    """Rotation [3, 3] of an upright camera that looks along `forward` [3]."""
    return _look(_unit(forward)[None], UP[None])[0]


def _look(forward: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Rotations [N, 3, 3] of cameras that look along `forward` [N, 3] with `up` [N, 3] upwards."""
    right = _unit(np.cross(forward, up))
    down = np.cross(forward, right)
    return np.stack([right, down, forward], axis=-2)


def _intrinsics(focal: float, size: int) -> np.ndarray:
    return np.array([[focal, 0.0, size / 2], [0.0, focal, size / 2], [0.0, 0.0, 1.0]])


def _ego_camera(
    joints: np.ndarray, size: int, style: CameraStyle, rng: np.random.Generator
) -> Camera:
    pitch = np.radians(rng.uniform(*style.ego_pitch))
    field = np.radians(rng.uniform(*style.ego_field))
    ears = (joints[:, LEFT_EAR] + joints[:, RIGHT_EAR]) / 2
    eyes = (joints[:, LEFT_EYE] + joints[:, RIGHT_EYE]) / 2
    across = _unit(joints[:, LEFT_EAR] - joints[:, RIGHT_EAR])
    ahead = joints[:, NOSE] - ears
    ahead = _unit(ahead - (ahead * across).sum(axis=-1, keepdims=True) * across)
    upward = np.cross(ahead, across)
    forward = np.cos(pitch) * ahead - np.sin(pitch) * upward
    rotation = _look(forward, upward)
    position = eyes + 0.03 * ahead
    translation = -np.einsum("nij,nj->ni", rotation, position)
    return Camera(
        "ego", size, _intrinsics(size / 2 / np.tan(field / 2), size), rotation, translation
    )


def _exo_camera(
    joints: np.ndarray,
    view: str,
    frames: int,
    size: int,
    style: CameraStyle,
    rng: np.random.Generator,
) -> Camera:
    azimuth = style.azimuths[VIEWS.index(view) - 1]
    azimuth = np.radians(azimuth + rng.uniform(-1, 1) * style.azimuth_jitter)
    distance, height = rng.uniform(*style.distance), rng.uniform(*style.height)
    fill = rng.uniform(*style.fill)
    low, high = joints.min(axis=(0, 1)), joints.max(axis=(0, 1))
    centre = (low + high) / 2
    ahead = facing(joints[: max(len(joints) // 10, 1)].mean(axis=0, keepdims=True))[0]
    left = np.cross(UP, ahead)
    position = centre + distance * (np.cos(azimuth) * ahead + np.sin(azimuth) * left)
    position[2] = height
    rotation = _look(_unit(centre - position)[None], UP[None])
    translation = -rotation[0] @ position
    seen = joints.reshape(-1, 3) @ rotation[0].T + translation
    # The head's top and the feet's soles lie outside the joints: a margin of 15 cm.
    reach = (np.abs(seen[:, :2]) + 0.15) / np.maximum(seen[:, 2:], 0.5)
    focal = fill * size / 2 / reach.max()
    return Camera(
        view,
        size,
        _intrinsics(focal, size),
        np.repeat(rotation, frames, axis=0),
        np.repeat(translation[None], frames, axis=0),
    )
