"""The plan of the papers' rows: order, budget, what is stored, what is made again."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assistant import cli
from assistant.errors import PoiseError
from eval import reproduce as suite
from eval.paper_rows import definitions, overrides
from eval.row_training import (
    RowTraining,
    copy_run,
    link_files,
    pretraining,
    shared_pretraining,
    stages_done,
)

ROWS = [row for group in definitions()["runs"].values() for row in group["rows"]]


class Clock:
    """Seconds that runs take away."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def result(run: suite.RowRun, seconds: Mapping[str, float], **figures: Any) -> dict[str, Any]:
    takes = [
        {"performer": f"p{i // 2}", "level": i % 4, "p": [0.7, 0.1, 0.1, 0.1]} for i in range(8)
    ]
    return {
        "takes": takes, "row": run.row, "seed": run.seed, "settings_sha256": run.settings_sha256,
        "seconds": dict(seconds), **figures,
    }  # fmt: skip


def test_the_first_seed_of_every_row_comes_before_the_second() -> None:
    runs = suite.plan()
    assert len(set(ROWS)) == len(ROWS)
    assert [(run.row, run.seed) for run in runs] == [(r, s) for s in (0, 1, 2) for r in ROWS]
    some = suite.plan(["mlp", "agp"], [3, 0])
    assert [run.name for run in some] == ["agp_3", "mlp_3", "agp_0", "mlp_0"]
    assert some[1].settings == [*overrides("mlp"), "seed=3"]
    with pytest.raises(PoiseError, match=r"no such row.*agg.*expected.*agp_ego"):
        suite.plan(["agg"])


def test_the_hash_changes_with_what_the_numbers_depend_on_and_with_nothing_else() -> None:
    [run] = suite.plan(["agp"], [0])
    for same in (suite.plan(["agp"], [1]), suite.plan(["agp"], [0], ["threads=1"])):
        assert same[0].settings_sha256 == run.settings_sha256
        assert same[0].perception_sha256 == run.perception_sha256
    [longer] = suite.plan(["agp"], [0], ["language.steps=9"])
    assert longer.settings_sha256 != run.settings_sha256
    assert longer.perception_sha256 == run.perception_sha256
    [other] = suite.plan(["agp"], [0], ["data.perception_performers=9"])
    assert other.settings_sha256 != run.settings_sha256
    assert other.perception_sha256 != run.perception_sha256
    [fewer] = suite.plan(["agp"], [0], limit=4)
    assert fewer.settings_sha256 != run.settings_sha256
    every = suite.plan(seeds=[0])
    assert len({run.settings_sha256 for run in every}) == len(every)
    assert len({run.perception_sha256 for run in every}) == 1


def test_runs_stop_before_the_one_that_would_not_fit(tmp_path: Path) -> None:
    clock, made = Clock(), []
    runs = suite.plan(["agp", "mlp", "label_only", "full"], [0])

    def make(run: suite.RowRun) -> dict[str, Any]:
        made.append(run.name)
        clock.now += 100 if len(made) == 1 else 60
        # Only the first one prepares.
        return result(run, {"prepare": 40.0 if len(made) == 1 else 0.0, "language": 60.0})

    # The first is taken to need 90 s, the others the 60 s that were measured without preparation.
    found = suite.reproduce(runs, tmp_path, make, budget=225, unknown=90, clock=clock)
    assert made == ["agp_0", "mlp_0", "label_only_0"] == found.done
    assert found.left == ["full_0"] and found.hours == pytest.approx(220 / 3600)
    # Again: what is stored is kept; 59 s are too few, 60 s are enough.
    none = suite.reproduce(runs, tmp_path, make, budget=59, unknown=90, clock=clock)
    assert (none.done, none.left, len(none.kept)) == ([], ["full_0"], 3)
    last = suite.reproduce(runs, tmp_path, make, budget=60, unknown=90, clock=clock)
    assert last.done == ["full_0"] and not last.left and len(made) == 4
    # A changed setting makes its run again, and that one alone.
    changed = [replace(runs[1], settings_sha256="other"), *runs[:1], *runs[2:]]
    again = suite.reproduce(changed, tmp_path, make, unknown=90, clock=clock)
    assert again.done == ["mlp_0"] and len(again.kept) == 3


