"""Motions without a name, made from drills: what must not be taken for a known activity.

A handful of distractor motions cannot stand for everything that people do. These clips are near
the known activities in one respect and impossible for them in another: part of a repetition
only, legs that do not go together, a body from two motions, a toppled body, a movement several
times too fast.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.pose.normalise import PERCEPTION_FPS, rotate_yaw
from assistant.skeleton import (
    LEFT_ANKLE,
    LEFT_HIP,
    LEFT_KNEE,
    RIGHT_ANKLE,
    RIGHT_HIP,
    RIGHT_KNEE,
    pelvis,
)
from data_prep.drills.records import Drill

UNNAMED: Final = "unnamed"
_ANKLE_HEIGHT: Final = 0.08
_CHIMERA_LEGS: Final = ("walk", "sit_down", "balance")
_DEEP_LEGS: Final = ("bodyweight_squat", "forward_lunge")
_UPPER: Final = slice(0, LEFT_HIP)


def stretch(pose: PoseSequence, tempo: float) -> PoseSequence:
    """At PERCEPTION_FPS, `tempo` times as fast."""
    count = max(round(pose.duration * PERCEPTION_FPS / tempo), 2)
    return pose.at_times(np.arange(count) * tempo / PERCEPTION_FPS, PERCEPTION_FPS)


def join(
    pose: PoseSequence, other: PoseSequence, rng: np.random.Generator, *, ahead: bool
) -> tuple[PoseSequence, int]:
    """1.5 to 6 s of `other` before or after, turned by up to 90 degrees, pelvis meeting pelvis.

    Args:
        pose: at PERCEPTION_FPS.
    Returns:
        The joined clip, and how many frames stand before `pose`.
    """
    seconds = min(rng.uniform(1.5, 6.0), other.duration)
    begin = rng.uniform(0, other.duration - seconds)
    piece = other.crop(begin, begin + seconds).resample(PERCEPTION_FPS)
    joints = rotate_yaw(piece.joints, rng.uniform(-np.pi / 2, np.pi / 2))
    mine, theirs = (0, -1) if ahead else (-1, 0)
    joints[..., :2] += pelvis(pose.joints[mine])[:2] - pelvis(joints[theirs])[:2]
    parts = [joints, pose.joints] if ahead else [pose.joints, joints]
    seen = [piece.confidence, pose.confidence] if ahead else [pose.confidence, piece.confidence]
    whole = replace(
        pose, joints=np.concatenate(parts).astype(np.float32), confidence=np.concatenate(seen)
    )
    return whole, len(joints) if ahead else 0


def tilt(pose: PoseSequence, angle: float, axis: float) -> PoseSequence:
    """Turn by `angle` radians about the horizontal axis at `axis` radians from +x."""
    upright = rotate_yaw(pose.joints.astype(np.float64), -axis)
    centre = pelvis(upright).mean(axis=0)
    local = upright - centre
    cos, sin = np.cos(angle), np.sin(angle)
    y, z = cos * local[..., 1] - sin * local[..., 2], sin * local[..., 1] + cos * local[..., 2]
    turned = np.stack([local[..., 0], y, z], axis=-1)
    return replace(pose, joints=rotate_yaw(turned + centre, axis).astype(np.float32))


def fragment(drill: Drill, others: Sequence[Drill], rng: np.random.Generator) -> PoseSequence:
    """A quarter to a half of one repetition between two other motions."""
    start, end = drill.repetitions[int(rng.integers(len(drill.repetitions)))]
    length = (end - start) * rng.uniform(0.25, 0.5)
    begin = rng.uniform(start, end - length)
    piece = stretch(drill.pose.crop(begin, begin + length), rng.uniform(0.7, 1.6))
    for ahead in (True, False):
        piece, _ = join(piece, others[int(rng.integers(len(others)))].pose, rng, ahead=ahead)
    return piece


def uneven_legs(drill: Drill, others: Sequence[Drill], rng: np.random.Generator) -> PoseSequence:
    """One leg moves half a repetition later than the other, or not at all (squats only: the legs
    of a throw move too little for that to make it something else)."""
    pose = drill.pose.resample(PERCEPTION_FPS)
    start, end = drill.repetitions[0]
    frames = np.arange(len(pose))
    delay = round((end - start) * rng.uniform(0.3, 0.6) * PERCEPTION_FPS)
    when = np.maximum(frames - delay, 0) if rng.random() < 0.6 else np.zeros_like(frames)
    joints = pose.joints.copy()
    left = rng.random() < 0.5
    hip, knee, ankle = (
        (LEFT_HIP, LEFT_KNEE, LEFT_ANKLE) if left else (RIGHT_HIP, RIGHT_KNEE, RIGHT_ANKLE)
    )
    leg = [knee, ankle]
    joints[:, leg] = joints[when][:, leg] - joints[when][:, [hip]] + joints[:, [hip]]
    return grounded(replace(pose, joints=joints))


def chimera(drill: Drill, others: Sequence[Drill], rng: np.random.Generator) -> PoseSequence:
    """Legs that walk, sit down or balance under the upper body of a drill (a throw over standing
    or jumping legs is still a throw)."""
    upper = drill.pose.resample(PERCEPTION_FPS)
    legs = [d for d in others if d.activity in _CHIMERA_LEGS] or others
    lower = legs[int(rng.integers(len(legs)))].pose.resample(PERCEPTION_FPS)
    first = round(drill.repetitions[0][0] * PERCEPTION_FPS)
    first = max(min(first - int(rng.integers(0, 15)), len(upper) - 2), 0)
    count = min(len(upper) - first, len(lower))
    joints = lower.joints[:count].copy()
    body = upper.joints[first : first + count]
    turn = _facing(joints) - _facing(body)
    centred = rotate_yaw(body - pelvis(body)[:, None], turn)
    joints[:, _UPPER] = centred[:, _UPPER] + pelvis(joints)[:, None]
    return replace(lower, joints=joints, confidence=lower.confidence[:count])


def toppled(drill: Drill, others: Sequence[Drill], rng: np.random.Generator) -> PoseSequence:
    """The whole body turned by 40 to 110 degrees."""
    pose = drill.pose.resample(PERCEPTION_FPS)
    angle = np.deg2rad(rng.uniform(40, 110)) * rng.choice([-1, 1])
    return grounded(tilt(pose, float(angle), float(rng.uniform(0, 2 * np.pi))))


def rushed(drill: Drill, others: Sequence[Drill], rng: np.random.Generator) -> PoseSequence:
    """Repetitions of a quarter to half a second."""
    start, end = drill.repetitions[0]
    piece = drill.pose.crop(max(start - 1.0, 0.0), end + 1.0)
    quick = stretch(piece, (end - start) / rng.uniform(0.25, 0.5))
    ahead = bool(rng.random() < 0.5)
    return join(quick, others[int(rng.integers(len(others)))].pose, rng, ahead=ahead)[0]


MAKERS: Final[dict[str, Callable[[Drill, Sequence[Drill], np.random.Generator], PoseSequence]]] = {
    "fragment": fragment,
    "uneven_legs": uneven_legs,
    "chimera": chimera,
    "toppled": toppled,
    "rushed": rushed,
}


def make_unnamed(
    drills: Sequence[Drill], count: int, seed: int, *, kinds: Sequence[str] = tuple(MAKERS)
) -> list[Drill]:
    """`count` nameless clips at PERCEPTION_FPS; `step_names` holds their kind.

    Args:
        drills: known drills and distractors, both needed.
    """
    known = [d for d in drills if d.repetitions]
    others = [d for d in drills if not d.repetitions]
    made = []
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        kind = kinds[i % len(kinds)]
        pool = [d for d in known if kind != "uneven_legs" or d.activity in _DEEP_LEGS] or known
        drill = pool[int(rng.integers(len(pool)))]
        pose = MAKERS[kind](drill, others, rng)
        silent = replace(drill, activity=UNNAMED, level=None, rating=None, pose=pose, twin=None)
        made.append(
            replace(
                silent,
                sample_id=f"{drill.sample_id}-{kind}-{i}",
                steps=np.zeros(len(pose), np.int8),
                step_names=(kind,),
                faults=(),
                moments=(),
                repetitions=(),
                gaze=np.zeros((len(pose), 2), np.float32),
                correct_points=(),
            )
        )
    return made


def grounded(pose: PoseSequence) -> PoseSequence:
    """Every frame moved up or down so that its lowest joint is where a standing ankle is."""
    lowest = pose.joints[..., 2].min(axis=1)
    joints = pose.joints.copy()
    joints[..., 2] += (_ANKLE_HEIGHT - lowest)[:, None]
    return replace(pose, joints=joints)


def _facing(joints: np.ndarray) -> float:
    """Mean direction of the hips' axis, radians."""
    across = (joints[:, LEFT_HIP] - joints[:, RIGHT_HIP])[:, :2].mean(axis=0)
    return float(np.arctan2(across[1], across[0]))
