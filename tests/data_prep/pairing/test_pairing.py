"""Pairing: who with whom and when, killed runs, the dataset that comes out, reviews."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from assistant.cli import run_command
from assistant.clip import PoseSequence
from assistant.dataset import read_info, read_samples, write_samples
from assistant.errors import PoiseError
from assistant.pose.alignment import pa_mpjpe
from assistant.pose.normalise import REST_POSE
from data_prep.pairing.decisions import apply_decisions
from data_prep.pairing.executions import Execution, find_executions
from data_prep.pairing.motions import FPS, NO_POSE, TOO_SHORT, Motions
from data_prep.pairing.review import write_review
from data_prep.pairing.run import pair_dataset
from data_prep.pairing.store import FILE, PairStore
from prompts.vocabulary import REGIONS

LEGS_WRONG = dict.fromkeys(REGIONS, 2) | {"legs": 0}
LEGS_RIGHT = dict.fromkeys(REGIONS, 2) | {"legs": 1}


def motion(seconds: float, seed: int, fps: float = FPS) -> PoseSequence:
    rng = np.random.default_rng(seed)
    frames = round(seconds * fps)
    drift = 0.2 * np.tanh(rng.normal(0, 0.05, (frames, 17, 3)).cumsum(axis=0))
    joints = (REST_POSE + drift).astype(np.float32)
    return PoseSequence(joints, np.ones((frames, 17), np.float32), fps)


def record(name: str, person: str, level: int | None, pose: PoseSequence | None, **other) -> dict:
    length = 8.0 if pose is None else pose.duration
    return {
        "sample_id": name,
        "participant_id": person,
        "activity": "kick",
        "split": "train",
        "span": [0.0, length],
        "pose": pose,
        "level": level,
        "regions": None if level is None else LEGS_WRONG if level < 2 else LEGS_RIGHT,
        "moments": [{"start": 0.0, "end": 4.0}],
        "origin": "made by a test",
        **other,
    }


@pytest.fixture
def small(tmp_path) -> Path:
    """Three learners and five experts; expert e3 shows learner a's motion from 2.5 s on."""
    mine = motion(8, 1)
    theirs = motion(8, 2)
    theirs.joints[75:135] = mine.joints[90:150] * 0.9 + [0.3, -0.2, 0.0]
    samples = [
        record("a", "ann", 0, mine),
        record("b", "bob", 1, motion(8, 3), split="test"),
        record("c", "cid", 1, motion(1, 4)),
        record("e1", "eve", 3, motion(8, 5)),
        record("e2", "eve", 2, motion(8, 6)),
        record("e3", "fay", 3, theirs),
        record("e4", "ann", 3, mine),  # the learner's own better day
        record("e5", "gil", 2, motion(8, 7), split="test"),
        record("e6", "gil", 3, motion(8, 8), split="test"),
    ]
    write_samples(samples, tmp_path / "data")
    return tmp_path / "data"


def quiet():
    return nullcontext(lambda done, total: None)


def test_groups_ranks_and_the_right_window(small, tmp_path):
    result = pair_dataset(small, tmp_path / "out", quiet)
    with PairStore(tmp_path / "out") as store:
        pairs = store.pairs()
    assert [(p.learner, p.rank) for p in pairs] == [("a", 0), ("a", 1), ("a", 2), ("b", 0)]
    assert pairs[0].expert == "e3" and pairs[0].pa_mpjpe_mm < 1  # stored to half a millimetre
    assert (pairs[0].expert_start, pairs[0].expert_end) == (2.5, 4.5)
    assert (pairs[0].learner_start, pairs[0].learner_end) == (3.0, 5.0)
    assert {p.expert for p in pairs[1:3]} == {"e1", "e2"}  # never "e4", by the same person
    assert pairs[3].expert in {"e5", "e6"} and pairs[3].split == "test"
    errors = [p.pa_mpjpe_mm for p in pairs[:3]]
    assert errors == sorted(errors)
    for pair in pairs:
        assert pair.learner_start < pair.learner_time < pair.learner_end
        assert pair.expert_start < pair.expert_time < pair.expert_end
    assert result["without_pair"] == {TOO_SHORT: {"count": 1, "first": ["c legs"]}}
    assert result["pairs_by_split"] == {"test": 1, "train": 3}


