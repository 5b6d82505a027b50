"""`language.dataset`: a dataset's own takes and texts are learned, and nothing is simulated."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assistant.checkpoint import Checkpoint
from assistant.cli import main
from assistant.clip import PoseSequence
from assistant.dataset import write_samples
from assistant.demos.library import Library
from assistant.errors import PoiseError
from assistant.model.processing_poise import IGNORED
from assistant.video.decode import write_video
from assistant.video.encoder import VideoEncoder
from data_prep.drills.simulate import simulate_many
from prompts.parse import ANSWER_FORMS, format_plain, parse_feedback
from prompts.vocabulary import LEVELS
from training.dataset_clips import DatasetClip, dataset_clips, told_rows
from training.language_samples import TokenSample
from training.pretraining import load_processor
from training.recipe import load_recipe
from training.resume import check_same
from training.run import Run
from training.sample_store import read_samples
from training.stages import STAGES

FPS, SECONDS, SIDE = 10.0, 2, 32
MINI = Path(__file__).parents[2] / "assistant" / "weights" / "poise-mini"
PARTS = ("pose_tokenizer", "proficiency")
WHO = {"train": 4, "validation": 2, "test": 1}
TINY = (
    "threads=1", "data.workers=1", "lora.rank=2",
    "language_model={layers: 1, hidden_size: 32, intermediate_size: 48, heads: 2, vocabulary: 400}",
    "pretrain={steps: 3, batch_size: 4, talk: false}",
    "language.epochs=1", "language.batch_size=4", "language.projector_hidden=16",
)  # fmt: skip


def text_of(split: str, take: int, number: int) -> str:
    return f"In {split} take {take} the elbow drifts {('out', 'back')[number]} too early."


def write_take(folder: Path, split: str, take: int, pose: PoseSequence | None) -> list[Any]:
    """The row of a take and those of two comments, the second of whom lacks two films."""
    uid, views = f"{split}{take}", {}
    rng = np.random.default_rng([len(split), take])
    for view in ("ego", "exo1", "exo2"):
        path = folder / "films" / f"{uid}_{view}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        pictures = rng.integers(0, 255, (round(FPS * SECONDS), SIDE, SIDE, 3), dtype=np.uint8)
        write_video(path, pictures, FPS)
        views[view] = f"../files/films/{path.name}"
    base = {
        "take_id": uid, "participant_id": uid, "activity": "rock_climbing", "split": split,
        "level": take % 4, "views": views, "span": [0.0, float(SECONDS)], "pose": pose,
        "best_exo": "exo2",
    }  # fmt: skip
    said = [
        base | {
            "sample_id": f"{uid}_e1_{number:03d}",
            "summary": text_of(split, take, number),
            "commentary_raw": f"uh so {number}",
            "views": views if number == 0 else {"ego": views["ego"]},
        }
        for number in range(2)
    ]  # fmt: skip
    return [base | {"sample_id": uid}, *said]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven takes of three splits; one of those that are learned has a pose."""
    folder = tmp_path_factory.mktemp("datasets")
    pose = simulate_many(1, 1, 3, split="train", workers=1)[0].pose.crop(0.0, 4.0)
    rows = [
        row
        for split, takes in WHO.items()
        for take in range(takes)
        for row in write_take(
            folder / "files", split, take, pose if (split, take) == ("train", 0) else None
        )
    ]
    write_samples(rows, folder / "labelled", {"source": "Ego-Exo4D v2"})
    return folder / "labelled"


def begun(folder: Path) -> Path:
    """A run whose perception is done: poise-mini's, and a tiny encoder that knows any film."""
    for part in PARTS:
        shutil.copytree(MINI / part, folder / part)
    Library(Library.load(MINI / "library").items[:4]).save(folder / "library")
    torch.manual_seed(0)
    encoder = VideoEncoder.from_config(
        "timesformer", image_size=SIDE, patch_size=16, num_frames=4, hidden_size=16,
        num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
    )  # fmt: skip
    encoder.freeze().save_pretrained(folder / "video_encoder")
    return folder


def run_of(folder: Path, dataset: Path, *settings: str) -> Run:
    given = (f"language.dataset={dataset}", *TINY, *settings)
    return Run(load_recipe("profvlm_smollm2", given), folder)


def train(folder: Path, stage: str, dataset: Path, *settings: str) -> int:
    given = [f"language.dataset={dataset}", *TINY, *settings]
    return main(["train", "profvlm_smollm2", "--stage", stage, *given, "-o", str(folder)])


def answers(folder: Path) -> dict[str, str]:
    """What is learned of each clip in the stage `language`, word for word."""
    processor = load_processor(folder / "language")
    samples = read_samples(folder / "work" / "loop" / "language" / "samples.safetensors")
    assert len({sample.sample_id for sample in samples}) == len(samples)
    told = {}
    for sample in samples:
        learned = [i for i, k in zip(sample.ids, sample.labels, strict=True) if k != IGNORED]
        text = processor.tokenizer.decode(learned, skip_special_tokens=True)
        told[sample.sample_id] = text.strip()
    return told


