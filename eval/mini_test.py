"""The suite `mini-test`: level, faults, correction and retrieval on unseen simulated performers.

    poise eval mini-test --json -o docs/results/mini_test.json

Every number stands beside its floors; intervals draw performers. Keys are those of the README.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from assistant.coach import Coach
from assistant.coach_result import CoachInput
from assistant.demos.contrastive import DualEncoder
from assistant.pose.normalise import normalise
from assistant.tasks.window import WINDOW_FPS
from eval import levels as lv
from eval.closed_loop import score_rises, summarise_rises
from eval.commentaries import score_commentaries
from eval.corrections import correction_scores, through_codec
from eval.floors import BoostedTrees, angle_statistics, oracle_level
from eval.hallucinations import hallucinations
from eval.poses import distance
from eval.ridge import RidgeCorrection
from eval.scoring import versions
from eval.statistics import auroc
from eval.summaries import (
    Scores,
    by_activity,
    intervals,
    paired_tests,
    part_of,
    shuffled_truth,
    summarise,
)
from eval.tables import SHUFFLE_KEYS
from eval.testset import FILMED, STANDARD, TestClip, TestSet, balanced
from eval.variants import SHUFFLES, CoachVariant, coach_all

Log = Callable[[str], None]
# In every other condition one in so many of the ranked clips of STANDARD is: it costs most.
CONDITION_SHARE: Final = 6


def run_clips(
    coach: Coach,
    clips: Sequence[TestClip],
    *,
    seed: int = 0,
    corrections: bool = True,
    reassessed: bool = False,
    contrastive: DualEncoder | None = None,
    ridge: RidgeCorrection | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Coach the clips and score every one of them.

    Args:
        corrections: score the corrections; reassessed: put them in and judge the clips again.
        contrastive: tuned encoders that rank beside the model; ridge: corrects beside it.
    """
    given = [clip.given for clip in clips]
    results = coach_all(coach, given, seed=seed, progress=progress)
    records = [result.feedback.to_json() for result in results]
    found = correction_scores(coach, clips, results, contrastive, ridge) if corrections else []
    rises = score_rises(coach.perception, clips, results, seed) if reassessed else []
    return Scores(clips, records, found, rises)


def floors(scores: Scores, training: Sequence[TestClip]) -> dict[str, Any]:
    """Majority, oracle, and boosted trees that learned from `training` (empty: not run)."""
    levels = scores.levels
    oracle = [oracle_level([asdict(f) for f in clip.faults]) for clip in scores.clips]
    result: dict[str, Any] = {
        "level_majority": lv.majority_share(levels.tolist()),
        "level_oracle": float(lv.correct(oracle, levels).mean()),
        "trees_n_train": len(training),
        "trees_accuracy": None,
        "trees_mae": None,
        "trees_fault_micro_f1": None,
    }
    if training:
        trees = BoostedTrees().fit(
            np.stack([_tree_features(clip) for clip in training]),
            [clip.level for clip in training],
            lv.injected_faults([clip.regions for clip in training]),
        )
        features = np.stack([_tree_features(clip) for clip in scores.clips])
        said = trees.levels(features)
        result |= {
            "trees_accuracy": float(lv.correct(said, levels).mean()),
            "trees_mae": float(lv.level_error(said, levels).mean()),
            "trees_fault_micro_f1": lv.micro_f1(
                lv.fault_counts(trees.faults(features), scores.injected)
            ),
        }
    return result


def tokenizer_error(coach: Coach, clips: Sequence[TestClip]) -> dict[str, float]:
    """Pose tokenizer alone, per frame at 5 fps: from what the model sees, and from clean poses,
    to the clean pose (PA-MPJPE, and the plain root-centred error without any alignment)."""
    seen, clean = [], []
    for clip in clips:
        true = normalise(clip.clean)
        noisy = normalise(clip.pose)
        times = np.arange(0, true.duration, 1 / WINDOW_FPS)
        clean.append(true.at_times(times, WINDOW_FPS).joints)
        seen.append(noisy.at_times(times, WINDOW_FPS).joints)
    goal, given = np.concatenate(clean), np.concatenate(seen)
    from_clean = through_codec(coach.perception, goal)
    from_seen = through_codec(coach.perception, given)
    plain = np.linalg.norm(from_clean - goal, axis=-1).mean() * 1000
    return {
        "pct_mm": distance(from_clean, goal).frame_mm,
        "pct_plain_mm": float(plain),
        "pct_from_noisy_mm": distance(from_seen, goal).frame_mm,
        "pose_noise_mm": distance(given, goal).frame_mm,
    }


def real_tokenizer_error(coach: Coach, throws: Sequence[CoachInput]) -> dict[str, Any]:
    """The tokenizer on real poses, every frame at 5 fps against itself (PA-MPJPE and plain)."""
    joints = []
    for throw in throws:
        pose = normalise(throw.pose)
        joints.append(pose.at_times(np.arange(0, pose.duration, 0.2), WINDOW_FPS).joints)
    goal = np.concatenate(joints)
    back = through_codec(coach.perception, goal)
    plain = np.linalg.norm(back - goal, axis=-1).mean() * 1000
    return {
        "pct_real_mm": distance(back, goal).frame_mm,
        "pct_real_plain_mm": float(plain),
        "n_real": len(throws),
    }


