"""How wrong one pose is against another of the same motion: sizes, slowness, lean and angles."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.pose import angles
from assistant.pose.alignment import procrustes
from assistant.pose.camera import Camera
from assistant.pose.normalise import normalise
from assistant.pose.pose_error import disturbed
from assistant.skeleton import (
    BONES,
    JOINTS,
    LEFT_ANKLE,
    LEFT_ELBOW,
    LEFT_KNEE,
    LEFT_WRIST,
)

DRAWS: Final = 40
_CHAINS: Final = ((LEFT_ELBOW, LEFT_WRIST), (LEFT_KNEE, LEFT_ANKLE))
ANGLES: Final[Mapping[str, Callable[[np.ndarray], np.ndarray]]] = {
    "left_knee_flexion": lambda joints: angles.knee_flexion(joints, 0),
    "right_knee_flexion": lambda joints: angles.knee_flexion(joints, 1),
    "left_elbow_angle": lambda joints: angles.elbow_angle(joints, 0),
    "right_elbow_angle": lambda joints: angles.elbow_angle(joints, 1),
    "left_elbow_flare": lambda joints: angles.elbow_flare(joints, 0),
    "right_elbow_flare": lambda joints: angles.elbow_flare(joints, 1),
    "trunk_lean": angles.trunk_lean,
    "side_lean": angles.side_lean,
    "head_pitch": angles.head_pitch,
}


@dataclass(frozen=True)
class PoseError:
    """One estimate of a motion against its reference.

    Attributes:
        pa_mpjpe_mm: mean over frames of the PA-MPJPE.
        joint_mm: [17] mean distance of each joint after the same alignment of each frame.
        clip_mm: mean joint distance after one similarity for the whole clip.
        jitter_mm: mean length of the change of a joint's error from frame to frame.
        bias_share: share of the mean squared error that is constant over the clip.
        decay_seconds: lag at which the rest correlates with itself by 1/e.
        bone_wander: mean over the limb bones of (standard deviation / mean) of their length.
        parent_share: correlation of a wrist's (ankle's) error with the elbow's (knee's).
        tilt_degrees: root mean square, an axis, of how far the whole body leans out of the vertical
            of the reference; the alignment of each frame hides it from the joint errors.
        angle_bias, angle_rms: degrees, by name (`ANGLES`).
    """

    pa_mpjpe_mm: float
    joint_mm: np.ndarray
    clip_mm: float
    jitter_mm: float
    bias_share: float
    decay_seconds: float
    bone_wander: float
    parent_share: float
    tilt_degrees: float
    angle_bias: dict[str, float]
    angle_rms: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain values, joints by name."""
        found = {name: _plain(value) for name, value in vars(self).items() if name != "joint_mm"}
        joints = {name: round(float(mm), 2) for name, mm in zip(JOINTS, self.joint_mm, strict=True)}
        return {**found, "joint_mm": joints}


def measure(estimate: PoseSequence, reference: PoseSequence) -> PoseError:
    """Compare an estimate with the reference, frame by frame at the same rate."""
    a, b = estimate.joints.astype(np.float64), reference.joints.astype(np.float64)
    error = aligned_error(a, b)
    joint_mm = np.linalg.norm(error, axis=-1).mean(axis=0) * 1000
    bias = error.mean(axis=0, keepdims=True)
    whole = procrustes(a.reshape(1, -1, 3), _rooted(b).reshape(1, -1, 3))
    clip = whole.apply(a.reshape(1, -1, 3)).reshape(b.shape) - _rooted(b)
    bias_deg, rms_deg = angle_errors(estimate, reference)
    return PoseError(
        pa_mpjpe_mm=float(joint_mm.mean()),
        joint_mm=joint_mm,
        clip_mm=float(np.linalg.norm(clip, axis=-1).mean() * 1000),
        jitter_mm=float(np.linalg.norm(np.diff(error, axis=0), axis=-1).mean() * 1000),
        bias_share=float((bias**2).sum(-1).mean() / (error**2).sum(-1).mean()),
        decay_seconds=decay_seconds(error - bias, reference.fps),
        bone_wander=bone_wander(a),
        parent_share=parent_share(error),
        tilt_degrees=tilt_degrees(estimate, reference),
        angle_bias=bias_deg,
        angle_rms=rms_deg,
    )


