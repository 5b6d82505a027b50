"""`poise data drills` writes what it says and says what it wrote."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from assistant.cli import run_command
from assistant.dataset import read_info, read_samples
from data_prep.drills.build import named_source
from data_prep.drills.dataset import PRESETS, preset, preset_drills, to_sample
from data_prep.drills.distractors import DISTRACTORS
from data_prep.drills.faults import FAULTS, KNOWN
from data_prep.drills.gallery import COLUMNS, SIZE, gallery_rows


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
    for name in ("mini-test", "mini-test-2"):
        chosen = PRESETS[name]
        assert chosen.performers >= 60
        assert chosen.performers * chosen.clips >= 400
    for chosen in PRESETS.values():
        assert chosen.performers * chosen.clips % (4 * len(chosen.activities)) == 0
        drills = preset_drills(chosen)
        first = [next(drills) for _ in range(4 * len(chosen.activities))]
        assert {(d.activity, d.level) for d in first} == {
            (activity, level) for activity in chosen.activities for level in range(4)
        }
        assert {d.split for d in first} == {chosen.split}
    assert PRESETS["mini-test-2"].activities == ("bodyweight_squat", "basketball_free_throw")
    assert PRESETS["mini-test"].activities == KNOWN
    assert preset("mini-test-6") == PRESETS["mini-test"]


def test_all_activities_in_parallel_and_whole_records(tmp_path, capsys):
    told = {}
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        wanted = ("--performers", 3, "--clips", 8, "--seed", 4, "--activities", "all")
        code, output = run(capsys, *wanted, "--workers", workers, "-o", folder, "--json")
        assert code == 0
        told[workers] = json.loads(output.out)["sha256"]
    assert told[1] == told[2]
    records = read_samples(tmp_path / "2")
    assert {r["activity"] for r in records} == set(KNOWN)
    for record in records:
        times = [entry["t"] for entry in record["atomic_actions"]]
        assert times == sorted(times)
        assert times[0] == 0
        begins = np.flatnonzero(np.diff(record["steps"])) + 1
        np.testing.assert_allclose(times[1:], begins / 30, atol=1e-6)
        assert record["action"]
        assert record["take_id"] == record["sample_id"]
        calibration = json.loads((tmp_path / "2" / record["calibration"]).read_text())
        assert record["best_exo"] in calibration
        assert np.linalg.det(np.array(calibration["exo1"]["R"])) == pytest.approx(1, abs=1e-4)
        assert record["gaze"].shape == (len(record["pose"]), 2)


def test_rows_of_test_set_v1_stay_as_they_are():
    chosen = PRESETS["mini-test-2"]
    sample = to_sample(next(preset_drills(chosen)), (15.0, "slow"), "here")
    assert not {"take_id", "action", "atomic_actions", "calibration"} & set(sample)
    source = named_source("mini-test-2", 1, 1, 0, "train", 0.0)
    assert not source.complete


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--output DIR or --gallery PNG"),
        (["--preset", "maxi", "-o", "x"], "mini-test, mini-test-shifted"),
        (["--noise", "loud", "-o", "x"], "clean, 15, fitted, twice-fitted"),
        (["--split", "dev", "-o", "x"], "train, validation, test, shifted"),
        (["--activities", "juggling", "-o", "x"], "all, bodyweight_squat"),
        (["--activities", "golf_swing,golf_swing", "-o", "x"], "a name twice"),
        (["--activities", "all", "--preset", "mini-test", "-o", "x"], "does not go with"),
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


def test_gallery_shows_every_fault_of_the_chosen_drill(tmp_path, capsys):
    path = tmp_path / "gallery.png"
    code, _ = run(capsys, "--gallery", path, "--activities", "forward_lunge")
    assert code == 0
    assert path.read_bytes().startswith(b"\x89PNG")
    height, width = Image.open(path).size[::-1]
    assert height > 17 * SIZE > 2 * SIZE == width // COLUMNS


def test_the_whole_gallery_has_a_row_for_every_drill_and_fault():
    titles = [title for title, _ in gallery_rows(3, KNOWN, distractors=True)]
    for activity, faults in FAULTS.items():
        for fault in faults:
            assert sum(t.startswith(f"{activity}: {fault.name}") for t in titles) == 3
    assert set(DISTRACTORS) <= set(titles)
