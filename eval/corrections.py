"""Scores of corrections and of retrieved demonstrations, beside copies, experts and the codec."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from assistant.clip import PoseSequence
from assistant.coach import Coach
from assistant.coach_result import CoachResult
from assistant.demos.library import Demonstration, Library
from assistant.demos.rank import Ranked
from assistant.perception import Perception
from assistant.pose.alignment import distances_to
from assistant.pose.normalise import normalise
from assistant.tasks.window import cut_window
from eval.poses import (
    Distance,
    best_windows,
    distance,
    mean_motion,
    overlaps,
    rank_of,
    window_joints,
)
from eval.ridge import RidgeCorrection
from eval.testset import TestClip

if TYPE_CHECKING:
    from assistant.demos.contrastive import DualEncoder


@dataclass(frozen=True)
class CorrectionScores:
    """Distances to the fault-free twin over one clip's correction window.

    Attributes:
        faulty: an injected fault shows in the window; only such clips score a correction.
        motions: "correction", "correction_decoded" (as the codes say), "copy_learner" (as
            seen, noise included), "copy_learner_clean", "learner_codec", "codec_floor" (the twin
            through the tokenizer), "retrieved_expert", "nearest_expert" (to the learner as seen),
            "mean_expert", "global_expert" (one for everybody: the item nearest to all others),
            "ridge" (`eval.ridge`, where it was fitted), "estimate" (perception's alone, where there
            is one).
        ranks: rank of the library item nearest to the twin: by the model ("fitted" as it is shown,
            and by each of `demos.rank.FEATURES` alone), by distance to the learner's own motion
            ("neighbour") and to the estimate ("estimate", where there is one), in one order for
            everybody ("global") and by encoders that were tuned for it ("contrastive", where there
            are some). Empty without a ranking.
        suitable: a demonstration was found better than chance; None without a ranking.
        candidates: how many items were ranked.
    """

    faulty: bool
    motions: Mapping[str, Distance]
    ranks: Mapping[str, int]
    suitable: bool | None
    candidates: int


class ExpertWindows:
    """The library's windows of each activity, at the rate of the correction window."""

    def __init__(self, library: Library, contrastive: "DualEncoder | None" = None) -> None:
        self.contrastive = contrastive
        self._items: dict[str, list[Demonstration]] = {}
        for item in library.items:
            self._items.setdefault(item.activity, []).append(item)
        self._joints = {
            activity: [item.window for item in items] for activity, items in self._items.items()
        }
        self._spread: dict[str, np.ndarray] = {}

    def of(self, activity: str) -> tuple[list[str], list[np.ndarray]]:
        """Identifiers and windows [F, 17, 3] of an activity."""
        items = self._items.get(activity, [])
        return [item.demonstration_id for item in items], self._joints.get(activity, [])

    def spread(self, activity: str) -> np.ndarray:
        """[N] mean PA-MPJPE (mm) of each window to all of the activity: least for the one that
        would serve everybody best."""
        if activity not in self._spread:
            windows = np.stack(self._joints[activity])
            self._spread[activity] = np.mean([distances_to(windows, w) for w in windows], axis=0)
        return self._spread[activity]

    def floors(self, activity: str, learner: np.ndarray) -> dict[str, np.ndarray]:
        """Orders of the activity's items [N] without the model, by rising value."""
        found = {"global": self.spread(activity)}
        if self.contrastive is not None:
            windows = np.stack(self._joints[activity])
            found["contrastive"] = self.contrastive.distances(learner, windows)
        return found


def gold_ranks(
    ranked: Sequence[Ranked], names: Sequence[str], gold: int, floors: Mapping[str, np.ndarray]
) -> dict[str, int]:
    """Rank of item `gold` of `names` in each order; empty where it was not ranked.

    Args:
        floors: further orders, by rising value [N] in the order of `names`.
    """
    places = {entry.demonstration.demonstration_id: i for i, entry in enumerate(ranked)}
    if names[gold] not in places:
        return {}
    place = places[names[gold]]
    # Likelihoods and score rise to the better, distances fall.
    signs = {"score": -1.0, "log_likelihood": -1.0, "relative": -1.0, "to_correction_mm": 1.0}
    columns = {
        key: rank_of(place, sign * np.array([getattr(entry, key) for entry in ranked]))
        for key, sign in signs.items()
    }
    return {
        "fitted": columns.pop("score"),
        **columns,
        **{name: rank_of(gold, values) for name, values in floors.items()},
    }


def through_codec(perception: Perception, joints: np.ndarray) -> np.ndarray:
    """Joints [F, 17, 3], root-centred and facing +x, through encoder, codebook and decoder."""
    import torch

    with torch.inference_mode():
        tokenizer = perception.pose_tokenizer
        codes, _ = tokenizer.quantise(tokenizer.encode(torch.from_numpy(joints).float()))
        return tokenizer.decode_codes(codes).numpy()


def correction_scores(
    coach: Coach,
    clips: Sequence[TestClip],
    results: Sequence[CoachResult],
    contrastive: "DualEncoder | None" = None,
    ridge: RidgeCorrection | None = None,
) -> list[CorrectionScores | None]:
    """`score_correction` of every clip; `contrastive` ranks and `ridge` corrects beside it."""
    experts = ExpertWindows(coach.library, contrastive)
    return [
        score_correction(
            result,
            activity=clip.activity,
            clean=clip.clean,
            twin=clip.twin,
            fault_spans=clip.fault_spans,
            experts=experts,
            perception=coach.perception,
            ridge=ridge,
        )
        for clip, result in zip(clips, results, strict=True)
    ]


def score_correction(
    result: CoachResult,
    *,
    activity: str,
    clean: PoseSequence,
    twin: PoseSequence,
    fault_spans: Sequence[tuple[float, float]],
    experts: ExpertWindows,
    perception: Perception,
    ridge: RidgeCorrection | None = None,
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
        "correction_decoded": result.corrected if result.decoded is None else result.decoded,
        "copy_learner": learner,
        "copy_learner_clean": window_joints(clean, start),
        "learner_codec": through_codec(perception, learner),
        "codec_floor": through_codec(perception, facing),
        "nearest_expert": near[int(to_learner.argmin())],
        "mean_expert": mean_motion(near, learner),
        "global_expert": near[int(experts.spread(activity).argmin())],
    }
    if ridge is not None:
        motions["ridge"] = ridge.correct(activity, learner)
    orders = {"neighbour": to_learner, **experts.floors(activity, learner)}
    if result.estimate is not None:
        motions["estimate"] = result.estimate
        orders["estimate"] = distances_to(near, result.estimate)
    ranking = [entry.demonstration.demonstration_id for entry in result.ranked]
    if ranking and ranking[0] in names:
        motions["retrieved_expert"] = near[names.index(ranking[0])]
    return CorrectionScores(
        faulty=overlaps(start, end, fault_spans),
        motions={name: distance(joints, goal) for name, joints in motions.items()},
        ranks=gold_ranks(result.ranked, names, gold, orders),
        suitable=result.feedback.demonstration_reason is None if ranking else None,
        candidates=len(names),
    )
