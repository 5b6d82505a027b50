"""Poses as every learned part sees them: root-centred, heading-normalised, gravity along -z.

One yaw per clip turns the person to face +x with the left side at +y; the pelvis of every frame
is the origin. What centring hides is given beside it: heights of pelvis and ankles over the
floor (a heel rise cannot be seen without them) and, where it is real, the path over the ground.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.skeleton import (
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

PERCEPTION_FPS: Final = 15.0

# An adult of 1.75 m standing at rest, root-centred, facing +x, left at +y (metres; proportions
# after Winter, Biomechanics and Motor Control of Human Movement, 4th ed., figure 4.1). A joint
# that no frame shows is put here.
REST_POSE: Final = np.array(
    [
        [0.11, 0.0, 0.68],
        [0.08, 0.033, 0.715],
        [0.08, -0.033, 0.715],
        [0.0, 0.075, 0.69],
        [0.0, -0.075, 0.69],
        [0.0, 0.18, 0.50],
        [0.0, -0.18, 0.50],
        [-0.02, 0.22, 0.20],
        [-0.02, -0.22, 0.20],
        [0.03, 0.23, -0.05],
        [0.03, -0.23, -0.05],
        [0.0, 0.11, 0.0],
        [0.0, -0.11, 0.0],
        [0.01, 0.11, -0.42],
        [0.01, -0.11, -0.42],
        [-0.02, 0.11, -0.83],
        [-0.02, -0.11, -0.83],
    ],
    dtype=np.float64,
)

# Body scale: thigh + shank + trunk. Features are lengths times REFERENCE_SCALE / scale, so they
# read as the metres of the adult above.
_SCALE_BONES: Final = (
    ((LEFT_HIP, LEFT_KNEE), (RIGHT_HIP, RIGHT_KNEE)),
    ((LEFT_KNEE, LEFT_ANKLE), (RIGHT_KNEE, RIGHT_ANKLE)),
)
_TRUNK: Final = (LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP)
REFERENCE_BONES: Final = np.array([0.42, 0.41, 0.50])
REFERENCE_SCALE: Final = float(REFERENCE_BONES.sum())

# Columns of `frame_features`. Velocities are metres per second times VELOCITY_SCALE.
VELOCITY_SCALE: Final = 0.2
JOINT_SLICE: Final = slice(0, 51)  # joints, x y z of each in COCO order
HEIGHT_SLICE: Final = slice(51, 54)  # pelvis, left ankle, right ankle over the floor
JOINT_VELOCITY_SLICE: Final = slice(54, 105)
HEIGHT_VELOCITY_SLICE: Final = slice(105, 108)
ROOT_PRESENT_COLUMN: Final = 108  # 1 where the path over the ground is given
ROOT_SLICE: Final = slice(109, 111)  # path x y, its median over the given frames removed
ROOT_VELOCITY_SLICE: Final = slice(111, 113)
CONFIDENCE_COLUMN: Final = 113  # mean over the joints
FEATURE_DIM: Final = 114

_FLOOR_QUANTILE: Final = 0.05


@dataclass(frozen=True)
class NormalisedPose:
    """A pose sequence in the person's own frame (metres, float32).

    Attributes:
        joints: [F, 17, 3] pelvis at the origin, facing +x, left at +y, up +z.
        heights: [F, 3] pelvis, left ankle, right ankle over a standing ankle's level: measured
            against the clip's floor when the pose has a world, else over the lower ankle of the
            same frame.
        root_path: [F, 2] the pelvis over the ground, x forward, about its median; None without
            a world.
        confidence: [F, 17] in 0..1; a joint with 0 was filled in.
        fps: frames per second.
        yaw: heading that was removed, radians from world +x.
        scale: thigh + shank + trunk of this person (medians, metres); REFERENCE_SCALE for the
            reference adult.
        pelvis: [F, 3] where the pelvis was, for the way back (`to_pose`).
        source, world: as in PoseSequence.
    """

    joints: np.ndarray
    heights: np.ndarray
    root_path: np.ndarray | None
    confidence: np.ndarray
    fps: float
    yaw: float
    scale: float
    pelvis: np.ndarray
    source: str = "file"
    world: bool = True

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the end of the last."""
        return len(self) / self.fps

    def crop(self, start: float, end: float) -> "NormalisedPose":
        """The frames with times in [start, end) seconds; at least one. Floor and yaw stay."""
        first = min(max(round(start * self.fps), 0), len(self) - 1)
        last = min(max(round(end * self.fps), first + 1), len(self))
        return self._rows(lambda a: a[first:last], self.fps)

    def at_times(self, times: np.ndarray, fps: float) -> "NormalisedPose":
        """Linear interpolation at `times` [N] seconds, clamped to the clip; `fps` of the result."""
        position = np.clip(np.asarray(times, dtype=np.float64) * self.fps, 0, len(self) - 1)
        low = np.floor(position).astype(int)
        high = np.minimum(low + 1, len(self) - 1)
        weight = (position - low).astype(np.float32)

        def mix(a: np.ndarray) -> np.ndarray:
            w = weight.reshape(-1, *[1] * (a.ndim - 1))
            return (a[low] * (1 - w) + a[high] * w).astype(np.float32)

        return self._rows(mix, fps)

    def resample(self, fps: float) -> "NormalisedPose":
        """The same seconds at another frame rate."""
        if fps == self.fps:
            return self
        count = max(round(self.duration * fps), 1)
        return self.at_times(np.arange(count) / fps, fps)

    def to_pose(self) -> PoseSequence:
        """Back to where the person stood and faced: [F, 17, 3] in the input's coordinates."""
        joints = rotate_yaw(self.joints, self.yaw) + self.pelvis[:, None]
        return PoseSequence(
            joints.astype(np.float32), self.confidence, self.fps, self.source, self.world
        )

    def _rows(self, take: Callable[[np.ndarray], np.ndarray], fps: float) -> "NormalisedPose":
        path = None if self.root_path is None else take(self.root_path)
        return replace(
            self,
            joints=take(self.joints),
            heights=take(self.heights),
            root_path=path,
            confidence=take(self.confidence),
            pelvis=take(self.pelvis),
            fps=fps,
        )


