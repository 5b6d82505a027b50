"""Poses of drills as estimates would give them, for calibration and for figures."""

from collections.abc import Sequence

import numpy as np

from assistant.pose.normalise import NormalisedPose, normalise
from data_prep.drills.noise import add_pose_noise
from data_prep.drills.records import Drill
from training.proficiency.settings import ProficiencySettings


def noisy_poses(
    drills: Sequence[Drill], largest: float, seed: int, *, fixed: bool = False
) -> list[NormalisedPose]:
    """Each drill's pose with 0 to `largest` mm of slow noise (exactly that when `fixed`)."""
    found = []
    for i, drill in enumerate(drills):
        rng = np.random.default_rng([seed, i])
        amount = largest if fixed else float(rng.uniform(0, largest))
        found.append(normalise(add_pose_noise(drill.pose, rng, millimetres=amount)))
    return found


def mixed_poses(
    drills: Sequence[Drill], settings: ProficiencySettings, seed: int
) -> list[NormalisedPose]:
    """Every other clip as a single view shows it, the rest with slow noise."""
    poses = noisy_poses(drills, settings.calibration_noise, seed)
    poses[1::2] = view_poses(drills[1::2], settings.view_noise, seed)
    return poses


def view_poses(drills: Sequence[Drill], millimetres: float, seed: int) -> list[NormalisedPose]:
    """Each drill's pose with the errors of a single view, centred on the pelvis."""
    return [
        normalise(
            add_pose_noise(
                drill.pose, np.random.default_rng([seed, i]), kind="single_view",
                millimetres=millimetres,
            )
        )
        for i, drill in enumerate(drills)
    ]  # fmt: skip
