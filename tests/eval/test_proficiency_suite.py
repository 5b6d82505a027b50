"""`poise eval egoexo4d-proficiency`: the shipped model on takes, and what is counted of them."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assistant import clip_input
from assistant.cli import main
from assistant.clip import Clip, PoseSequence
from assistant.dataset import SampleTable, write_samples
from assistant.errors import PoiseError
from assistant.pose.read import read_pose
from eval import proficiency_suite as suite
from eval import suite_tables
from eval.metrics import load
from eval.suite_run import Coached

DEMO = Path(__file__).resolve().parents[2] / "assistant" / "weights" / "demo"


def take(name: str, person: str, level: int | None, **more: Any) -> dict[str, Any]:
    pose = read_pose(DEMO / "squat_demo.npz")
    row = {
        "sample_id": name,
        "take_id": name,
        "participant_id": person,
        "activity": "basketball",
        "split": "validation",
        "span": [0.0, pose.duration],
        "pose": pose,
        "views": {"exo1": "squat_demo.mp4"},
        "level": level,
    }
    return row | more


def standing_still() -> PoseSequence:
    pose = read_pose(DEMO / "squat_demo.npz")
    return replace(pose, joints=np.repeat(pose.joints[:1], len(pose), axis=0))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three takes of two people: one clip, one that stands still and one whose film is broken."""
    still = standing_still().crop(0.0, 1.5)
    rows = [
        take("squat", "a", 0),
        take("still", "a", 2, pose=still, span=[0.0, 1.5]),
        take("broken", "b", 2, activity="soccer", views={"exo1": "broken.mp4", "ego": "none.mp4"}),
        take("comment", "a", 0) | {"take_id": "squat"},
        take("open", "b", None),
        take("learnt", "c", 2, split="train"),
    ]
    folder = tmp_path_factory.mktemp("suite") / "takes"
    write_samples(rows, folder)
    (folder / "squat_demo.mp4").symlink_to(DEMO / "squat_demo.mp4")
    (folder / "broken.mp4").write_bytes(b"no film")
    names = {"phantom_takes": ["ghost"], "videos_missing": [], "poses_unreadable": []}
    (folder / suite.REPORT_FILE).write_text(json.dumps({"names": names}))
    return folder


