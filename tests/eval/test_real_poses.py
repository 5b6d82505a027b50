"""Recognition and stability, with coaches whose stability is known."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from assistant.cli import main
from assistant.clip import PoseSequence
from assistant.coach_result import CoachInput
from assistant.errors import PoiseError
from assistant.pose.normalise import REST_POSE
from assistant.pose.read import write_pose
from data_prep.drills.performer import sample_performer
from data_prep.drills.simulate import simulate
from eval import real_poses as r
from eval.compare import compare


def clip(name: str, frames: int = 60, seed: int = 0) -> CoachInput:
    rng = np.random.default_rng(seed)
    joints = np.tile(REST_POSE + rng.normal(0, 0.01, (17, 3)), (frames, 1, 1)).astype(np.float32)
    joints[:, :, 2] += 1.0
    seen = np.ones((frames, 17), np.float32)
    return CoachInput(name, PoseSequence(joints, seen, 30.0))


class FakeCoach:
    """Answers by a function of the clip."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def coach_many(self, clips: list[CoachInput], *, seed: int = 0) -> list[Any]:
        results = []
        for one in clips:
            level, fault = self.answer(one)
            record = {
                "judged": level is not None,
                "activity": {"name": "basketball_free_throw"},
                "abstain_reason": None if level else "too far",
                "proficiency": level and {"level": level},
                "focus": fault and {"region": fault},
                "demonstrations": [{"id": "a"}] if level else [],
                "provenance": {},
            }
            part = object() if level else None
            feedback = SimpleNamespace(to_json=lambda record=record: record)
            results.append(SimpleNamespace(feedback=feedback, demonstration=part, correction=part))
        return results


def test_an_answer_that_ignores_the_clip_is_stable_and_says_so_between_clips() -> None:
    coach = FakeCoach(lambda one: ("Novice", "legs"))
    result = r.evaluate(coach, [clip("a"), clip("b")], "basketball_free_throw")
    assert result["answered"] == result["judged"] == result["recognised"] == 2
    assert result["stability"]["shift"]["both"] == 1.0
    assert result["between_clips"]["both"] == 1.0


def test_an_answer_that_follows_the_noise_is_not_stable() -> None:
    def answer(one: CoachInput) -> tuple[str, str]:
        kind = one.clip_id.split()[1] if " " in one.clip_id else "base"
        return ("Late Expert" if kind == "noise" else "Novice"), "arms"

    result = r.evaluate(FakeCoach(answer), [clip("a")], "basketball_free_throw")
    assert result["stability"]["noise"] == {"level": 0.0, "first_fault": 1.0, "both": 0.0}
    assert result["stability"]["shift"]["both"] == 1.0
    (sample,) = result["samples"]
    assert (sample["id"], sample["level"], sample["first_fault"]) == ("a", "Novice", "arms")
    assert sample["scores"] == {
        "recognised": 1.0, "judged": 1.0, "answered": 1.0, "same_shift": 1.0, "same_noise": 0.0,
    }  # fmt: skip


def test_the_result_says_what_was_asked_and_done_and_compares_by_clip() -> None:
    def answer(one: CoachInput) -> tuple[str | None, str | None]:
        return (None, None) if one.clip_id.startswith("b") else ("Novice", "legs")

    clips = [clip("a"), clip("b"), clip("c")]
    result = r.evaluate(FakeCoach(answer), clips, "basketball_free_throw")
    assert result["suite"] == "real-poses" and result["versions"]["poise"]
    assert result["counts"] == {"asked": 3, "done": 3, "judged": 2}
    left_out = result["samples"][1]
    assert (left_out["id"], left_out["level"], left_out["abstain_reason"]) == ("b", None, "too far")
    assert left_out["scores"]["judged"] == 0 and left_out["scores"]["same_shift"] is None
    for kind in ("shift", "noise"):
        rows = [sample["scores"][f"same_{kind}"] for sample in result["samples"]]
        known = [row for row in rows if row is not None]
        assert np.mean(known) == result["stability"][kind]["both"]
    steady = compare(result, result)["scores"]
    assert steady["same_noise"]["left_out"] == 1 and steady["judged"]["a"] == pytest.approx(2 / 3)


def test_abstained_clips_are_counted_and_not_compared() -> None:
    coach = FakeCoach(lambda one: (None, None))
    result = r.evaluate(coach, [clip("a")], "basketball_free_throw")
    assert result["judged"] == result["answered"] == 0
    assert result["abstain_reasons"] == {"too far": 1}
    assert result["stability"]["shift"]["both"] is None


