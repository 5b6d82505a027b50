"""Summaries of a run: means, intervals over performers, paired tests, shuffled truth."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from eval import levels as lv
from eval.corrections import CorrectionScores
from eval.statistics import (
    PairedTest,
    bootstrap,
    chance_median_rank,
    mcnemar,
    median_rank,
    paired_bootstrap,
)
from eval.testset import TestClip

# Motions of CorrectionScores that are printed; the first is the model's.
MOTIONS: Final = (
    "correction",
    "correction_decoded",
    "copy_learner",
    "copy_learner_clean",
    "learner_codec",
    "retrieved_expert",
    "nearest_expert",
    "mean_expert",
    "global_expert",
    "ridge",
    "estimate",
    "codec_floor",
)
# Key of a summary: order of CorrectionScores.ranks.
RANKINGS: Final = {
    "retrieval": "fitted",
    "likelihood": "log_likelihood",
    "relative_likelihood": "relative",
    "nearest_to_correction": "to_correction_mm",
    "nearest_neighbour": "neighbour",
    "nearest_to_estimate": "estimate",
    "global_expert": "global",
    "contrastive": "contrastive",
}
RECALL_AT: Final = (1, 10, 50)


@dataclass(frozen=True)
class Scores:
    """Per-clip scores of one run over a set, all in the order of the clips."""

    clips: Sequence[TestClip]
    records: Sequence[Mapping[str, Any]]
    corrections: Sequence[CorrectionScores | None] = field(default=())
    rises: Sequence[dict[str, float] | None] = field(default=())

    @property
    def performers(self) -> list[str]:
        return [clip.performer for clip in self.clips]

    @property
    def levels(self) -> np.ndarray:
        return np.array([clip.level for clip in self.clips])

    @property
    def predicted(self) -> np.ndarray:
        return np.array([lv.predicted_level(record) for record in self.records])

    @property
    def coral(self) -> np.ndarray:
        return np.array([lv.coral_level(record) for record in self.records])

    @property
    def injected(self) -> list[set[str]]:
        return lv.injected_faults([clip.regions for clip in self.clips])

    @property
    def fault_counts(self) -> np.ndarray:
        return lv.fault_counts(lv.named_faults(self.records), self.injected)


def summarise(scores: Scores) -> dict[str, Any]:
    """The numbers of one condition, without intervals."""
    return {
        "n": len(scores.clips),
        "level_accuracy": float(lv.correct(scores.predicted, scores.levels).mean()),
        "level_majority": lv.majority_share(scores.levels.tolist()),
        "level_mae": float(lv.level_error(scores.predicted, scores.levels).mean()),
        "coral_accuracy": float(lv.correct(scores.coral, scores.levels).mean()),
        "fault_micro_f1": lv.micro_f1(scores.fault_counts),
        "judged_share": float(np.mean([record["judged"] for record in scores.records])),
        "activity_accuracy": float(np.mean(recognised(scores))),
        "schema_valid": float(lv.schema_valid(scores.records).mean()),
        **summarise_corrections(scores.corrections),
    }


def recognised(scores: Scores) -> list[bool]:
    """Is the activity of each clip named rightly, judged or not?"""
    return [
        record["activity"] is not None and record["activity"]["name"] == clip.activity
        for clip, record in zip(scores.clips, scores.records, strict=True)
    ]


def summarise_corrections(corrections: Sequence[CorrectionScores | None]) -> dict[str, Any]:
    """Mean distances to the twin over faulty windows, ranks, and copies on fault-free windows."""
    seen = [c for c in corrections if c is not None]
    faulty, clean = [c for c in seen if c.faulty], [c for c in seen if not c.faulty]
    summary: dict[str, Any] = {"n_corrections": len(faulty)}
    if not seen:
        return summary
    for name in MOTIONS:
        rows = [c.motions[name] for c in faulty if name in c.motions]
        summary[_key(name)] = float(np.mean([d.frame_mm for d in rows])) if rows else None
        summary[_key(name, "clip_")] = float(np.mean([d.clip_mm for d in rows])) if rows else None
    summary["improved_share"] = _share_closer(faulty)
    summary["n_fault_free"] = len(clean)
    for name in ("correction", "copy_learner"):
        errors = [c.motions[name].frame_mm for c in clean]
        summary[f"fault_free_{_key(name)}"] = float(np.mean(errors)) if errors else None
    return summary | summarise_ranks([c for c in seen if c.ranks])


def summarise_ranks(ranked: Sequence[CorrectionScores]) -> dict[str, Any]:
    """Ranks of the gold demonstration in each of RANKINGS, and by chance; empty without any."""
    if not ranked:
        return {}
    sizes = np.array([c.candidates for c in ranked])
    summary: dict[str, Any] = {
        "n_ranked": len(ranked),
        "retrieval_candidates": int(np.median(sizes)),
        "retrieval_chance_median_rank": float(np.median([chance_median_rank(s) for s in sizes])),
        "suitable_share": float(np.mean([c.suitable for c in ranked])),
    }
    for at in RECALL_AT:
        summary[f"retrieval_chance_recall_at_{at}"] = float(np.minimum(at / sizes, 1).mean())
    for key, order in _orders(ranked[0].ranks).items():
        ranks = np.array([c.ranks[order] for c in ranked])
        summary[f"{key}_median_rank"] = median_rank(ranks.tolist())
        summary[f"{key}_mean_reciprocal_rank"] = float((1 / ranks).mean())
        for at in RECALL_AT:
            summary[f"{key}_recall_at_{at}"] = float((ranks <= at).mean())
    return summary


def _orders(ranks: Mapping[str, int]) -> dict[str, str]:
    """Those of RANKINGS that were measured."""
    return {key: order for key, order in RANKINGS.items() if order in ranks}


def shuffled_truth(scores: Scores, seed: int) -> dict[str, float]:
    """The same answers scored against another clip of the same activity: what chance gives."""
    rng = np.random.default_rng(seed)
    order = lv.derangement([clip.activity for clip in scores.clips], rng)
    levels, injected = scores.levels[order], [scores.injected[i] for i in order]
    return {
        "level_accuracy_shuffled": float(lv.correct(scores.predicted, levels).mean()),
        "level_mae_shuffled": float(lv.level_error(scores.predicted, levels).mean()),
        "fault_micro_f1_shuffled": lv.micro_f1(
            lv.fault_counts(lv.named_faults(scores.records), injected)
        ),
    }


def intervals(scores: Scores, seed: int) -> dict[str, list[float | None]]:
    """95% intervals over performers."""
    who = scores.performers
    exact = lv.correct(scores.predicted, scores.levels)
    found = {
        "level_accuracy": bootstrap(exact, who, seed=seed),
        "level_mae": bootstrap(lv.level_error(scores.predicted, scores.levels), who, seed=seed),
        "coral_accuracy": bootstrap(lv.correct(scores.coral, scores.levels), who, seed=seed),
        "fault_micro_f1": bootstrap(scores.fault_counts, who, lv.micro_f1, seed=seed),
    }
    faulty, performers = _faulty(scores)
    for name in MOTIONS if faulty else ():
        values = [c.motions[name].frame_mm for c in faulty if name in c.motions]
        if len(values) == len(faulty):
            found[_key(name)] = bootstrap(np.array(values), performers, seed=seed)
    inverse, performers = reciprocal_ranks(scores)
    for name, ranks in inverse.items():
        found[f"{name}_mean_reciprocal_rank"] = bootstrap(ranks, performers, seed=seed)
    return {key: [i.low, i.high] for key, i in found.items()}


def paired_tests(scores: Scores) -> dict[str, dict[str, Any]]:
    """The correction against each copy and expert (mm, negative is better); label against CORAL."""
    tests = {
        "level_accuracy - coral_accuracy": mcnemar(
            lv.correct(scores.predicted, scores.levels),
            lv.correct(scores.coral, scores.levels),
            scores.performers,
        )
    }
    faulty, performers = _faulty(scores)
    for name in MOTIONS[1:]:
        if not faulty or any(name not in c.motions for c in faulty):
            continue
        for prefix, pick in (("", "frame_mm"), ("clip_", "clip_mm")):
            ours = np.array([getattr(c.motions["correction"], pick) for c in faulty])
            theirs = np.array([getattr(c.motions[name], pick) for c in faulty])
            key = f"{_key('correction', prefix)} - {_key(name, prefix)}"
            tests[key] = paired_bootstrap(ours, theirs, performers)
    tests |= rank_tests(scores)
    return {name: asdict(test) for name, test in tests.items()}


def rank_tests(scores: Scores) -> dict[str, PairedTest]:
    """Reciprocal rank of the gold demonstration, ours against every other order (positive is
    better): medians are 1 for several of them and cannot be told apart."""
    inverse, performers = reciprocal_ranks(scores)
    if not inverse:
        return {}
    ours, *others = inverse
    return {
        f"{ours}_reciprocal_rank - {key}_reciprocal_rank": paired_bootstrap(
            inverse[ours], inverse[key], performers
        )
        for key in others
    }


def reciprocal_ranks(scores: Scores) -> tuple[dict[str, np.ndarray], list[str]]:
    """1 / rank of the gold demonstration in each measured order, and whose clips they are."""
    pairs = [
        (found.ranks, clip.performer)
        for found, clip in zip(scores.corrections, scores.clips, strict=False)
        if found is not None and found.ranks
    ]
    orders = _orders(pairs[0][0]) if pairs else {}
    inverse = {key: np.array([1 / r[order] for r, _ in pairs]) for key, order in orders.items()}
    return inverse, [performer for _, performer in pairs]


def by_activity(scores: Scores) -> dict[str, dict[str, Any]]:
    """The summary of each activity's clips."""
    activities: dict[str, set[str]] = {}
    for clip in scores.clips:
        activities.setdefault(clip.activity, set()).add(clip.sample_id)
    return {name: summarise(part_of(scores, clips)) for name, clips in activities.items()}


def part_of(scores: Scores, names: Collection[str]) -> Scores:
    """The scores of the clips of these names."""
    rows = [i for i, clip in enumerate(scores.clips) if clip.sample_id in names]
    return Scores(
        [scores.clips[i] for i in rows],
        [scores.records[i] for i in rows],
        [scores.corrections[i] for i in rows] if scores.corrections else [],
    )


def _key(motion: str, prefix: str = "") -> str:
    """`correction_mm`, or `correction_clip_mm` with the prefix "clip_"."""
    return f"{motion}_{prefix}mm"


def _faulty(scores: Scores) -> tuple[list[CorrectionScores], list[str]]:
    pairs = [
        (correction, clip.performer)
        for correction, clip in zip(scores.corrections, scores.clips, strict=False)
        if correction is not None and correction.faulty
    ]
    return [c for c, _ in pairs], [performer for _, performer in pairs]


def _share_closer(faulty: Sequence[CorrectionScores]) -> float | None:
    closer = [c.motions["correction"].frame_mm < c.motions["copy_learner"].frame_mm for c in faulty]
    return float(np.mean(closer)) if closer else None
