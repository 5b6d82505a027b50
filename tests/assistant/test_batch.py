"""`poise batch`: the answers of `poise coach` for every clip, each once, whatever happens."""

import json
import os
import resource
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assistant import cli
from assistant.batch import BatchSettings, BatchWorker
from assistant.clip import PoseSequence
from assistant.coach import Coach
from assistant.coach_result import CoachInput
from assistant.dataset import INFO_FILE, read_samples, write_samples
from assistant.demos.library import Library
from assistant.demos.store import open_library
from assistant.engine.dummy_engine import DummyEngine
from assistant.errors import EngineStopped, PoiseError
from assistant.feedback import validate
from assistant.pose.read import read_pose
from data_prep.drills.performer import sample_performer
from data_prep.drills.simulate import simulate

CLIPS = 4


@pytest.fixture(scope="session")
def takes() -> list[PoseSequence]:
    """Short squats of different people."""
    found = []
    for i in range(CLIPS):
        rng = np.random.default_rng(i)
        take = simulate("bodyweight_squat", i % 4, sample_performer(rng, "train"), rng)
        found.append(take.pose.crop(0.0, 2.5 + 0.5 * i))
    return found


@pytest.fixture
def dataset(takes: list[PoseSequence], tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "set", takes)


def make_dataset(folder: Path, takes: list[PoseSequence], **columns: list[Any]) -> Path:
    rows = [{"sample_id": f"take/{i}", "pose": pose} for i, pose in enumerate(takes)]
    for name, values in columns.items():
        rows = [row | {name: value} for row, value in zip(rows, values, strict=True)]
    write_samples(rows, folder)
    return folder


@pytest.fixture(autouse=True)
def without_weights(stub_coach: Coach, monkeypatch: pytest.MonkeyPatch) -> None:
    """`poise batch` runs the pipeline of `stub_coach`, whose checkpoint is a folder as any."""
    monkeypatch.setattr(Coach, "from_pretrained", classmethod(lambda *_, **__: stub_coach))


@pytest.fixture
def run(
    dataset: Path, stub_coach: Coach, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, Any, str]]:
    """Run the command; returns exit code, the object on stdout and stderr."""

    def go(*options: object, on: Path = dataset) -> tuple[int, Any, str]:
        given = ["batch", on, "-o", tmp_path / "out.jsonl", "--json"]
        given += ["--model", stub_coach.checkpoint.folder, *options]
        code = cli.main(list(map(str, given)))
        captured = capsys.readouterr()
        return code, json.loads(captured.out) if captured.out else None, captured.err

    return go


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def answers(path: Path) -> dict[str, dict[str, Any]]:
    """Records by sample, without what differs from run to run."""
    found = lines(path)
    assert len({record["clip"]["id"] for record in found}) == len(found)
    return {record["clip"]["id"]: record | {"timings_ms": {}} for record in found}


@pytest.mark.parametrize("size", [1, 3])
def test_answers_are_those_of_one_by_one(run, stub_coach, dataset, tmp_path, size) -> None:
    code, told, _ = run("--batch-size", size, "--seed", 3)
    assert code == 0
    assert (told["clips"], told["coached"], told["kept"], told["failed"]) == (CLIPS, CLIPS, 0, 0)
    assert told["judged"] == CLIPS
    found = answers(tmp_path / "out.jsonl")
    for sample in read_samples(dataset):
        given = CoachInput(sample["sample_id"], sample["pose"])
        alone = stub_coach.coach(given, seed=3).feedback.to_json()
        validate(found[given.clip_id])
        assert found[given.clip_id] == json.loads(json.dumps(alone | {"timings_ms": {}}))


def test_a_second_run_keeps_what_is_there(run, tmp_path) -> None:
    run()
    out = tmp_path / "out.jsonl"
    before = out.read_bytes()
    code, told, _ = run()
    assert (code, told["kept"], told["coached"]) == (0, CLIPS, 0)
    assert out.read_bytes() == before


def test_a_half_written_line_is_done_again(run, tmp_path) -> None:
    run()
    out = tmp_path / "out.jsonl"
    whole = out.read_bytes().splitlines(keepends=True)
    first = answers(out)
    for cut in (whole[3][:100], whole[3][:-1], b"\0" * 50 + b"\n"):
        out.write_bytes(b"".join(whole[:3]) + cut)
        code, told, _ = run("--batch-size", 1)
        assert (code, told["kept"], told["coached"]) == (0, 3, CLIPS - 3)
        assert answers(out) == first
        assert out.read_bytes().startswith(b"".join(whole[:3]))