def open_set(coach: Coach, test_set: TestSet) -> dict[str, Any]:
    """How well one score tells the known drills from other motions, and what the threshold does."""
    assess = coach.perception.assessor.assess_many
    known = [normalise(clip.pose) for clip in test_set.clips]
    others = [normalise(pose) for pose in test_set.distractors]
    inside, outside = assess(known), assess(others)
    return {
        "n_distractors": len(others),
        "open_set_auroc": auroc(
            [found.known_score for found in inside], [found.known_score for found in outside]
        ),
        "distractors_rejected": float(np.mean([not found.judged for found in outside])),
        "known_judged": float(np.mean([found.judged for found in inside])),
    }


def shuffles(
    coach: Coach,
    clips: Sequence[TestClip],
    filmed: Sequence[TestClip],
    *,
    seed: int,
    log: Log,
) -> dict[str, dict[str, Any] | None]:
    """Levels and faults with one part of the prompt taken from another clip of the activity.

    Video is shuffled between the clips of `filmed`; None where there are none.
    """
    found: dict[str, dict[str, Any] | None] = {}
    for name in SHUFFLES:
        chosen = filmed if name == "video" else clips
        if not chosen:
            found[name] = None
            continue
        log(f"shuffled {name}")
        variant = CoachVariant(coach, shuffle=name, retrieve=False, correct=False, seed=seed)
        summary = summarise(run_clips(variant, chosen, seed=seed, corrections=False))
        found[name] = {key: summary[key] for key in SHUFFLE_KEYS}
    return found


def evaluate(
    coach: Coach,
    sets: Mapping[str, TestSet],
    *,
    training: Sequence[TestClip] = (),
    throws: Sequence[CoachInput] = (),
    seed: int = 0,
    ranked: int | None = None,
    shuffled: int | None = None,
    contrastive: DualEncoder | None = None,
    log: Log = lambda text: None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The whole result.

    Args:
        sets: condition name to its clips; STANDARD is the one that targets are for.
        training: clips of other performers, for the boosted trees and the ridge regression.
        throws: real poses for `pct_real_mm`.
        ranked: for so many clips, balanced, demonstrations are ranked, in other conditions for a
            sixth as many; None ranks for all.
        contrastive: as for `run_clips`.
        shuffled: so many clips, balanced, are answered with shuffled inputs; None takes all.
    """
    clips = sets[STANDARD].clips
    log(f"coaching {len(clips)} clips")
    only = None if ranked is None else {clip.sample_id for clip in balanced(clips, ranked)}
    scores = run_clips(
        CoachVariant(coach, only=only),
        clips,
        seed=seed,
        reassessed=True,
        contrastive=contrastive,
        ridge=RidgeCorrection().fit(training, seed) if training else None,
        progress=progress,
    )
    result = summarise(scores) | shuffled_truth(scores, seed) | tokenizer_error(coach, clips)
    result |= summarise_rises(scores.rises, scores.performers, seed)
    result |= hallucinations(scores.records, clips, coach.experts, seed)
    log("commentaries")
    texts, result["samples"] = score_commentaries(scores, seed, log)
    result |= texts
    result |= {"pct_real_mm": None, "pct_real_plain_mm": None}
    if throws:
        result |= real_tokenizer_error(coach, throws)
    if sets[STANDARD].distractors:
        result |= open_set(coach, sets[STANDARD])
    log("floors")
    result |= floors(scores, training)
    result["conditions"] = {}
    for name, others in sets.items():
        if name != STANDARD:
            log(f"condition {name}")
            fewer = None if ranked is None else ranked // CONDITION_SHARE
            few = {clip.sample_id for clip in balanced(others.clips, fewer)}
            found = run_clips(CoachVariant(coach, only=few), others.clips, seed=seed)
            result["conditions"][name] = summarise(found)
    filmed = sets[FILMED].clips if FILMED in sets else []
    some = balanced(clips, shuffled)
    result["shuffled_inputs"] = shuffles(coach, some, filmed, seed=seed, log=log)
    whole = summarise(part_of(scores, {clip.sample_id for clip in some}))
    result["unshuffled_inputs"] = {key: whole[key] for key in SHUFFLE_KEYS}
    result["by_activity"] = by_activity(scores)
    result["intervals"] = intervals(scores, seed)
    result["tests"] = paired_tests(scores)
    result["performers"] = len(set(scores.performers))
    result["seed"] = seed
    result["counts"] = {"asked": len(clips), "done": sum(r["judged"] for r in scores.records)}
    result["versions"] = versions()
    result["provenance"] = dict(scores.records[0]["provenance"])
    return result


def _tree_features(clip: TestClip) -> np.ndarray:
    activity = float(sum(map(ord, clip.activity)))  # any number that tells the drills apart
    return np.append(angle_statistics(clip.pose), activity)