def test_the_shipped_model_is_measured_and_nothing_is_left_unsaid(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "result.json"
    command = ["eval", "egoexo4d-proficiency", str(dataset), "--views", "exos", "-o", str(out)]
    assert main([*command, "--pose", "annotated"]) == 0
    printed = capsys.readouterr().out
    result = json.loads(out.read_text())
    figures = result["views"]["exos"]
    assert result["n"] == 3 and result["split"] == "validation" and result["participants"] == 2
    assert figures["counts"] == {"asked": 3, "done": 2, "judged": 1, "failed": 1}
    (failure,) = figures["failures"]
    assert failure["id"] == "broken" and "broken.mp4" in failure["reason"]
    assert figures["not_judged"] == ["still"]
    answers = {row["id"]: row["answers"]["exos"] for row in result["samples"]}
    assert sum(answers["squat"]["probabilities"]) == pytest.approx(1.0)
    right = answers["squat"]["level"] == "Novice"
    assert figures["accuracy"] == pytest.approx(right / 3)
    assert figures["accuracy_majority"] == pytest.approx(2 / 3)
    assert figures["accuracy_majority_of_training"] == pytest.approx(2 / 3)
    assert figures["accuracy_chance"] == 0.25
    assert figures["ece_n"] == figures["quadratic_kappa_n"] == figures["format_compliance_n"] == 1
    assert figures["format_compliance"] == 1.0
    assert set(figures["scenarios"]) == {"basketball", "soccer"}
    assert figures["scenarios"]["soccer"]["counts"]["failed"] == 1
    assert figures["scenarios"]["soccer"]["ece"] is None
    assert result["missing"] == {
        "without_level": ["open"], "phantom_takes": ["ghost"], "videos_missing": [],
        "poses_unreadable": [],
    }  # fmt: skip
    assert result["pose"] == "annotated"
    assert result["benchmark_rules"] == {
        "kept": False, "forbidden_inputs_used": ["annotated pose"]
    }  # fmt: skip
    assert "NOT a benchmark result: the benchmark forbids annotated pose" in printed
    assert {"model_sha256", "prompt_sha256", "dataset_sha256"} <= set(result["provenance"])
    for said in ("failed 1", "ghost", "failed (exos): broken", "majority 0.667", "chance 0.250"):
        assert said in printed
    assert main(["eval", "compare", str(out), str(out), "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)["scores"]
    assert compared["exos_accuracy"]["tests"][0]["difference"] == 0


@pytest.mark.skipif(
    importlib.util.find_spec("mediapipe") is None, reason="mediapipe is not installed"
)
def test_by_default_the_pose_is_that_of_the_films_of_the_views(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dataset says that nobody moves, the exo film shows a squat, the ego film no body. What
    subsets share is estimated once."""
    films = {"ego": "squat_demo.mp4", "exo1": "squat_demo.mp4"}
    folder = tmp_path / "takes"
    write_samples([take("squat", "a", 0, pose=standing_still(), views=films)], folder)
    (folder / "squat_demo.mp4").symlink_to(DEMO / "squat_demo.mp4")
    estimate, seen = clip_input.resolve_pose, []

    def counted(clip: Clip, **options: Any) -> clip_input.PoseResult:
        seen.append(set(clip.views))
        return estimate(clip, **options)

    monkeypatch.setattr(clip_input, "resolve_pose", counted)
    assert main(["eval", "egoexo4d-proficiency", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert seen == [{"exo1"}]
    assert found["pose"] == "films"
    assert found["benchmark_rules"] == {"kept": True, "forbidden_inputs_used": []}
    (failure,) = found["views"]["ego"]["failures"]
    assert "an ego film only, which does not show the body" in failure["reason"]
    assert found["views"]["ego"]["accuracy"] == 0.0
    assert found["views"]["exos"]["counts"]["judged"] == 1
    assert found["views"]["all"]["counts"]["judged"] == 1
    assert found["inputs_used"]["pose"] == 2
    assert "pose: from the films of the views in question" in suite_tables.proficiency_tables(found)


def answer(name: str, level: str, inputs: tuple[str, ...] = ("pose",)) -> Coached:
    sure = [float(level == known) for known in suite.LEVELS]
    record = {
        "proficiency": {"level": level, "probabilities": sure},
        "provenance": {"inputs_used": list(inputs)},
    }
    return Coached(name, record, "", f"Proficiency level: {level}")


def test_levels_that_follow_the_takes_are_told_from_those_that_do_not() -> None:
    true = [0, 1, 2, 3] * 6
    takes = [
        {"sample_id": f"t{i}", "participant_id": f"p{i // 2}", "activity": "music", "level": level}
        for i, level in enumerate(true)
    ]
    right = [answer(f"t{i}", suite.LEVELS[level]) for i, level in enumerate(true)]
    constant = [answer(f"t{i}", "Novice") for i in range(len(true))]
    good, dull = (suite._figures(takes, found, [], 0) for found in (right, constant))
    assert good["accuracy"] == good["quadratic_kappa"] == good["macro_f1"] == 1.0
    assert good["mae"] == good["ece"] == 0.0 and good["accuracy_shuffled"] < 0.7
    assert good["intervals"]["accuracy"] == [1.0, 1.0]
    assert dull["accuracy"] == dull["accuracy_shuffled"] == dull["accuracy_majority"] == 0.25
    assert dull["mae"] == 1.5 and dull["ece"] == 0.75 and dull["quadratic_kappa"] == 0.0
    low, high = dull["intervals"]["accuracy"]
    assert low < 0.25 < high


def test_the_interval_is_of_the_metric_that_is_printed() -> None:
    rng = np.random.default_rng(3)
    said, true = rng.integers(-1, 4, 40), rng.integers(0, 3, 40)
    found = load("macro_f1").compute(predictions=said.tolist(), references=true.tolist())
    assert suite._macro_f1(np.column_stack([said, true])) == pytest.approx(found["macro_f1"])


def test_forbidden_inputs_are_named(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    def coach_rows(coach: Any, folder: Path, rows: list[int], **more: Any) -> list[Coached]:
        names = SampleTable(folder).columns(["sample_id"])
        return [answer(names[row]["sample_id"], "Novice", ("pose", "gaze")) for row in rows]

    monkeypatch.setattr(suite, "coach_rows", coach_rows)
    coach: Any = SimpleNamespace(identity={})
    result = suite.evaluate(coach, dataset, subsets=("ego", "all"), gaze=True)
    assert result["benchmark_rules"] == {"kept": False, "forbidden_inputs_used": ["gaze"]}
    assert "NOT a benchmark result: the benchmark forbids gaze" in suite_tables.proficiency_tables(
        result
    )
    assert [f["reason"] for f in result["views"]["ego"]["failures"]] == ["no film of ego"] * 2


def test_a_split_without_takes_is_refused(dataset: Path) -> None:
    with pytest.raises(PoiseError, match="no take with a level in split test"):
        suite.find_takes(SampleTable(dataset), "test")
