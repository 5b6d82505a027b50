"""`poise eval submit`: both official formats, from files and from a model."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from assistant.cli import main
from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from eval import submission as s

SURE = [[0.85 if i == k else 0.05 for i in range(4)] for k in range(4)]
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


def test_every_view_is_answered_by_itself_and_what_is_not_judged_is_uniform() -> None:
    pose = PoseSequence(np.zeros((20, 17, 3), np.float32), np.ones((20, 17), np.float32), 30.0)
    seen: list[Any] = []

    def coach_many(clips: list[Any], *, seed: int) -> list[Any]:
        seen.extend(clip.views for clip in clips)
        known = [None if "ego" in clip.views else {"probabilities": SURE[1]} for clip in clips]
        return [SimpleNamespace(feedback=SimpleNamespace(proficiency=p)) for p in known]

    samples = [{"take_id": "t", "pose": pose, "views": {"ego": "e.mp4", "exo1": "x.mp4"}}]
    coach = SimpleNamespace(coach_many=coach_many)
    found, counts = s.predict_views(coach, samples, Path("d"))
    assert seen == [{"ego": Path("d/e.mp4")}, {"exo1": Path("d/x.mp4")}]
    assert found[0].views == {"ego": s.UNIFORM, "exo1": SURE[1]}
    assert counts == {"asked": 2, "done": 1, "uniform": 1}


@pytest.mark.slow
def test_the_shipped_model_answers_a_film(tmp_path: Path) -> None:
    from assistant.coach import Coach
    from assistant.pose.read import read_pose
    from eval.variants import CoachVariant

    demo = ROOT / "assistant" / "weights" / "demo"
    sample = {
        "take_id": "squat",
        "pose": read_pose(demo / "squat_demo.npz"),
        "views": {"exo1": "squat_demo.mp4"},
    }
    coach = CoachVariant(Coach.from_pretrained(None), retrieve=False, correct=False)
    found, counts = s.predict_views(coach, [sample], demo)
    assert counts == {"asked": 1, "done": 1, "uniform": 0}
    paths = s.write(tmp_path, *s.build(found)[:2])
    assert [s.validate(json.loads(path.read_text())) for path in paths] == ["views", "labels"]
    assert sum(found[0].views["exo1"]) == pytest.approx(1.0)
