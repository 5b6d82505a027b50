"""Calibration metrics by hand, and the heads against each other on made-up evidence."""

from pathlib import Path

import numpy as np
import pytest

from assistant.cli import main
from assistant.errors import PoiseError
from assistant.proficiency.coral import fit_ordinal_head
from eval import calibration as suite
from eval.calibration import (
    Evidence,
    coverage_accuracy,
    evaluate,
    expected_calibration_error,
    out_of_fold,
    reliability,
)
from eval.calibration_report import draw, summary
from eval.ordinal_heads import HEADS, REFERENCE, coral_pytorch_head, multinomial_head

P = np.array([[0.9, 0.1, 0, 0], [0.1, 0.9, 0, 0], [0.5, 0.3, 0.2, 0], [0, 0, 0, 1.0]])
LEVELS = np.array([0, 0, 0, 3])
DATA = {"what": "made-up numbers", "seed": 3}


def test_ece_by_hand() -> None:
    """Ten bins: [0.5, 0.6) holds one right clip, [0.9, 1] one right at 0.9, one wrong, one at 1."""
    bins = reliability(P, LEVELS, bins=10)
    assert [(round(b.low, 6), b.n) for b in bins] == [(0.5, 1), (0.9, 3)]
    assert bins[1].confidence == pytest.approx(2.8 / 3) and bins[1].accuracy == pytest.approx(2 / 3)
    expected = 1 / 4 * 0.5 + 3 / 4 * (2.8 / 3 - 2 / 3)
    assert expected_calibration_error(P, LEVELS, bins=10) == pytest.approx(expected)


def test_ece_is_small_where_labels_are_drawn_from_the_probabilities() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 20000)
    levels = np.array([rng.choice(4, p=row) for row in p])
    sharp = p**3 / (p**3).sum(axis=1, keepdims=True)
    assert expected_calibration_error(p, levels) < 0.02
    assert expected_calibration_error(sharp, levels) > 0.15


def test_coverage_keeps_the_most_confident() -> None:
    found = coverage_accuracy(P, LEVELS, [0.25, 0.75, 1.0])
    assert [row["coverage"] for row in found] == [0.25, 0.75, 1.0]
    assert [row["threshold"] for row in found] == [1.0, 0.9, 0.5]
    assert [row["accuracy"] for row in found] == pytest.approx([1.0, 2 / 3, 3 / 4])


def evidence(seed: int = 0, people: int = 30, clips: int = 8) -> Evidence:
    rng = np.random.default_rng(seed)
    n = people * clips
    levels = rng.integers(0, 4, n)
    logits = -np.abs(np.arange(4) - (levels + rng.normal(0, 0.8, n))[:, None])
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    margins = [{"ego": None, "exo": None, "pose": float(m)} for m in rng.normal(levels, 2.0)]
    names = [f"person {i // clips}" for i in range(n)]
    return Evidence(p, margins, ["squat", "throw"] * (n // 2), names, levels, p)


def test_coral_pytorch_agrees_with_the_shared_form() -> None:
    rng = np.random.default_rng(1)
    levels = rng.integers(0, 4, 300)
    v = levels[:, None] + rng.normal(0, 1, (300, 3))
    ours = fit_ordinal_head(v, levels, form="shared").probabilities(v)
    assert coral_pytorch_head(v, levels)(v) == pytest.approx(ours, abs=1e-4)


def test_multinomial_head_gives_a_level_that_training_lacks_nothing() -> None:
    v = np.random.default_rng(2).normal(size=(30, 2))
    p = multinomial_head(v, np.tile([0, 1, 3], 10))(v)
    assert (p[:, 2] == 0).all() and p.sum(axis=1) == pytest.approx(np.ones(30))


def test_out_of_fold_does_not_see_the_own_performer() -> None:
    given = evidence()
    mine = np.array([p == "person 0" for p in given.performers])
    turned = Evidence(
        given.p_base, given.margins, given.activities, given.performers,
        np.where(mine, 3 - given.levels, given.levels), given.shipped,
    )  # fmt: skip
    before, after = out_of_fold(given), out_of_fold(turned)
    for name in HEADS:
        assert before[name][mine] == pytest.approx(after[name][mine], abs=1e-12)
        assert before[name][~mine] != pytest.approx(after[name][~mine], abs=1e-6)
    with pytest.raises(PoiseError, match="too few performers"):
        out_of_fold(evidence(people=4))


@pytest.fixture(scope="module")
def result() -> dict:
    return evaluate(evidence(), DATA)


def test_every_number_has_n_interval_and_floor(result: dict) -> None:
    given = evidence()
    assert result["n"] == 240 and result["performers"] == 30
    assert result["majority"] == np.bincount(given.levels).max() / 240
    assert set(result["heads"]) == {*HEADS, "p_base alone", "the checkpoint's calibration"}
    for row in result["heads"].values():
        for key in ("accuracy", "mae", "ece"):
            assert row[key]["low"] <= row[key]["high"]
        assert row["coverage"][-1]["accuracy"] == pytest.approx(row["accuracy"]["value"])
        assert sum(b["n"] for b in row["reliability"]) == 240
    own = result["heads"]["p_base alone"]
    right = given.p_base.argmax(axis=1) == given.levels
    assert own["accuracy"]["value"] == pytest.approx(right.mean())
    assert result["heads"][REFERENCE]["difference"]["difference"] == 0


def test_text_and_picture_name_the_data(result: dict, tmp_path: Path) -> None:
    from PIL import Image

    pytest.importorskip("matplotlib")
    text = summary(result)
    assert "made-up numbers, 240 clips, seed 3" in text and suite.BINNING in text
    assert "majority" in text
    draw(result, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 1000
    with pytest.raises(PoiseError, match="cannot write"):
        draw(result, tmp_path / "no" / "folder.png")


def test_too_few_performers_are_one_line_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    assert main(["eval", "calibration", "--performers", "3", "--cache", str(cache)]) == 1
    assert capsys.readouterr().err.startswith("poise: too few performers")
    assert not cache.exists()
