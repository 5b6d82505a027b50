"""Summaries of a run with known answers."""

import numpy as np
import pytest

from assistant.clip import PoseSequence
from eval import summaries as s
from eval.corrections import CorrectionScores
from eval.poses import Distance
from eval.testset import InjectedFault, TestClip, balanced
from prompts.vocabulary import LEVELS, REGIONS

POSE = PoseSequence(np.zeros((30, 17, 3), np.float32), np.ones((30, 17), np.float32), 30.0)


def clip(number: int, level: int = 0, activity: str = "squat", faulty: str = "legs") -> TestClip:
    fault = InjectedFault("shallow", faulty, 0.5, 0.2, 0.6)
    regions = {region: 0 if region == faulty else 2 for region in REGIONS}
    name = f"{activity}-{number}"
    return TestClip(
        name, f"performer-{number % 4}", activity, level, POSE, POSE, POSE, (fault,), regions
    )


def record(level: int | None, fault: str = "legs", activity: str = "squat") -> dict:
    return {
        "judged": level is not None,
        "activity": {"name": activity, "probability": 1.0},
        "proficiency": None
        if level is None
        else {"level": LEVELS[level], "coral": [float(level > k) for k in range(3)]},
        "remarks": [{"region": fault, "polarity": "needs_improvement"}],
        "provenance": {},
    }


def correction(mm: float, learner: float, rank: int = 1, faulty: bool = True) -> CorrectionScores:
    names = {name: Distance(learner, learner + 1) for name in s.MOTIONS}
    ranks = {**dict.fromkeys(s.RANKINGS.values(), 3), "fitted": rank}
    motions = names | {"correction": Distance(mm, mm + 1)}
    return CorrectionScores(faulty, motions, ranks, rank < 5, 11)


def test_perfect_and_useless_answers() -> None:
    clips = [clip(i, level=i % 4) for i in range(8)]
    perfect = s.summarise(s.Scores(clips, [record(c.level) for c in clips]))
    assert perfect["level_accuracy"] == perfect["fault_micro_f1"] == perfect["judged_share"] == 1
    assert perfect["level_mae"] == 0
    assert perfect["coral_accuracy"] == perfect["activity_accuracy"] == 1
    silent = s.summarise(s.Scores(clips, [record(None, "head", "throw") for _ in clips]))
    assert silent["level_accuracy"] == silent["fault_micro_f1"] == silent["judged_share"] == 0
    assert silent["level_mae"] == 2.5
    assert silent["activity_accuracy"] == 0


def test_shuffled_truth_destroys_a_perfect_answer_but_not_a_constant_one() -> None:
    clips = [clip(i, level=i % 4, faulty=REGIONS[i % 6]) for i in range(240)]
    perfect = s.Scores(clips, [record(c.level, REGIONS[i % 6]) for i, c in enumerate(clips)])
    shuffled = s.shuffled_truth(perfect, seed=0)
    assert shuffled["level_accuracy_shuffled"] == pytest.approx(0.25, abs=0.1)
    assert shuffled["fault_micro_f1_shuffled"] == pytest.approx(1 / 6, abs=0.1)
    same = [clip(i, faulty="legs") for i in range(20)]
    constant = s.shuffled_truth(s.Scores(same, [record(0)] * 20), seed=0)
    assert constant["level_accuracy_shuffled"] == constant["fault_micro_f1_shuffled"] == 1


def test_corrections_are_scored_where_a_fault_shows() -> None:
    scores = [
        correction(20, 50, rank=1),
        correction(60, 50, rank=5),
        correction(4, 2, rank=3, faulty=False),
        None,
    ]
    found = s.summarise_corrections(scores)
    assert found["correction_mm"] == 40
    assert found["correction_clip_mm"] == 41
    assert found["copy_learner_mm"] == 50
    assert found["improved_share"] == 0.5
    assert found["n_corrections"] == 2
    assert (found["n_fault_free"], found["fault_free_correction_mm"]) == (1, 4)
    assert found["retrieval_median_rank"] == 3
    assert found["retrieval_chance_median_rank"] == 6
    assert found["nearest_neighbour_median_rank"] == 3
    assert found["retrieval_mean_reciprocal_rank"] == pytest.approx((1 + 1 / 5 + 1 / 3) / 3)
    assert found["retrieval_recall_at_1"] == pytest.approx(1 / 3)
    assert found["retrieval_chance_recall_at_1"] == pytest.approx(1 / 11)
    assert found["retrieval_chance_recall_at_50"] == 1.0
    assert found["suitable_share"] == pytest.approx(2 / 3)


def test_nothing_judged_has_no_numbers_for_corrections() -> None:
    assert s.summarise_corrections([None, None]) == {"n_corrections": 0}
    assert s.summarise_corrections([correction(1, 2, faulty=False)])["correction_mm"] is None


def test_intervals_and_paired_tests_name_what_they_compare() -> None:
    clips = [clip(i, level=i % 4) for i in range(40)]
    rng = np.random.default_rng(0)
    corrections = [correction(20 + rng.normal(), 30 + rng.normal()) for _ in clips]
    scores = s.Scores(clips, [record(c.level) for c in clips], corrections)
    bounds = s.intervals(scores, seed=0)
    assert bounds["level_accuracy"] == [1.0, 1.0]
    assert bounds["correction_mm"][0] < 20.3
    tests = s.paired_tests(scores)
    assert tests["level_accuracy - coral_accuracy"]["p_value"] == 1.0
    against = tests["correction_mm - nearest_expert_mm"]
    assert against["difference"] == pytest.approx(-10, abs=1)
    assert against["p_value"] == 2 ** (1 - 4)  # the least that four performers allow
    assert against["n"] == 40
    ranks = tests["retrieval_reciprocal_rank - nearest_neighbour_reciprocal_rank"]
    assert ranks["difference"] == pytest.approx(2 / 3) and ranks["n"] == 40


def test_by_activity_splits_the_rows() -> None:
    clips = [clip(0, 1, "squat"), clip(1, 2, "throw"), clip(2, 3, "throw")]
    records = [record(1), record(2, activity="throw"), record(0, activity="throw")]
    parts = s.by_activity(s.Scores(clips, records, [None] * 3))
    assert parts["squat"]["level_accuracy"] == 1.0
    assert parts["throw"]["level_accuracy"] == 0.5
    assert parts["throw"]["n"] == 2


def test_a_limit_keeps_activities_and_levels_balanced() -> None:
    clips = [clip(i, i // 10 % 4, name) for name in ("squat", "throw") for i in range(40)]
    few = balanced(clips, 16)
    assert len(few) == 16
    assert all(
        sum(c.activity == a and c.level == k for c in few) == 2
        for a in ("squat", "throw")
        for k in range(4)
    )
    assert balanced(clips, None) == clips
