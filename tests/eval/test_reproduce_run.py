"""One real row, tiny: killed in the middle of its training and taken up again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

DRILLS = "bodyweight_squat,basketball_free_throw"
TINY = (
    "threads=1",
    f"activities=[{DRILLS}]",
    "data={perception_performers: 24, language_performers: 24, validation_performers: 12,"
    " library_performers: 24, stream_performers: 6, clips_per_performer: 4, workers: 1}",
    "pose_tokenizer={steps: 40, batch_size: 64, config: {encoder_width: 32, decoder_width: 32}}",
    "video_encoder={steps: 10, clips: 24, workers: 1, batch_size: 8, hidden_size: 24, layers: 1}",
    "proficiency={moments: attention, steps: 30, copies: 1, width: 32}",
    "language_model={layers: 1, hidden_size: 32, intermediate_size: 48, heads: 2, vocabulary: 500}",
    "pretrain={steps: 10, batch_size: 8}",
    "language={steps: 10, batch_size: 8, warmup_steps: 2}",
    "loop={checkpoint_steps: 1, evaluation_steps: 0, evaluation_clips: 4}",
    "lora.rank=2",
)
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
START = (sys.executable, "-m", "assistant.cli")


def command(folder: Path) -> list[str]:
    return [*START, "eval", "reproduce", "--rows", "full", "--seeds", "0", "--json",
            "--work", str(folder / "work"), "-o", str(folder / "results"), *TINY]  # fmt: skip


def again(folder: Path) -> tuple[dict, str]:
    done = subprocess.run(
        command(folder), capture_output=True, text=True, env=ENVIRONMENT, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_a_row_killed_in_its_training_is_taken_up_and_scored(tmp_path: Path) -> None:
    # Fewer test clips than the rows have, made beforehand.
    test = tmp_path / "work" / "test"
    made = [*START, "data", "drills", "--performers", "3", "--clips", "2", "--seed", "7004",
            "--split", "test", "--activities", DRILLS, "-o", str(test)]  # fmt: skip
    subprocess.run(made, check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    with (tmp_path / "said.txt").open("w") as said:
        process = subprocess.Popen(
            command(tmp_path), env=ENVIRONMENT, stdout=said, stderr=said, start_new_session=True
        )
        state = "work/rows/full_0_*/work/loop/pretrain/step-*"
        while process.poll() is None and not list(tmp_path.glob(state)):
            time.sleep(0.05)
        assert process.poll() is None, (tmp_path / "said.txt").read_text()
        # Neither the command nor the training that it started can tidy up.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "results").exists()

    found, said_again = again(tmp_path)
    assert found["done"] == ["full_0"] and not found["left"] and found["hours"] > 0
    begun = [line for line in said_again.splitlines() if line.startswith("poise train")]
    assert [line.split("--stage ")[1].split()[0] for line in begun if "--stage" in line] == [
        "pretrain", "language", "contrastive",
    ]  # fmt: skip
    assert "--resume" in begun[0] and begun[-1].startswith("poise train films")
    result = json.loads((tmp_path / "results" / "full_0.json").read_text())
    assert result["n"] == 6 == len(result["takes"]) and result["performers"] == 3
    assert set(result["by_activity"]) <= set(DRILLS.split(","))
    assert 0 <= result["accuracy"] <= 1 and result["floors"]["majority"]["accuracy"] > 0
    for key in ("bleu4", "meteor", "rouge_l", "bertscore_f1"):
        assert result[key] is not None and result[f"{key}_shuffled"] is not None
    for key in ("retrieval_median_rank", "contrastive_median_rank", "retrieval_recall_at_50",
                "retrieval_chance_median_rank", "n_ranked", "n_train"):  # fmt: skip
        assert result[key] > 0
    assert not list((tmp_path / "work" / "rows").iterdir())

    kept, said_last = again(tmp_path)
    assert kept["kept"] == ["full_0"] and not kept["done"] and "poise train" not in said_last
