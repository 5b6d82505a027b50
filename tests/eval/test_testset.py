"""The test set is made by the command itself, once."""

from pathlib import Path

import numpy as np
import pytest

from assistant.errors import PoiseError
from eval import testset
from prompts.vocabulary import VIEWS

EXOS = [name for name in VIEWS if name != "ego"]


def test_a_missing_set_is_made_and_then_read(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    arguments = ("--performers", "2", "--clips", "8", "--distractors", "0.5", "--split", "test")
    first = testset.load(tmp_path, "standard", arguments)
    assert "making" in capfd.readouterr().err
    again = testset.load(tmp_path, "standard", arguments)
    assert "making" not in capfd.readouterr().err
    assert first.info["sha256"] == again.info["sha256"]
    assert len(first.clips) + len(first.distractors) == 16
    assert first.clips
    assert first.distractors
    for clip in first.clips:
        assert len(clip.pose) == len(clip.clean) == len(clip.twin)
        noise = np.linalg.norm(clip.pose.joints - clip.clean.joints, axis=-1).mean() * 1000
        assert noise == pytest.approx(15, rel=0.05)
        moved = np.linalg.norm(clip.twin.joints - clip.clean.joints, axis=-1).mean() * 1000
        assert (moved > 1) == bool(clip.faults)
        assert clip.given.pose is clip.pose
        assert clip.given.best_exo in EXOS


def test_a_command_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match=r"cannot make .*; got: exit code"):
        testset.load(tmp_path, "standard", ("--preset", "no-such-preset"))


def test_every_condition_is_made_of_known_options() -> None:
    from data_prep.drills.dataset import NOISE, PRESETS

    for arguments in testset.CONDITIONS.values():
        given = dict(zip(arguments[::2], arguments[1::2], strict=True))
        assert given["--noise"] in NOISE
        if "--preset" in given:
            assert given["--preset"] in PRESETS
        else:  # films are made for some performers of the same split
            assert given["--split"] == "test" and given["--render"] == "1"