def video_of(told: DatasetClip | TokenSample) -> np.ndarray:
    assert told.inputs.video is not None
    return told.inputs.video


@pytest.fixture
def no_drills(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any, **more: Any) -> None:
        raise AssertionError("a run with a dataset has simulated")

    monkeypatch.setattr("training.run.simulate_many", refuse)


def test_a_dataset_is_learned_and_measured_on(
    dataset: Path, tmp_path: Path, no_drills: None
) -> None:
    run = begun(tmp_path / "run")
    assert train(run, "pretrain", dataset) == 0
    assert train(run, "language", dataset) == 0
    assert answers(run) == {
        f"train{take}_e1_{number:03d}/commentary": "Proficiency Level: "
        f"{LEVELS[take]}. Proficiency Commentary:\n{text_of('train', take, number)}"
        for take in range(WHO["train"])
        for number in range(2)
    }
    assert Checkpoint.open(run).level_basis == "Ego-Exo4D v2, split train"
    measured = json.loads((run / "work" / "language.json").read_text())["validation"]
    assert [row["step"] for row in measured] == [0, 2]  # eight clips, four at once
    assert {row["n"] for row in measured} == {WHO["validation"]}
    assert "format" not in measured[0] and measured[0]["level_majority"] == 0.5
    about = json.loads((run / "work" / "dataset_validation.json").read_text())
    assert about["clips"] == 2 and about["levels"]["Novice"] == 1
    stored = read_samples(run / "work" / "loop" / "language" / "samples.safetensors")
    views = {s.sample_id.split("/")[0][-1]: len(video_of(s)) for s in stored}
    assert views == {"0": 3, "1": 1}  # the films of each comment's own row
    assert not list((run / "work" / "features").glob("*/test*"))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(dataset: Path, tmp_path: Path, no_drills: None) -> None:
    runs = [begun(tmp_path / name) for name in ("first", "second")]
    for run in runs:
        assert train(run, "pretrain", dataset) == 0
        assert train(run, "language", dataset) == 0
    for run in runs:  # the order of their headers' keys is left to chance; the samples hold them
        shutil.rmtree(run / "work" / "features")
    names = [p.relative_to(runs[0]) for p in runs[0].rglob("*.safetensors")]
    assert {Path("language/model.safetensors"), Path("work/trained.safetensors")} <= set(names)
    assert Path("work/loop/language/samples.safetensors") in names
    for name in [*names, Path("work/language.json"), Path("language/tokenizer.json")]:
        assert (runs[0] / name).read_bytes() == (runs[1] / name).read_bytes(), name


