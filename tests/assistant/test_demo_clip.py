"""The checkpoint that ships with Poise on the clip that ships with it, by the command."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import assistant
from assistant.checkpoint import Checkpoint
from assistant.cli import main
from assistant.coach_result import CoachInput
from assistant.feedback import validate
from assistant.perceive import perceive
from assistant.perception import Perception
from assistant.pose.bones import bone_length_drift_mm, bone_lengths
from assistant.pose.read import read_pose
from assistant.proficiency.streams import GAZE_FPS, Stream
from prompts.vocabulary import LEVELS

WEIGHTS = Path(str(assistant.__file__)).parent / "weights"
CLIP = WEIGHTS / "demo" / "squat_demo.mp4"

pytestmark = [
    pytest.mark.skipif(
        not (WEIGHTS / "poise-mini" / "checkpoint.json").is_file(),
        reason="no checkpoint poise-mini in assistant/weights",
    ),
    pytest.mark.skipif(not CLIP.is_file(), reason="no demo clip in assistant/weights"),
]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """`poise coach CLIP --json --report DIR` as a user runs it."""
    folder = tmp_path_factory.mktemp("demo") / "report"
    done = subprocess.run(
        [sys.executable, "-m", "assistant.cli", "coach", str(CLIP), "--json", "--report",
         str(folder), "--seed", "5"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done, folder


@pytest.fixture(scope="module")
def record(ran: tuple[subprocess.CompletedProcess[str], Path]) -> dict:
    done, _ = ran
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()  # results alone
    return json.loads(line)


def test_the_demo_is_recognised_and_judged(record: dict) -> None:
    validate(record)
    assert record["judged"]
    assert record["activity"]["name"] == "bodyweight_squat"
    assert record["activity"]["probability"] > 0.5
    assert record["clip"]["views"] == ["exo1"]
    assert record["provenance"]["model"] == "poise-mini"
    assert record["provenance"]["engine"] == "transformers"
    assert record["provenance"]["seed"] == 5
    assert record["provenance"]["inputs_used"][0] == "pose"
    assert sum(record["proficiency"]["probabilities"]) == pytest.approx(1)
    assert record["proficiency"]["level"] in LEVELS


def test_its_film_reaches_stage_1_and_the_margin(record: dict) -> None:
    assert record["provenance"]["inputs_used"] == ["pose", "exo1"]
    assert np.isfinite(record["proficiency"]["pdm"]["exo"])
    assert record["proficiency"]["pdm"]["ego"] is None


def test_gaze_reaches_stage_1_where_it_is_given() -> None:
    pose = read_pose(CLIP.with_suffix(".npz"))
    gaze = Stream(np.zeros((int(pose.duration * GAZE_FPS), 2), np.float32), GAZE_FPS)
    seen = perceive(
        Perception.from_pretrained(Checkpoint.open(None).folder),
        [CoachInput("with", pose, gaze=gaze), CoachInput("without", pose)],
    )
    with_gaze, without = (clip.assessment for clip in seen)
    assert with_gaze.modalities == ("pose", "gaze") and without.modalities == ("pose",)
    assert with_gaze.score_vector()[12] == 1 and without.score_vector()[12] == 0
    assert not np.allclose(with_gaze.p_base, without.p_base)
    assert np.array_equal(with_gaze.regions, without.regions)


def test_its_remarks_are_text_about_regions(record: dict) -> None:
    assert record["remarks"]
    criticised = {r["region"] for r in record["remarks"] if r["polarity"] == "needs_improvement"}
    assert criticised & {"legs", "torso"}  # knees fall inwards, the trunk leans forward
    assert record["focus"]["region"] in criticised
    for remark in record["remarks"]:
        assert re.search(r"[a-z]{3}", remark["text"]) and "<|" not in remark["text"]
        assert 0 <= remark["start"] < remark["end"] <= record["clip"]["duration"] + 1e-6


def test_its_demonstration_and_correction_fit(record: dict, ran: tuple) -> None:
    assert record["demonstrations"][0]["pa_mpjpe_mm"] < 150
    correction = record["correction"]
    assert correction["pa_mpjpe_to_learner_mm"] < 150
    pose = read_pose(Path(correction["pose"]))
    bones = bone_lengths(read_pose(CLIP.with_suffix(".npz")).joints)
    drift = bone_length_drift_mm(pose.joints, bones)  # of the file that was written
    assert correction["bone_length_drift_mm"] == pytest.approx(drift, rel=0.01)
    assert 0.01 < drift < 2
    assert len(pose) / pose.fps == pytest.approx(2.0)
    assert np.isfinite(pose.joints).all()
    assert Path(correction["pose"]).parent == ran[1]


def test_the_report_is_one_file_without_network(ran: tuple, record: dict) -> None:
    done, folder = ran
    page = folder / "squat_demo.html"
    assert done.stderr.splitlines()[-1] == str(page)
    text = page.read_text("utf-8")
    assert not re.search(r"""(?:src|href|action)\s*=\s*["']?(?:https?:)?//""", text)
    assert not re.search(r"@import|url\(\s*['\"]?(?:https?:)?//", text)
    assert record["proficiency"]["level"] in text
    assert record["remarks"][0]["text"].split()[0] in text


@pytest.fixture
def threads_of_a_new_process() -> Iterator[None]:
    """Another number of threads rounds otherwise, and trainings of other tests set one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))))
    yield
    torch.set_num_threads(before)


def test_the_same_seed_gives_the_same_answer(
    record: dict, capsys: pytest.CaptureFixture[str], threads_of_a_new_process: None
) -> None:
    """Twice in this process and once in another: three times the same words and numbers."""
    answers = []
    for _ in range(2):
        assert main(["coach", str(CLIP), "--json", "--seed", "5"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    for answer in (*answers, record):
        answer["timings_ms"] = {}
    answers[0]["correction"]["pose"] = answers[1]["correction"]["pose"] = None
    assert answers[0] == answers[1]
    expected = record | {"correction": record["correction"] | {"pose": None}}
    assert answers[0] == expected


def test_the_pose_file_alone_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coach", str(CLIP.with_suffix(".npz")), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    validate(answer)
    assert answer["judged"] and answer["activity"]["name"] == "bodyweight_squat"
    assert answer["clip"]["views"] == [] and answer["provenance"]["inputs_used"] == ["pose"]


def test_people_read_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coach", str(CLIP)]) == 0
    out = capsys.readouterr().out
    for part in ("Activity: bodyweight squat", "Level: ", "Remarks:", "Watch: ", "Measurements:"):
        assert part in out
