"""`poise eval expertaf`: ExpertAF's three tasks on pairs of `poise data pair`, learner alone given.

F_t writes the commentary, F_r ranks the split's demonstrations, F_g writes the corrected pose of
the paired window (ExpertAF equations 1 to 3, section 4). The model is given the learner's clip and
nothing of the expert; correction and retrieval follow its own commentary.

A clip that fails or is not judged says nothing (its texts score 0) and ranks its demonstration
last; corrections are of the answered clips, whose number is printed, and so are the motions beside
them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assistant.demos.cut import with_unconditional
from assistant.demos.library import Demonstration, Library
from assistant.progress import Progress
from eval.commentaries import text_values
from eval.expertaf_scores import (
    Ranks,
    correction_motions,
    ranks_of,
    score_motions,
    score_ranks,
    window_distances,
)
from eval.pair_experts import paired_experts
from eval.pairs import TRAINING, LearnerPair, PairTable
from eval.scoring import versions
from eval.suite_run import Coached, coach_rows, counts, failures, inputs_used
from eval.text_scores import TEXT_KEYS
from eval.variants import CoachVariant

if TYPE_CHECKING:
    from assistant.coach import Coach
    from assistant.coach_result import CoachResult

Log = Callable[[str], None]
NEIGHBOUR: Final = "nearest_neighbour"


@dataclass(frozen=True)
class Answered:
    """What is kept of a judged clip.

    Attributes:
        learner, corrected: [10, 17, 3] frames of the window.
        ranks: of every candidate, by order; see `expertaf_scores.ORDERS`.
        first: name of the demonstration that is shown first.
    """

    learner: np.ndarray
    corrected: np.ndarray
    ranks: Ranks
    first: str


class Candidates(Library):
    """The retrieval set: every demonstration is ranked, whatever its activity (section 4)."""

    def candidates(self, activity: str, window: np.ndarray) -> list[Demonstration]:
        return self.items


def evaluate(
    coach: "Coach",
    folder: Path,
    *,
    split: str = "test",
    activity: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    log: Log = lambda text: None,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """The suite's result: figures of the three tasks with their floors, and one record a pair.

    Args:
        folder: of `poise data pair`.
        activity: judge all clips as this; None finds it out.
        limit: learners, the first ones; all demonstrations of the split stay candidates.
        progress: called with clips done and asked.

    Raises:
        PoiseError: no pairs, none in the split, or they are not of the dataset beside them.
    """
    table = PairTable(folder)
    whole = table.chosen(split)
    pairs, training = whole[:limit], table.of(TRAINING) if split != TRAINING else []
    log(f"{len(pairs)} pairs of split {split}, {len(training)} of {TRAINING}")
    library = demonstrations(coach, table, whole)
    names = [item.demonstration_id for item in library.items]
    found = coach_rows(
        CoachVariant(coach, library=library),
        table.dataset,
        [pair.row for pair in pairs],
        activity=activity,
        seed=seed,
        keep=lambda result: _kept(result, names),
        cuts={pair.sample_id: pair.cut for pair in pairs},
        progress=progress,
    )
    kept: list[Answered | None] = [clip.kept for clip in found]
    neighbours = nearest_learners(table, pairs, training)
    gold = [names.index(pair.expert.name) for pair in pairs]
    people, activities = [p.participant_id for p in pairs], [p.activity for p in pairs]
    log("commentaries")
    texts, text_samples = _commentaries(pairs, found, neighbours, seed, log)
    answers = [None if clip is None else clip.ranks for clip in kept]
    learners = np.stack([table.frames(pair.learner) for pair in pairs])
    near = window_distances(learners, [item.window for item in library.items])
    retrieval, rank_samples = score_ranks(answers, near, gold, people, activities, seed)
    log("corrections")
    motions = correction_motions(
        coach.perception, table, pairs, whole, training,
        [None if clip is None else (clip.learner, clip.corrected, clip.first) for clip in kept],
    )  # fmt: skip
    correction, motion_samples = score_motions(motions, people, activities, seed)
    correction["experts_from"] = TRAINING if training else f"{split}, their own left out"
    scores = [a | b | c for a, b, c in zip(text_samples, rank_samples, motion_samples, strict=True)]
    return {
        "suite": "expertaf",
        "split": split,
        "n": len(pairs),
        "participants": len(set(people)),
        "counts": counts(found),
        "failures": failures(found),
        "not_judged": [c.sample_id for c in found if c.record is not None and c.kept is None],
        "inputs_used": inputs_used(found),
        "pairs": {"of_split": len(whole), "training": len(training), "status": table.statuses},
        **texts,
        "retrieval": retrieval,
        "correction": correction,
        "activity": activity,
        "seed": seed,
        "provenance": coach.identity | {"pairs_sha256": table.sha256},
        "references_sha256": table.sha256,
        "versions": versions(),
        "samples": [
            _sample(pair, clip, each) for pair, clip, each in zip(pairs, found, scores, strict=True)
        ],
    }


def demonstrations(coach: "Coach", table: PairTable, pairs: Sequence[LearnerPair]) -> Candidates:
    """The paired experts' windows, each once, with their codes and likelihoods."""
    items = paired_experts(coach.perception, table, pairs)
    return Candidates(with_unconditional(items, coach.engine, coach.config))


