"""Metrics of levels, ranks, poses, regions, formats, moments and remarks."""

from typing import Any

import numpy as np
import pytest

from assistant.errors import PoiseError
from eval.metrics import METRICS, load

CLOSE = {"abs": 1e-4}
SQUAT = {"activity": "bodyweight_squat", "faults": [{"name": "knee_valgus", "region": "legs"}]}
CAVING = {"region": "legs", "polarity": "needs_improvement", "text": "The knees cave in."}
PRAISE = {"region": "legs", "polarity": "correct", "text": "The knees are steady."}


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "mae", "quadratic_kappa"])
def test_level_metrics_agree_with_scikit_learn(golden: dict[str, Any], name: str) -> None:
    levels = golden["levels"]
    said = np.argmax(levels["probabilities"], axis=1).tolist()
    found = load(name).compute(predictions=said, references=levels["true"])
    assert found[name] == pytest.approx(levels[name], **CLOSE)


def test_rank_correlation_calibration_and_regions_agree_with_theirs(golden: dict[str, Any]) -> None:
    levels = golden["levels"]
    p = np.array(levels["probabilities"])
    given = {"references": levels["true"]}
    spearman = load("spearman").compute(predictions=(p @ np.arange(4)).tolist(), **given)
    assert spearman["spearman"] == pytest.approx(levels["spearman"], **CLOSE)
    ece = load("ece").compute(predictions=p.tolist(), **given)
    assert ece["ece"] == pytest.approx(levels["ece"], **CLOSE)
    regions = load("region_polarity_f1").compute(
        predictions=levels["regions_said"], references=levels["regions_true"]
    )
    assert regions["region_polarity_f1"] == pytest.approx(levels["region_polarity_f1"], **CLOSE)


def test_ranks_agree_with_torchmetrics(golden: dict[str, Any]) -> None:
    ranks = golden["ranks"]
    given = {"predictions": ranks["rankings"], "references": ranks["gold"]}
    recall = load("recall_at_k").compute(**given, k=ranks["k"])
    assert recall["recall_at_k"] == pytest.approx(ranks["recall_at_k"], **CLOSE)
    assert recall["recall_at_k_chance"] == pytest.approx(3 / 9)
    median = load("median_rank").compute(**given)
    assert median["median_rank"] == pytest.approx(ranks["median_rank"], **CLOSE)
    assert median["median_rank_chance"] == 5.0


@pytest.mark.parametrize("name", ["pa_mpjpe", "mpjpe", "velocity_error", "bone_length_drift"])
def test_pose_metrics_agree_with_plain_alignment(golden: dict[str, Any], name: str) -> None:
    poses = golden["poses"]
    found = load(name).compute(predictions=poses["said"], references=poses["true"])
    assert found[name] == pytest.approx(poses[name], **CLOSE)
    assert len(found[f"{name}_per_sample"]) == 2


def test_a_mirrored_body_is_not_aligned_to_zero(golden: dict[str, Any]) -> None:
    true = np.array(golden["poses"]["true"])
    mirrored = true * [-1, 1, 1]
    found = load("pa_mpjpe").compute(predictions=mirrored.tolist(), references=true.tolist())
    assert found["pa_mpjpe"] > 100


@pytest.mark.parametrize("name", ["format_compliance", "error_recall", "hallucination_rate"])
def test_metrics_without_a_library_agree_with_counts_by_hand(
    golden: dict[str, Any], name: str
) -> None:
    case = dict(golden["by_hand"][name])
    wanted = case.pop("wanted")
    found = load(name).compute(**case)
    assert {key: found[key] for key in wanted} == pytest.approx(wanted, **CLOSE)


def test_format_compliance_wants_both_fields_in_order() -> None:
    answers = [
        "Proficiency Level: Novice. Proficiency Commentary:\nLegs (correct): They drive up.",
        "Proficiency Level: Novice. Proficiency Commentary: Free words.",
        "Proficiency Commentary: Fine. Proficiency Level: Novice.",
        "Proficiency Level: Master. Proficiency Commentary: Fine.",
        "Proficiency Level: Novice.",
        "",
    ]
    found = load("format_compliance").compute(predictions=answers)
    assert found["format_compliance_per_sample"] == [1, 1, 0, 0, 0, 0]
    assert found["format_compliance_label"] == pytest.approx(3 / 6)
    assert found["format_compliance_grammar"] == pytest.approx(1 / 6)


