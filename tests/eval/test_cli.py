"""`poise eval`: errors before work, one line each, and nothing left behind."""

import json
from pathlib import Path

import numpy as np
import pytest

from assistant.cli import main
from assistant.engine.choose import ENGINES
from eval.output import finish


@pytest.mark.parametrize("suite", ["mini-test", "mini-test-shifted"])
def test_a_missing_checkpoint_is_one_line(
    suite: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", suite, "--model", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(f"poise: no checkpoint in {tmp_path}")
    assert captured.out == ""


@pytest.mark.parametrize("suite", ["mini-test", "mini-test-shifted", "real-poses"])
def test_an_unknown_engine_is_one_line(
    suite: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joints = np.zeros((1, 30, 17, 3), np.float32)
    np.savez(tmp_path / "poses.npz", poses=joints, time_ms=np.arange(30.0)[None] * 40)
    poses = [str(tmp_path / "poses.npz"), "--first", "0"] if suite == "real-poses" else []
    assert main(["eval", suite, *poses, "--engine", "steam"]) == 1
    captured = capsys.readouterr()
    assert captured.err == (
        "poise: unknown engine; got: 'steam'; expected: " + ", ".join(ENGINES) + "\n"
    )
    assert captured.out == ""


def test_an_unwritable_output_is_found_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "result.json"
    assert main(["eval", "mini-test", "-o", str(target), "--model", "nowhere"]) == 1
    assert f"cannot write {target}" in capsys.readouterr().err


def test_missing_poses_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out.json"
    assert main(["eval", "real-poses", str(tmp_path / "none"), "-o", str(output)]) == 1
    assert "no poses at" in capsys.readouterr().err
    assert not output.exists()


def test_an_unknown_suite_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "no-such-suite"]) == 2
    assert "no-such-suite" in capsys.readouterr().err


def test_a_result_is_written_as_it_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:

    result = {"b": 1, "a": [0.5, None]}
    finish(result, True, tmp_path / "deep" / "result.json", "a table")
    assert json.loads(capsys.readouterr().out) == result
    assert json.loads((tmp_path / "deep" / "result.json").read_text()) == result
    finish(result, False, None, "a table")
    assert capsys.readouterr().out == "a table\n"