def test_another_seed_is_expected_to_prepare_and_a_row_to_take_its_own_time() -> None:
    agp, mlp, later = suite.plan(["agp", "mlp"], [0, 1])[:3]
    results = {
        agp.name: result(agp, {"prepare": 500, "language": 100}),
        mlp.name: result(mlp, {"prepare": 0, "language": 40}),
    }
    assert suite.expected_seconds(agp, {}, 7) == 7
    assert suite.expected_seconds(replace(mlp, seed=0), results, 7) == 40
    assert suite.expected_seconds(later, results, 7) == 600
    assert suite.expected_seconds(replace(later, seed=0, row="full"), results, 7) == 100


def test_a_run_that_fails_is_named_and_the_next_one_is_made(tmp_path: Path) -> None:
    runs = suite.plan(["agp", "mlp"], [0])

    def make(run: suite.RowRun) -> dict[str, Any]:
        if run.row == "agp":
            raise PoiseError("a training failed")
        return result(run, {"language": 1.0})

    found = suite.reproduce(runs, tmp_path, make, unknown=1)
    assert found.done == ["mlp_0"] and "a training failed" in found.failed["agp_0"]
    assert suite.stored(tmp_path, runs[0]) is None


def test_rows_are_means_over_the_seeds_with_their_range(tmp_path: Path) -> None:
    runs = suite.plan(["agp", "mlp"])
    floors = {"majority": {"accuracy": 0.25}}
    for run, f1 in zip([r for r in runs if r.row == "agp"], (0.2, 0.3, 0.7), strict=True):
        extra = {"bleu4": 0.1} if run.seed else {}
        figures = {"macro_f1": f1, "n": 8, "floors": floors, **extra}
        suite.write_result(tmp_path, run, result(run, {"language": 1800.0}, **figures))
    [mlp] = suite.plan(["mlp"], [0])
    suite.write_result(tmp_path, mlp, result(mlp, {"language": 1.0}, macro_f1=0.5, n=8))
    found = suite.read_rows(tmp_path)
    assert found["agp"]["macro_f1"] == pytest.approx({"value": 0.4, "low": 0.2, "high": 0.7})
    # Of eight takes the two of level 0 are right, in all seeds: of two of the four performers.
    assert found["agp"]["accuracy"]["value"] == 0.25
    assert 0 <= found["agp"]["accuracy"]["low"] < 0.25 < found["agp"]["accuracy"]["high"] <= 0.5
    assert found["agp"]["n"] == [8, 8, 8] and found["agp"]["seeds"] == [0, 1, 2]
    assert found["agp"]["floors"]["majority"]["accuracy"]["value"] == 0.25
    assert "bleu4" not in found["agp"] and "takes" not in found["agp"]
    assert found["mlp"]["macro_f1"] == 0.5 and found["mlp"]["n"] == [8]
    assert found["about"]["runs"] == 4 and found["about"]["planned"] == 3 * len(ROWS)
    assert found["about"]["hours"] == pytest.approx(1.5, abs=1e-3)
    # Results of other settings are not shown.
    suite.write_result(tmp_path, replace(mlp, settings_sha256="old"), result(mlp, {}) | {
        "settings_sha256": "old"})  # fmt: skip
    assert "mlp" not in suite.read_rows(tmp_path)
    suite.result_file(tmp_path, mlp).write_text("{")
    with pytest.raises(PoiseError, match=r"cannot read stored result.*mlp_0"):
        suite.read_rows(tmp_path)


def test_rows_that_differ_after_pretraining_share_their_pretrained_model() -> None:
    runs = {run.row: run for run in suite.plan(seeds=[0])}
    together = ("full", "dropout_0", "dropout_1", "tasks_apart")
    assert len({pretraining(runs[row]) for row in together}) == 1
    assert len({pretraining(runs[row]) for row in ("all_comments", "epochs_0", "epochs_1")}) == 1
    apart = [row for row in ROWS if row not in (*together[1:], "epochs_0", "epochs_1")]
    assert len({pretraining(runs[row]) for row in apart}) == len(apart)
    shared = {pretraining(runs[row]) for row in ("full", "all_comments")}
    assert shared_pretraining(runs.values()) == shared
    assert pretraining(replace(runs["full"], seed=1)) != pretraining(runs["full"])


