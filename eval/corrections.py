"""Scores of corrections and of retrieved demonstrations, beside copies, experts and the codec."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from assistant.clip import PoseSequence
from assistant.coach_result import CoachResult
from assistant.demos.library import Demonstration, Library
from assistant.perception import Perception
from assistant.pose.normalise import normalise
from assistant.tasks.window import WINDOW_FPS, cut_window
from eval.poses import (
    Distance,
    best_windows,
    distance,
    distances_to,
    mean_motion,
    overlaps,
    rank_of,
    window_joints,
)


@dataclass(frozen=True)
class CorrectionScores:
    """Distances to the fault-free twin over one clip's correction window.

    Attributes:
        faulty: an injected fault shows in the window; only such clips score a correction.
        motions: "correction", "copy_learner" (as seen, noise included), "copy_learner_clean",
            "learner_codec", "codec_floor" (the twin through the tokenizer), "retrieved_expert",
            "nearest_expert" (to the learner as seen), "mean_expert".
        gold_rank, neighbour_rank: rank of the library item nearest to the twin, in the model's
            ranking and by distance to the learner's own motion; None without a ranking.
        candidates: how many items were ranked.
    """

    faulty: bool
    motions: Mapping[str, Distance]
    gold_rank: int | None
    neighbour_rank: int | None
    candidates: int


class ExpertWindows:
    """The library's windows of each activity, at the rate of the correction window."""

    def __init__(self, library: Library) -> None:
        self._items: dict[str, list[Demonstration]] = {}
        for item in library.items:
            self._items.setdefault(item.activity, []).append(item)
        self._joints = {
            activity: [item.joints[:: round(item.fps / WINDOW_FPS)] for item in items]
            for activity, items in self._items.items()
        }

    def of(self, activity: str) -> tuple[list[str], list[np.ndarray]]:
        """Identifiers and windows [F, 17, 3] of an activity."""
        items = self._items.get(activity, [])
        return [item.demonstration_id for item in items], self._joints.get(activity, [])


def through_codec(perception: Perception, joints: np.ndarray) -> np.ndarray:
    """Joints [F, 17, 3], root-centred and facing +x, through encoder, codebook and decoder."""
    import torch

    with torch.inference_mode():
        tokenizer = perception.pose_tokenizer
        codes, _ = tokenizer.quantise(tokenizer.encode(torch.from_numpy(joints).float()))
        return tokenizer.decode_codes(codes).numpy()


def score_correction(
    result: CoachResult,
    *,
    activity: str,
    clean: PoseSequence,
    twin: PoseSequence,
    fault_spans: Sequence[tuple[float, float]],
    experts: ExpertWindows,
    perception: Perception,
) -> CorrectionScores | None:
    """Scores of one judged clip; None where nothing was judged.

    Args:
        result: of the coach, with its window.
        activity: the true one, whose experts are the candidates.
        clean: the learner without pose noise; twin: the same performer without faults, in step.
        fault_spans: seconds in which an injected fault shows.
    """
    if result.frames is None or result.corrected is None:
        return None
    start, end = result.frames.start, result.frames.end
    goal = window_joints(twin, start)
    learner = result.frames.joints
    facing = cut_window(normalise(twin), start).joints
    names, windows = experts.of(activity)
    near = np.stack(best_windows(windows, learner))
    to_learner = distances_to(near, learner)
    gold = int(distances_to(np.stack(best_windows(windows, goal)), goal).argmin())
    motions = {
        "correction": result.corrected,
        "copy_learner": learner,
        "copy_learner_clean": window_joints(clean, start),
        "learner_codec": through_codec(perception, learner),
        "codec_floor": through_codec(perception, facing),
        "nearest_expert": near[int(to_learner.argmin())],
        "mean_expert": mean_motion(near, learner),
    }
    ranking = [entry.demonstration.demonstration_id for entry in result.ranked]
    if ranking and ranking[0] in names:
        motions["retrieved_expert"] = near[names.index(ranking[0])]
    return CorrectionScores(
        faulty=overlaps(start, end, fault_spans),
        motions={name: distance(joints, goal) for name, joints in motions.items()},
        gold_rank=ranking.index(names[gold]) + 1 if names[gold] in ranking else None,
        neighbour_rank=rank_of(gold, to_learner),
        candidates=len(names),
    )