def rotate_yaw(points: np.ndarray, angle: float) -> np.ndarray:
    """Turn [..., 3] about +z by `angle` radians, counter-clockwise seen from above."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = points[..., 0], points[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y, points[..., 2]], axis=-1)


def normalise(pose: PoseSequence, *, contact_heights: bool = False) -> NormalisedPose:
    """Fill missing joints, turn the clip to face +x by one yaw and centre every frame.

    Args:
        pose: any pose sequence, z up.
        contact_heights: rebuild heights from the lower ankle of each frame and leave out the
            root path although the pose has a world (what a single view would give).

    Returns:
        The pose in the person's own frame; yaw and translation of the input do not change it.

    Raises:
        PoiseError: no joint has confidence above 0 in any frame.
    """
    joints = pose.joints.astype(np.float64)
    confidence = pose.confidence.astype(np.float32)
    if not (confidence > 0).any():
        raise PoiseError(
            "pose without any seen joint",
            got=f"{len(pose)} frames of confidence 0",
            remedy="give a clip in which the person is visible",
        )
    yaw = heading(joints, confidence)
    turned = rotate_yaw(joints, -yaw)
    centre, local = _fill(turned, confidence > 0)  # [F, 3], [F, 17, 3]
    ankles = local[:, [LEFT_ANKLE, RIGHT_ANKLE], 2] + centre[:, 2:]  # [F, 2]
    world = pose.world and not contact_heights
    lowest = ankles.min(axis=1)
    floor = np.quantile(lowest, _FLOOR_QUANTILE) if world else lowest
    heights = np.column_stack([centre[:, 2] - floor, ankles - np.reshape(floor, (-1, 1))])
    path = centre[:, :2] - np.median(centre[:, :2], axis=0) if world else None
    return NormalisedPose(
        joints=local.astype(np.float32),
        heights=heights.astype(np.float32),
        root_path=None if path is None else path.astype(np.float32),
        confidence=confidence,
        fps=float(pose.fps),
        yaw=yaw,
        scale=body_scale(joints, confidence),
        pelvis=rotate_yaw(centre, yaw).astype(np.float32),
        source=pose.source,
        world=pose.world,
    )


def heading(joints: np.ndarray, confidence: np.ndarray) -> float:
    """The clip's one heading, radians from +x: a geometric median over frames of the direction
    that hips and shoulders face, so that a turn during the set-up does not pull it.

    Args:
        joints: [F, 17, 3], z up.
        confidence: [F, 17]; pairs with a missing joint do not count.
    """
    left, right = [LEFT_HIP, LEFT_SHOULDER], [RIGHT_HIP, RIGHT_SHOULDER]
    lateral = (joints[:, left] - joints[:, right])[..., :2].reshape(-1, 2).astype(np.float64)
    length = np.linalg.norm(lateral, axis=1)
    weight = (confidence[:, left] * confidence[:, right]).reshape(-1) * length
    if weight.sum() <= 1e-9:
        return 0.0
    unit = lateral / np.maximum(length, 1e-9)[:, None]
    centre = _geometric_median(unit, weight)
    if np.hypot(*centre) < 1e-6:  # turned evenly through all directions: any frame is as good
        centre = unit[np.argmax(weight)]
    # Facing is the lateral axis (right to left) turned clockwise by 90 degrees.
    return float(np.arctan2(-centre[0], centre[1]))


def _geometric_median(points: np.ndarray, weight: np.ndarray, steps: int = 40) -> np.ndarray:
    """Weiszfeld's iteration from the weighted mean; points [N, D], weight [N] -> [D]."""
    centre = np.average(points, axis=0, weights=weight)
    for _ in range(steps):
        pull = weight / np.maximum(np.linalg.norm(points - centre, axis=1), 1e-3)
        centre = pull @ points / pull.sum()
    return centre


