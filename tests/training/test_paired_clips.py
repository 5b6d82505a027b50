"""`language.pairs`: F_r and F_g are learned from mined pairs, whose experts become the library."""

import json
import re
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.optimize import minimize_scalar

from assistant.checkpoint import Checkpoint
from assistant.cli import main
from assistant.dataset import SampleTable, read_samples, write_samples
from assistant.demos.library import Library
from assistant.errors import PoiseError
from assistant.model.processing_poise import IGNORED
from assistant.perception import focus_window, turned
from assistant.pose.normalise import NormalisedPose, normalise, rotate_yaw
from assistant.tasks.window import cut_window
from data_prep.drills.dataset import to_sample
from data_prep.drills.performer import sample_performer
from data_prep.drills.simulate import simulate
from data_prep.pairing.run import pair_dataset
from eval.pairs import LearnerPair, PairTable
from prompts.render import render_pose_codes
from prompts.vocabulary import LEVELS, REGIONS
from training.dataset_clips import DatasetClip, dataset_clips, seen
from training.dataset_pairs import expert_library, pair_table
from training.language_samples import TokenSample
from training.language_stage import fits
from training.model_card import pose_terms
from training.paired_clips import measured_pairs, pair_samples, paired_clips, turned_codes
from training.pretraining import load_processor
from training.recipe import load_recipe
from training.run import Run

MINI = Path(__file__).parents[2] / "assistant" / "weights" / "poise-mini"
TINY = (
    "threads=1", "data.workers=1", "lora.rank=2", "lora.quantisation=none",
    "language_model={layers: 1, hidden_size: 32, intermediate_size: 48, heads: 2, vocabulary: 400}",
    "pretrain={steps: 3, batch_size: 4, talk: false}", "loop={evaluation_clips: 2}",
    "language.epochs=1", "language.batch_size=4", "language.projector_hidden=16",
    "language.mapper_hidden=16", "correction={epochs: 1, batch_size: 4}", "language.inputs=pose",
)  # fmt: skip
WORDS = "The hips stay too high."
FAULTS = {"legs": 0.6, "torso": 2.4}  # where each is, seconds


def person(name: str, split: str, level: int, seed: int, *at_fault: str) -> dict[str, Any]:
    """A squat by its own performer; an expert does legs and torso correctly."""
    rng = np.random.default_rng(seed)
    drill = simulate(
        "bodyweight_squat", level, sample_performer(rng, split, f"p-{name}"), rng,
        repetitions=1, sample_id=name,
    )  # fmt: skip
    regions = dict.fromkeys(at_fault, 0) if at_fault else dict.fromkeys(FAULTS, 1)
    faults = [
        {"name": "made", "region": r, "severity": 1.0, "start": FAULTS[r], "end": FAULTS[r] + 0.4}
        for r in at_fault
    ]
    sample = to_sample(drill, (15.0, "slow"), "made by a test", complete=True)
    return sample | {
        "split": split, "level": level, "calibration": None, "take_id": name,
        "regions": dict.fromkeys(REGIONS, 2) | regions, "faults": faults or None, "summary": WORDS,
    }  # fmt: skip


def turning(sample: dict[str, Any]) -> dict[str, Any]:
    """The same, turned by 40 degrees between the two faults."""
    pose = sample["pose"]
    at = np.arange(len(pose)) / pose.fps
    angles = np.radians(np.interp(at, (1.3, 1.9), (0.0, 40.0)))
    joints = [rotate_yaw(frame, angle) for frame, angle in zip(pose.joints, angles, strict=True)]
    return sample | {"pose": replace(pose, joints=np.stack(joints).astype(np.float32))}