def test_the_error_is_that_of_the_frames_and_no_window_beats_it(small, tmp_path):
    pair_dataset(small, tmp_path / "out", quiet, train_top=1)
    poses = {s["sample_id"]: s["pose"].joints for s in read_samples(small)}
    with PairStore(tmp_path / "out") as store:
        pairs = store.pairs()
    for pair in pairs:
        first = round(pair.learner_start * FPS)
        learner = poses[pair.learner][first : first + 60]
        errors = {
            start: pa_mpjpe(poses[pair.expert][start : start + 60], learner).mean()
            for start in range(61, 120)  # the windows that hold 4 s strictly inside
        }
        assert pair.pa_mpjpe_mm == pytest.approx(min(errors.values()), abs=0.01)
        assert round(pair.expert_start * FPS) == min(errors, key=errors.__getitem__)


def test_the_dataset_names_the_closest_expert(small, tmp_path):
    out = tmp_path / "out"
    (small / "films").mkdir()
    pair_dataset(small, out, quiet)
    records = {s["sample_id"]: s for s in read_samples(out / "dataset")}
    before = {s["sample_id"]: s for s in read_samples(small)}
    assert records["a"]["demonstration"]["take_id"] == "e3"
    assert records["a"]["demonstration"]["span"] == [2.5, 4.5]
    assert records["c"]["demonstration"] is None and records["e1"]["demonstration"] is None
    np.testing.assert_array_equal(records["e3"]["pose"].joints, before["e3"]["pose"].joints)
    assert (out / "dataset" / "films").resolve() == (small / "films").resolve()
    assert read_info(out / "dataset")["pairs"]["train_top"] == 5
    table = pq.read_table(out / "pairs.parquet").to_pylist()
    assert table[0]["learner"] == "a" and table[0]["expert"] == "e3"
    assert len(table) == 4


def test_a_take_lends_its_frames_after_the_pause(tmp_path):
    """A comment's clip ends at the pause: its windows come from the row of the whole take."""
    whole, expert = motion(12, 1), motion(12, 2)
    samples = []
    for take, person, level, pose in (("t1", "ann", 0, whole), ("t2", "eve", 3, expert)):
        samples.append(record(take, person, level, pose, take_id=take, regions=None, moments=None))
        clip = replace(pose, joints=pose.joints[90:210], confidence=pose.confidence[90:210])
        samples.append(record(f"{take}_x_000", person, level, clip, take_id=take, span=[3.0, 7.0]))
    found = find_executions(samples_as_rows(samples))
    assert [(e.sample_id, e.time, e.row) for e in found.learners] == [("t1_x_000", 7.0, 0)]
    assert [(e.sample_id, e.time, e.row) for e in found.experts] == [("t2_x_000", 7.0, 2)]
    write_samples(samples, tmp_path / "data")
    pair_dataset(tmp_path / "data", tmp_path / "out", quiet)
    with PairStore(tmp_path / "out") as store:
        (pair,) = store.pairs()
    assert (pair.learner_start, pair.learner_end) == (6.0, 8.0)
    assert pair.expert_start < 7.0 < pair.expert_end
    assert pair.expert_take == "t2" and pair.expert == "t2_x_000"


def samples_as_rows(samples: list[dict]) -> list[dict]:
    names = ("take_id", "action", "faults", "repetitions")
    return [dict.fromkeys(names) | sample for sample in samples]


def test_only_the_same_action_of_an_activity_is_compared(small, tmp_path):
    samples = read_samples(small)
    for sample in samples:
        sample["action"] = "penalty" if sample["sample_id"] in ("a", "e1") else "pass"
    write_samples(samples, tmp_path / "actions")
    pair_dataset(tmp_path / "actions", tmp_path / "out", quiet)
    with PairStore(tmp_path / "out") as store:
        pairs = store.pairs()
    assert [(p.learner, p.expert) for p in pairs][:1] == [("a", "e1")]
    assert {p.activity for p in pairs if p.learner == "a"} == {"kick, penalty"}


