"""`poise eval compare`: paired tests of two results over the same samples."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_rel

from assistant.cli import main
from assistant.errors import PoiseError
from eval.compare import compare, read_result
from eval.statistics import paired_t
from eval.tables import compare_table


def result(right: list[float], score: list[float | None], **more: Any) -> dict[str, Any]:
    samples = [
        {"id": str(i), "cluster": f"p{i}", "scores": {"accuracy": r, "meteor": s}}
        for i, (r, s) in enumerate(zip(right, score, strict=True))
    ]
    return {"samples": samples, "suite": "score", **more}


def test_right_and_wrong_get_mcnemar_and_scores_bootstrap_and_t() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(30), rng.random(30) - 0.1
    right_a, right_b = (a > 0.2).astype(float), (b > 0.4).astype(float)
    found = compare(result(right_a.tolist(), a.tolist()), result(right_b.tolist(), b.tolist()))
    accuracy, meteor = found["scores"]["accuracy"], found["scores"]["meteor"]
    wins, losses = int((right_a > right_b).sum()), int((right_a < right_b).sum())
    assert accuracy["tests"][0]["test"] == "McNemar"
    assert accuracy["tests"][0]["p_value"] == pytest.approx(binomtest(losses, wins + losses).pvalue)
    assert accuracy["tests"][0]["difference"] == pytest.approx(right_a.mean() - right_b.mean())
    boot, t = meteor["tests"]
    wanted = ttest_rel(a, b)
    assert t["p_value"] == pytest.approx(wanted.pvalue)
    interval = wanted.confidence_interval(0.95)
    assert (t["low"], t["high"]) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert boot["low"] < boot["difference"] < boot["high"]
    assert found["n"] == 30


def test_the_t_test_is_over_performers_where_there_are_fewer() -> None:
    a, b = np.array([1.0, 2.0, 4.0, 5.0]), np.array([0.0, 1.0, 2.0, 3.0])
    found = paired_t(a, b, ["x", "x", "y", "y"])
    wanted = ttest_rel([1.0, 2.0], [0.0, 0.0])
    assert found.p_value == pytest.approx(wanted.pvalue)
    assert (found.n, found.test) == (4, "paired t over performers")
    assert paired_t(a, a, [0, 1, 2, 3]).p_value == 1.0
    alike = paired_t(a, a - 1, [0, 1, 2, 3])  # no spread: the interval is not known, p is not 0
    assert (alike.difference, alike.low, alike.high, alike.p_value) == (1.0, None, None, 0.125)
    tenths = np.array([0.1, 0.2, 0.3, 0.7])  # less a tenth: alike but for rounding
    assert paired_t(tenths, tenths - 0.1, [0, 1, 2, 3]).p_value == 0.125
    with pytest.raises(PoiseError, match="no paired t test; got: 1 performer"):
        paired_t(a, b, ["x"] * 4)


def test_one_performer_gives_neither_interval_nor_p_and_strict_json() -> None:
    one, two = result([1, 0], [0.5, 0.75]), result([0, 0], [0.25, 0.25])
    for row in (*one["samples"], *two["samples"]):
        row["cluster"] = "p"
    found = compare(one, two)
    (drawn,) = json.loads(json.dumps(found, allow_nan=False))["scores"]["meteor"]["tests"]
    assert drawn["difference"] == 0.375
    assert drawn["low"] is drawn["high"] is drawn["p_value"] is None
    (line,) = [row for row in compare_table(found).splitlines() if row.startswith("| meteor")]
    assert "0.3750 [not known] | not known | 2" in line


def test_missing_scores_are_left_out_and_counted() -> None:
    found = compare(result([1, 0], [0.5, None]), result([1, 1], [0.25, 0.5]))
    assert (found["scores"]["meteor"]["n"], found["scores"]["meteor"]["left_out"]) == (1, 1)
    assert compare(result([1], [None]), result([1], [None]))["not_tested"] == ["meteor"]


def test_what_does_not_compare_is_refused(tmp_path: Path) -> None:
    one, two = result([1, 0], [0.5, 0.5]), result([1], [0.5])
    with pytest.raises(PoiseError, match="got: 2 and 1 samples, 1 in both"):
        compare(one, two)
    with pytest.raises(PoiseError, match="different meteor_synonyms do not compare"):
        compare(one | {"meteor_synonyms": "WordNet 3.0"}, one | {"meteor_synonyms": "none"})
    with pytest.raises(PoiseError, match="different references_sha256"):
        compare(one | {"references_sha256": "a"}, one | {"references_sha256": "b"})
    (tmp_path / "old.json").write_text('{"level_accuracy": 0.8}')
    with pytest.raises(PoiseError, match=r"no per-sample scores in .*old.json"):
        read_result(tmp_path / "old.json")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, scores in (("a", [0.5, 0.75, 0.5]), ("b", [0.25, 0.25, 0.125])):
        (tmp_path / name).write_text(json.dumps(result([1, 0, 1], scores)))
    files = [str(tmp_path / name) for name in ("a", "b")]
    assert main(["eval", "compare", *files]) == 0
    table = capsys.readouterr().out
    assert "McNemar" in table and "paired bootstrap" in table and "paired t" in table
    assert main(["eval", "compare", *files, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"]["meteor"]["a"] == pytest.approx(7 / 12)
