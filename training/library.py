"""Build the expert library from simulated experts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assistant.demos.cut import around, cut_demonstrations
from assistant.demos.library import Demonstration, Library
from assistant.perception import Perception
from assistant.pose.normalise import normalise
from prompts.vocabulary import CORRECT, LEVELS

if TYPE_CHECKING:
    from data_prep.drills.records import Drill


def build_library(drills: Sequence["Drill"], perception: Perception) -> Library:
    """Windows of the fault-free clips, one repetition of each.

    Unconditional likelihoods are 0 until `with_unconditional`.
    """
    items: list[Demonstration] = []
    for drill in drills:
        if not drill.faults and drill.level:
            items += _windows(drill, perception)
    return Library(items)


def _windows(drill: "Drill", perception: Perception) -> list[Demonstration]:
    pose = normalise(drill.pose)
    first, last = drill.repetitions[0]
    middle = next(((a + b) / 2 for a, b in drill.moments if first <= a <= last), (first + last) / 2)
    return cut_demonstrations(
        perception,
        pose,
        (first, last),
        around(middle, pose.duration),
        drill.sample_id,
        activity=drill.activity,
        level=LEVELS[drill.level or 0],
        correct_regions=tuple(r for r, p in drill.regions.items() if p == CORRECT),
    )
