"""Figures and tables of the controls, from made-up answers; the page is that of the results."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import f1_score, precision_score

from assistant.errors import PoiseError
from eval import sparse_skill_controls
from eval.controls_report import PAGE, RESULT, verdict, write_page
from eval.output import stored
from eval.proficiency_controls import (
    LADDER,
    LEAVE_ONE_OUT,
    VARIANTS,
    confusion,
    evaluate,
    figures,
    per_level,
    read_runs,
)
from eval.proficiency_controls_cli import proficiency_controls

ROOT = Path(__file__).resolve().parents[2]
HEADS = ("base", "multinomial", "coral/annotated", "coral/no_margin", "nearest_neighbour")


def answers(levels: np.ndarray, noise: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    away = np.abs(np.arange(4) - (levels + rng.normal(0, noise, len(levels)))[:, None])
    p = np.exp(-2 * away)
    return p / p.sum(1, keepdims=True)


def test_figures_are_those_of_scikit_learn_and_scipy() -> None:
    levels = np.random.default_rng(0).integers(0, 4, 200)
    p = answers(levels, 1.0, 1)
    said, found = p.argmax(1), figures(p, levels)
    assert found["accuracy"] == pytest.approx((said == levels).mean())
    assert found["macro_f1"] == pytest.approx(f1_score(levels, said, average="macro"))
    assert found["mae"] == pytest.approx(np.abs(said - levels).mean())
    # Equal answers that differ in the last bit are ties.
    score = np.round(p @ np.arange(4), 6)
    assert found["spearman"] == pytest.approx(spearmanr(score, levels).statistic)
    each = per_level(confusion(p, levels))
    precision = precision_score(levels, said, average=None)
    assert [row[1] for row in each] == pytest.approx(precision.tolist())


def test_a_constant_answer_is_scored() -> None:
    levels = np.array([0, 1, 2, 3, 3])
    found = figures(np.tile([0, 0, 0, 1.0], (5, 1)), levels)
    assert found == pytest.approx(
        {"accuracy": 0.4, "macro_f1": (2 * 2 / 7) / 4, "mae": 6 / 5, "spearman": 0}
    )


def write_runs(folder: Path, variants: tuple[str, ...] = VARIANTS, seeds: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    levels = np.tile(np.arange(4), 20)
    takes = [{"name": f"t{i}", "performer": f"p{i // 4}", "activity": "ab"[i % 8 // 4],
              "level": int(level)} for i, level in enumerate(levels)]  # fmt: skip
    for k, variant in enumerate(variants):
        for seed in range(seeds):
            noise = {"video": 3.0, "full": 0.8}.get(variant, 1.5)
            said = {h: answers(levels, noise, 100 * k + 10 * seed + j).tolist()
                    for j, h in enumerate(HEADS)}  # fmt: skip
            run = {"variant": variant, "seed": seed, "takes": takes, "probabilities": said,
                   "about": {"sizes": {}}, "parameters": 7}  # fmt: skip
            (folder / f"{variant}_{seed}.json").write_text(json.dumps(run))


def test_rows_are_means_over_seeds_beside_intervals_floors_and_tests(tmp_path: Path) -> None:
    write_runs(tmp_path)
    result = evaluate(read_runs(tmp_path), draws=20)
    row = result["ladder"]["4 + aspect experts"]
    assert row["accuracy"]["value"] == pytest.approx(np.mean(row["accuracy"]["by_seed"]))
    assert len(row["mae"]["by_seed"]) == 2
    assert row["accuracy"]["low"] < row["accuracy"]["value"] < row["accuracy"]["high"]
    test = row["against"]["accuracy"]
    above = result["ladder"]["3 + activity router"]["accuracy"]["value"]
    assert test["difference"] == pytest.approx(row["accuracy"]["value"] - above)
    assert test["n"] == 80 and test["p_value"] < 0.05
    assert result["floors"]["majority"]["accuracy"]["value"] == 0.25
    assert result["floors"]["chance"]["accuracy"]["value"] == pytest.approx(0.25, abs=0.03)
    assert result["floors"]["inputs of other takes"] is None  # these runs lack that head
    assert {name: row["n"] for name, row in result["per_activity"]["full"].items()} == {
        "a": 40, "b": 40, "overall": 80,
    }  # fmt: skip
    assert [row["n"] for row in result["per_level"]["full"].values()] == [20] * 4


def test_results_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match="no results"):
        read_runs(tmp_path)
    write_runs(tmp_path, ("video", "full"))
    (tmp_path / "full_1.json").unlink()
    with pytest.raises(PoiseError, match="different seeds"):
        read_runs(tmp_path)
    path = tmp_path / "full_0.json"
    run = json.loads(path.read_text())
    path.write_text(json.dumps(run | {"about": {"sizes": {"train": 3}}}))
    with pytest.raises(PoiseError, match="different settings"):
        read_runs(tmp_path)


@pytest.mark.parametrize(
    ("low", "high", "theirs", "said"),
    [
        (-0.1, 0.1, 0.05, "not decided here"),
        (0.01, 0.1, 0.05, "agrees"),
        (-0.2, -0.1, -0.05, "agrees"),
        (0.01, 0.1, -0.05, "disagrees"),
        (0.01, 0.1, 0.0, "differs here, not in the paper"),
    ],
)
def test_a_difference_is_read_only_where_its_interval_excludes_zero(
    low: float, high: float, theirs: float, said: str
) -> None:
    assert verdict({"difference": (low + high) / 2, "low": low, "high": high}, theirs) == said


def test_sparse_skill_runs_are_read_with_their_range(tmp_path: Path) -> None:
    for seed, f1 in enumerate((0.5, 0.7)):
        work = sparse_skill_controls.run_folder(tmp_path, "no_local", seed) / "work"
        work.mkdir(parents=True)
        floors = {key: 0.3 for keys in sparse_skill_controls.FLOORS.values() for key in keys if key}
        figures_of = {"f1": f1, "spearman": 0.4, "recall_rollout": 0.6, "n": 96, "n_errors": 40,
                      "n_train": 300}  # fmt: skip
        (work / "sparse_skill.json").write_text(json.dumps(floors | figures_of))
    found = sparse_skill_controls.read_runs(tmp_path)
    assert found["full"] is None and found["no_local"]["seeds"] == 2
    row = found["no_local"]["f1"]
    assert (row["value"], row["low"], row["high"]) == pytest.approx((0.6, 0.5, 0.7))
    assert found["floors"]["recall_random"]["value"] == pytest.approx(0.3)
    asked: list[list[str]] = []
    sparse_skill_controls.run_missing(tmp_path, range(2), ["threads=1"], asked.append)
    names = [argument for run in asked for argument in run if "variant" in argument]
    assert len(asked) == 8 and "sparse_skill.variant=no_local" not in names
    assert (tmp_path / "sparse_skill" / "full_0" / "pose_tokenizer" / "config.json").is_file()


def test_the_page_is_that_of_the_stored_results() -> None:
    write_page(stored(RESULT), ROOT / PAGE, check=True)


def test_the_stored_results_are_whole_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    proficiency_controls([], stored=True, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed == stored(RESULT)
    for table, rows in (("ladder", LADDER), ("leave_one_out", LEAVE_ONE_OUT)):
        for row in rows:
            assert len(printed["look_closer"][table][row.name]["accuracy"]["by_seed"]) == 3
    for variant in sparse_skill_controls.VARIANTS:
        assert printed["sparse_skill"][variant]["seeds"] == 3