def people() -> list[dict[str, Any]]:
    """Learners and experts of three splits; `both` is at fault twice, before and after a turn, and
    `mute` without words."""
    comment = person("said", "train", 1, 2, "legs")
    pose = comment["pose"]
    return [
        turning(person("both", "train", 0, 1, "legs", "torso")),
        comment | {"sample_id": "said_000", "span": [0.2, 2.2], "pose": pose.crop(0.2, 2.2)}
        | {"faults": None, "moments": [{"start": 0.0, "end": 2.0}]}
        | dict.fromkeys(("pose_clean", "twin", "gaze", "steps", "repetitions")),
        comment | {"regions": None, "summary": None, "commentary_raw": None},
        person("mute", "train", 0, 3, "legs") | {"summary": None},
        person("mid", "train", 2, 4) | {"regions": None},
        person("expert", "train", 3, 5),
        person("second", "train", 2, 6),
        person("judged", "validation", 1, 7, "legs"),
        person("model", "validation", 3, 8),
        person("secret", "test", 0, 9, "legs"),
        person("hidden", "test", 3, 10),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("pairs")
    write_samples(people(), home / "data", {"source": "made by a test"})
    pair_dataset(home / "data", home / "pairs", lambda: nullcontext(lambda done, total: None))
    return home / "pairs"


def begun(folder: Path) -> Path:
    """A run whose perception is done: poise-mini's."""
    for part in ("pose_tokenizer", "proficiency"):
        shutil.copytree(MINI / part, folder / part)
    shutil.copy(MINI / "experts.json", folder)
    return folder


def run_of(folder: Path, pairs: Path, *settings: str) -> Run:
    return Run(
        load_recipe("expertaf_llama3", (f"language.pairs={pairs}", *TINY, *settings)), folder
    )


def rewritten(pairs: Path, folder: Path, change: Any) -> Path:
    """The same dataset with other pairs: `change` makes each, or None to leave it out."""
    folder.mkdir()
    (folder / "dataset").symlink_to(pairs / "dataset")
    rows = [change(row) for row in pq.read_table(pairs / "pairs.parquet").to_pylist()]
    pq.write_table(pa.Table.from_pylist([r for r in rows if r]), folder / "pairs.parquet")
    return folder


def written(sample: TokenSample, processor: Any) -> np.ndarray:
    """[10, M] codes that a conversation learns."""
    learned = [i for i, k in zip(sample.ids, sample.labels, strict=True) if k != IGNORED]
    codes = re.findall(r"<\|pose_(\d+)\|>", processor.tokenizer.decode(learned))
    return np.array(codes, dtype=int).reshape(10, -1)


def named(pair: dict[str, Any]) -> str:
    """What the conversations of a pair are called."""
    learner = f"{pair['learner']}@{pair['learner_start']:.3f}"
    return f"{learner}>{pair['expert_take']}@{pair['expert_start']:.3f}"


def test_the_paired_expert_is_what_retrieval_and_correction_learn(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: set[int] = set()
    pose = SampleTable.pose
    monkeypatch.setattr(SampleTable, "pose", lambda t, row: decoded.add(row) or pose(t, row))
    run, processor = run_of(begun(tmp_path / "run"), pairs), load_processor(MINI / "language")
    samples = {s.sample_id: s for s in pair_samples(run, processor, {})}
    measured_pairs(run)
    rows = read_samples(pairs / "dataset")
    assert {rows[i]["split"] for i in decoded} == {"train", "validation"}

    records = {row["sample_id"]: row for row in rows}
    tokens = run.perception()
    mined = pq.read_table(pairs / "pairs.parquet").to_pylist()
    assert {pair["split"] for pair in mined} == {"train", "validation", "test"}
    expected = {}
    for pair in mined:
        if pair["split"] != "train" or pair["learner"] == "mute":
            continue
        part = records[pair["expert"]]["pose"].crop(pair["expert_start"], pair["expert_end"])
        expected[named(pair)] = tokens.encode_window(cut_window(normalise(part), 0.0))[1]
    assert len(expected) == 6  # both (two regions) and said_000, with two experts each
    told = [name for name in samples if "/commentary" in name]
    assert len(samples) == len(told) + 2 * len(expected)
    for name, codes in expected.items():
        assert np.array_equal(written(samples[f"{name}/retrieval"], processor), codes)
    assert len({codes.tobytes() for codes in expected.values()}) > 2  # which could not be mixed up
    windows = {c.learner_codes.tobytes() for c in paired_clips(run) if c.learner == "both"}
    assert len(windows) == 2  # each fault's own


def brought_near(expert: NormalisedPose, learner: np.ndarray) -> NormalisedPose:
    """The expert turned by the angle that a search finds nearest to the learner's frames."""

    def far(angle: float) -> float:
        return float(np.square(rotate_yaw(frames, angle) - learner).sum())

    frames = cut_window(expert, 0.0).joints.astype(np.float64)
    best = min(np.radians(range(-180, 180, 5)), key=far)
    found = minimize_scalar(far, bounds=(best - 0.1, best + 0.1), method="bounded")
    return turned(expert, expert.yaw - float(found.x))


def test_a_correction_faces_as_its_learner_does(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, processor = run_of(begun(tmp_path / "run"), pairs), load_processor(MINI / "language")
    samples = {s.sample_id: s for s in pair_samples(run, processor, {})}
    table, perception = pair_table(str(pairs)), run.perception()

    def window(pair: LearnerPair) -> np.ndarray:
        part, begins = table.clip(pair)
        pose = normalise(part)
        [assessment] = perception.assessor.assess_many([pose])
        return focus_window(pose, assessment, begins).joints

    learned = [p for p in table.every if p.split == "train" and p.sample_id != "mute"]
    turns = []
    for pair in learned:
        expert = brought_near(table.motion(pair.expert), window(pair))
        _, codes = perception.encode_window(cut_window(expert, 0.0))
        name = f"{pair.sample_id}@{pair.learner.start:.3f}>{pair.expert.name}/correction"
        assert np.array_equal(written(samples[name], processor), codes)
        turns.append(abs(np.degrees(expert.yaw - table.motion(pair.expert).yaw)))
    assert max(turns) > 10  # of the learner who turns

    # Turned by 40 degrees, the expert teaches the same; a learner who is turned learns another.
    names = [pair.expert.name for pair in learned]
    learners = seen(perception, [table.clip(pair) for pair in learned])
    other = [replace(s, joints=rotate_yaw(s.joints, np.radians(40))) for s in learners]
    codes = np.stack(turned_codes(perception, table, names, learners))
    assert (np.stack(turned_codes(perception, table, names, other)) != codes).any(axis=(1, 2)).all()
    motion = PairTable.motion

    def askew(table: PairTable, stretch: Any) -> NormalisedPose:
        pose = motion(table, stretch)
        return turned(pose, pose.yaw - np.radians(40))

    monkeypatch.setattr(PairTable, "motion", askew)
    assert np.array_equal(np.stack(turned_codes(perception, table, names, learners)), codes)


def test_commentary_is_learned_of_every_labelled_row_and_sees_its_own_expert(
    pairs: Path, tmp_path: Path
) -> None:
    processor, folder = load_processor(MINI / "language"), begun(tmp_path / "run")

    def told(*settings: str) -> dict[str, str]:
        found = {
            sample.sample_id: processor.tokenizer.decode(sample.ids)
            for sample in pair_samples(run_of(folder, pairs, *settings), processor, {})
            if "/commentary" in sample.sample_id
        }
        plain = [f"{name}/commentary" for name in labelled]
        assert sorted(name for name in found if name.endswith("/commentary")) == plain
        assert not any("<|pose_sequence_end|>" in found.pop(name) for name in plain)
        return found

    labelled = ("both", "expert", "mid", "said_000", "second")
    shown = told("language.demonstration_dropout=0")
    assert sorted(shown) == ["both/commentary_shown", "said_000/commentary_shown"]
    for learner in ("both", "said_000"):
        mined = pq.read_table(pairs / "pairs.parquet").to_pylist()
        mine = [pair for pair in mined if pair["learner"] == learner]
        closest = named(min(mine, key=lambda pair: pair["pa_mpjpe_mm"]))
        seen = {
            clip.sample_id
            for clip in paired_clips(run_of(folder, pairs))
            if render_pose_codes(clip.demonstration.tolist())
            in shown[f"{learner}/commentary_shown"]
        }
        assert {name for name in seen if name.startswith(learner)} == {closest}
    assert not told("language.demonstration_dropout=1")
    assert not told("language.demonstration_dropout=0", "language.answer_form=label_only")
    own = {"said_000": "Proficiency Level: Novice. Proficiency Commentary:\nMy own."}
    follow = [
        sample
        for sample in pair_samples(run_of(folder, pairs), processor, own)
        if sample.sample_id.startswith("said_000@")
    ]
    assert len(follow) == 4
    for sample in follow:
        assert "My own." in processor.tokenizer.decode(sample.ids)
        assert WORDS not in processor.tokenizer.decode(sample.ids)
    about = json.loads((folder / "work" / "pairs_train.json").read_text())
    assert (about["pairs"], about["learners"], about["left_out"]) == (6, 2, ["mute"])


@pytest.mark.parametrize(
    ("form", "balance"), [("label_first", "equal"), ("commentary_first", "verdict_weight")]
)
def test_no_level_is_learned_where_an_expert_is_shown(
    pairs: Path, tmp_path: Path, form: str, balance: str
) -> None:
    settings = (f"language.answer_form={form}", f"language.loss_balance={balance}")
    processor = load_processor(MINI / "language")
    run = run_of(begun(tmp_path / "run"), pairs, *settings)

    def learned(sample: TokenSample) -> str:
        kept = [i for i, label in enumerate(sample.labels) if label != IGNORED]
        weighed = [i for i, weight in enumerate(sample.weights) if weight]
        assert kept == weighed and [sample.labels[i] for i in kept] == [sample.ids[i] for i in kept]
        return str(processor.tokenizer.decode([sample.ids[i] for i in kept]))

    samples = {s.sample_id: learned(s) for s in pair_samples(run, processor, {})}
    for learner, level in (("both", "Novice"), ("said_000", "Early Expert")):
        plain, shown = (samples[f"{learner}/{kind}"] for kind in ("commentary", "commentary_shown"))
        assert f"Proficiency Level: {level}." in plain and WORDS in plain
        assert not any(word in shown for name in LEVELS for word in name.split())
        assert shown == plain.replace(f" {level}.", "")


def test_the_library_is_of_the_paired_experts(pairs: Path, tmp_path: Path) -> None:
    run = run_of(begun(tmp_path / "run"), pairs)
    library = expert_library(run)
    assert {item.origin for item in library.items} == {"expert", "second"}
    item = next(i for i in library.items if i.origin == "expert")
    assert item.demonstration_id == f"expert@{item.start:.3f}" and item.end == item.start + 2
    assert item.level == "Late Expert" and item.correct_regions == ("torso", "legs")
    assert item.activity == "bodyweight_squat" and not library.any_activity
    for clip in paired_clips(run):
        assert library.items[clip.gold].demonstration_id == clip.expert

    # Of a sport that Stage 1 does not know all are candidates, whatever it takes the clip for.
    write_samples(
        [row | {"activity": "basketball", "action": "layup"} for row in people()],
        tmp_path / "other",
    )
    pair_dataset(tmp_path / "other", tmp_path / "more", lambda: nullcontext(lambda d, t: None))
    found = expert_library(run_of(run.folder, tmp_path / "more"))
    assert {item.activity for item in found.items} == {"basketball, layup"}
    found.save(tmp_path / "library")
    loaded = Library.load(tmp_path / "library")
    assert len(loaded.candidates("golf_swing", loaded.items[0].window)) == len(found) > 1
    for mine, read in zip(found.items, loaded.items, strict=True):
        assert (mine.origin, mine.source, mine.licence) == (read.origin, read.source, read.licence)
    assert loaded.sha256() == found.sha256() != Library(found.items).sha256()

    # Nobody has stated the terms of a dataset's poses: the card of an export says so.
    assert {item.licence for item in loaded.items} == {None}
    [terms] = pose_terms(tmp_path / "library").values()
    assert terms.startswith("unknown")
    assert not pose_terms(MINI / "library") and not pose_terms(tmp_path / "nowhere")


def test_one_window_faulted_in_two_regions_is_learned_once(pairs: Path, tmp_path: Path) -> None:
    rows = pq.read_table(pairs / "pairs.parquet").to_pylist()
    again = [row | {"region": "feet"} for row in rows if row["learner"] == "said_000"]
    assert len(again) == 2
    # An expert that is paired with two windows of a learner is learned for each.
    [first, other] = (row for row in rows if (row["learner"], row["expert"]) == ("both", "expert"))
    other |= {name: first[name] for name in ("expert_start", "expert_end")}
    folder = rewritten(pairs, tmp_path / "again", lambda pair: None)
    pq.write_table(pa.Table.from_pylist([*rows, *again]), folder / "pairs.parquet")
    run, processor = run_of(begun(tmp_path / "run"), folder), load_processor(MINI / "language")
    assert len(pair_table(str(folder)).every) == len(rows) - 1 + len(again)  # without split test
    names = [sample.sample_id for sample in pair_samples(run, processor, {})]
    assert sorted(name for name in names if "@" in name) == sorted(
        f"{named(row)}/{task}"
        for row in rows
        if row["learner"] in ("both", "said_000")
        for task in ("retrieval", "correction")
    )
    assert len(names) == len(set(names))


def test_pairs_without_a_learner_that_is_learned_are_refused(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def others(run: Run, split: str) -> list[DatasetClip]:
        return [c for c in dataset_clips(run, split) if c.sample_id not in ("both", "said_000")]

    monkeypatch.setattr("training.paired_clips.dataset_clips", others)
    with pytest.raises(PoiseError, match="8 pairs of split train, none whose learner is learned"):
        paired_clips(run_of(begun(tmp_path / "run"), pairs))


def test_a_rejected_pair_is_left_out(pairs: Path, tmp_path: Path) -> None:
    reviewed = rewritten(
        pairs, tmp_path / "reviewed",
        lambda p: p | {"status": "rejected" if p["expert"] == "expert" else "accepted"}
        if p["split"] == "train" else p,
    )  # fmt: skip
    run = run_of(begun(tmp_path / "run"), reviewed)
    assert {clip.expert.split("@")[0] for clip in paired_clips(run)} == {"second"}
    assert {item.origin for item in expert_library(run).items} == {"second"}


def test_what_cannot_be_learned_is_refused_in_a_line(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"

    def refused(folder: Path, *settings: str) -> str:
        capsys.readouterr()
        given = [f"language.pairs={folder}", *TINY, *settings, "-o", str(run)]
        assert main(["train", "expertaf_llama3", *given]) == 1
        [line] = capsys.readouterr().err.strip().splitlines()
        return line

    line = refused(pairs, f"language.dataset={pairs / 'dataset'}")
    assert "language.dataset is" in line and "pairs bring their own" in line
    assert "language.tasks is 'commentary' with language.pairs" in refused(
        pairs, "language.tasks=commentary", "correction.epochs=0"
    )
    assert "cannot read dataset" in refused(tmp_path / "nothing")
    assert "cannot read dataset" in refused(pairs / "dataset")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "dataset").symlink_to(pairs / "dataset")
    assert "cannot read table of pairs" in refused(broken)
    (broken / "pairs.parquet").write_bytes(b"none")
    assert "cannot read table of pairs" in refused(broken)
    pq.write_table(pa.table({"learner": ["both"]}), broken / "pairs.parquet")
    assert "no column region" in refused(broken)
    one = rewritten(pairs, tmp_path / "one", lambda p: p if p["split"] != "validation" else None)
    assert "0 learners of split validation with a pair" in refused(one)
    nobody = rewritten(pairs, tmp_path / "nobody", lambda p: p | {"expert": "hidden"})
    assert "without the expert in split train" in refused(nobody)  # of split test
    assert not run.exists()


def test_free_words_of_its_own_can_be_followed_where_texts_are_free() -> None:
    free = "Proficiency Level: Novice. Proficiency Commentary:\nThe hips stay high."
    assert fits(free, "label_first", free=True) and not fits(free, "label_first", free=False)
    for text in ("The hips stay high.", free.split("\n")[0], free.replace("Novice", "Good")):
        assert not fits(text, "label_first", free=True)


@pytest.mark.slow
def test_pairs_become_a_checkpoint_that_is_evaluated(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = begun(tmp_path / "run")
    settings = [f"language.pairs={pairs}", *TINY, "language.own_commentary_share=0.5"]
    for stage in ("library", "pretrain", "language"):
        assert main(["train", "expertaf_llama3", "--stage", stage, *settings, "-o", str(run)]) == 0
    checkpoint = Checkpoint.open(run)
    assert checkpoint.level_basis == "made by a test, split train"
    library = Library.load(run / "library")
    assert {item.demonstration_id.split("@")[0] for item in library.items} == {"expert", "second"}
    assert all(item.unconditional < 0 for item in library.items)
    measured = json.loads((run / "work" / "language.json").read_text())
    assert all(measured[key] > 0 for key in ("loss", "correction_loss"))
    assert all(
        row[key] > 0
        for row in (*measured["validation"], *measured["correction"])
        for key in ("loss", "retrieval_loss", "correction_loss")
    )
    out = tmp_path / "result.json"
    given = ["--model", str(run), "--activity", "bodyweight_squat", "-o", str(out)]
    assert main(["eval", "expertaf", str(pairs), *given]) == 0
    result = json.loads(out.read_text())
    assert result["counts"] == {"asked": 1, "done": 1, "judged": 1, "failed": 0}
    assert result["samples"][0]["demonstration"].startswith("hidden@")
    assert result["provenance"]["model_sha256"] == checkpoint.sha256()
    assert {"correction", "copy_learner", "codec"} <= set(result["correction"]["motions"])
    assert main(["train", "export", str(run), str(tmp_path / "exported")]) == 0
    assert "made by a test, split train" in (tmp_path / "exported" / "README.md").read_text()
    assert Library.load(tmp_path / "exported" / "library").sha256() == library.sha256()