def test_simulated_times_are_those_of_faults_and_key_phases():
    fault = {"name": "x", "region": "legs", "severity": 0.4, "start": 1.0, "end": 2.0}
    worse = fault | {"severity": 0.9, "start": 5.0, "end": 6.0}
    other = fault | {"region": "arms", "severity": 1.0}
    repetitions = [{"start": 0.0, "end": 3.0}, {"start": 4.0, "end": 7.0}]
    keys = [{"start": 1.0, "end": 1.5}, {"start": 6.0, "end": 6.5}]
    base = {"moments": keys, "repetitions": repetitions}
    rows = samples_as_rows(
        [
            record("a", "ann", 0, None, faults=[fault, worse, other], **base),
            record("e", "eve", 3, None, faults=[], **base),
            record("f", "fay", 3, None, faults=[other], **base),
            record("g", "gil", None, None, faults=[], **base),
        ]
    )
    found = find_executions(rows)
    assert [e.time for e in found.learners] == [5.5]
    assert [(e.sample_id, e.time) for e in found.experts] == [
        ("e", 1.25),
        ("e", 6.25),
        ("f", 1.5),
        ("f", 5.5),
    ]


def test_an_expert_clip_counts_once_by_its_best_window(tmp_path):
    phases = {
        "repetitions": [{"start": 0.0, "end": 8.0}],
        "moments": [{"start": t, "end": t + 1.0} for t in (1.0, 3.0, 6.0)],
        "faults": [],
    }
    mine = motion(8, 1)
    samples = [
        record("a", "ann", 0, mine),
        record("e", "eve", 3, replace(mine, joints=mine.joints[::-1].copy()), **phases),
        record("f", "fay", 3, motion(8, 2), **phases),
    ]
    write_samples(samples, tmp_path / "data")
    pair_dataset(tmp_path / "data", tmp_path / "out", quiet)
    with PairStore(tmp_path / "out") as store:
        pairs = store.pairs()
    assert sorted(p.expert for p in pairs) == ["e", "f"]
    poses = {s["sample_id"]: s["pose"].joints for s in read_samples(tmp_path / "data")}
    for pair in pairs:
        starts = [
            start
            for middle in (45, 105, 195)
            for start in range(max(middle - 59, 0), min(middle, 181))
        ]
        errors = [
            pa_mpjpe(poses[pair.expert][s : s + 60], poses["a"][90:150]).mean() for s in starts
        ]
        assert pair.pa_mpjpe_mm == pytest.approx(min(errors), abs=0.01)


@pytest.mark.parametrize("at", [0.0, 0.4, 1.0, 3.98, 4.0, 4.01, 7.9, 8.0])
@pytest.mark.parametrize("fps", [30.0, 25.0])
def test_expert_windows_hold_the_time_strictly_inside(at, fps):
    pose = motion(8, 1, fps)
    motions = Motions(lambda row: pose, 2.0)
    execution = Execution("e", "e", "eve", "train", "kick", "legs", at, 0, 0.0)
    segment = motions.expert(execution)
    starts = segment.start + np.arange(len(segment.joints) - 60 + 1) / FPS
    for start in starts:
        at_an_end = (at == 0.0 and start == 0.0) or at >= 7.99
        assert at_an_end or start < at < start + 2.0 - 1e-9
    inside = [s / FPS for s in range(181) if s / FPS + 1e-9 < at < s / FPS + 2.0 - 1e-9]
    np.testing.assert_allclose(starts, inside or [0.0 if at == 0 else 6.0], atol=1e-6)
    window = motions.learner(execution)
    assert len(window.joints) == 60 and 0 <= window.start <= 6
    assert motions.learner(replace(execution, begins=-100.0)).start == pytest.approx(-94.0)


def test_no_pose_and_short_ones_have_their_reasons():
    execution = Execution("e", "e", "eve", "train", "kick", "legs", 0.5, 0, 0.0)
    assert Motions(lambda row: None, 2.0).learner(execution) == NO_POSE
    assert Motions(lambda row: motion(1.9, 1), 2.0).expert(execution) == TOO_SHORT


