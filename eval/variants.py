"""The coach with one part of its prompt taken from another clip, and without costly parts.

What a modality carries shows when it is shuffled between clips and everything else stays.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from assistant.coach import Coach
from assistant.coach_result import CoachInput, CoachResult
from assistant.demos.library import Library
from assistant.demos.rank import Ranked
from assistant.model.processing_poise import ModelInputs
from eval.levels import derangement

# Which fields of the model's inputs a shuffle exchanges; "pose" takes the learner's codes along.
SHUFFLES: Final = {
    "pose": ("pose", "pose_text"),
    "video": ("video",),
    "score": ("score",),
    "stage1": ("regions", "stage1"),
    "all": ("pose", "pose_text", "video", "score", "regions", "stage1"),
}
BATCH: Final = 64


class CoachVariant(Coach):
    """A coach whose prompts have some parts shuffled between the clips of one call.

    Args:
        coach: whose parts are used.
        shuffle: a name of SHUFFLES, or None for the coach as it is.
        retrieve: rank the demonstrations; without, it costs far less.
        only: ids of the clips for which they are ranked; None ranks for all.
        correct: write the correction; without, it is the learner's own motion.
        library: demonstrations in place of the coach's.
        seed: of the shuffle.
    """

    def __init__(
        self,
        coach: Coach,
        *,
        shuffle: str | None = None,
        retrieve: bool = True,
        only: Collection[str] | None = None,
        correct: bool = True,
        library: Library | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(
            coach.checkpoint,
            coach.engine,
            coach.config,
            coach.perception,
            coach.library if library is None else library,
            coach.experts,
        )
        self.shuffle = shuffle
        self.retrieve = retrieve
        self.only = only
        self.writes_corrections = correct
        self.rng = np.random.default_rng(seed)

    def _answer(self, judged, timings, seed):  # type: ignore[no-untyped-def]
        if self.shuffle is not None:
            order = derangement([item.assessment.activity for item in judged], self.rng)
            inputs = shuffle_inputs([item.inputs for item in judged], order, self.shuffle)
            codes = self.shuffle in ("pose", "all")
            judged = [
                replace(item, inputs=given, codes=judged[other].codes if codes else item.codes)
                for item, given, other in zip(judged, inputs, order, strict=True)
            ]
        return super()._answer(judged, timings, seed)

    def correct(self, judged, texts, seed):  # type: ignore[no-untyped-def]
        """Corrected frames of each clip; the learner's own where none are written."""
        if self.writes_corrections:
            return super().correct(judged, texts, seed)
        return [(item.window.joints, item.window.joints) for item in judged]

    def _retrieve(self, item, text, corrected) -> list[Ranked]:  # type: ignore[no-untyped-def]
        wanted = self.only is None or item.given.clip_id in self.only
        return super()._retrieve(item, text, corrected) if self.retrieve and wanted else []


def shuffle_inputs(
    inputs: Sequence[ModelInputs], order: Sequence[int], shuffle: str
) -> list[ModelInputs]:
    """Row i gets the fields of SHUFFLES[shuffle] from row order[i]."""
    fields = SHUFFLES[shuffle]
    return [
        replace(given, **{name: getattr(inputs[other], name) for name in fields})
        for given, other in zip(inputs, order, strict=True)
    ]


def coach_all(
    coach: Coach,
    clips: Sequence[CoachInput],
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[CoachResult]:
    """`coach_many` in batches of BATCH clips."""
    results: list[CoachResult] = []
    for begin in range(0, len(clips), BATCH):
        results += coach.coach_many(clips[begin : begin + BATCH], seed=seed)
        if progress is not None:
            progress(len(results), len(clips))
    return results
