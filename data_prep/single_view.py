"""How wrong a single view is: MediaPipe on each film against the triangulation of all of them.

`poise data pose-error VIEW... --calibration FILE` prints it. The same is measured on the pose noise
that training draws (`data_prep.drills.noise`), added to the same triangulated motion, so that what
was fitted and what is used stand side by side. Nothing here changes that noise.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.pose.estimate import estimate_from
from assistant.pose.multiview import MultiViewPose
from assistant.skeleton import LEFT_ANKLE, LEFT_ELBOW, LEFT_KNEE, LEFT_WRIST, N_JOINTS
from data_prep.drills import noise
from data_prep.pose_error import (
    DRAWS,
    PoseError,
    aligned_error,
    depth_stretch,
    levelled,
    mean_error,
    measure,
)

NOISE_MM: Final = 80.0  # the size that `--noise fitted` draws
# A view whose sides are taken for each other in more than this share of the observations tells
# about confusion, not about accuracy; the table of joint errors leaves it out.
CONFUSED_SHARE: Final = 0.1
_LIMB_JOINTS: Final = (("arms", (LEFT_ELBOW, LEFT_WRIST)), ("legs", (LEFT_KNEE, LEFT_ANKLE)))


def single_view_errors(take: MultiViewPose, *, level: bool = True) -> dict[str, PoseError]:
    """Each view by itself against all of them; nothing is detected again.

    Args:
        take: the views and what they agree on.
        level: as level cameras would have given them (`levelled`), which is how people are asked to
            film; False: as they are, with the tilt of these cameras in every lean.
    """
    poses = {view: estimate_from(film).pose for view, film in take.films.items()}
    if level:
        poses = {view: levelled(pose, take.cameras[view]) for view, pose in poses.items()}
    return {view: measure(pose, take.pose) for view, pose in poses.items()}


def noise_error(reference: PoseSequence, *, draws: int = DRAWS) -> PoseError:
    """The same measures of the noise that `--noise fitted` draws, on the same motion (mean)."""
    found = [
        measure(
            noise.add_pose_noise(
                reference, np.random.default_rng(seed), millimetres=NOISE_MM, kind="single_view"
            ),
            reference,
        )
        for seed in range(draws)
    ]
    return mean_error(found)


def confused_views(take: MultiViewPose) -> list[str]:
    """Views whose left and right are taken for each other too often."""
    raw = take.triangulation
    shares = raw.swapped.sum(axis=(1, 2)) / np.maximum(raw.observed.sum(axis=(1, 2)), 1)
    return [view for view, share in zip(take.films, shares, strict=True) if share > CONFUSED_SHARE]


def swaps_per_minute(take: MultiViewPose) -> float:
    """Stretches in which a view took the arms, or the legs, for each other, per minute of film."""
    count, frames = 0, 0
    for swapped in take.triangulation.swapped:
        frames += len(swapped)
        for _, joints in _LIMB_JOINTS:
            mixed = swapped[:, list(joints)].any(axis=1).astype(int)
            count += int((np.diff(mixed, prepend=0) == 1).sum())
    return count / (frames / take.pose.fps / 60)


def joint_table(errors: Sequence[PoseError]) -> np.ndarray:
    """Millimetres [17]: the mean over views, head as one and left and right together."""
    mean = np.mean([error.joint_mm for error in errors], axis=0)
    table = np.full(N_JOINTS, mean[:5].mean())
    for left in range(5, N_JOINTS, 2):
        table[left : left + 2] = mean[left : left + 2].mean()
    return table


def parameters(
    take: MultiViewPose, views: Mapping[str, PoseError], used: PoseError
) -> dict[str, dict[str, float]]:
    """Every figure that shapes the noise: as measured over `views`, and as drawn in training."""
    found = mean_error(list(views.values()))
    fitted = {
        "pa_mpjpe_mm": (found.pa_mpjpe_mm, used.pa_mpjpe_mm),
        "jitter_mm": (found.jitter_mm, used.jitter_mm),
        "bias_share": (found.bias_share, used.bias_share),
        "decay_seconds": (found.decay_seconds, used.decay_seconds),
        "bone_wander": (found.bone_wander, used.bone_wander),
        "parent_share": (found.parent_share, used.parent_share),
        "tilt_degrees": (found.tilt_degrees, used.tilt_degrees),
        "depth_stretch": (_mean_stretch(take, list(views)), _noise_stretch(take.pose)),
        "swaps_per_minute": (swaps_per_minute(take), noise.SWAPS_PER_MINUTE),
    }
    table, drawn = joint_table(list(views.values())), joint_table([used])
    for name, joint in (("head", 0), ("shoulder", 5), ("elbow", 7), ("wrist", 9)):
        fitted[f"profile_{name}"] = (table[joint] / table.mean(), drawn[joint] / drawn.mean())
    for name, joint in (("hip", 11), ("knee", 13), ("ankle", 15)):
        fitted[f"profile_{name}"] = (table[joint] / table.mean(), drawn[joint] / drawn.mean())
    return {
        name: {"fitted": round(float(a), 3), "in_use": round(float(b), 3)}
        for name, (a, b) in fitted.items()
    }


def _mean_stretch(take: MultiViewPose, views: Sequence[str]) -> float:
    reference = take.pose.joints.astype(np.float64)
    found = []
    for view in views:
        pose = levelled(estimate_from(take.films[view]).pose, take.cameras[view])
        estimate = pose.joints.astype(np.float64)
        sight = take.cameras[view].rotation[2]
        found.append(depth_stretch(aligned_error(estimate, reference), sight))
    return float(np.mean(found))


def _noise_stretch(reference: PoseSequence) -> float:
    """The stretch of drawn noise along its own line of sight: the axis in which it is largest."""
    truth = reference.joints.astype(np.float64)
    found = []
    for seed in range(DRAWS):
        drawn = noise.add_pose_noise(
            reference, np.random.default_rng(seed), millimetres=NOISE_MM, kind="single_view"
        )
        error = aligned_error(drawn.joints.astype(np.float64), truth).reshape(-1, 3)
        flat = error[:, :2]
        _, axes = np.linalg.eigh(flat.T @ flat)
        found.append(depth_stretch(error, np.array([*axes[:, 1], 0.0])))
    return float(np.mean(found))
