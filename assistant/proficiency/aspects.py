"""Aspects of proficiency (Look Closer, section II-A): which modality is evidence for which.

The paper names attention, interaction and timing as examples and leaves aspects, their modalities,
their labels and the prior open; what stands here is Poise's reading. `pose` is ours, as a fourth
modality; `PAPER_ASPECTS` is the same without it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from prompts.vocabulary import CORRECT, NEEDS_IMPROVEMENT, NOT_MENTIONED

MODALITIES: Final = ("ego", "exo", "gaze", "pose")
PAPER_MODALITIES: Final = ("ego", "exo", "gaze")

ASPECTS: Final[Mapping[str, tuple[str, ...]]] = {
    "attention": ("gaze", "ego"),
    "hands": ("ego", "pose"),
    "body": ("exo", "pose"),
    "timing": ("ego", "exo", "pose"),
}
PAPER_ASPECTS: Final[Mapping[str, tuple[str, ...]]] = {
    name: tuple(m for m in modalities if m in PAPER_MODALITIES)
    for name, modalities in ASPECTS.items()
}
# Regions whose commentary labels an aspect; timing has none, its faults are named by data.
ASPECT_REGIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "attention": ("head",),
    "hands": ("arms", "hands"),
    "body": ("torso", "legs", "feet"),
    "timing": (),
}

# Three-way aspect polarity.
NOVICE_LIKE: Final = 0
UNKNOWN: Final = 1
EXPERT_LIKE: Final = 2
_FROM_REGION: Final = {
    NEEDS_IMPROVEMENT: NOVICE_LIKE,
    NOT_MENTIONED: UNKNOWN,
    CORRECT: EXPERT_LIKE,
}


def aspect_labels(regions: Mapping[str, int], *, timing: int = UNKNOWN) -> np.ndarray:
    """Pseudo-labels [4] of the aspects from the region polarities of a commentary.

    Of several regions of an aspect a fault wins over praise, praise over silence.

    Args:
        regions: polarity of each region that the commentary decides; a region that is absent
            counts as not mentioned.
        timing: what is known of the timing (the drills know their timing faults).
    """
    labels = []
    for aspect, mine in ASPECT_REGIONS.items():
        found = [_FROM_REGION[regions.get(region, NOT_MENTIONED)] for region in mine]
        if aspect == "timing":
            found = [timing]
        order = (NOVICE_LIKE, EXPERT_LIKE, UNKNOWN)
        labels.append(min(found, key=order.index))
    return np.array(labels)


def activity_prior(
    labels: np.ndarray, activities: Sequence[int] | np.ndarray, n_activities: int
) -> np.ndarray:
    """π_α: each aspect's smoothed share of what the training commentary of an activity speaks of.

    Args:
        labels: [N, aspects] pseudo-labels; activities: [N] indices.
    Returns:
        [n_activities, aspects], rows sum to 1; one is added to every count, so that an aspect that
        nobody mentions keeps a share and an activity without commentary has equal ones.
    """
    prior = np.ones((n_activities, labels.shape[1]))
    for index in range(n_activities):
        prior[index] += (labels[np.asarray(activities) == index] != UNKNOWN).sum(axis=0)
    return prior / prior.sum(axis=1, keepdims=True)


def branch_table(branches: Mapping[str, Iterable[str]], modalities: Sequence[str]) -> np.ndarray:
    """[branches, modalities] bool: which modality a branch reads, of those that there are."""
    return np.array([[m in set(mine) for m in modalities] for mine in branches.values()])
