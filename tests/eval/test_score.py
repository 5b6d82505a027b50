"""`poise eval score`: every field of anybody's predictions, aligned by id, floors beside."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assistant.cli import main
from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.pose.read import write_pose
from eval.levels import derangement
from eval.metrics import METRICS
from eval.score_files import read_aligned
from eval.score_floors import in_step
from eval.scoring import FIELDS, score_files
from eval.statistics import bootstrap
from eval.text_scores import commentary_text, length_matched

N = 6
ANSWER = (
    "Proficiency Level: Early Expert. Proficiency Commentary:\n"
    "Legs (needs improvement): Bend the knees more.\nDrill: Pause at the bottom."
)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions and references with every field but texts; predictions in another order."""
    rng = np.random.default_rng(0)
    said, true = [], []
    for i in range(N):
        joints = rng.normal(0, 0.2, (20, 17, 3)).astype(np.float32)
        for side, moved in (("said", joints + 0.01), ("true", joints)):
            write_pose(
                tmp_path / f"{side}{i}.npz",
                PoseSequence(moved, np.ones((20, 17), np.float32), 30.0),
            )
        remark = {
            "region": "legs", "polarity": "needs_improvement", "text": f"The knees cave in, {i}.",
        }  # fmt: skip
        said.append(
            {
                "id": i,
                "level": i % 4 if i else None,
                "score": float(i % 4),
                "probabilities": [0.7, 0.1, 0.1, 0.1],
                "regions": {"legs": "needs_improvement", "head": "not_mentioned"},
                "ranking": [f"e{j}" for j in range(5)],
                "pose": f"said{i}.npz",
                "answer": ANSWER if i else "free words",
                "step_weights": [0.1, 0.9, 0.0],
                "remarks": [remark],
            }
        )
        true.append(
            {
                "id": i,
                "level": i % 4,
                "regions": {"legs": 0, "feet": 1},
                "gold": f"e{i % 5}",
                "pose": f"true{i}.npz",
                "step_errors": [False, True, False],
                "activity": "bodyweight_squat",
                "faults": [{"name": "knee_valgus", "region": "legs"}] if i % 2 else [],
            }
        )
    return write(tmp_path / "pred.jsonl", said[::-1]), write(tmp_path / "ref.jsonl", true)


def test_every_metric_reads_its_fields_and_stands_beside_its_floor(
    files: tuple[Path, Path],
) -> None:
    assert set(FIELDS) == set(METRICS)
    result = score_files(read_aligned(*files), settings={"recall_at_k": {"k": 2}})
    assert set(result["metrics"]) == {
        name for name, (field, true) in FIELDS.items() if true != "texts"
    }
    assert result["accuracy"] == pytest.approx(5 / 6)  # the first was not judged
    assert result["accuracy_majority"] == pytest.approx(2 / 6)
    assert result["mae"] == pytest.approx(3 / 6)
    assert result["mae_constant"] == pytest.approx(5 / 6)
    assert (result["spearman"], result["spearman_n"]) == (pytest.approx(1.0), N - 1)
    assert result["ece"] == pytest.approx(abs(0.7 - 2 / 6), abs=1e-6)
    assert result["recall_at_k"] == pytest.approx(3 / 6)
    assert result["recall_at_k_chance"] == pytest.approx(2 / 5)
    assert result["median_rank"] == pytest.approx(2.5)
    assert result["region_polarity_f1"] == pytest.approx(2 / 3)
    assert result["format_compliance"] == pytest.approx(5 / 6)
    assert result["error_recall"] == 1.0 and result["error_recall_chance"] == pytest.approx(1 / 3)
    assert result["hallucination_rate"] == pytest.approx(0.5)
    assert result["pa_mpjpe"] < 0.01 < 100 < result["pa_mpjpe_shuffled"]
    assert result["counts"] == {"asked": N, "done": N}
    assert result["hallucination_rate_n"] == N
    assert result["versions"]["poise"]
    first = result["samples"][0]
    assert first["id"] == "0" and first["scores"]["accuracy"] == 0.0
    for name in ("accuracy", "mae", "region_polarity_f1", "hallucination_rate", "velocity_error"):
        assert f"{name}_shuffled" in result


def test_a_prediction_without_any_field_is_not_done(tmp_path: Path) -> None:
    said = [{"id": 1, "level": 2}, {"id": 2}, {"id": 3, "level": None}, {"id": 4, "score": 1.0}]
    true = [{"id": i, "level": 2} for i in range(1, 5)]
    data = read_aligned(write(tmp_path / "p", said), write(tmp_path / "r", true))
    assert score_files(data, metrics=["accuracy"])["counts"] == {"asked": 4, "done": 1}
    assert score_files(data, metrics=["spearman"])["counts"] == {"asked": 4, "done": 2}


