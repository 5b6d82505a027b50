"""Pose sequences as small JSON tracks for the report's three synchronised skeletons.

Every track is turned so that the body faces +x, stands on the floor z = 0, and is rounded to
whole millimetres.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from assistant.clip import PoseSequence
from assistant.skeleton import (
    BONES,
    INDEX,
    LEFT_ANKLE,
    LEFT_HIP,
    LEFT_SHOULDER,
    REGION_JOINTS,
    RIGHT_ANKLE,
    RIGHT_HIP,
    RIGHT_SHOULDER,
    pelvis,
)

ANKLE_HEIGHT = 0.08  # metres of the ankle joint over the floor in a standing person
MAX_FPS = 30.0
MAX_CLIP_FRAMES = 1200  # keeps the page below 1 MB whatever the length of the clip
FOLLOW_SECONDS = 2.0


def facing(joints: np.ndarray) -> float:
    """Heading of the body, radians from +x, averaged over [F, 17, 3] in metres."""
    left = joints[:, LEFT_HIP] - joints[:, RIGHT_HIP]
    left = left + joints[:, LEFT_SHOULDER] - joints[:, RIGHT_SHOULDER]
    forward = np.stack([left[:, 1], -left[:, 0]], axis=-1)  # left x up, [F, 2]
    forward = forward / np.maximum(np.linalg.norm(forward, axis=-1, keepdims=True), 1e-6)
    mean = forward.mean(axis=0)
    return float(np.arctan2(mean[1], mean[0])) if np.linalg.norm(mean) > 1e-6 else 0.0


def smooth(values: np.ndarray, width: int) -> np.ndarray:
    """Moving average of [F, D] over `width` frames, the ends held."""
    width = min(width, len(values)) // 2 * 2 + 1
    padded = np.pad(values, ((width // 2, width // 2), (0, 0)), mode="edge")
    total = np.cumsum(np.vstack([np.zeros((1, values.shape[1])), padded]), axis=0)
    return (total[width:] - total[:-width]) / width


def stage(pose: PoseSequence, *, follow: bool = False) -> np.ndarray:
    """Joints [F, 17, 3] in metres, facing +x, over the floor, near the origin.

    A pose without a real root path (`world=False`) is stood on its lower ankle frame by frame;
    `follow` lets the view walk along with the pelvis instead of standing still.
    """
    joints = pose.joints.astype(np.float64)
    yaw = facing(joints)
    turn = np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]])  # by -yaw
    joints = np.concatenate([joints[..., :2] @ turn.T, joints[..., 2:]], axis=-1)
    ankles = joints[:, [LEFT_ANKLE, RIGHT_ANKLE]]
    if pose.world:
        floor = np.full((len(joints), 1), np.percentile(ankles[..., 2], 2) - ANKLE_HEIGHT)
        if follow:
            ground = smooth(pelvis(joints)[:, :2], round(FOLLOW_SECONDS * pose.fps))
        else:
            ground = np.broadcast_to(ankles[..., :2].mean(axis=(0, 1)), (len(joints), 2))
    else:
        anchor = np.concatenate(
            [ankles[..., :2].mean(axis=1), ankles[..., 2].min(axis=1, keepdims=True)], axis=-1
        )
        anchor = smooth(anchor, round(0.2 * pose.fps))  # [F, 3]
        ground, floor = anchor[:, :2], anchor[:, 2:] - ANKLE_HEIGHT
    return joints - np.concatenate([ground, floor], axis=-1)[:, None]


def track(pose: PoseSequence, start: float, end: float, *, follow: bool = False) -> dict[str, Any]:
    """One animation over the clip's seconds [start, end): the frames are spread over it evenly.

    Returns:
        `start`, `step` (seconds a frame) and `mm`, one list of 51 integers a frame; the three
        numbers of a missing joint (confidence 0) are null.
    """
    length = max(end - start, 1e-3)
    fps = min(MAX_FPS, MAX_CLIP_FRAMES / length)
    if len(pose) > length * fps + 1:
        pose = replace(pose, fps=len(pose) / length).resample(fps)
    joints = np.rint(1000 * stage(pose, follow=follow)).astype(int).reshape(len(pose), -1)
    missing = np.repeat(pose.confidence <= 0, 3, axis=1)  # [F, 51]
    frames = [
        [None if gone else int(value) for value, gone in zip(row, lost, strict=True)]
        for row, lost in zip(joints, missing, strict=True)
    ]
    return {"start": round(start, 4), "step": round(length / len(pose), 6), "mm": frames}


def drawn_limbs() -> list[list[Any]]:
    """Limbs with the region they belong to: [joint, joint, region]."""
    limbs: list[list[Any]] = []
    for a, b in BONES:
        region = "legs" if b >= INDEX["left_hip"] else "arms"
        limbs.append([a, b, region])
    return limbs


def demonstration_window(pose: PoseSequence, record: dict[str, Any] | None) -> PoseSequence:
    """The demonstration's aligned seconds: cropped by its record unless it is cropped already."""
    if not record or record.get("start") is None or record.get("end") is None:
        return pose
    start, end = float(record["start"]), float(record["end"])
    if pose.duration > end - start + 2 / pose.fps and pose.duration >= end - 2 / pose.fps:
        return pose.crop(start, end)
    return pose


def animation(
    learner: PoseSequence,
    demonstration: PoseSequence | None,
    correction: PoseSequence | None,
    *,
    window: tuple[float, float] | None,
    key_time: float | None,
    faulty: list[str],
) -> dict[str, Any]:
    """Everything that player.js needs, ready for JSON.

    Args:
        window: seconds of the clip that demonstration and correction cover, or None.
        key_time: where the scrubber stands first.
        faulty: regions to mark on the learner's body.
    """
    tracks: dict[str, Any] = {"clip": track(learner, 0.0, learner.duration, follow=True)}
    if window is not None:
        tracks["learner"] = track(learner.crop(*window), *window)
        if demonstration is not None:
            tracks["expert"] = track(demonstration, *window)
        if correction is not None:
            tracks["corrected"] = track(correction, *window)
    low, high = window if window is not None else (0.0, learner.duration)
    first = (low + high) / 2 if key_time is None else min(max(key_time, low), high)
    return {
        "duration": round(learner.duration, 4),
        "window": None if window is None else [round(low, 4), round(high, 4)],
        "first": round(first, 4),
        "limbs": drawn_limbs(),
        "regions": {name: list(joints) for name, joints in REGION_JOINTS.items()},
        "faulty": faulty,
        "tracks": tracks,
    }
