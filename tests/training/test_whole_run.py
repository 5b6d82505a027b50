"""All stages at a size that takes seconds: the same bytes twice, and a checkpoint that coaches."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from peft import PeftModel
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoProcessor

import assistant.model
from assistant.checkpoint import CARD_FILE, WORK_FOLDER, Checkpoint
from assistant.clip import PoseSequence
from assistant.coach import Coach
from assistant.coach_result import CoachInput
from assistant.feedback import validate
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.modeling_poise import PoiseForConditionalGeneration
from assistant.model.processing_poise import PoiseProcessor
from data_prep.commentary.labels import Comment, Failure, Label
from data_prep.commentary.model_labeller import ModelLabeller
from data_prep.drills.performer import sample_performer
from data_prep.drills.simulate import simulate
from training.clips import CLIPS_FILE, VIDEO_FILE
from training.sample_store import read_samples

# The first test waits for two whole runs.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

TINY = (
    "threads=1",
    "data={perception_performers: 24, language_performers: 24, validation_performers: 12,"
    " library_performers: 24, stage1_performers: 6, clips_per_performer: 4, workers: 1}",
    "activities=[bodyweight_squat, basketball_free_throw]",
    "pose_tokenizer={steps: 40, batch_size: 64, config: {encoder_width: 32, decoder_width: 32}}",
    "video_encoder={steps: 10, clips: 24, workers: 1, batch_size: 8, hidden_size: 24, layers: 1}",
    "sparse_skill={steps: 6, every: 3, width: 16}",
    "proficiency={steps: 30, copies: 1, width: 32}",
    "correction_estimator={steps: 20, noises: 1, width: 16}",
    "language_model={layers: 1, hidden_size: 32, intermediate_size: 48, heads: 2, vocabulary: 500}",
    "pretrain={talk_steps: 3, steps: 10, batch_size: 8}",
    "language={steps: 10, batch_size: 8, warmup_steps: 2, video_share: 0.2, dialogue_share: 0.5,"
    " retrieval_stride: 2}",
    "lora.rank=2",
)


ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
# `accelerate launch` starts several processes on GPUs; on CPUs it leaves that to torchrun.
TWO = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def train(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, *arguments), capture_output=True, text=True, env=ENVIRONMENT, check=False
    )


def command(folder: Path, *arguments: str) -> list[str]:
    start = [sys.executable, "-m", "assistant.cli", "train", "mini", *TINY, "-o", str(folder)]
    return start + list(arguments)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs of the same recipe."""
    folders = tuple(tmp_path_factory.mktemp(name) / "run" for name in ("first", "second"))
    for folder in folders:
        done = train(folder)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{folder}\n"  # progress goes to stderr
        for noise in ("Loading weights", "Writing model shards", "gemm_4bit"):
            assert noise not in done.stderr
    return folders[0], folders[1]


def shipped(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] != WORK_FOLDER
    }


def test_the_same_seed_gives_the_same_bytes(runs: tuple[Path, Path]) -> None:
    first, second = (shipped(folder) for folder in runs)
    assert set(first) == set(second)
    assert [name for name in first if first[name] != second[name]] == []
    assert Checkpoint.open(runs[0]).sha256() == Checkpoint.open(runs[1]).sha256()


def test_the_checkpoint_holds_every_part(runs: tuple[Path, Path]) -> None:
    names = set(shipped(runs[0]))
    for part in (
        CARD_FILE, "experts.json", "language/config.json", "language/model.safetensors",
        "language/processor_config.json", "language/tokenizer.json", "library/library.parquet",
        "library/library.npz", "pose_tokenizer/config.json", "proficiency/proficiency.json",
        "video_encoder/video_encoder.json", "correction_estimator/model.safetensors",
    ):  # fmt: skip
        assert part in names, part
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    trained = json.loads((runs[0] / WORK_FOLDER / "language.json").read_text())["trainable"]
    assert {"lora", "token rows", "score_token", "video_projector"} <= set(trained)
    assert "base" not in trained


def test_the_auto_classes_load_the_language_model(runs: tuple[Path, Path]) -> None:
    assistant.model.register()
    folder = runs[0] / "language"
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert type(model) is PoiseForConditionalGeneration
    processor = AutoProcessor.from_pretrained(folder)
    assert type(processor) is PoiseProcessor
    assert model.config.label_temperature > 0
    assert len(processor.tokenizer) == model.config.text_config.vocab_size


def squat() -> PoseSequence:
    performer = sample_performer(np.random.default_rng(5), "test")
    return simulate("bodyweight_squat", 1, performer, np.random.default_rng(6)).pose