def test_a_finished_run_is_left_as_it_is_and_other_settings_are_refused(small, tmp_path):
    out = tmp_path / "out"
    first = pair_dataset(small, out, quiet)
    again = pair_dataset(small, out, quiet)
    assert again["this_run"]["learners"] == 0 and again["pairs"] == first["pairs"]
    with pytest.raises(PoiseError, match="train_top 2; expected: train_top 5"):
        pair_dataset(small, out, quiet, train_top=2)
    samples = read_samples(small)
    write_samples(samples[1:], tmp_path / "other")
    with pytest.raises(PoiseError, match="dataset_sha256"):
        pair_dataset(tmp_path / "other", out, quiet)


def rows_of(folder: Path) -> tuple[list, list]:
    base = sqlite3.connect(f"file:{folder / FILE}?mode=ro", uri=True)
    try:
        return tuple(
            base.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall()
            for table in ("pairs", "done")
        )
    finally:
        base.close()


def test_killed_by_9_and_resumed_nothing_is_lost_or_doubled(tmp_path):
    learners = [record(f"a{i}", f"p{i}", i % 2, motion(8, i)) for i in range(40)]
    experts = [record(f"e{i}", f"q{i}", 2 + i % 2, motion(8, 100 + i)) for i in range(12)]
    write_samples(learners + experts, tmp_path / "data")
    pair_dataset(tmp_path / "data", tmp_path / "whole", quiet, block=7)
    expected = rows_of(tmp_path / "whole")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "assistant.cli", "data", "pair", str(tmp_path / "data")]
    command += ["-o", str(out), "--block", "1"]
    killed_at = []
    for least in (1, 12):
        child = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 60
            while done_so_far(out) < least and time.monotonic() < deadline:
                assert child.poll() is None
                time.sleep(0.02)
        finally:
            os.kill(child.pid, signal.SIGKILL)
            assert child.wait() == -signal.SIGKILL
        killed_at.append(done_so_far(out))
    assert 1 <= killed_at[0] <= killed_at[1] < 40
    assert not (out / "dataset").exists()
    with pytest.raises(PoiseError, match="are not finished"):
        write_review(out, ("train",))
    result = pair_dataset(tmp_path / "data", out, quiet)
    assert result["this_run"]["learners"] == 40 - killed_at[1]
    assert rows_of(out) == expected
    assert len(expected[0]) == 40 * 5 and len(expected[1]) == 40


def done_so_far(folder: Path) -> int:
    try:
        return len(rows_of(folder)[1])
    except sqlite3.Error:
        return 0


def test_drills_are_paired_from_the_command_line(tmp_path, capsys):
    data, out = tmp_path / "drills", tmp_path / "out"
    two = "bodyweight_squat,basketball_free_throw"
    made = ["drills", "--performers", "4", "--clips", "8", "--seed", "3", "-o", str(data)]
    made += ["--activities", two]
    assert run_command("data", made) == 0
    capsys.readouterr()
    assert run_command("data", ["pair", str(data), "-o", str(out), "--json"]) == 0
    output = capsys.readouterr()
    told = json.loads(output.out)
    records = {s["sample_id"]: s for s in read_samples(out / "dataset")}
    assert told["learners"] >= 10 and told["pairs"] > told["learners"]
    assert told["this_run"]["hours_for_25000_x_200"] > 0
    with PairStore(out) as store:
        for pair in store.pairs():
            learner, expert = records[pair.learner], records[pair.expert]
            assert learner["level"] < 2 <= expert["level"]
            assert learner["regions"][pair.region] == 0 and expert["regions"][pair.region] == 1
            assert learner["activity"] == expert["activity"]
            assert learner["participant_id"] != expert["participant_id"]