def test_another_activity_is_not_an_answer() -> None:
    result = r.evaluate(FakeCoach(lambda one: ("Novice", None)), [clip("a")], "bodyweight_squat")
    assert result["recognised"] == result["answered"] == 0
    assert result["judged"] == 1


def test_shift_moves_the_window_and_keeps_its_length() -> None:
    pose = clip("a").pose
    moved = PoseSequence(
        pose.joints + np.arange(60, dtype=np.float32)[:, None, None], pose.confidence, 30.0
    )
    for frames in (-6, 0, 6):
        window = r.shifted(moved, frames)
        assert len(window) == 48
        np.testing.assert_array_equal(window.joints[0], moved.joints[6 + frames])
    with pytest.raises(PoiseError, match="too short"):
        r.shifted(clip("a", frames=12).pose, 0)


def test_noise_is_slow_and_as_large_as_it_says() -> None:
    pose = clip("a", frames=240).pose
    noisy = r.slow_noise(pose, 12.0, np.random.default_rng(0))
    error = (noisy.joints - pose.joints) * 1000
    assert np.linalg.norm(error, axis=-1).mean() == pytest.approx(12, rel=1e-3)
    jitter = np.linalg.norm(np.diff(error, axis=0), axis=-1).mean()
    assert 0.3 < jitter < 4


def test_read_clips_of_a_folder_and_of_a_collection(tmp_path: Path) -> None:
    for number in range(3):
        write_pose(tmp_path / f"{number}.npz", clip("x", seed=number).pose)
    assert [c.clip_id for c in r.read_clips(tmp_path, 1, 2)] == ["1", "2"]
    with pytest.raises(PoiseError, match="no clip 5"):
        r.read_clips(tmp_path, 5, 9)
    with pytest.raises(PoiseError, match="no poses"):
        r.read_clips(tmp_path / "nowhere", 0, 1)
    with pytest.raises(PoiseError, match="no collection"):
        r.read_clips(tmp_path / "0.npz", 0, 1)
    poses = np.stack([clip("x", seed=n).pose.joints for n in range(4)])
    times = np.tile(np.arange(60) * 1000 / 30, (4, 1))
    np.savez(tmp_path / "all.npz", poses=poses, time_ms=times)
    clips = r.read_clips(tmp_path / "all.npz", 2, 3)
    assert len(clips) == 2
    assert clips[0].pose.fps == pytest.approx(30)
    np.testing.assert_array_equal(clips[1].pose.joints, poses[3])


@pytest.fixture(scope="module")
def squats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two simulated clips as pose files."""
    folder = tmp_path_factory.mktemp("squats")
    for seed in range(2):
        rng = np.random.default_rng(seed)
        performer = sample_performer(rng, "test", f"p{seed}")
        drill = simulate("bodyweight_squat", 2, performer, rng, repetitions=1)
        write_pose(folder / f"{seed}.npz", drill.pose)
    return folder


def command(folder: Path, engine: str) -> list[str]:
    options = ["--activity", "bodyweight_squat", "--first", "0", "--engine", engine, "--json"]
    return ["eval", "real-poses", str(folder), *options]


def measured(folder: Path, engine: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(command(folder, engine)) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_command_runs_on_the_engine_that_is_named(
    squats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = measured(squats, "transformers", capsys)
    assert result["counts"]["done"] == 2 and len(result["samples"]) == 2
    assert result["provenance"]["engine"] == "transformers"


@pytest.mark.vllm
def test_vllm_recognises_and_judges_the_same_clips(
    squats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # In a process of its own: vLLM looks into every module that other tests have loaded.
    told = subprocess.run(
        [sys.executable, "-m", "assistant.cli", *command(squats, "vllm")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr[-2000:]
    found, wanted = json.loads(told.stdout), measured(squats, "transformers", capsys)
    assert found["provenance"]["engine"] == "vllm"
    assert [row["level"] for row in found["samples"]] == [row["level"] for row in wanted["samples"]]


@pytest.mark.real
def test_the_real_throws_are_read(shared_data: Path) -> None:
    clips = r.read_clips(shared_data / "poses" / "basketball_free_throw_real.npz", 20, 59)
    assert len(clips) == 40
    assert clips[0].pose.fps == pytest.approx(30, abs=0.1)
    assert clips[0].pose.duration == pytest.approx(8, abs=0.05)