def test_it_coaches_a_clip(runs: tuple[Path, Path]) -> None:
    coach = Coach.from_pretrained(runs[0])
    result = coach.coach(CoachInput("squat", squat()), activity="bodyweight_squat")
    record = result.feedback.to_json()
    validate(record)
    assert record["judged"]
    # What so little training ranks first may be no better than chance; then the record says so.
    assert bool(record["demonstrations"]) != bool(record["demonstration_reason"])
    assert 0 < record["correction"]["bone_length_drift_mm"] < 5
    again = coach.coach(CoachInput("squat", squat()), activity="bodyweight_squat")
    assert again.text == result.text
    assert np.array_equal(again.corrected, result.corrected)


def test_a_stage_alone_uses_what_the_others_wrote(runs: tuple[Path, Path]) -> None:
    """The last stage run again gives the same checkpoint, whether its clips are read or seen."""
    before, stores = shipped(runs[1]), [runs[1] / WORK_FOLDER / CLIPS_FILE]
    stores.append(runs[1] / WORK_FOLDER / VIDEO_FILE)
    for warm in (True, False):
        for store in () if warm else stores:
            store.unlink()
        done = train(runs[1], "--stage", "language")
        assert done.returncode == 0, done.stderr
        for store in stores:
            assert (f"{store.name} read" in done.stderr) == warm
        assert shipped(runs[1]) == before