class Trainer:
    """Stands for `poise train`: notes what is asked and leaves what a stage leaves."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Path, bool]] = []
        self.dies_in = ""

    def __call__(self, arguments: Any) -> None:
        stage = arguments[arguments.index("--stage") + 1]
        folder = Path(arguments[arguments.index("-o") + 1])
        self.asked.append((stage, folder, "--resume" in arguments))
        work = folder / "work"
        work.mkdir(parents=True, exist_ok=True)
        (work / "recipe.json").write_text(json.dumps(arguments))
        if stage == self.dies_in:
            self.dies_in = ""
            raise PoiseError("killed")
        if stage == "pretrain" and not (work / "clips.npz").is_file():
            np.savez(work / "clips.npz", seen=np.zeros(1))
        done = stages_done(folder)
        (work / "done.json").write_text(json.dumps(dict.fromkeys([*done, stage], 1.0)))


def test_perception_and_pretraining_are_trained_once_and_a_killed_run_is_taken_up(
    tmp_path: Path,
) -> None:
    trainer = Trainer()
    runs = suite.plan(["agp", "full", "dropout_1"], [0])
    training = RowTraining(tmp_path, (), trainer, shared_pretraining(runs))
    perception = training.perception(runs[0])
    assert training.perception(runs[1]) == perception
    parts = ["pose_tokenizer", "video_encoder", "proficiency", "library"]
    assert [stage for stage, *_ in trainer.asked] == parts
    trainer.asked.clear()

    agp, full, dropout = runs
    trainer.dies_in = "language"
    with pytest.raises(PoiseError, match="killed"):
        training.row(agp, perception)
    folder, seconds = training.row(agp, perception)
    assert seconds["pretrain"] == 1.0  # of the first try, as the training noted it
    assert trainer.asked == [("pretrain", folder, False), ("language", folder, True),
                             ("language", folder, True)]  # fmt: skip
    trainer.asked.clear()

    first, seconds = training.row(full, perception)
    assert set(seconds) == {"pretrain", "language", "contrastive"}
    second, seconds = training.row(dropout, perception)
    stages = [(stage, place, resumed) for stage, place, resumed in trainer.asked]
    assert stages == [("pretrain", first, False), ("language", first, True),
                      ("contrastive", first, False), ("language", second, False)]  # fmt: skip
    assert seconds["pretrain"] == 0
    # All three see the same clips: one file under several names.
    inodes = {(place / "work" / "clips.npz").stat().st_ino for place in (folder, first, second)}
    assert len(inodes) == 1


def test_a_copied_run_keeps_nothing_of_the_settings(tmp_path: Path) -> None:
    source = tmp_path / "a"
    for name in ("work/recipe.json", "work/done.json", "work/clips.npz", "library/items.npz",
                 "work/loop/pretrain/settings.json", "work/loop/pretrain/samples.safetensors",
                 "work/loop/pretrain/step-4/model.safetensors"):  # fmt: skip
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    (source / "work/done.json").write_text('{"pretrain": 9.5}')
    (tmp_path / "b.part").mkdir()  # of a copy that was killed
    copy_run(source, tmp_path / "b")
    left = {p.relative_to(tmp_path / "b").as_posix() for p in (tmp_path / "b").rglob("*.*")}
    assert left == {"work/done.json", "work/clips.npz", "library/items.npz",
                    "work/loop/pretrain/settings.json"}  # fmt: skip
    assert stages_done(tmp_path / "b") == {"pretrain": 0.0}
    # What a row writes in place is its own.
    (tmp_path / "b/library/items.npz").write_text("rated")
    assert (source / "library/items.npz").read_text() == "library/items.npz"
    link_files(tmp_path / "nothing", tmp_path / "b/work")
    assert (tmp_path / "b/work/clips.npz").read_text() == "work/clips.npz"


def test_the_list_says_what_is_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [run] = suite.plan(["agp"], [0])
    suite.write_result(tmp_path, run, result(run, {"prepare": 60.0, "language": 90.0}))
    arguments = ["eval", "reproduce", "--list", "--rows", "agp", "--seeds", "0,1"]
    assert cli.main([*arguments, "-o", str(tmp_path), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["runs"]
    assert [(each["run"], each["minutes"]) for each in listed] == [("agp_0", 2.5), ("agp_1", None)]
    assert cli.main([*arguments, "-o", str(tmp_path)]) == 0
    assert "not run" in capsys.readouterr().out.splitlines()[1]
    assert cli.main(["eval", "reproduce", "--list", "--seeds", "one"]) == 1
    assert "cannot read --seeds" in capsys.readouterr().err
