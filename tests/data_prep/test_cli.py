"""`poise data drills` writes what it says and says what it wrote."""

import json
import os

import numpy as np
import pytest

from assistant.cli import run_command
from assistant.dataset import read_info, read_samples
from data_prep.drills.dataset import PRESETS, preset_drills


def run(capsys, *arguments):
    code = run_command("data", ["drills", *map(str, arguments)])
    return code, capsys.readouterr()


def test_a_set_of_ones_own(tmp_path, capsys):
    folder = tmp_path / "set"
    code, output = run(capsys, "--performers", 2, "--clips", 4, "--seed", 5, "-o", folder, "--json")
    assert code == 0
    told = json.loads(output.out)
    records = read_samples(folder)
    assert told["clips"] == len(records) == 8
    assert told["performers"] == len({r["participant_id"] for r in records}) == 2
    assert told["sha256"] == read_info(folder)["sha256"]
    card = (folder / "README.md").read_text()
    assert card.startswith("# Simulated drills\n\n8 rows, 2 participants, 8 takes;")
    assert told["sha256"] in card
    for record in records:
        moved = np.linalg.norm(record["pose"].joints - record["pose_clean"].joints, axis=-1)
        assert abs(1000 * moved.mean() - 15) < 0.2
        assert len(record["twin"]) == len(record["pose"])
        assert record["summary"]
        assert record["commentary_raw"]
        assert record["dialogues"]
        faulted = {fault["region"] for fault in record["faults"]}
        assert faulted == {region for region, p in record["regions"].items() if p == 0}


def test_noise_conditions(tmp_path, capsys):
    for noise in ("clean", "fitted"):
        folder = tmp_path / noise
        code, _ = run(capsys, "--performers", 1, "--clips", 1, "--noise", noise, "-o", folder)
        assert code == 0
        (record,) = read_samples(folder)
        assert record["pose"].world == (noise == "clean")
        apart = np.abs(record["pose"].joints - record["pose_clean"].joints).max()
        assert (apart == 0) == (noise == "clean")


def test_presets_are_balanced_and_large_enough():
    chosen = PRESETS["mini-test"]
    assert chosen.performers >= 60
    assert chosen.performers * chosen.clips >= 400
    assert chosen.performers * chosen.clips % 8 == 0
    for preset in PRESETS.values():
        drills = preset_drills(preset)
        first = [next(drills) for _ in range(8)]
        assert {(d.activity, d.level) for d in first} == {
            (activity, level)
            for activity in ("bodyweight_squat", "basketball_free_throw")
            for level in range(4)
        }
        assert {d.split for d in first} == {preset.split}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--output DIR or --gallery PNG"),
        (["--preset", "maxi", "-o", "x"], "mini-test, mini-test-shifted"),
        (["--noise", "loud", "-o", "x"], "clean, 15, fitted, twice-fitted"),
        (["--split", "dev", "-o", "x"], "train, validation, test, shifted"),
    ],
)
def test_bad_arguments_are_one_line_and_leave_nothing(
    tmp_path, capsys, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    code, output = run(capsys, *arguments)
    assert code == 1
    assert message in output.err
    assert output.out == ""
    assert os.listdir(tmp_path) == []


def test_gallery_shows_every_drill_and_fault(tmp_path, capsys):
    path = tmp_path / "gallery.png"
    code, _ = run(capsys, "--gallery", path)
    assert code == 0
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 50_000