def test_the_features_are_those_of_the_films(dataset: Path, tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    read = {c.sample_id: c for c in dataset_clips(run_of(run, dataset), "train")}
    encoder = VideoEncoder.from_pretrained(run / "video_encoder")
    from assistant.video.views import view_features

    films = {v: dataset.parent / f"files/films/train1_{v}.mp4" for v in ("ego", "exo1", "exo2")}
    expected, _ = view_features(encoder, films, (0.0, float(SECONDS)))
    assert read["train1_e1_000"].inputs.video == pytest.approx(expected, abs=1e-5)
    assert read["train1_e1_000"].inputs.frames == 4

    elsewhere = tmp_path / "features"
    shutil.move(run / "work" / "features", elsewhere)
    given = dataset_clips(run_of(run, dataset, f"language.features={elsewhere}"), "train")
    for clip in given:
        assert np.array_equal(video_of(clip), video_of(read[clip.sample_id]))
    ego = dataset_clips(run_of(run, dataset, "language.views=[ego]"), "train")
    assert {len(video_of(clip)) for clip in ego} == {1}
    pair = dataset_clips(run_of(run, dataset, "language.views=[ego,best_exo]"), "train")
    best = next(clip for clip in pair if clip.sample_id == "train1_e1_000")
    assert video_of(best) == pytest.approx(expected[[0, 2]], abs=1e-5)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(PoiseError, match=r"poise data features .* --encoder .*video_encoder"):
        dataset_clips(run_of(run, dataset, f"language.features={empty}"), "train")


def test_poses_are_given_where_rows_have_them(dataset: Path, tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    settings = ("language.inputs=all", "language.numbers=token")
    clips = dataset_clips(run_of(run, dataset, *settings, "language.video_share=1"), "train")
    posed = {clip.sample_id for clip in clips if clip.inputs.pose is not None}
    assert posed == {"train0_e1_000", "train0_e1_001"}
    assert all((c.inputs.score is None) == (c.inputs.pose is None) for c in clips)
    assert {clip.activity for clip in clips} == {"rock_climbing"}
    alone = dataset_clips(run_of(run, dataset, "language.inputs=pose"), "train")
    assert {clip.sample_id for clip in alone} == posed
    about = json.loads((run / "work" / "dataset_train.json").read_text())
    assert about["left_out"][0] == "train1_e1_000" and len(about["left_out"]) == 6
    with pytest.raises(PoiseError, match="no film or pose of split validation"):
        dataset_clips(run_of(run, dataset, "language.inputs=pose"), "validation")


def test_one_comment_of_a_take_or_all(dataset: Path) -> None:
    def rows(*settings: str) -> dict[str, list[dict[str, Any]]]:
        given = (f"language.dataset={dataset}", *settings)
        recipe = load_recipe("profvlm_smollm2", given)
        return told_rows(recipe.language, recipe.seed)

    every, one = rows(), rows("language.comments=one")
    assert {split: len(some) for split, some in every.items()} == {"train": 8, "validation": 2}
    assert [row["take_id"] for row in one["train"]] == [f"train{i}" for i in range(4)]
    assert one["train"] == rows("language.comments=one")["train"]
    assert len({row["sample_id"][-1] for row in one["train"]}) == 2  # not always the first


def test_the_words_may_be_those_that_were_spoken(dataset: Path, tmp_path: Path) -> None:
    run = begun(tmp_path / "run")
    settings = ("language.dataset_text=spoken", "language.answer_form=commentary_first")
    clips = dataset_clips(run_of(run, dataset, *settings), "validation")
    assert clips[0].answer.startswith("Proficiency Commentary:\nuh so ")
    assert clips[0].answer.endswith("\nProficiency Level: Novice.")


def test_what_a_dataset_cannot_teach_is_refused(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"

    def refused(data: Path, *settings: str) -> str:
        capsys.readouterr()
        assert train(run, "pretrain", data, *settings) == 1
        [line] = capsys.readouterr().err.strip().splitlines()
        return line

    assert "language.tasks is 'all' with language.dataset" in refused(dataset, "language.tasks=all")
    several = refused(dataset, "language.dialogue_share=0.5", "pretrain.talk=true")
    assert "dialogue_share is 0.5" in several and "pretrain.talk is True" in several
    assert "cannot read dataset" in refused(tmp_path / "nothing")

    def written(name: str, keep: Any, change: dict[str, Any]) -> Path:
        rows = [r for split in WHO for r in write_take(tmp_path / "files", split, 0, None)]
        write_samples([row | change for row in rows if keep(row)], tmp_path / name)
        return tmp_path / name

    unlabelled = written("unlabelled", lambda row: True, {"summary": None})
    assert "none with a level and a summary" in (line := refused(unlabelled))
    assert f"`poise data label {unlabelled} -o DIR`" in line
    half = written("half", lambda row: row["split"] == "train", {})
    assert "no labelled row of split validation" in refused(half)
    unseen = written("unseen", lambda row: True, {"views": None})
    assert "no row of split train with a film of ego" in refused(unseen)
    assert not run.exists()
    line = refused(dataset)  # nothing of perception is there
    assert "no pose_tokenizer, proficiency, video_encoder" in line and "--stage" in line


@pytest.mark.parametrize("form", ANSWER_FORMS)
def test_free_text_is_written_in_every_form(form: str) -> None:
    text = format_plain("Early Expert", "Bend\n the knees.", form)
    read = parse_feedback(text, form)
    assert read.level == "Early Expert"
    assert read.commentary == ("" if form == "label_only" else "Bend the knees.")
    with pytest.raises(ValueError, match="not a commentary"):
        format_plain("Novice", " ", form)


def test_a_setting_that_an_older_version_lacked_stood_at_its_default() -> None:
    check_same({"seed": 1}, {"seed": 1, "language.dataset": ""})
    with pytest.raises(PoiseError, match=r"language.dataset='x' \(begun with ''\)"):
        check_same({"seed": 1}, {"seed": 1, "language.dataset": "x"})


@pytest.mark.slow
def test_the_official_layout_becomes_a_checkpoint(tmp_path: Path, no_drills: None) -> None:
    """A miniature download, converted, labelled and learned by the commands of the page."""
    from data_prep.egoexo4d.miniature import write_miniature

    tree = write_miniature(tmp_path / "tree")
    data, labelled = tmp_path / "data", tmp_path / "labelled"
    window = ["--split", "all", "--before", "2"]
    assert main(["data", "egoexo4d", str(tree), "-o", str(data), *window]) == 0
    assert main(["data", "label", str(data), "-o", str(labelled)]) == 0
    run = begun(tmp_path / "run")
    encoder, features = str(run / "video_encoder"), str(tmp_path / "features")
    made = ["data", "features", str(labelled), "-o", features, "--encoder", encoder]
    assert main([*made, "--workers", "1", "--max-failed", "20"]) == 0
    for stage in list(STAGES)[-2:]:
        assert train(run, stage, labelled, f"language.features={features}") == 0
    told = answers(run)
    assert len(told) == 18 and all("hips drop" in text for text in told.values())
    assert not (run / "work" / "features").exists()
    assert Checkpoint.open(run).level_basis == "Ego-Exo4D v2, split train"
