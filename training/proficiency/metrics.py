"""Figures of the proficiency parts on clips that nothing was trained on."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from assistant.pose.normalise import NormalisedPose, normalise
from assistant.proficiency.activity import auroc
from assistant.proficiency.assess import Assessment, Assessor, StreamSource
from data_prep.drills.records import Drill
from prompts.vocabulary import NEEDS_IMPROVEMENT, REGIONS
from training.proficiency.poses import noisy_poses, view_poses
from training.proficiency.unnamed import UNNAMED


def evaluate_proficiency(
    assessor: Assessor, drills: Sequence[Drill], poses: Sequence[NormalisedPose]
) -> dict[str, Any]:
    """Level, region, activity and open-set figures of clips that nothing was trained on."""
    assessments = assessor.assess_many(poses)
    known = np.array([d.level is not None for d in drills])
    score = np.array([a.known_score for a in assessments])
    judged = np.array([a.judged for a in assessments])
    named = np.array([a.activity == d.activity for a, d in zip(assessments, drills, strict=True)])
    pairs = [(a, d) for a, d in zip(assessments, drills, strict=True) if d.level is not None]
    metrics: dict[str, Any] = {"n": len(drills), "n_known": len(pairs)}
    metrics |= level_metrics([a for a, _ in pairs], [d.level for _, d in pairs])
    metrics["fault_region_f1"] = fault_region_f1(pairs)
    metrics["activity_accuracy"] = float(named[known].mean())
    metrics["known_judged"] = float((judged & named)[known].mean())
    if (~known).any():
        metrics["unknown_refused"] = float((~judged)[~known].mean())
        metrics["auroc"] = auroc(score, known)
        kinds = np.array([_kind(d) for d in drills])
        metrics["auroc_by_distractor"] = {
            str(name): auroc(score[known | (kinds == name)], known[known | (kinds == name)])
            for name in sorted(set(kinds[~known]))
        }
    return metrics


def with_streams(
    assessor: Assessor,
    drills: Sequence[Drill],
    poses: Sequence[NormalisedPose],
    sources: Sequence[StreamSource | None],
) -> dict[str, Any]:
    """Level figures of the clips that have streams: with the pose alone, and with each of them."""
    mine = [i for i, d in enumerate(drills) if d.level is not None and sources[i] is not None]
    levels = [drills[i].level for i in mine]
    found: dict[str, Any] = {"n": len(mine)}
    for name, kept in (("pose", ()), ("gaze", ("gaze",)), ("video", ("ego", "exo")),
                       ("all", ("ego", "exo", "gaze"))):  # fmt: skip
        chosen = [_only(sources[i], kept) for i in mine]
        assessed = assessor.assess_many([poses[i] for i in mine], sources=chosen)
        found[name] = level_metrics(assessed, levels)
    return found


def _only(source: StreamSource | None, names: Sequence[str]) -> StreamSource:
    """The source restricted to some modalities."""

    def restricted(span: tuple[float, float]) -> Mapping[str, Any]:
        streams = {} if source is None else source(span)
        return {name: stream for name, stream in streams.items() if name in names}

    return restricted


def _kind(drill: Drill) -> str:
    """The activity; of a nameless motion how it was made."""
    return drill.step_names[0] if drill.activity == UNNAMED else drill.activity


def level_metrics(
    assessments: Sequence[Assessment], levels: Sequence[int | None]
) -> dict[str, float]:
    """Accuracy of p_base and CORAL, CORAL's mean absolute error, the majority's accuracy."""
    truth = np.array(levels, dtype=int)
    base = np.array([a.p_base.argmax() for a in assessments])
    coral = np.array([a.level_probabilities.argmax() for a in assessments])
    return {
        "level_accuracy": float((base == truth).mean()),
        "coral_accuracy": float((coral == truth).mean()),
        "level_mae": float(np.abs(base - truth).mean()),
        "coral_mae": float(np.abs(coral - truth).mean()),
        "level_majority": float(np.bincount(truth).max() / len(truth)),
    }


def fault_region_f1(pairs: Sequence[tuple[Assessment, Drill]]) -> float:
    """Micro-F1 of the regions that need improvement."""
    said = np.array([a.regions.argmax(axis=1) == NEEDS_IMPROVEMENT for a, _ in pairs])
    truth = np.array([[d.regions[r] == NEEDS_IMPROVEMENT for r in REGIONS] for _, d in pairs])
    hits = (said & truth).sum()
    return float(2 * hits / max(said.sum() + truth.sum(), 1))


def by_condition(
    assessor: Assessor, drills: Sequence[Drill], seed: int
) -> Mapping[str, dict[str, Any]]:
    """The metrics with clean poses, 15 mm of slow noise, and the noise of a single view."""
    return {
        "clean": evaluate_proficiency(assessor, drills, [normalise(d.pose) for d in drills]),
        "slow_15mm": evaluate_proficiency(
            assessor, drills, noisy_poses(drills, 15.0, seed, fixed=True)
        ),
        "single_view_60mm": evaluate_proficiency(assessor, drills, view_poses(drills, 60.0, seed)),
    }
