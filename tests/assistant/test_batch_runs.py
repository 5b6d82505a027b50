"""`poise batch` with the shipped model: as `poise coach` one by one, killed, and on a cluster."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assistant import cli
from assistant.checkpoint import DEFAULT_NAME, LIBRARY_FOLDER, WEIGHTS_FOLDER
from assistant.dataset import read_samples, write_samples
from assistant.demos.library import Library
from assistant.feedback import validate
from assistant.pose.read import write_pose
from data_prep.drills.performer import sample_performer
from data_prep.drills.simulate import simulate

REPOSITORY = Path(__file__).parents[2]
ACTIVITIES = ("bodyweight_squat", "basketball_free_throw")
CLIPS = 6


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model with few demonstrations, since ranking them all takes the longest."""
    folder = tmp_path_factory.mktemp("models") / "few"
    shutil.copytree(WEIGHTS_FOLDER / DEFAULT_NAME, folder)
    whole = Library.load(folder / LIBRARY_FOLDER)
    few = [item for name in ACTIVITIES for item in whole.of_activity(name)[:3]]
    shutil.rmtree(folder / LIBRARY_FOLDER)
    Library(few).save(folder / LIBRARY_FOLDER)
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both drills at several levels, and somebody who walks."""
    rows = []
    for i in range(CLIPS):
        rng = np.random.default_rng(40 + i)
        walks = i == CLIPS - 1
        activity = "walk" if walks else ACTIVITIES[i % 2]
        drill = simulate(activity, None if walks else i % 4, sample_performer(rng, "train"), rng)
        rows.append({"sample_id": f"clip{i}", "pose": drill.pose, "activity": activity})
    folder = tmp_path_factory.mktemp("data") / "set"
    write_samples(rows, folder)
    return folder


@pytest.fixture(scope="module")
def alone(dataset: Path, checkpoint: Path, tmp_path_factory: Any) -> dict[str, dict[str, Any]]:
    """What `poise coach` says of each clip by itself."""
    folder = tmp_path_factory.mktemp("clips")
    paths = []
    for sample in read_samples(dataset):
        paths.append(folder / f"{sample['sample_id']}.npz")
        write_pose(paths[-1], sample["pose"])
    told = poise("coach", *paths, "--model", checkpoint, "--json")
    return by_clip(map(json.loads, told.splitlines()))


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "assistant.cli", *map(str, arguments)]


def poise(*arguments: object) -> str:
    done = subprocess.run(command(*arguments), cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def by_clip(records: Any) -> dict[str, dict[str, Any]]:
    found = [record | {"timings_ms": {}} for record in records]
    for record in found:
        validate(record)
    named = {record["clip"]["id"]: record for record in found}
    assert len(named) == len(found)
    return named


def written(out: Path) -> dict[str, dict[str, Any]]:
    return by_clip(map(json.loads, out.read_text().splitlines()))


def assert_same(found: Any, wanted: Any, where: str = "") -> None:
    """Equal in every word and choice; numbers as far as another order of adding up lets them."""
    if isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-3, abs=1e-3), where
    elif isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), where
        for key in wanted:
            assert_same(found[key], wanted[key], f"{where}/{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for i, (a, b) in enumerate(zip(found, wanted, strict=True)):
            assert_same(a, b, f"{where}/{i}")
    else:
        assert found == wanted, where


@pytest.mark.slow
def test_clips_are_of_both_drills_and_one_of_none(alone) -> None:
    """Otherwise the comparisons below would see too little."""
    judged = [record for record in alone.values() if record["judged"]]
    assert {record["activity"]["name"] for record in judged} == set(ACTIVITIES)
    assert len({record["commentary"] for record in judged}) >= 3
    assert not alone[f"clip{CLIPS - 1}"]["judged"]


@pytest.mark.slow
def test_decoded_together_the_answers_are_the_same(dataset, checkpoint, alone, tmp_path) -> None:
    out = tmp_path / "out.jsonl"
    options = ("--model", checkpoint, "--batch-size", 4, "--json")
    told = json.loads(poise("batch", dataset, "-o", out, *options))
    assert (told["coached"], told["judged"], told["failed"]) == (CLIPS, CLIPS - 1, 0)
    found = written(out)
    assert found.keys() == alone.keys()
    for name, record in found.items():
        assert_same(record, alone[name], name)


@pytest.mark.vllm
def test_vllm_gives_the_same_answers(dataset, checkpoint, alone, tmp_path) -> None:
    out = tmp_path / "out.jsonl"
    options = ("--model", checkpoint, "--engine", "vllm", "--json")
    told = json.loads(poise("batch", dataset, "-o", out, *options))
    assert (told["coached"], told["failed"], told["engine"]) == (CLIPS, 0, "vllm")
    found = written(out)
    assert found.keys() == alone.keys()
    for name, record in found.items():
        assert record["provenance"].pop("engine") == "vllm"
        record["provenance"]["engine"] = "transformers"
        assert_same(record, alone[name], name)


@pytest.mark.slow
def test_a_killed_run_loses_and_doubles_nothing(
    dataset, checkpoint, alone, tmp_path, capsys
) -> None:
    out = tmp_path / "out.jsonl"
    arguments = ("batch", dataset, "-o", out, "--model", checkpoint, "--batch-size", 1, "--json")
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command(*arguments), cwd=REPOSITORY, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 500
        while not out.exists() or out.read_bytes().count(b"\n") < 2:
            assert process.poll() is None and time.monotonic() < end, (tmp_path / "log").read_text()
            time.sleep(0.02)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    kept = written_whole(out)
    assert 2 <= len(kept) < CLIPS
    capsys.readouterr()
    assert cli.main(list(map(str, arguments))) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kept"], told["coached"]) == (len(kept), CLIPS - len(kept))
    assert out.read_bytes().startswith(b"".join(kept))
    assert written(out) == alone


def written_whole(out: Path) -> list[bytes]:
    return [line for line in out.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


@pytest.mark.slow
def test_two_machines_of_a_ray_cluster_do_the_same(
    two_machines, dataset, checkpoint, alone, tmp_path
) -> None:
    films: list[Any] = [None] * CLIPS
    films[1] = {"exo1": "none.mp4"}
    samples = zip(read_samples(dataset), films, strict=True)
    broken = tmp_path / "set"
    write_samples([sample | {"views": views} for sample, views in samples], broken)
    out = tmp_path / "out.jsonl"
    options = ("--model", checkpoint, "--batch-size", 1, "--ray", two_machines, "--json")
    told = json.loads(poise("batch", broken, "-o", out, "--corrections", tmp_path, *options))
    # Nodes of one CPU each: the two workers are on two of them.
    assert (told["coached"], told["failed"], told["workers"]) == (CLIPS - 1, 1, 2)
    (failure,) = told["failures"]
    assert failure["sample_id"] == "clip1" and "no such file" in failure["reason"]
    found = written(out)
    assert found.keys() == alone.keys() - {"clip1"}
    for name, record in found.items():
        if record["judged"]:
            assert Path(record["correction"].pop("pose")) == tmp_path / f"{name}.npz"
            record["correction"]["pose"] = None
        assert_same(record, alone[name], name)