def nearest_learners(
    table: PairTable, pairs: Sequence[LearnerPair], training: Sequence[LearnerPair]
) -> list[LearnerPair] | None:
    """Of each pair the training pair whose learner moves most alike (PA-MPJPE of the window);
    None without training pairs."""
    if not training:
        return None
    known = [table.frames(pair.learner) for pair in training]
    mine = np.stack([table.frames(pair.learner) for pair in pairs])
    return [training[i] for i in window_distances(mine, known).argmin(axis=1)]


def _kept(result: "CoachResult", names: Sequence[str]) -> Answered | None:
    if result.frames is None or result.corrected is None:
        return None
    return Answered(
        result.frames.joints,
        result.corrected,
        ranks_of(result.ranked, names),
        result.ranked[0].demonstration.demonstration_id,
    )


def _commentaries(
    pairs: Sequence[LearnerPair],
    found: Sequence[Coached],
    neighbours: Sequence[LearnerPair] | None,
    seed: int,
    log: Log,
) -> tuple[dict[str, Any], list[dict[str, float | None]]]:
    """Text metrics over the pairs with a reference, and the scores of all pairs."""
    rows = [i for i, pair in enumerate(pairs) if pair.reference]
    without = [pair.sample_id for pair in pairs if not pair.reference]
    if not rows:
        reason = "no pair has a summary or spoken words"
        return {"text_n": 0, "text_metrics_not_run": reason, "without_reference": without}, [
            {} for _ in pairs
        ]
    about: dict[str, Any] = {
        "activities": [pairs[i].activity for i in rows],
        "performers": [pairs[i].participant_id for i in rows],
        "seed": seed,
        "log": log,
    }
    gold = [pairs[i].reference for i in rows]
    values, texts = text_values([_commentary(found[i]) for i in rows], gold, **about)
    keys = [key for keys in TEXT_KEYS.values() for key in keys]
    near: dict[str, Any] = dict.fromkeys(keys)
    if neighbours is not None:
        near, _ = text_values([neighbours[i].reference for i in rows], gold, **about)
    values |= {f"{key}_{NEIGHBOUR}": near[key] for key in keys}
    samples: list[dict[str, float | None]] = [dict.fromkeys(texts.samples) for _ in pairs]
    for place, row in enumerate(rows):
        samples[row] = {key: scores[place] for key, scores in texts.samples.items()}
    return {**values, "text_n": len(rows), "without_reference": without}, samples


def _commentary(clip: Coached) -> str:
    return "" if clip.record is None else str(clip.record["commentary"] or "")


def _sample(pair: LearnerPair, clip: Coached, scores: dict[str, float | None]) -> dict[str, Any]:
    """One record a pair; `eval compare` reads `scores`."""
    return {
        "id": pair.sample_id,
        "cluster": pair.participant_id,
        "activity": pair.activity,
        "region": pair.region,
        "demonstration": pair.expert.name,
        "pair_pa_mpjpe_mm": pair.pa_mpjpe_mm,
        "pair_status": pair.status,
        "reference": pair.reference,
        "commentary": _commentary(clip),
        "reason": clip.reason,
        "retrieved": None if clip.kept is None else clip.kept.first,
        "scores": scores,
    }
