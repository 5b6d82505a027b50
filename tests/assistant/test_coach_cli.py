"""`poise coach`: exit codes, one line for a fault, nothing left behind, results alone on stdout."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from assistant import cli
from assistant.clip import Clip, PoseSequence
from assistant.clip_input import PoseResult
from assistant.coach import Coach
from assistant.coach_cli import strip_frames
from assistant.errors import PoiseError
from assistant.feedback import validate
from assistant.pose.read import read_pose, write_pose


@pytest.fixture
def pose_file(squat: PoseSequence, tmp_path: Path) -> Path:
    path = tmp_path / "mine.npz"
    write_pose(path, squat.crop(0.0, 4.0))
    return path


@pytest.fixture(autouse=True)
def without_weights(stub_coach: Coach, monkeypatch: pytest.MonkeyPatch) -> None:
    """`poise coach` runs the pipeline of `stub_coach`."""
    monkeypatch.setattr(Coach, "from_pretrained", classmethod(lambda *_, **__: stub_coach))


def poise(*arguments: object) -> int:
    return cli.main(["coach", *map(str, arguments)])


def fails(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 1) -> str:
    """The one line on stderr of a command that cannot be done."""
    assert poise(*arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("poise: ")
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize(
    "arguments", [(), ("--nonsense",), ("clip.mp4", "--seed", "many"), ("--json",)]
)
def test_wrong_usage_exits_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert poise(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Usage: poise coach" in captured.err


def test_help_needs_no_weights(capsys: pytest.CaptureFixture[str]) -> None:
    assert poise("--help") == 0
    out = capsys.readouterr().out
    for option in ("--ego", "--exo4", "--pose", "--activity", "--json", "--report", "--seed"):
        assert option in out


@pytest.mark.parametrize("option", ["--exo1", "--ego", "--pose"])
def test_several_clips_have_no_views_of_one_take(
    capsys: pytest.CaptureFixture[str], option: str
) -> None:
    said = fails(capsys, "a.mp4", "b.mp4", option, "c.mp4")
    assert "2 clips" in said and option.removeprefix("--") in said


def test_an_unknown_activity_lists_the_known_ones(
    capsys: pytest.CaptureFixture[str], pose_file: Path
) -> None:
    said = fails(capsys, pose_file, "--activity", "sqat")
    assert "'sqat'" in said and "bodyweight_squat, basketball_free_throw" in said


def test_a_missing_clip_is_named_before_anything_is_loaded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, pose_file: Path
) -> None:
    monkeypatch.delattr(Coach, "from_pretrained")
    assert "none.mp4" in fails(capsys, pose_file, "none.mp4")


def test_no_checkpoint_says_how_to_get_one(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    pose_file: Path,
    tmp_path: Path,
) -> None:
    monkeypatch.undo()
    said = fails(capsys, pose_file, "--model", tmp_path)
    assert "no checkpoint in" in said and "poise train mini" in said


def test_an_unknown_engine_lists_the_known_ones(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, pose_file: Path
) -> None:
    monkeypatch.undo()
    assert "transformers, vllm" in fails(capsys, pose_file, "--engine", "tgi")


def test_without_vllm_the_command_that_installs_it_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, pose_file: Path
) -> None:
    monkeypatch.undo()
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *_: None if name == "vllm" else found(name)
    )
    said = fails(capsys, pose_file, "--engine", "vllm")
    assert "make setup-vllm" in said and "pip install 'poise[serve]'" in said


def test_a_report_below_a_file_is_one_line_and_leaves_nothing(
    capsys: pytest.CaptureFixture[str], pose_file: Path, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    for folder in (pose_file, pose_file / "deep" / "report"):
        said = fails(capsys, pose_file, "--report", folder)
        assert f"cannot write the report into {folder}" in said
    assert sorted(tmp_path.rglob("*")) == before


def test_a_clip_that_cannot_be_read_leaves_no_report_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    fails(capsys, tmp_path / "none.mp4", "--report", tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()


def test_a_report_that_fails_midway_leaves_no_file(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    pose_file: Path,
    tmp_path: Path,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise PoiseError("cannot write the report", got="no space left on device")

    monkeypatch.setattr("assistant.web.report.write_report", full)
    assert "no space left" in fails(capsys, pose_file, "--report", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_two_clips_of_one_name_do_not_overwrite_each_others_report(
    capsys: pytest.CaptureFixture[str], pose_file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / pose_file.name
    other.parent.mkdir()
    other.write_bytes(pose_file.read_bytes())
    out = tmp_path / "out"
    assert "same report mine.html" in fails(capsys, pose_file, other, "--report", out)
    assert not out.exists()
    assert poise(pose_file, other, "--json") == 0


def test_json_is_one_object_a_line_and_nothing_else(
    capsys: pytest.CaptureFixture[str], pose_file: Path, squat: PoseSequence, tmp_path: Path
) -> None:
    second = tmp_path / "second.npz"
    write_pose(second, squat.crop(2.0, 8.0))
    assert poise(pose_file, second, "--json", "--seed", 3) == 0
    lines = capsys.readouterr().out.splitlines()
    records = [json.loads(line) for line in lines]
    assert [r["clip"]["id"] for r in records] == ["mine", "second"]
    for record in records:
        validate(record)
        assert record["provenance"]["seed"] == 3


@pytest.mark.parametrize("as_json", [False, True])
def test_a_report_holds_the_page_and_the_corrected_pose(
    capsys: pytest.CaptureFixture[str], pose_file: Path, tmp_path: Path, as_json: bool
) -> None:
    folder = tmp_path / "new" / "report"
    assert poise(pose_file, "--report", folder, *(["--json"] if as_json else [])) == 0
    captured = capsys.readouterr()
    page = folder / "mine.html"
    assert sorted(path.name for path in folder.iterdir()) == ["mine.correction.npz", "mine.html"]
    corrected = read_pose(folder / "mine.correction.npz")
    assert (len(corrected), corrected.fps) == (60, 30.0)
    if as_json:  # stdout carries the records alone
        assert json.loads(captured.out)["correction"]["pose"] == str(folder / "mine.correction.npz")
        assert captured.err.splitlines()[-1] == str(page)
    else:
        assert captured.out.splitlines()[-1] == str(page)
        assert captured.err == ""


def test_a_clip_that_is_not_judged_exits_0(
    capsys: pytest.CaptureFixture[str], stub_coach: Coach, pose_file: Path, tmp_path: Path
) -> None:
    stub_coach.perception.assessor.judged = False
    assert poise(pose_file, "--report", tmp_path / "out") == 0
    assert "Not judged." in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.html"]


def test_a_film_with_its_pose_beside_it(
    capsys: pytest.CaptureFixture[str], film, squat: PoseSequence, tmp_path: Path
) -> None:
    path = film(tmp_path / "clip.mp4", 60)
    write_pose(path.with_suffix(".npz"), squat.crop(0.0, 6.0))  # three times as long as the film
    assert poise(path, "--json", "--report", tmp_path / "out") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["clip"]["views"] == ["exo1"]
    assert record["provenance"]["inputs_used"] == ["pose"]


def test_the_strip_shows_the_window_as_far_as_the_film_goes(film, tmp_path: Path) -> None:
    pose = PoseSequence(np.zeros((90, 17, 3)), np.ones((90, 17)), 30.0)
    clip = Clip("clip", {"exo1": film(tmp_path / "clip.mp4", 60)}, pose)
    resolved = PoseResult(pose)
    assert len(strip_frames(clip, resolved, (1.0, 3.0))) == 12
    assert max(frame.time for frame in strip_frames(clip, resolved, (1.0, 3.0))) < 2.0
    assert len(strip_frames(clip, resolved, None)) == 12
    assert strip_frames(clip, resolved, (2.5, 4.5)) == []
    assert strip_frames(Clip("pose", {}, pose), resolved, None) == []


def test_coaching_imports_no_training_library() -> None:
    """bitsandbytes prints on import, and all three take seconds."""
    code = (
        "import sys; import assistant.coach, assistant.model.modeling_poise;"
        "print([m for m in ('peft', 'bitsandbytes', 'datasets', 'mediapipe') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""


def test_what_an_expert_gave_is_followed(
    pose_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = tmp_path / "words.txt"
    words.write_text("Sit deeper.\n", "utf-8")
    for shown in ("expert-1", pose_file):
        asked = (pose_file, "--demonstration", shown, "--commentary", words, "--json")
        assert poise(*asked) == 0
        record = json.loads(capsys.readouterr().out)
        validate(record)
        assert record["provenance"]["inputs_used"][-2:] == ["demonstration", "commentary"]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--demonstration", "expert-99", "neither a file nor an id of the library"),
        ("--commentary", " ", "0 characters"),
        ("--commentary", "a" * 2001, "2001 characters"),
    ],
)
def test_what_no_expert_gave_is_one_line(
    pose_file: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, message: str
) -> None:
    assert message in fails(capsys, pose_file, option, value)


def test_a_commentary_that_is_no_text_and_several_clips_are_refused(
    pose_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "a text file in UTF-8" in fails(capsys, pose_file, "--commentary", pose_file)
    error = fails(capsys, pose_file, pose_file, "--commentary", "Good.")
    assert "several clips with options of one take" in error