def body_scale(joints: np.ndarray, confidence: np.ndarray) -> float:
    """Thigh + shank + trunk in metres: medians over the frames that show them, left and right
    averaged; a part that is never seen follows the reference adult's proportions.

    Args:
        joints: [F, 17, 3] metres.
        confidence: [F, 17].
    """
    seen = confidence > 0
    measured = np.full(3, np.nan)
    for part, sides in enumerate(_SCALE_BONES):
        lengths = [
            np.median(np.linalg.norm(joints[rows, a] - joints[rows, b], axis=-1))
            for a, b in sides
            if (rows := seen[:, a] & seen[:, b]).any()
        ]
        if lengths:
            measured[part] = np.mean(lengths)
    whole = np.all(seen[:, list(_TRUNK)], axis=1)
    if whole.any():
        body = joints[whole]
        neck = (body[:, LEFT_SHOULDER] + body[:, RIGHT_SHOULDER]) / 2
        measured[2] = np.median(np.linalg.norm(neck - pelvis(body), axis=-1))
    known = np.isfinite(measured)
    if not known.any() or measured[known].sum() < 0.05:
        return REFERENCE_SCALE
    return float(REFERENCE_SCALE * measured[known].sum() / REFERENCE_BONES[known].sum())


def _fill(joints: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pelvis [F, 3] and root-centred joints [F, 17, 3] without gaps.

    A gap is bridged linearly in time (held at the ends) relative to the pelvis; a joint that is
    never seen stands where the rest pose has it.
    """
    hips = [LEFT_HIP, RIGHT_HIP]
    both: np.ndarray = np.all(seen[:, hips], axis=1)
    if both.any():
        centre = _bridge(pelvis(joints), both)
    else:  # place the rest pose on whatever is seen
        weight = seen[..., None].astype(np.float64)
        total = weight.sum(axis=1)
        guess = ((joints - REST_POSE) * weight).sum(axis=1) / np.maximum(total, 1.0)
        centre = _bridge(guess, total[:, 0] > 0)
    local = joints - centre[:, None]
    for joint in np.flatnonzero(~seen.all(axis=0)):
        column = seen[:, joint]
        local[:, joint] = _bridge(local[:, joint], column) if column.any() else REST_POSE[joint]
    shift = pelvis(local)
    return centre + shift, local - shift[:, None]


def _bridge(track: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Linear interpolation of [F, 3] over the frames where `seen` [F] is False."""
    if seen.all():
        return track
    frames = np.arange(len(track))
    known = frames[seen]
    return np.column_stack([np.interp(frames, known, track[seen, axis]) for axis in range(3)])


def frame_features(pose: NormalisedPose, root: bool = True, *, stature: bool = True) -> np.ndarray:
    """What Stage 1 reads of each frame, at PERCEPTION_FPS.

    Args:
        pose: resampled here when its rate is another.
        root: give the path over the ground where the pose has one.
        stature: express lengths in the reference adult's metres (times REFERENCE_SCALE / scale),
            so that children and estimates of a wrong size look alike.

    Returns:
        [F, FEATURE_DIM] float32; the module's `*_SLICE` constants name the columns.
    """
    pose = pose.resample(PERCEPTION_FPS)
    factor = REFERENCE_SCALE / pose.scale if stature else 1.0
    features = np.zeros((len(pose), FEATURE_DIM), dtype=np.float32)
    features[:, JOINT_SLICE] = pose.joints.reshape(len(pose), N_JOINTS * 3) * factor
    features[:, HEIGHT_SLICE] = pose.heights * factor
    moving = features[:, : HEIGHT_SLICE.stop]
    features[:, JOINT_VELOCITY_SLICE.start : HEIGHT_VELOCITY_SLICE.stop] = _velocity(moving)
    if root and pose.root_path is not None:
        path = (pose.root_path - np.median(pose.root_path, axis=0)) * factor
        features[:, ROOT_PRESENT_COLUMN] = 1.0
        features[:, ROOT_SLICE] = path
        features[:, ROOT_VELOCITY_SLICE] = _velocity(path)
    features[:, CONFIDENCE_COLUMN] = pose.confidence.mean(axis=1)
    return features


def _velocity(track: np.ndarray) -> np.ndarray:
    """Central differences of [F, D] at PERCEPTION_FPS, times VELOCITY_SCALE; 0 for one frame."""
    if len(track) < 2:
        return np.zeros_like(track)
    return np.gradient(track, axis=0) * (PERCEPTION_FPS * VELOCITY_SCALE)