def test_scores_of_some_clips_lie_on_their_rows_and_n_is_what_the_metric_counts(
    tmp_path: Path,
) -> None:
    remarks = [
        {"region": region, "polarity": "needs_improvement", "text": "Bend more."}
        for region in ("legs", "torso")
    ]
    said = [
        {"id": 1, "step_weights": [0.9, 0.1], "remarks": remarks},
        {"id": 2, "step_weights": [0.9, 0.1], "remarks": []},
        {
            "id": 3,
            "step_weights": [0.9, 0.1],
            "remarks": [remarks[0] | {"text": "Bend much more."}],
        },
    ]
    legs = {"activity": "bodyweight_squat", "faults": [{"name": "depth", "region": "legs"}]}
    true = [
        {"id": 1, "step_errors": [False, False], **legs},
        {"id": 2, "step_errors": [True, False], **legs},
        {"id": 3, "step_errors": [False, True], **legs},
    ]
    data = read_aligned(write(tmp_path / "p", said), write(tmp_path / "r", true))
    result = score_files(data)
    assert (result["error_recall"], result["error_recall_n"]) == (0.5, 2)
    assert (result["hallucination_rate_n"], result["hallucination_rate_clips"]) == (3, 2)
    rows = [row["scores"] for row in result["samples"]]
    assert [row["error_recall"] for row in rows] == [None, 1.0, 0.0]
    assert [row["hallucination_rate"] for row in rows] == [0.5, None, 0.0]


def test_the_floor_of_poses_covers_clips_of_unequal_length_and_those_without_a_prediction(
    tmp_path: Path,
) -> None:
    said, true = [], []
    for i, frames in enumerate((18, 20, 31, 16)):
        joints = np.random.default_rng(i).normal(0, 0.2, (frames, 17, 3)).astype(np.float32)
        seen = np.ones((frames, 17), np.float32)
        write_pose(tmp_path / f"{i}.npz", PoseSequence(joints, seen, 30.0))
        said.append({"id": i, "pose": f"{i}.npz"} if i < 3 else {"id": i})
        true.append({"id": i, "pose": f"{i}.npz", "activity": "squat" if i else "throw"})
    data = read_aligned(write(tmp_path / "p", said), write(tmp_path / "r", true))
    result = score_files(data)
    assert result["counts"] == {"asked": 4, "done": 3}
    for name in ("pa_mpjpe", "mpjpe", "velocity_error"):
        assert result[f"{name}_n"] == 3 and result[name] < 1e-3 < 100 < result[f"{name}_shuffled"]


def test_a_motion_is_brought_to_another_length_linearly() -> None:
    ramp = np.arange(4.0)[:, None, None] * np.ones((17, 3))
    assert np.array(in_step(ramp.tolist(), 7))[:, 0, 0].tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3]
    assert np.array(in_step(ramp.tolist(), 2))[:, 0, 0].tolist() == [0, 3]
    assert np.array(in_step(ramp[:1].tolist(), 3))[:, 0, 0].tolist() == [0, 0, 0]


def test_scores_that_are_means_or_medians_of_clips_have_intervals_over_clusters(
    files: tuple[Path, Path],
) -> None:
    data = read_aligned(*files)
    settings = {"recall_at_k": {"k": 2}}
    result = score_files(data, settings=settings)
    bounds = result["intervals"]
    assert set(bounds) == {
        "accuracy", "mae", "recall_at_k", "median_rank", "pa_mpjpe", "mpjpe", "velocity_error",
        "bone_length_drift", "format_compliance", "error_recall",
    }  # fmt: skip
    for name, (low, high) in bounds.items():
        assert low <= result[name] <= high
    ranks = np.array([row["scores"]["median_rank"] for row in result["samples"]])
    wanted = bootstrap(ranks, range(N), lambda drawn: float(np.median(drawn)))
    assert bounds["median_rank"] == [wanted.low, wanted.high] != [ranks.mean()] * 2
    for row in data.references:
        row["cluster"] = int(row["id"]) % 2
    halves = score_files(data, metrics=["accuracy"])["intervals"]["accuracy"]
    assert halves == [pytest.approx(2 / 3), 1.0]  # one of the two has the clip that was not judged
    for row in data.references:
        row["cluster"] = "all"
    assert score_files(data, metrics=["accuracy"])["intervals"] == {}


