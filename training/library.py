"""Build the expert library from simulated experts, and rate how typical each item is."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from assistant.demos.library import Demonstration, Library
from assistant.engine.transformers_engine import TransformersEngine
from assistant.perception import Perception, turned
from assistant.pose.normalise import PERCEPTION_FPS, normalise
from assistant.proficiency.assess import recrop
from assistant.tasks.retrieval import candidate_continuations, unconditional_prompt
from assistant.tasks.window import WINDOW_SECONDS, cut_window
from prompts.vocabulary import CORRECT, LEVELS

if TYPE_CHECKING:
    from data_prep.drills.records import Drill

# Windows around each key moment of a repetition, so that any phase of it has a match.
OFFSETS = (-0.5, 0.0, 0.5)
WINDOW_ROWS = round(WINDOW_SECONDS * PERCEPTION_FPS)


def build_library(drills: Sequence["Drill"], perception: Perception) -> Library:
    """Windows of the fault-free clips, one repetition of each.

    Unconditional likelihoods are 0 until `with_unconditional`.
    """
    items: list[Demonstration] = []
    for drill in drills:
        if drill.faults or not drill.level:
            continue
        items += _windows(drill, perception)
    return Library(items)


def _windows(drill: "Drill", perception: Perception) -> list[Demonstration]:
    pose = normalise(drill.pose)
    first, last = drill.repetitions[0]
    pose = turned(pose, recrop(pose, (first, last)).yaw)
    middle = next(((a + b) / 2 for a, b in drill.moments if first <= a <= last), (first + last) / 2)
    found = []
    for offset in OFFSETS:
        start = middle + offset - WINDOW_SECONDS / 2
        if start < 0 or start + WINDOW_SECONDS > pose.duration:
            continue
        _, codes = perception.encode_window(cut_window(pose, start))
        rows = pose.at_times(start + np.arange(WINDOW_ROWS) / PERCEPTION_FPS, PERCEPTION_FPS)
        found.append(
            Demonstration(
                demonstration_id=f"{drill.sample_id}@{start:.2f}",
                activity=drill.activity,
                start=float(start),
                end=float(start + WINDOW_SECONDS),
                level=LEVELS[drill.level or 0],
                correct_regions=tuple(r for r, p in drill.regions.items() if p == CORRECT),
                joints=rows.joints,
                fps=PERCEPTION_FPS,
                codes=codes,
                unconditional=0.0,
            )
        )
    return found


def with_unconditional(library: Library, engine: TransformersEngine) -> Library:
    """The library with each item's mean log-likelihood after a prompt without any clip."""
    config = engine.model.config
    sums, counts = engine.score(
        unconditional_prompt(), candidate_continuations([i.codes for i in library.items], config)
    )
    return Library(
        [
            replace(item, unconditional=float(total / count))
            for item, total, count in zip(library.items, sums, counts, strict=True)
        ]
    )
