"""Floors of `poise eval score`: the same predictions against other clips, and constant answers."""

from collections.abc import Hashable, Sequence
from typing import Any, Final

import numpy as np

from assistant.levels import N_LEVELS
from eval.levels import derangement, majority_share
from eval.metrics import load

POSE_METRICS: Final = ("pa_mpjpe", "mpjpe", "velocity_error", "bone_length_drift")
EXACT_CHANCE: Final = ("recall_at_k", "median_rank", "error_recall")  # printed by the metric itself


def floors(
    name: str,
    said: Sequence[Any],
    true: Sequence[Any],
    groups: Sequence[Hashable],
    seed: int,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """`<name>_shuffled`, against another clip's truth, over as many clips as the metric; beside it
    the majority or best constant of levels. Null where there is no other clip.

    Args:
        groups: truths are exchanged within a group (an activity), unless a clip is alone in it.
    """
    if name in EXACT_CHANCE:
        return {}
    values: dict[str, Any] = {f"{name}_shuffled": None}
    if len(said) > 1:
        moved = [true[i] for i in exchange(groups, seed)]
        if name in POSE_METRICS:
            moved = [in_step(t, len(s)) for t, s in zip(moved, said, strict=True)]
        found = load(name).compute(predictions=said, references=moved, **settings)
        values[f"{name}_shuffled"] = found[name]
    if name == "accuracy":
        values["accuracy_majority"] = majority_share(true)
    if name in ("mae", "macro_f1"):
        best = [
            load(name).compute(predictions=[k] * len(true), references=true)[name]
            for k in range(N_LEVELS)
        ]
        values[f"{name}_constant"] = min(best) if name == "mae" else max(best)
    return values


def exchange(groups: Sequence[Hashable], seed: int) -> np.ndarray:
    """[N] another row for every row: of its group, or of all where a group has a single row."""
    order = derangement(groups, np.random.default_rng(seed))
    if any(order == np.arange(len(groups))):
        order = derangement([0] * len(groups), np.random.default_rng(seed))
    return order


def in_step(motion: Sequence[Any], frames: int) -> list[Any]:
    """A motion [F, joints, 3] at `frames` times spread evenly from its first to its last frame,
    linear in between; as it is where it has that length. One frame stands still."""
    if len(motion) == frames:
        return list(motion)
    joints = np.asarray(motion, dtype=np.float64)
    times = np.linspace(0, len(joints) - 1, frames)
    before = np.floor(times).astype(int)
    after = np.minimum(before + 1, len(joints) - 1)
    share = (times - before)[:, None, None]
    moved: list[Any] = ((1 - share) * joints[before] + share * joints[after]).tolist()
    return moved