def test_error_recall_leaves_out_clips_without_errors() -> None:
    found = load("error_recall").compute(
        predictions=[[0.1, 0.5, 0.2, 0.4], [0.9, 0.1]],
        references=[[False, True, True, False], [False, False]],
    )
    assert found["error_recall"] == 0.5
    assert found["error_recall_chance"] == 0.5
    assert (found["error_recall_n"], found["error_recall_left_out"]) == (1, 1)
    assert found["error_recall_per_sample"] == [0.5, None]
    none = load("error_recall").compute(predictions=[[1, 2]], references=[[False, False]])
    assert none["error_recall"] is none["error_recall_chance"] is None
    assert (none["error_recall_n"], none["error_recall_left_out"]) == (0, 1)
    with pytest.raises(PoiseError, match="3 weights and 2 steps"):
        load("error_recall").compute(predictions=[[1, 2, 3]], references=[[True, False]])


def test_hallucinations_are_remarks_that_the_faults_contradict() -> None:
    clean = {"activity": "bodyweight_squat", "faults": []}
    found = load("hallucination_rate").compute(
        predictions=[[CAVING], [CAVING, PRAISE], []], references=[SQUAT, clean, clean]
    )
    assert found["hallucination_rate"] == pytest.approx(1 / 3)
    assert found["hallucination_rate_per_sample"] == [0.0, 0.5, None]
    assert (found["hallucination_rate_n"], found["hallucination_rate_clips"]) == (3, 2)


def test_clips_that_are_not_judged_count_against_accuracy_and_error() -> None:
    given = {"predictions": [-1, -1, 2], "references": [0, 1, 2]}
    assert load("accuracy").compute(**given)["accuracy"] == pytest.approx(1 / 3)
    assert load("mae").compute(**given)["mae_per_sample"] == [3.0, 2.0, 0.0]
    assert load("macro_f1").compute(**given)["macro_f1"] == pytest.approx(1 / 3)
    with pytest.raises(PoiseError, match="unknown predicted level; got: -1"):
        load("quadratic_kappa").compute(**given)


def test_constant_answers_correlate_with_nothing() -> None:
    given = {"predictions": [1, 1, 1], "references": [1, 1, 1]}
    assert load("spearman").compute(**given)["spearman"] == 0
    assert load("quadratic_kappa").compute(**given)["quadratic_kappa"] == 0


@pytest.mark.parametrize(
    ("name", "predictions", "references", "message"),
    [
        ("accuracy", [4], [0], "unknown predicted level; got: 4"),
        ("mae", [0], [-1], "unknown true level; got: -1"),
        ("ece", [[0.5, 0.5, 0.5, 0.5]], [0], "not level probabilities"),
        ("spearman", [float("nan"), 1.0], [0.0, 1.0], "not finite"),
        ("median_rank", [["a", "b"]], ["c"], "1 of 1 rankings without the right item"),
        ("recall_at_k", [["a", "a"]], ["a"], "holds an item twice"),
        ("mpjpe", [np.zeros((2, 17, 3))], [np.zeros((3, 17, 3))], r"\(2, 17, 3\) and \(3, 17, 3\)"),
        ("velocity_error", [np.zeros((1, 17, 3))], [np.zeros((1, 17, 3))], "one frame"),
    ],
)
def test_bad_input_is_one_clear_line(
    name: str, predictions: Any, references: Any, message: str
) -> None:
    with pytest.raises(PoiseError, match=message):
        load(name).compute(predictions=predictions, references=references)


def test_an_unknown_metric_lists_the_known_ones() -> None:
    with pytest.raises(PoiseError, match=f"unknown metric; got: 'blue'.*{', '.join(METRICS)}"):
        load("blue")
