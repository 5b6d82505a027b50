"""`poise eval submit`: both official formats, from files and from a model."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assistant.cli import main
from assistant.dataset import write_samples
from assistant.errors import PoiseError
from assistant.pose.read import read_pose
from eval import submission as s
from eval import submit_cli

SURE = [[0.85 if i == k else 0.05 for i in range(4)] for k in range(4)]
needs_mediapipe = pytest.mark.skipif(
    importlib.util.find_spec("mediapipe") is None, reason="mediapipe is not installed"
)
ROOT = Path(__file__).resolve().parents[2]


def rows(path: Path, *predictions: tuple[str, dict[str, Any]]) -> Path:
    lines = [json.dumps({"video": v, "views": views}) for v, views in predictions]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_the_command_writes_both_formats_in_the_benchmarks_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    all_views = dict(zip(("ego", "exo1", "exo2", "exo3", "exo4"), [*SURE, SURE[3]], strict=True))
    source = rows(tmp_path / "p.jsonl", ("b", {"exo2": SURE[2], "ego": SURE[0]}), ("a", all_views))
    (tmp_path / "videos.json").write_text('{"videos": ["a", "b"]}')
    command = ["eval", "submit", str(source), "-o", str(tmp_path / "out"), "--json"]
    assert main([*command, "--videos", str(tmp_path / "videos.json")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["filled_in"] == {"ego": 0, "exo": 3} and report["n"] == 2
    views = json.loads((tmp_path / "out" / "views.json").read_text())
    assert views["videos"] == ["a", "b"]
    assert np.shape(views["ego_model_predictions"]) == (2, 4)
    assert np.shape(views["exo_model_predictions"]) == (2, 4, 4)
    assert views["exo_model_predictions"][0] == [SURE[1], SURE[2], SURE[3], SURE[3]]
    assert views["exo_model_predictions"][1] == [SURE[2]] * 4
    labels = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert labels == {"videos": ["a", "b"], "predictions": ["Late Expert", "Novice"]}


@pytest.mark.parametrize(
    ("views", "message"),
    [
        ({"ego": [0.5, 0.5]}, "no level probabilities of a, ego"),
        ({"ego": [2.0, -1.0, 0.0, 0.0]}, "not negative, sum 1"),
        ({"top": SURE[0]}, "unknown view of a; got: top"),
        ({}, "no view of video a is predicted"),
    ],
)
def test_vectors_that_are_none_are_refused(views: dict[str, Any], message: str) -> None:
    with pytest.raises(PoiseError, match=message):
        s.build([s.VideoPrediction("a", views)])


def test_videos_must_be_those_of_the_benchmark(tmp_path: Path) -> None:
    given = [s.VideoPrediction("a", {"ego": SURE[0]})]
    with pytest.raises(PoiseError, match=r"1 predictions for 2 videos; 2 missing \(b, c\), 1 unk"):
        s.build(given, ["b", "c"])
    with pytest.raises(PoiseError, match="stands twice"):
        s.read_predictions(rows(tmp_path / "p", ("a", {}), ("a", {})))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"videos": []}, "no submission"),
        ({"videos": ["a"], "predictions": ["Master"]}, "unknown: .'Master'"),
        ({"videos": ["a"], "predictions": []}, "0 labels for 1 videos"),
        ({"videos": ["a"], "ego_model_predictions": [[1, 2, 3]]}, "ego_model_predictions of a"),
        (
            {"videos": ["a"], "ego_model_predictions": [[0, 0, 0, 1]],
             "exo_model_predictions": [[[0, 0, 0, 1]] * 3]},
            "exo_model_predictions of a",
        ),
    ],
)  # fmt: skip
def test_a_broken_submission_is_refused(broken: dict[str, Any], message: str) -> None:
    with pytest.raises(PoiseError, match=message):
        s.validate(broken)


@pytest.fixture(scope="module")
def takes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One take with its annotated pose, an ego film, an exo film and one that is broken."""
    demo = ROOT / "assistant" / "weights" / "demo"
    films = {"ego": "squat_demo.mp4", "exo1": "squat_demo.mp4", "exo2": "broken.mp4"}
    sample = {
        "sample_id": "squat",
        "take_id": "squat",
        "split": "test",
        "pose": read_pose(demo / "squat_demo.npz"),
        "views": films,
    }
    comment = sample | {"sample_id": "squat_expert_001", "views": {"exo1": "none.mp4"}}
    folder = tmp_path_factory.mktemp("submit") / "takes"
    write_samples([sample, comment], folder)
    (folder / "squat_demo.mp4").symlink_to(demo / "squat_demo.mp4")
    (folder / "broken.mp4").write_bytes(b"no film")
    return folder


def submitted(
    takes: Path, out: Path, capsys: pytest.CaptureFixture[str], *more: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The command's report and the file of views, from the shipped model."""
    assert main(["eval", "submit", str(takes), "-o", str(out), "--json", *more]) == 0
    files = {path.name: json.loads(path.read_text()) for path in out.iterdir()}
    assert {s.validate(files[name]) for name in files} == {"views", "labels"}
    return json.loads(capsys.readouterr().out), files[s.VIEWS_FILE]


@needs_mediapipe
def test_every_view_is_answered_by_its_own_film_and_what_is_not_judged_is_uniform(
    takes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, views = submitted(takes, tmp_path / "films", capsys)
    assert report["counts"] == {"asked": 3, "done": 1, "judged": 1, "failed": 2, "uniform": 2}
    (ego,), (exo,) = views["ego_model_predictions"], views["exo_model_predictions"]
    assert ego == exo[1] == list(s.UNIFORM) != exo[0]
    reasons = {failure["view"]: failure["reason"] for failure in report["failures"]}
    assert "an ego film only" in reasons["ego"] and "broken.mp4" in reasons["exo2"]
    assert report["pose"] == "films" and report["inputs_used"]["pose"] == 1
    assert report["benchmark_rules"] == {"kept": True, "forbidden_inputs_used": []}


def test_the_annotated_pose_answers_an_ego_view_too_and_is_none_of_the_benchmark(
    takes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, views = submitted(takes, tmp_path / "out", capsys, "--pose", "annotated")
    assert report["counts"] == {"asked": 3, "done": 2, "judged": 2, "failed": 1, "uniform": 1}
    (ego,) = views["ego_model_predictions"]
    assert ego != list(s.UNIFORM) and sum(ego) == pytest.approx(1.0)
    assert report["pose"] == "annotated"
    assert report["benchmark_rules"] == {
        "kept": False, "forbidden_inputs_used": ["annotated pose"]
    }  # fmt: skip
    printed = "\n".join(submit_cli.dataset_notes(report))
    assert "NOT a benchmark result: the benchmark forbids annotated pose" in printed
    assert "failed (exo2): squat: " in printed


def test_a_submission_without_any_answer_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "takes", tmp_path / "out"
    write_samples([{"sample_id": "t", "take_id": "t", "views": {"exo1": "none.mp4"}}], folder)
    assert main(["eval", "submit", str(folder), "-o", str(out)]) == 1
    said = capsys.readouterr().err
    assert "no view could be answered" in said and "none.mp4" in said
    assert not list(out.glob("*"))
