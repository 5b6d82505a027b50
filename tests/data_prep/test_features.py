"""`poise data features`: the right frames once each, through damage, kills and machines."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from assistant.cli import run_command
from assistant.dataset import write_samples
from assistant.video.decode import frames, write_video
from assistant.video.encoder import VideoEncoder
from data_prep.features import read_features

FPS = 30
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    torch.manual_seed(0)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    encoder = VideoEncoder.from_config(
        "timesformer", **small, intermediate_size=32, image_size=16, patch_size=8, num_frames=4
    )
    folder = tmp_path_factory.mktemp("encoder")
    encoder.freeze().save_pretrained(folder)
    return folder


def make_dataset(folder, clips, seconds=1.0, views=("ego", "exo1")):
    """Clips of noise that tells them apart; the second half of each film is the clip."""
    rows, rng = [], np.random.default_rng(0)
    films = folder / "films"
    count = round(seconds * FPS)
    for clip in range(clips):
        paths = {view: f"films/{clip}.{view}.mp4" for view in views}
        span = [seconds / 2, seconds]
        rows.append({"sample_id": f"take/{clip}", "views": paths, "span": span, "origin": "test"})
    write_samples(rows, folder)
    films.mkdir()
    for row in rows:
        for path in row["views"].values():
            coarse = rng.integers(0, 255, (count, 4, 4, 3), dtype=np.uint8)
            write_video(folder / path, coarse.repeat(8, axis=1).repeat(8, axis=2), FPS)
    return folder


@pytest.fixture
def dataset(tmp_path):
    return make_dataset(tmp_path / "set", 3)


@pytest.fixture
def extract(encoder, dataset, tmp_path, capsys):
    def run(*more):
        code = run_command("data", arguments(dataset, tmp_path / "out", encoder, 1, *more))
        output = capsys.readouterr()
        return code, json.loads(output.out) if output.out else None, output.err

    return run


def arguments(dataset, out, encoder, workers, *more):
    named = ["--encoder", encoder, "--workers", workers, "--json", *more]
    return [str(a) for a in ("features", dataset, "-o", out, *named)]


def features_of(folder):
    return {path.name: path for path in Path(folder).glob("*.safetensors")}


def test_features_are_those_of_the_span_frames(extract, encoder, dataset):
    code, told, _ = extract()
    assert code == 0
    assert (told["items"], told["computed"], told["failed"], told["workers"]) == (6, 6, 0, 1)
    folder = Path(told["folder"])
    assert folder.name == told["encoder_sha256"][:16]
    net = VideoEncoder.from_pretrained(encoder)
    pictures = [p for _, p in frames(dataset / "films" / "1.exo1.mp4")]
    # Middles of four parts of the half second from 0.5 s on, in frames of 1/30 s.
    chosen = np.stack([pictures[i] for i in (17, 21, 24, 28)])
    found = read_features(folder, "take/1", "exo1")
    np.testing.assert_allclose(found, net.encode_frames(chosen[None])[0], atol=1e-5)
    assert found.shape == (4, 16)
    index = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
    assert sorted(record["file"] for record in index) == sorted(features_of(folder))
    stored = load_file(folder / index[0]["file"])
    np.testing.assert_allclose(stored["times"], [0.5625, 0.6875, 0.8125, 0.9375])


def test_a_second_run_reads_only_what_has_changed(extract, dataset):
    _, told, _ = extract()
    folder = Path(told["folder"])
    before = {name: path.stat().st_mtime_ns for name, path in features_of(folder).items()}
    film = dataset / "films" / "2.ego.mp4"
    write_video(film, np.zeros((FPS, 32, 32, 3), np.uint8), FPS)
    half_written = features_of(folder)["take%2F0.exo1.safetensors"]
    half_written.write_bytes(half_written.read_bytes()[:100])
    (folder / ".take.part").touch()
    code, told, _ = extract()
    assert (code, told["computed"], told["reused"]) == (0, 2, 4)
    after = {name: path.stat().st_mtime_ns for name, path in features_of(folder).items()}
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"take%2F2.ego.safetensors", "take%2F0.exo1.safetensors"}
    assert not list(folder.glob(".*.part"))


def damage(dataset):
    film = dataset / "films" / "0.exo1.mp4"
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    (dataset / "films" / "2.ego.mp4").unlink()


def test_unreadable_films_are_counted_named_and_not_replaced(extract, dataset):
    damage(dataset)
    code, told, _ = extract()
    assert (code, told["computed"], told["failed"]) == (0, 4, 2)
    names = {(f["sample_id"], f["view"]): f["reason"] for f in told["failures"]}
    assert names.keys() == {("take/0", "exo1"), ("take/2", "ego")}
    assert "no such file" in names["take/2", "ego"]
    folder = Path(told["folder"])
    assert set(features_of(folder)) == {
        "take%2F0.ego.safetensors", "take%2F1.ego.safetensors", "take%2F1.exo1.safetensors",
        "take%2F2.exo1.safetensors",
    }  # fmt: skip
    assert len((folder / "failed.jsonl").read_text().splitlines()) == 2
    assert len((folder / "index.jsonl").read_text().splitlines()) == 4


def test_too_many_unreadable_films_stop_the_run(extract, dataset):
    damage(dataset)
    code, told, error = extract("--max-failed", 1)
    assert (code, told) == (1, None)
    assert "too many films cannot be read; got: 2 of the first" in error
    assert "take/0 exo1" in error
    assert "expected: at most 1" in error


def test_a_full_disk_is_no_fault_of_a_film(extract, dataset):
    _, told, _ = extract()
    path = features_of(told["folder"])["take%2F0.ego.safetensors"]
    path.unlink()
    path.mkdir()  # nothing can be written to this name
    code, told, error = extract()
    assert (code, told) == (1, None)
    assert "cannot write" in error


def test_runs_at_the_same_folder_keep_apart(extract):
    import fcntl

    _, told, _ = extract()
    with (Path(told["folder"]) / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, _, error = extract()
    assert code == 1
    assert "another run that writes there" in error
    assert extract()[0] == 0


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (["--encoder", "no/such"], "no video encoder no/such; got: no such folder"),
        (["--encoder", "resnet=x"], "unknown video encoder; got: 'resnet'"),
        (["--ray", "127.0.0.1:1"], "no Ray cluster at 127.0.0.1:1"),
    ],
)
def test_what_cannot_be_is_one_line(extract, change, line):
    if "--ray" in change:
        pytest.importorskip("ray")
    code, _, error = extract(*change)
    assert code == 1
    assert line in error


def test_a_dataset_without_films_is_one_line(tmp_path, capsys):
    write_samples([{"sample_id": "a"}], tmp_path / "set")
    code = run_command("data", ["features", str(tmp_path / "set"), "-o", str(tmp_path / "out")])
    assert code == 1
    assert "clips without views" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_killed_run_loses_and_doubles_nothing(tmp_path, encoder, capsys):
    dataset, out = make_dataset(tmp_path / "set", 120, seconds=0.2), tmp_path / "out"
    command = [sys.executable, "-m", "assistant.cli", "data"]
    process = subprocess.Popen(
        [*command, *arguments(dataset, out, encoder, 2)],
        cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        wait_until(lambda: len(list(out.rglob("*.safetensors"))) >= 5)
        group = members(process.pid)
        assert len(group) >= 3  # with its two workers
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    wait_until(lambda: not members(process.pid))
    (folder,) = out.iterdir()
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
    assert 5 <= len(kept) < 240
    assert not (folder / "index.jsonl").exists()
    for path in kept:
        assert load_file(path)["features"].shape == (4, 16)
    assert run_command("data", arguments(dataset, out, encoder, 1)) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["reused"], told["computed"]) == (len(kept), 240 - len(kept))
    assert all(path.stat().st_mtime_ns == changed for path, changed in kept.items())
    index = (folder / "index.jsonl").read_text().splitlines()
    assert len(index) == len(set(index)) == len(features_of(folder)) == 240


def wait_until(condition, seconds=500):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def members(group):
    """Live processes of a process group."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(entry.name))
    return found


@pytest.mark.slow
def test_two_machines_of_a_ray_cluster_do_the_same(two_machines, tmp_path, encoder, capsys):
    dataset = make_dataset(tmp_path / "set", 6)
    (dataset / "films" / "3.ego.mp4").unlink()
    assert run_command("data", arguments(dataset, tmp_path / "here", encoder, 1)) == 0
    here = json.loads(capsys.readouterr().out)
    there_arguments = arguments(dataset, tmp_path / "there", encoder, 2)
    command = [sys.executable, "-m", "assistant.cli", "data", *there_arguments]
    done = subprocess.run(
        [*command, "--ray", two_machines], cwd=REPOSITORY, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    there = json.loads(done.stdout)
    # Nodes of one CPU each: the two workers are on two of them.
    assert (there["computed"], there["failed"], there["workers"]) == (11, 1, 2)
    assert there["failures"] == here["failures"]
    ours, theirs = features_of(here["folder"]), features_of(there["folder"])
    assert ours.keys() == theirs.keys()
    for name, path in ours.items():
        a, b = load_file(path), load_file(theirs[name])
        np.testing.assert_allclose(a["features"], b["features"], atol=1e-5)
