"""What is measured on a body: named quantities over a span, each with its error bar.

They fill only evidence and measurements, never the verdict. Instants (the bottom of a squat, the
release of a throw) are found on the joints themselves. Errors are by Monte Carlo: the clip is
measured again under smooth random joint errors of its source's size (`pose_error`), and the
standard deviation of the results is the error.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.feedback import Measurement
from assistant.pose.bones import (
    bone_length_drift_mm,
    bone_lengths,
    joint_limit_violations,
    restore_bone_lengths,
)
from assistant.pose.motion import DRAWS, Motion, motion_of
from assistant.pose.normalise import NormalisedPose, normalise
from assistant.pose.quantities import QUANTITIES, Quantity
from assistant.pose.repetitions import repetitions

__all__ = [
    "QUANTITIES",
    "Motion",
    "Quantity",
    "bone_length_drift_mm",
    "bone_lengths",
    "joint_limit_violations",
    "measure",
    "measure_repetitions",
    "restore_bone_lengths",
]

_MIN_CONFIDENCE: Final = 0.2


def measure(
    pose: PoseSequence | NormalisedPose,
    activity: str | None = None,
    span: tuple[float, float] | None = None,
    *,
    draws: int = DRAWS,
    quantities: tuple[str, ...] | None = None,
) -> list[Measurement]:
    """Measure a clip.

    Args:
        pose: the whole clip; what lies outside `span` gives the standing reference.
        activity: adds this drill's quantities to the general ones; an unknown name or None adds
            none.
        span: seconds (start, end) to measure; default all.
        draws: Monte Carlo draws of the error bar (fixed seed).
        quantities: only these names, of any activity.

    Returns:
        One record a quantity, in the registry's order. A quantity whose joints are mostly
        missing in the span, or that needs a world which the pose has not, is left out.

    Raises:
        PoiseError: an unknown name in `quantities`; a span without frames.
    """
    clip = pose if isinstance(pose, NormalisedPose) else normalise(pose)
    return _measured(clip, motion_of(clip, span, draws), _chosen(activity, quantities))


def measure_repetitions(
    pose: PoseSequence | NormalisedPose,
    activity: str,
    span: tuple[float, float] | None = None,
    *,
    draws: int = DRAWS,
    quantities: tuple[str, ...] | None = None,
) -> list[Measurement]:
    """Measure every repetition of a clip; arguments as for `measure`.

    Returns:
        The records of the first repetition, then those of the next: as many of a quantity as there
        are repetitions.
    """
    clip = pose if isinstance(pose, NormalisedPose) else normalise(pose)
    motion = motion_of(clip, span, draws)
    chosen = _chosen(activity, quantities)
    windows = repetitions(motion, activity)
    parts = [_measured(clip, replace(motion, window=window), chosen) for window in windows]
    return [record for part in parts for record in part]


def _measured(
    clip: NormalisedPose, motion: Motion, chosen: Sequence[Quantity]
) -> list[Measurement]:
    """One record of each quantity that can be measured in the motion's window."""
    seen = clip.confidence[motion.window] > 0
    records = []
    for quantity in chosen:
        if quantity.world and clip.root_path is None:
            continue
        if seen[:, list(quantity.joints)].mean(axis=0).min() < _MIN_CONFIDENCE:
            continue
        values, frames = quantity.function(motion)
        records.append(
            Measurement(
                quantity=quantity.name,
                value=float(values[0]),
                unit=quantity.unit,
                error=float(np.sqrt(np.mean((values[1:] - values[0]) ** 2)))
                if len(values) > 1
                else 0.0,
                time=None if frames is None else float(frames[0] / clip.fps),
            )
        )
    return records


def _chosen(activity: str | None, names: tuple[str, ...] | None) -> list[Quantity]:
    if names is None:
        return [q for q in QUANTITIES.values() if not q.activities or activity in q.activities]
    unknown = sorted(set(names) - set(QUANTITIES))
    if unknown:
        raise PoiseError("unknown quantity", got=", ".join(unknown), expected=", ".join(QUANTITIES))
    return [QUANTITIES[name] for name in names]