def test_a_file_that_is_no_output_is_left_alone(run, tmp_path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("my notes\n")
    code, _, error = run()
    assert code == 1 and "no out.run.json beside it" in error
    assert out.read_text() == "my notes\n"
    out.unlink()
    run()
    whole = out.read_bytes().splitlines(keepends=True)
    for damaged, said in [
        (b"{}\n" + b"".join(whole), "line 1, which is no whole record"),
        (whole[0] + b"".join(whole), "take/0 in line 2, twice"),
        (whole[0].replace(b"take/0", b"take/9") + whole[1], "take/9 in line 1, not in the dataset"),
    ]:
        out.write_bytes(damaged)
        code, _, error = run()
        assert code == 1 and said in error and error.count("\n") == 1
        assert out.read_bytes() == damaged


def test_other_settings_are_refused(run, stub_coach, dataset, takes, tmp_path) -> None:
    assert run("--seed", 1)[0] == 0
    before = (tmp_path / "out.jsonl").read_bytes()
    code, _, error = run("--seed", 2)
    assert code == 1 and "got: seed 2; expected: seed 1" in error
    other = make_dataset(tmp_path / "other", takes[:2])
    assert "dataset_sha256" in run("--seed", 1, on=other)[2]
    code, _, error = run("--seed", 1, "--pose-model", tmp_path / "a.task")
    assert code == 1 and "pose model" in error and "no such file" in error
    (tmp_path / "a.task").write_bytes(b"one pose model")
    code, _, error = run("--seed", 1, "--pose-model", tmp_path / "a.task")
    assert code == 1 and "got: pose_model_sha256" in error
    (stub_coach.checkpoint.folder / "weights.bin").write_bytes(b"trained on")
    code, _, error = run("--seed", 1)
    assert code == 1 and "model_sha256" in error
    assert (tmp_path / "out.jsonl").read_bytes() == before


def test_failed_clips_are_listed_and_the_others_coached(
    run, dataset, takes, tmp_path, monkeypatch
) -> None:
    films: list[Any] = [None] * CLIPS
    films[1] = {"exo1": "none.mp4"}
    broken = make_dataset(tmp_path / "broken", takes, views=films)
    answer = DummyEngine.generate

    def generate(self: DummyEngine, prompts: Any, options: Any) -> Any:
        """A fault of one clip's content: that of the shortest."""
        if any(len(p.inputs.pose) and p.inputs.pose[0, 0] == poison for p in prompts):
            raise ValueError("cannot say this")
        return answer(self, prompts, options)

    seen = []
    monkeypatch.setattr(DummyEngine, "generate", lambda s, p, o: seen.append(p) or answer(s, p, o))
    run("--batch-size", 1, on=broken)
    poison = seen[0][0].inputs.pose[0, 0]  # of take/0
    for path in tmp_path.glob("out.*"):
        path.unlink()
    monkeypatch.setattr(DummyEngine, "generate", generate)
    code, told, error = run(on=broken)
    assert (code, told["coached"], told["failed"]) == (0, CLIPS - 2, 2)
    reasons = {f["sample_id"]: f["reason"] for f in lines(tmp_path / "out.failed.jsonl")}
    assert reasons == {f["sample_id"]: f["reason"] for f in told["failures"]}
    assert reasons.keys() == {"take/0", "take/1"}
    assert reasons["take/0"] == "ValueError: cannot say this" and "Traceback" in error
    assert "none.mp4; got: no such file" in reasons["take/1"]
    assert answers(tmp_path / "out.jsonl").keys() == {f"take/{i}" for i in range(2, CLIPS)}
    # Once it can be done it is: failures are tried again.
    monkeypatch.setattr(DummyEngine, "generate", answer)
    code, told, _ = run(on=broken)
    assert (told["kept"], told["coached"], told["failed"]) == (CLIPS - 2, 1, 1)
    assert [f["sample_id"] for f in lines(tmp_path / "out.failed.jsonl")] == ["take/1"]


def test_a_damaged_row_is_a_failed_sample(run, dataset, tmp_path) -> None:
    from datasets import load_from_disk

    def damage(row: dict[str, Any]) -> dict[str, Any]:
        if row["sample_id"] == "take/1":
            row["pose"]["fps"] = float("nan")
        if row["sample_id"] == "take/2":
            row["pose"]["joints"] = row["pose"]["joints"][:20]
        return row

    damaged = tmp_path / "damaged"
    load_from_disk(str(dataset)).map(damage).save_to_disk(str(damaged))
    (damaged / INFO_FILE).write_bytes((dataset / INFO_FILE).read_bytes())
    for kept in (0, CLIPS - 2):  # a second run tries them again
        code, told, _ = run(on=damaged)
        assert (code, told["kept"], told["failed"]) == (0, kept, 2)
        assert answers(tmp_path / "out.jsonl").keys() == {"take/0", "take/3"}
    reasons = {f["sample_id"]: f["reason"] for f in lines(tmp_path / "out.failed.jsonl")}
    assert reasons.keys() == {"take/1", "take/2"}
    assert reasons["take/1"].startswith("not a pose sequence; got: fps nan")


def test_too_many_failures_stop_the_run(run, takes, tmp_path) -> None:
    films = [None, *[{"exo1": "none.mp4"}] * (CLIPS - 1)]
    broken = make_dataset(tmp_path / "broken", takes, views=films)
    code, told, error = run("--max-failed", 1, "--batch-size", 1, on=broken)
    assert (code, told) == (1, None)
    last = error.splitlines()[-1]
    assert "too many clips cannot be coached; got: 2 of 3 (take/1, take/2, ...)" in last
    assert "expected: at most 1" in last and "out.failed.jsonl" in last
    assert answers(tmp_path / "out.jsonl").keys() == {"take/0"}
    assert len(lines(tmp_path / "out.failed.jsonl")) == 2


def test_a_dead_engine_stops_the_run_and_blames_no_clip(
    run, stub_coach, tmp_path, monkeypatch
) -> None:
    generate, calls = stub_coach.engine.generate, iter(range(100))

    def die(*given: Any) -> Any:
        if next(calls) >= 2:
            raise EngineStopped("the engine has stopped", got="a fault of step 7")
        return generate(*given)

    monkeypatch.setattr(stub_coach.engine, "generate", die)
    code, told, error = run("--batch-size", 1)
    assert (code, told) == (1, None)
    assert error.splitlines()[-1].startswith("poise: the run has stopped half-way; got: the engine")
    assert "run the same command again" in error
    kept = answers(tmp_path / "out.jsonl")
    assert 0 < len(kept) < CLIPS
    failed = tmp_path / "out.failed.jsonl"
    assert not failed.exists() or not lines(failed)
    monkeypatch.undo()
    monkeypatch.setattr(Coach, "from_pretrained", classmethod(lambda *_, **__: stub_coach))
    code, told, _ = run("--batch-size", 1)
    assert (code, told["kept"], told["failed"]) == (0, len(kept), 0)
    assert answers(tmp_path / "out.jsonl").keys() == {f"take/{i}" for i in range(CLIPS)}


def test_runs_at_the_same_output_keep_apart(run, tmp_path) -> None:
    import fcntl

    run()
    with (tmp_path / "out.jsonl").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, _, error = run()
    assert code == 1 and "another run that writes there" in error
    assert run()[0] == 0


def test_a_full_disk_leaves_whole_lines(run, tmp_path) -> None:
    run()
    out = tmp_path / "out.jsonl"
    whole = out.read_bytes()
    first = whole.index(b"\n") + 1
    out.write_bytes(whole[:first])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (first + 500, hard))
    try:
        code, _, error = run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 1
    assert error.splitlines()[-1].startswith(f"poise: cannot write {out}; got: file too large")
    assert out.read_bytes() == whole[:first]
    assert run()[1]["kept"] == 1
    assert out.read_bytes() != whole[:first]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--activity", "sqat"), "unknown activity; got: 'sqat'"),
        (("--engine", "tgi"), "transformers, vllm"),
        (("--workers", 2), "--workers 2 without --ray"),
        (("--ray", "127.0.0.1:1"), "no Ray cluster at 127.0.0.1:1"),
        (("--model", "no/such"), "no checkpoint in no/such"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(run, tmp_path, options, said) -> None:
    code, told, error = run(*options)
    assert (code, told) == (1, None)
    assert said in error.splitlines()[-1]
    assert not list(tmp_path.glob("out.*"))


def test_datasets_that_cannot_be_told_apart(run, takes, tmp_path) -> None:
    write_samples([{"sample_id": "a", "pose": takes[0]}] * 2, tmp_path / "doubled")
    assert "2 of the id a" in run(on=tmp_path / "doubled")[2]
    assert "cannot read dataset" in run(on=tmp_path)[2]
    assert not list(tmp_path.glob("out.*"))


def test_corrections_are_kept(run, tmp_path) -> None:
    code, _, _ = run("--corrections", tmp_path / "poses")
    assert code == 0
    for name, record in answers(tmp_path / "out.jsonl").items():
        path = Path(record["correction"]["pose"])
        assert path == tmp_path / "poses" / f"{name.replace('/', '%2F')}.npz"
        assert len(read_pose(path)) == round(2 * record["correction"]["fps"])


def test_demonstrations_come_from_ones_own_library(
    run, stub_coach, library: Library, tmp_path, monkeypatch
) -> None:
    def loaded(_: object, model: object, *, engine: str, library: Path | None) -> Coach:
        with_own = copy(stub_coach)
        with_own.library = stub_coach.library if library is None else open_library(library)
        return with_own

    monkeypatch.setattr(Coach, "from_pretrained", classmethod(loaded))
    out = tmp_path / "out.jsonl"
    code, _, said = run("--library", tmp_path / "none")
    assert code == 1 and "no expert library in" in said and not out.exists()
    own = tmp_path / "own"
    items = [replace(item, demonstration_id=f"mine-{i}") for i, item in enumerate(library.items)]
    Library(items[:2]).save(own)
    assert run("--library", own)[0] == 0
    shown = {row["id"] for found in answers(out).values() for row in found["demonstrations"]}
    assert shown == {"mine-0", "mine-1"}
    assert run("--library", own)[1]["kept"] == CLIPS
    for other in ((), ("--library", own)):  # no library, and the same with another demonstration
        Library(items[:3]).save(own)
        code, _, said = run(*other)
        assert code == 1 and "library_sha256" in said
    settings = BatchSettings("", None, stub_coach.identity["model_sha256"], "dummy")
    settings = replace(settings, dataset=str(tmp_path / "set"), library=str(own))
    with pytest.raises(PoiseError, match="this machine has another library"):
        BatchWorker(replace(settings, library_sha256="of-another-machine"))
    (tmp_path / "a.task").write_bytes(b"one pose model")
    named = replace(settings, library=None, pose_model=str(tmp_path / "a.task"))
    with pytest.raises(PoiseError, match="this machine has another pose model"):
        BatchWorker(replace(named, pose_model_sha256="of-another-machine"))


def test_films_and_gaze_reach_the_pipeline_at_the_clips_own_second(
    stub_coach, takes, tmp_path, film, monkeypatch
) -> None:
    pose = takes[0]
    folder = make_dataset(
        tmp_path / "filmed",
        [pose],
        views=[{"exo1": "a.mp4"}],
        span=[[1.0, 1.0 + pose.duration]],
        gaze=[np.ones((len(pose), 2))],
        best_exo=["exo1"],
    )
    film(folder / "a.mp4", 120)
    settings = BatchSettings(str(folder), None, stub_coach.identity["model_sha256"], "dummy")
    given: list[CoachInput] = []
    many = stub_coach.coach_many
    monkeypatch.setattr(stub_coach, "coach_many", lambda c, **k: given.extend(c) or many(c, **k))
    for gaze in (False, True):
        (outcome,) = BatchWorker(replace(settings, gaze=gaze), stub_coach)([0])
        assert outcome.record is not None and outcome.record["clip"]["views"] == ["exo1"]
        assert outcome.worker.endswith(f":{os.getpid()}")
    without, with_gaze = given
    assert without.best_exo == "exo1"
    assert without.film_start == 1.0 and without.views == {"exo1": folder / "a.mp4"}
    assert without.gaze is None and with_gaze.gaze is not None
    assert with_gaze.gaze.end == pytest.approx(pose.duration)


def test_the_films_go_before_the_samples_own_pose_where_that_is_asked(
    stub_coach, takes, tmp_path, film
) -> None:
    views = [{"ego": "a.mp4"}, None]
    folder = make_dataset(tmp_path / "ego", takes[:2], views=views)
    film(folder / "a.mp4", 120)
    settings = BatchSettings(str(folder), None, stub_coach.identity["model_sha256"], "dummy")
    assert all(outcome.record for outcome in BatchWorker(settings, stub_coach)([0, 1]))
    worker = BatchWorker(replace(settings, pose_from_films=True), stub_coach)
    ego, unfilmed = worker([0, 1])
    assert ego.record is None and "got: an ego film only" in ego.reason
    assert unfilmed.record is None and "got: no film; expected: an exo film" in unfilmed.reason