def aligned_error(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Joint errors [F, 17, 3] in metres of `a` against `b` after the best similarity a frame."""
    return procrustes(a, b).apply(a) - b


def decay_seconds(rest: np.ndarray, fps: float) -> float:
    """Lag at which the autocorrelation of [F, 17, 3] falls to 1/e, interpolated; the clip's length
    where it does not, 0 for no variation."""
    power = float((rest**2).sum())
    if power <= 0:
        return 0.0
    last = 1.0
    for lag in range(1, len(rest)):
        # The mean over the pairs that the lag leaves, so that short clips are not biased down.
        value = float((rest[lag:] * rest[:-lag]).sum()) / power * len(rest) / (len(rest) - lag)
        if value <= np.exp(-1):
            return float((lag - 1 + (last - np.exp(-1)) / (last - value)) / fps)
        last = value
    return len(rest) / fps


def bone_wander(joints: np.ndarray) -> float:
    """Mean over the limb bones of the relative spread of their length over time."""
    lengths = np.stack([np.linalg.norm(joints[:, i] - joints[:, j], axis=-1) for i, j in BONES])
    return float((lengths.std(axis=1) / lengths.mean(axis=1)).mean())


def parent_share(error: np.ndarray) -> float:
    """Correlation of outer with inner limb joints' errors [F, 17, 3], both sides and all axes."""
    inner = np.stack([error[:, i + side] for i, _ in _CHAINS for side in (0, 1)])
    outer = np.stack([error[:, o + side] for _, o in _CHAINS for side in (0, 1)])
    scale = np.sqrt((inner**2).sum() * (outer**2).sum())
    return float((inner * outer).sum() / scale) if scale > 0 else 0.0


def depth_stretch(error: np.ndarray, sight: np.ndarray) -> float:
    """Root mean square of errors [..., 3] along the unit vector `sight` over that of an axis across
    it."""
    along = error @ sight
    across = (error**2).sum(-1) - along**2
    return float(np.sqrt((along**2).mean() / max(across.mean() / 2, 1e-12)))


def tilt_degrees(estimate: PoseSequence, reference: PoseSequence) -> float:
    """How far the upright of the best rotation of each frame is from the vertical (rms an axis)."""
    a, b = normalise(estimate).joints, normalise(reference).joints
    turned = procrustes(a.astype(np.float64), b.astype(np.float64)).rotation  # [F, 3, 3] on rows
    return float(np.degrees(np.arcsin(np.sqrt((turned[:, 2, :2] ** 2).mean()))))


def levelled(estimate: PoseSequence, camera: Camera) -> PoseSequence:
    """A single-view pose turned as a level camera would have given it.

    The estimator takes its camera to be level (its axes x right, y away, z up); the calibration
    knows how it really stands.
    """
    x, y, z = np.moveaxis(estimate.joints, -1, 0)
    inside = np.stack([x, -z, y], axis=-1)
    return replace(estimate, joints=(inside @ camera.rotation).astype(np.float32))


def angle_errors(
    estimate: PoseSequence, reference: PoseSequence
) -> tuple[dict[str, float], dict[str, float]]:
    """Bias and root mean square in degrees of every angle that quantities rest on, on the poses as
    they are measured (`normalise`)."""
    a, b = normalise(estimate).joints, normalise(reference).joints
    bias, rms = {}, {}
    for name, angle in ANGLES.items():
        gap = (angle(a.astype(float)) - angle(b.astype(float)) + 180) % 360 - 180
        bias[name], rms[name] = float(gap.mean()), float(np.sqrt((gap**2).mean()))
    return bias, rms


def angle_bars(reference: PoseSequence) -> dict[str, float]:
    """Root mean square in degrees that each angle gets from the drawn errors behind error bars
    (`assistant.pose.pose_error`), on the same motion."""
    truth = normalise(reference).joints.astype(np.float64)
    drawn = disturbed("mediapipe", truth, reference.fps, DRAWS)
    gaps = {name: angle(drawn) - angle(truth) for name, angle in ANGLES.items()}
    return {n: float(np.sqrt(((((g + 180) % 360) - 180) ** 2).mean())) for n, g in gaps.items()}


def mean_error(errors: Sequence[PoseError]) -> PoseError:
    """The mean of every figure; of biases, the mean size."""

    def mean(name: str) -> float:
        return float(np.mean([getattr(error, name) for error in errors]))

    return PoseError(
        pa_mpjpe_mm=mean("pa_mpjpe_mm"),
        joint_mm=np.mean([error.joint_mm for error in errors], axis=0),
        clip_mm=mean("clip_mm"),
        jitter_mm=mean("jitter_mm"),
        bias_share=mean("bias_share"),
        decay_seconds=mean("decay_seconds"),
        bone_wander=mean("bone_wander"),
        parent_share=mean("parent_share"),
        tilt_degrees=mean("tilt_degrees"),
        angle_bias={a: float(np.mean([abs(e.angle_bias[a]) for e in errors])) for a in ANGLES},
        angle_rms={a: float(np.mean([e.angle_rms[a] for e in errors])) for a in ANGLES},
    )


def _rooted(joints: np.ndarray) -> np.ndarray:
    return joints - (joints[:, 11:12] + joints[:, 12:13]) / 2


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: round(float(v), 3) for name, v in value.items()}
    return round(float(value), 3)