def test_the_command_prints_a_row_for_every_metric(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "result.json"
    names = "accuracy,mae,median_rank"
    command = ["eval", "score", *map(str, files), "--metrics", names, "-o", str(output)]
    assert main(command) == 0
    table = capsys.readouterr().out
    assert "level accuracy" in table and "majority 0.333" in table and "chance 3.0" in table
    assert json.loads(output.read_text())["metrics"] == names.split(",")


def test_an_answer_is_read_into_its_parts(tmp_path: Path) -> None:
    said = write(tmp_path / "p", [{"id": "a", "answer": ANSWER}])
    true = write(tmp_path / "r", [{"id": "a", "text": "Sink lower."}])
    data = read_aligned(said, true)
    row = data.predictions[0]
    assert row["level"] == "Early Expert"
    assert row["text"] == "Bend the knees more. Pause at the bottom."
    assert row["regions"] == {"legs": "needs_improvement"}
    assert data.references[0]["texts"] == ["Sink lower."]
    assert commentary_text("No headers at all.") == "No headers at all."


def test_texts_are_scored_beside_shuffled_references(tmp_path: Path) -> None:
    texts = ["Bend the knees.", "Look at the rim.", "Keep the heels down.", "Snap the wrist."]
    said = write(tmp_path / "p", [{"id": i, "text": t} for i, t in enumerate(texts)])
    true = write(tmp_path / "r", [{"id": i, "text": t} for i, t in enumerate(texts)])
    result = score_files(read_aligned(said, true), metrics=["rouge_l", "specificity"])
    assert result["rouge_l"] == 1.0 and result["rouge_l_shuffled"] < 0.5
    assert result["intervals"]["rouge_l"] == [1.0, 1.0]
    assert result["specificity_of_references"] == result["specificity"]


def test_shuffled_references_are_of_other_clips_of_the_group_and_of_like_length() -> None:
    rng = np.random.default_rng(0)
    lengths = list(range(40)) + list(range(40))
    groups = ["a"] * 40 + ["b"] * 40 + ["c"]
    order = length_matched([*lengths, 5], groups, rng)
    assert order is not None
    assert not any(order == np.arange(81))
    order = length_matched(lengths, groups[:80], rng)
    assert order is not None and not any(order == np.arange(80))
    assert all(groups[i] == groups[j] for i, j in enumerate(order))
    assert max(abs(lengths[i] - lengths[j]) for i, j in enumerate(order)) <= 10
    far = derangement(groups[:80], rng)
    assert max(abs(lengths[i] - lengths[j]) for i, j in enumerate(far)) > 10
    assert length_matched([3], ["a"], rng) is None


@pytest.mark.parametrize(
    ("said", "true", "message"),
    [
        ([{"id": 1}], [{"id": 1}, {"id": 2}], r"1 predictions and 2 references; without a pred.*2"),
        ([{"id": 1}, {"id": 3}], [{"id": 1}], "without a reference: 3"),
        ([{"id": 1}, {"id": 1}], [{"id": 1}], "id 1 stands twice"),
        ([{"text": "a"}], [{"id": 1}], "line 1 of .* cannot be aligned"),
        ([{"id": 1}], [{"id": 1}], "no metric fits"),
        ([{"id": 1, "level": 7}], [{"id": 1, "level": 0}], "unknown level of 1; got: 7"),
        ([{"id": 1, "level": "Master"}], [{"id": 1, "level": 0}], "unknown proficiency level"),
        (
            [{"id": 1, "regions": {"tail": 0}}],
            [{"id": 1, "regions": {"legs": 0}}],
            "unknown region or polarity of 1",
        ),
    ],
)
def test_files_that_do_not_fit_are_one_clear_line(
    tmp_path: Path, said: list[dict[str, Any]], true: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(PoiseError, match=message):
        score_files(read_aligned(write(tmp_path / "p", said), write(tmp_path / "r", true)))


def test_a_metric_without_its_field_is_refused(files: tuple[Path, Path]) -> None:
    with pytest.raises(PoiseError, match=r"meteor cannot be computed.*'texts' in every reference"):
        score_files(read_aligned(*files), metrics=["meteor"])
    with pytest.raises(PoiseError, match="unknown metric; got: 'blue'"):
        score_files(read_aligned(*files), metrics=["blue"])


def test_no_json_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "p").write_text('{"id": 1}\n{"id": \n')
    with pytest.raises(PoiseError, match="no JSON in line 2"):
        read_aligned(tmp_path / "p", tmp_path / "p")
