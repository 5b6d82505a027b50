"""What coaching gains when an expert's demonstration or commentary is at hand (ExpertAF, full-sup).

The same clips three times: as learners use it, with the gold demonstration in the prompt of the
commentary, and with the true commentary before correction and retrieval. Both are privileged: they
come from the simulated truth of the clip, and stand in rows of their own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np

from assistant.coach import Coach
from assistant.coach_result import CoachResult
from assistant.markdown import markdown
from assistant.pose.alignment import distances_to
from eval import levels as lv
from eval.commentaries import score_commentaries
from eval.corrections import ExpertWindows, correction_scores
from eval.poses import window_joints
from eval.statistics import PairedTest, mcnemar, paired_bootstrap
from eval.summaries import Scores, intervals, reciprocal_ranks, summarise
from eval.tables import with_interval
from eval.testset import TestClip
from eval.variants import CoachVariant, coach_all

LEARNER_ONLY, DEMONSTRATION, COMMENTARY = "learner only", "demonstration given", "commentary given"
RETRIEVAL: Final = "retrieval"  # ours among the orders of `reciprocal_ranks`
TEXTS: Final = ("bleu4", "meteor", "rouge_l")
# What each given thing can change, with its floors: F_t reads the demonstration, F_r and F_g the
# commentary.
KEYS: Final[Mapping[str, Sequence[str]]] = {
    DEMONSTRATION: (
        *("level_accuracy", "fault_micro_f1"),
        *(key + end for key in TEXTS for end in ("", "_shuffled")),
    ),
    COMMENTARY: (
        *("n_corrections", "correction_mm", "copy_learner_mm"),
        *("n_ranked", "retrieval_candidates", "retrieval_recall_at_50", "retrieval_median_rank"),
        *("retrieval_mean_reciprocal_rank", "nearest_neighbour_median_rank"),
        *("nearest_neighbour_mean_reciprocal_rank", "retrieval_chance_median_rank"),
    ),
}


def compare(
    coach: Coach,
    clips: Sequence[TestClip],
    *,
    seed: int = 0,
    log: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Rows by name: `n`, the keys that the given thing can change with their floors and 95%
    intervals over performers, and paired tests."""
    given = [clip.given for clip in clips]
    alone = coach_all(coach, given, seed=seed)
    quick = CoachVariant(coach, retrieve=False, correct=False)
    shown = [
        replace(item, demonstration=gold_demonstration(coach, clip, result))
        for item, clip, result in zip(given, clips, alone, strict=True)
    ]
    told = [replace(item, commentary=clip.summary) for item, clip in zip(given, clips, strict=True)]
    scores = {
        LEARNER_ONLY: _scores(coach, clips, alone),
        DEMONSTRATION: _scores(coach, clips, coach_all(quick, shown, seed=seed)),
        COMMENTARY: _scores(coach, clips, coach_all(coach, told, seed=seed)),
    }
    found = {
        name: summarise(each) | {"intervals": intervals(each, seed)}
        for name, each in scores.items()
    }
    said: dict[str, list[dict[str, Any]]] = {}
    for name in (LEARNER_ONLY, DEMONSTRATION):
        log(f"texts, {name}")
        values, said[name] = score_commentaries(scores[name], seed, log)
        found[name] |= values
        found[name]["intervals"] |= values.get("text_intervals", {})
    return {
        "rows": {name: _row(name, values) for name, values in found.items()},
        "tests": {
            name: asdict(test) for name, test in (_tests(scores) | _text_tests(said, clips)).items()
        },
    }


def _row(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What the given thing can change; of the learner alone everything."""
    kept = KEYS.get(name, (*KEYS[DEMONSTRATION], *KEYS[COMMENTARY]))
    bounds = {key: values["intervals"][key] for key in kept if key in values["intervals"]}
    return {key: values.get(key) for key in ("n", *kept)} | {"intervals": bounds}


def gold_demonstration(coach: Coach, clip: TestClip, result: CoachResult) -> Any:
    """The pose of the library item nearest to the twin in the clip's window; None if not judged."""
    if result.frames is None:
        return None
    names, windows = ExpertWindows(coach.library).of(clip.activity)
    goal = window_joints(clip.twin, result.frames.start)
    best = names[int(distances_to(np.stack(windows), goal).argmin())]
    return next(d.pose() for d in coach.library.items if d.demonstration_id == best)


def table(found: Mapping[str, Any]) -> str:
    """The rows as Markdown; what a given thing cannot change is left out."""
    alone = found["rows"][LEARNER_ONLY]
    keys = [key for key in alone if key != "intervals"]
    rows = []
    for name, values in found["rows"].items():
        bounds = values.get("intervals", {})
        cells = [with_interval(values[k], bounds.get(k)) if k in values else "" for k in keys]
        rows.append([name, *cells])
    return markdown(["full supervision", *keys], rows)


def _scores(coach: Coach, clips: Sequence[TestClip], results: Sequence[CoachResult]) -> Scores:
    records = [result.feedback.to_json() for result in results]
    return Scores(clips, records, correction_scores(coach, clips, results))


def _tests(scores: Mapping[str, Scores]) -> dict[str, PairedTest]:
    alone, shown, told = (scores[name] for name in (LEARNER_ONLY, DEMONSTRATION, COMMENTARY))
    tests = {
        "level_accuracy, demonstration given - learner only": mcnemar(
            lv.correct(shown.predicted, shown.levels),
            lv.correct(alone.predicted, alone.levels),
            alone.performers,
        )
    }
    pairs = [
        (with_it, without, performer)
        for with_it, without, performer in zip(
            told.corrections, alone.corrections, alone.performers, strict=True
        )
        if with_it is not None and without is not None and with_it.faulty
    ]
    if pairs:
        tests["correction_mm, commentary given - learner only"] = paired_bootstrap(
            np.array([a.motions["correction"].frame_mm for a, _, _ in pairs]),
            np.array([b.motions["correction"].frame_mm for _, b, _ in pairs]),
            [performer for *_, performer in pairs],
        )
    (ours, people), (theirs, same) = reciprocal_ranks(told), reciprocal_ranks(alone)
    if RETRIEVAL in ours and people == same:
        tests["retrieval_reciprocal_rank, commentary given - learner only"] = paired_bootstrap(
            ours[RETRIEVAL], theirs[RETRIEVAL], people
        )
    return tests


def _text_tests(
    said: Mapping[str, Sequence[Mapping[str, Any]]], clips: Sequence[TestClip]
) -> dict[str, PairedTest]:
    """METEOR with the demonstration against without, of clips that both score."""
    pairs = [
        (shown["scores"]["meteor"], alone["scores"]["meteor"], clip.performer)
        for shown, alone, clip in zip(said[DEMONSTRATION], said[LEARNER_ONLY], clips, strict=True)
        if shown["scores"].get("meteor") is not None and alone["scores"].get("meteor") is not None
    ]
    if not pairs:
        return {}
    with_it, without, performers = zip(*pairs, strict=True)
    test = paired_bootstrap(np.array(with_it), np.array(without), performers)
    return {"meteor, demonstration given - learner only": test}