@pytest.mark.timeout(1500)  # it is several runs long
def test_a_run_killed_at_random_moments_resumes_to_the_same_bytes(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    """SIGKILL, nothing cleaned up; a state is saved after every update, so that saves are hit."""
    record = json.loads((runs[0] / WORK_FOLDER / "training.json").read_text())
    whole, rng = 60 * record["minutes"], np.random.default_rng()
    folder, delays = tmp_path / "run", []
    while True:
        begun = (folder / WORK_FOLDER / "recipe.json").is_file()
        resume = ["--resume"] if begun else []
        # Later ones live longer, so that the longest stage comes to its end at last.
        delays.append(rng.uniform(0.15, 0.4) * whole * (1 + len(delays) / 2))
        with (tmp_path / "said.txt").open("w+") as said:
            process = subprocess.Popen(
                command(folder, "loop.checkpoint_steps=1", *resume),
                env=ENVIRONMENT,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
            try:
                process.wait(delays[-1])
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    assert process.returncode == 0, (tmp_path / "said.txt").read_text()
    assert len(delays) > 2, delays
    assert shipped(folder) == shipped(runs[0]), f"killed after {delays} s"


def test_two_processes_train_as_one(runs: tuple[Path, Path], tmp_path: Path) -> None:
    """Two CPU processes under accelerate; the same batches, shared out: equal up to rounding."""
    settings = ("--stage", "language", "language.precision=fp32", "loop.accumulation=2")
    found = []
    for name, launcher in (
        ("one", [sys.executable, "-m"]),
        ("two", [*TWO, "-m"]),
    ):
        folder = tmp_path / name
        shutil.copytree(runs[0], folder)
        arguments = [*launcher, "training.cli", "mini", *TINY, "-o", str(folder), *settings]
        done = subprocess.run(
            arguments, capture_output=True, text=True, env=ENVIRONMENT, check=False
        )
        assert done.returncode == 0, done.stderr
        started = json.loads((folder / "work/loop/language/settings.json").read_text())
        assert started["processes"] == len(found) + 1
        found.append(load_file(folder / "language" / "model.safetensors"))
    before = load_file(runs[0] / WORK_FOLDER / "pretrained" / "model.safetensors")
    one, two = found
    for name in one:
        moved = np.abs(one[name] - before[name]).max()
        assert np.abs(one[name] - two[name]).max() <= 0.05 * moved + 1e-5, name


def stages(folder: Path, *settings: str) -> list[dict]:
    """Run `pretrain` and `language` again with other settings; what was measured on the way."""
    for stage in ("pretrain", "language"):
        done = train(folder, "--stage", stage, "loop.evaluation_clips=4", *settings)
        assert done.returncode == 0, done.stderr
    return json.loads((folder / WORK_FOLDER / "language.json").read_text())["validation"]


def test_an_ablation_of_profvlm_is_a_checkpoint_of_its_own_form(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(runs[0], folder)
    measured = stages(
        folder, "language.inputs=video", "language.numbers=none", "language.rig=whole",
        "language.views=[ego]", "language.answer_form=commentary_first", "language.comments=one",
        "language.loss_balance=equal", "language.projector_gating=false",
        "language.own_commentary_share=0.05", "language.dialogue_share=0", "pretrain.talk_steps=0",
    )  # fmt: skip
    assert [row["step"] for row in measured][:1] == [0] and measured[-1]["step"] == 10
    for row in measured:
        assert row["n"] == 4 and 0 <= row["label_field"] <= 1 and row["loss"] > 0
    refused = train(folder, "--stage", "language", "language.projector_gating=false")
    assert refused.returncode == 1
    assert "the pretrained model is another one" in refused.stderr.splitlines()[-1]
    coach = Coach.from_pretrained(folder)
    config = coach.config
    assert (config.views, config.inputs, config.numbers) == (("ego",), "video", "none")
    assert not config.projector_gating and coach.perception.views == ("ego",)
    result = coach.coach(CoachInput("squat", squat()), activity="bodyweight_squat")
    validate(result.feedback.to_json())
    assert result.text is not None and result.text.startswith("Proficiency Commentary:")


def test_the_pose_as_text_is_a_checkpoint_that_is_given_it(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    """ExpertAF Table 1: coordinates instead of embedding rows, saved with the model."""
    folder = tmp_path / "run"
    shutil.copytree(runs[0], folder)
    measured = stages(folder, "language.pose_form=text", "language.own_commentary_share=0.05")
    assert measured[-1]["step"] == 10 and measured[-1]["loss"] > 0
    stored = read_samples(folder / WORK_FOLDER / "loop" / "language" / "samples.safetensors")
    processor = PoiseProcessor.from_pretrained(folder / "language")
    for sample in stored:
        assert processor.tokenizer.decode(sample.ids).count(sample.inputs.pose_text) == 1
        assert sample.inputs.pose_text.startswith("(cm forward, left, up)")
    refused = train(folder, "--stage", "language")
    assert refused.returncode == 1 and "pose_form=text" in refused.stderr.splitlines()[-1]
    coach = Coach.from_pretrained(folder)
    assert coach.config.pose_form == coach.perception.pose_form == "text"
    result = coach.coach(CoachInput("squat", squat()), activity="bodyweight_squat")
    validate(result.feedback.to_json())


def test_an_untuned_language_model_is_a_row_of_its_own(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    """The base stands for weights from the hub: a causal language model and its tokenizer."""
    assistant.model.register()
    folder, base = tmp_path / "run", tmp_path / "base"
    shutil.copytree(runs[0], folder)
    text = AutoModelForCausalLM.from_pretrained(runs[0] / "language").language_model
    text.save_pretrained(base)
    AutoProcessor.from_pretrained(runs[0] / "language").tokenizer.save_pretrained(base)
    measured = stages(
        folder, f"language_model.base={base}", "pretrain.steps=0", "language.steps=0",
        "language.inputs=none", "language.numbers=digits", "language.own_commentary_share=0",
    )  # fmt: skip
    assert [row["step"] for row in measured] == [0]
    assert json.loads((folder / WORK_FOLDER / "language.json").read_text())["loss"] is None
    before = load_file(base / "model.safetensors")
    after = load_file(folder / "language" / "model.safetensors")
    codes = PoiseConfig.from_pretrained(folder / "language").pose_code_start
    for name, value in before.items():  # the codes' rows, the last, begin anew with each model
        rows = slice(0, codes if "embed_tokens" in name else None)
        assert np.array_equal(after[f"language_model.{name}"][rows], value[rows]), name


def test_one_sport_gets_a_bare_adapter_over_the_checkpoint(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(runs[0], folder)
    before = Checkpoint.open(folder).sha256()
    done = train(folder, "--stage", "language", "activity=basketball_free_throw")
    assert done.returncode == 0, done.stderr
    adapter = folder / "adapters" / "basketball_free_throw"
    assert done.stdout == f"{adapter}\n"
    assert Checkpoint.open(folder).sha256() == before
    names = load_file(adapter / "adapter_model.safetensors")
    assert names and all("lora_" in name for name in names)
    assert any(np.abs(value).max() > 0 for name, value in names.items() if "lora_B" in name)
    assistant.model.register()
    model = AutoModelForCausalLM.from_pretrained(folder / "language")
    PeftModel.from_pretrained(model, adapter)
    # The run itself can still be taken up; all of it is done.
    again = train(folder, "--resume")
    assert again.returncode == 0 and "language was done before" in again.stderr


def test_labelling_writes_a_second_checkpoint_beside_the_first(runs: tuple[Path, Path]) -> None:
    before = shipped(runs[0])
    done = train(runs[0], "--stage", "labelling", "labelling={steps: 3}")
    assert done.returncode == 0, done.stderr
    assert shipped(runs[0]) == before
    labeller = ModelLabeller.open(runs[0] / WORK_FOLDER / "labelling")
    [answer] = labeller.label([Comment("one", "the knees cave in", None)], lambda done, all: None)
    assert isinstance(answer, Label | Failure)


def test_a_stage_before_its_turn_is_one_line(tmp_path: Path) -> None:
    done = train(tmp_path / "new", "--stage", "library")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("poise: ")
    assert "Traceback" not in done.stderr