def test_reviewed_pairs_are_taken_over(small, tmp_path):
    out = tmp_path / "out"
    pair_dataset(small, out, quiet, train_top=2)
    told = write_review(out, ("train", "test"))
    assert told["pairs"] == 3 and Path(told["page"]).stat().st_size == told["bytes"]
    with PairStore(out) as store:
        sha = store.settings()["dataset_sha256"]
        old = {(p.learner, p.rank): p for p in store.pairs()}
    decisions = [
        {"learner": "a", "region": "legs", "rank": 0, "decision": "reject"},
        {"learner": "a", "region": "legs", "rank": 1, "decision": "accept"},
        {"learner": "b", "region": "legs", "rank": 0, "decision": "fix", "expert_start": 3.0},
    ]
    path = tmp_path / "decisions.json"
    record = {"schema_version": 1, "dataset_sha256": sha, "decisions": decisions}
    path.write_text(json.dumps(record))
    result = apply_decisions(path, out)
    assert (result["accepted"], result["fixed"], result["rejected"]) == (1, 1, 1)
    records = {s["sample_id"]: s for s in read_samples(out / "dataset")}
    assert records["a"]["demonstration"]["take_id"] == old["a", 1].expert_take
    fixed = records["b"]["demonstration"]
    assert fixed["span"] == [3.0, 5.0]
    assert fixed["pa_mpjpe_mm"] > old["b", 0].pa_mpjpe_mm
    joints = {name: s["pose"].joints for name, s in records.items()}
    expert = joints[old["b", 0].expert][90:150]
    assert fixed["pa_mpjpe_mm"] == pytest.approx(
        pa_mpjpe(expert, joints["b"][90:150]).mean(), abs=0.01
    )
    assert pq.read_table(out / "pairs.parquet")["status"].to_pylist() == [
        "rejected",
        "accepted",
        "fixed",
    ]
    again = pair_dataset(small, out, quiet, train_top=2)  # a resumed run keeps the review
    assert again["this_run"]["learners"] == 0
    kept = {s["sample_id"]: s["demonstration"] for s in read_samples(out / "dataset")}
    assert kept["b"] == fixed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decision": "maybe"}, "accept, reject, fix"),
        ({"rank": 7}, "of a pair in the folder"),
        ({"decision": "fix"}, "expert_start"),
        ({"decision": "fix", "expert_start": 4.5}, "begin between 2.03 and 3.97 s"),
    ],
)
def test_a_bad_decision_changes_nothing(small, tmp_path, change, message):
    out = tmp_path / "out"
    pair_dataset(small, out, quiet)
    before = rows_of(out)
    decision = {"learner": "b", "region": "legs", "rank": 0, "decision": "reject"}
    good = decision | {"learner": "a"}
    sha = read_info(small)["sha256"]
    path = tmp_path / "decisions.json"
    record = {"schema_version": 1, "dataset_sha256": sha, "decisions": [good, decision | change]}
    path.write_text(json.dumps(record))
    with pytest.raises(PoiseError, match=message):
        apply_decisions(path, out)
    path.write_text(json.dumps(record | {"dataset_sha256": "0" * 64}))
    with pytest.raises(PoiseError, match="do not belong"):
        apply_decisions(path, out)
    path.write_text("{")
    with pytest.raises(PoiseError, match="cannot read decisions"):
        apply_decisions(path, out)
    assert rows_of(out) == before


def test_the_page_survives_hostile_names(small, tmp_path):
    attack = "</script><img src=x onerror=alert(1)>"
    samples = read_samples(small)
    for sample in samples:
        sample["summary"] = attack
    write_samples(samples, tmp_path / "hostile")
    pair_dataset(tmp_path / "hostile", tmp_path / "out", quiet)
    page = Path(str(write_review(tmp_path / "out")["page"])).read_text("utf-8")
    assert attack not in page and page.count("</script>") == 2
    assert "http://" not in page and "https://" not in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to do"),
        (["nowhere", "-o", "x"], "cannot read dataset"),
        (["--review", "nowhere"], "no pairs in nowhere"),
        (["--apply", "x.json", "-o", "nowhere"], "no pairs in nowhere"),
    ],
)
def test_bad_arguments_are_one_line_and_leave_nothing(
    tmp_path, capsys, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert run_command("data", ["pair", *arguments]) == 1
    output = capsys.readouterr()
    assert message in output.err and len(output.err.strip().splitlines()) == 1
    assert output.out == "" and os.listdir(tmp_path) == []


def test_a_dataset_without_experts_says_so(small, tmp_path):
    learners = [s for s in read_samples(small) if s["level"] < 2]
    write_samples(learners, tmp_path / "learners")
    with pytest.raises(PoiseError, match="0 of experts done correctly"):
        pair_dataset(tmp_path / "learners", tmp_path / "out", quiet)
    assert not (tmp_path / "out").exists()
