"""Cut two-second demonstrations out of a motion, with the codes that the language model reads."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from assistant.demos.library import Demonstration
from assistant.engine.base import Engine
from assistant.model.configuration_poise import PoiseConfig
from assistant.perception import Perception, turned
from assistant.pose.normalise import PERCEPTION_FPS, NormalisedPose
from assistant.proficiency.assess import recrop
from assistant.tasks.retrieval import candidate_continuations, unconditional_prompt
from assistant.tasks.window import WINDOW_SECONDS, cut_window

# Windows around each key moment, so that any phase of it has a match.
OFFSETS = (-0.5, 0.0, 0.5)
WINDOW_ROWS = round(WINDOW_SECONDS * PERCEPTION_FPS)
SCORED_AT_ONCE = 256


def around(middle: float, duration: float) -> list[float]:
    """Starts of the windows around a moment that lie inside the motion, seconds."""
    starts = [middle + offset - WINDOW_SECONDS / 2 for offset in OFFSETS]
    return [start for start in starts if start >= 0 and start + WINDOW_SECONDS <= duration]


def cut_demonstrations(
    perception: Perception,
    pose: NormalisedPose,
    span: tuple[float, float],
    starts: Sequence[float],
    name: str,
    **about: Any,
) -> list[Demonstration]:
    """One demonstration a window, in the heading of the span.

    Args:
        pose: the whole motion.
        span: seconds of it that set the heading: a repetition, or what was assessed.
        starts: seconds of it at which windows begin.
        name: of the motion; a demonstration is called `name@start`.
        about: the other fields of `Demonstration`. Likelihoods are 0 until `with_unconditional`.
    """
    pose = turned(pose, recrop(pose, span).yaw)
    found = []
    for start in starts:
        _, codes = perception.encode_window(cut_window(pose, start))
        rows = pose.at_times(start + np.arange(WINDOW_ROWS) / PERCEPTION_FPS, PERCEPTION_FPS)
        found.append(
            Demonstration(
                demonstration_id=f"{name}@{start:.2f}",
                start=float(start),
                end=float(start + WINDOW_SECONDS),
                joints=rows.joints,
                fps=PERCEPTION_FPS,
                codes=codes,
                unconditional=0.0,
                **about,
            )
        )
    return found


def with_unconditional(
    items: Sequence[Demonstration], engine: Engine, config: PoiseConfig
) -> list[Demonstration]:
    """The items with their mean log-likelihood after a prompt without any clip."""
    rated = []
    for first in range(0, len(items), SCORED_AT_ONCE):
        part = items[first : first + SCORED_AT_ONCE]
        sums, counts = engine.score(
            unconditional_prompt(), candidate_continuations([i.codes for i in part], config)
        )
        rated += [
            replace(item, unconditional=float(total / count))
            for item, total, count in zip(part, sums, counts, strict=True)
        ]
    return rated
