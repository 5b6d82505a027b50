"""The input side of the domain: a pose sequence, and a clip of views and pose."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from assistant.errors import PoiseError
from assistant.skeleton import N_JOINTS


@dataclass(frozen=True)
class PoseSequence:
    """3D joints over time.

    Attributes:
        joints: [F, 17, 3] float32, metres, COCO-17, right-handed, gravity along -z.
        confidence: [F, 17] float32 in 0..1; 0 marks a missing joint (its position is finite).
        fps: frames per second, above 0.
        source: where the pose is from ("file", "simulated", "mediapipe", "triangulated"): it
            decides the error bars of measurements.
        world: True where the root's path over the ground is real; False where every frame is
            centred on the pelvis (single-view estimates).
    """

    joints: np.ndarray
    confidence: np.ndarray
    fps: float
    source: str = "file"
    world: bool = True

    def __post_init__(self) -> None:
        faults = []
        if self.joints.ndim != 3 or self.joints.shape[1:] != (N_JOINTS, 3):
            faults.append(f"joints of shape {self.joints.shape}, expected [frames, 17, 3]")
        elif self.confidence.shape != self.joints.shape[:2]:
            faults.append(
                f"confidence of shape {self.confidence.shape}, expected {self.joints.shape[:2]}"
            )
        if not np.isfinite(self.joints).all() or not np.isfinite(self.confidence).all():
            faults.append("NaN or infinite values, expected finite ones (missing: confidence 0)")
        if not np.isfinite(self.fps) or self.fps <= 0:
            faults.append(f"fps {self.fps}, expected a number above 0")
        if faults:
            raise PoiseError("not a pose sequence", got="; ".join(faults))

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the end of the last."""
        return len(self) / self.fps

    def crop(self, start: float, end: float) -> "PoseSequence":
        """The frames with times in [start, end) seconds; at least one frame."""
        first = min(max(round(start * self.fps), 0), len(self) - 1)
        last = min(max(round(end * self.fps), first + 1), len(self))
        return replace(self, joints=self.joints[first:last], confidence=self.confidence[first:last])

    def at_times(self, times: np.ndarray, fps: float) -> "PoseSequence":
        """Linear interpolation at `times` [N] seconds (clamped to the clip)."""
        position = np.clip(np.asarray(times) * self.fps, 0, len(self) - 1)
        low = np.floor(position).astype(int)
        high = np.minimum(low + 1, len(self) - 1)
        weight = (position - low).astype(np.float32)
        joints = (
            self.joints[low] * (1 - weight)[:, None, None]
            + self.joints[high] * weight[:, None, None]
        )
        confidence = np.minimum(self.confidence[low], self.confidence[high])
        return replace(self, joints=joints.astype(np.float32), confidence=confidence, fps=fps)

    def resample(self, fps: float) -> "PoseSequence":
        """The same seconds at another frame rate."""
        count = max(round(self.duration * fps), 1)
        return self.at_times(np.arange(count) / fps, fps)


@dataclass(frozen=True)
class Clip:
    """One performance: up to five synchronised views, a pose, or both.

    Attributes:
        clip_id: a name for results, usually the file's stem.
        views: view name (`prompts.vocabulary.VIEWS`) to video file; may be empty with a pose.
        pose: the 3D pose if it is given rather than estimated.
    """

    clip_id: str
    views: dict[str, Path] = field(default_factory=dict)
    pose: PoseSequence | None = None
