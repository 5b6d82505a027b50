"""The papers' tables: complete, tied to the stored results, published and measured kept apart."""

import csv
import json
from pathlib import Path

import pytest

from assistant import cli
from assistant.errors import PoiseError
from eval import paper_tables as pt
from eval import reproduce
from eval.paper_rows import overrides
from eval.published import published

ROOT = Path(__file__).parents[2]
# Rows that the papers print; 0 where a table is shown with rows of ours alone.
PRINTED = {
    "profvlm-2": 0,
    "profvlm-3": 14,
    "profvlm-4": 6,
    "profvlm-5": 6,
    "profvlm-6": 4,
    "profvlm-7": 6,
    "profvlm-8": 2,
    "profvlm-9": 3,
    "profvlm-10": 6,
    "profvlm-11": 0,
    "expertaf-1": 13,
    "look-closer-1": 6,
    "look-closer-2": 4,
    "look-closer-3": 7,
    "look-closer-4": 7,
    "look-closer-5": 7,
    "sse-1": 0,
    "sse-2": 8,
    "sse-3": 10,
}


@pytest.fixture
def stored() -> pt.Stored:
    return pt.Stored(ROOT / pt.RESULTS)


def test_every_table_is_there_with_every_row_that_its_paper_prints(stored: pt.Stored) -> None:
    assert pt.chosen(None) == list(PRINTED)
    for name, number in PRINTED.items():
        printed = [row[0] for row in published()[name]["rows"]] if name in published() else []
        assert len(printed) == number, name
        assert [r.paper_row for r in pt.measured(name, stored) if r.paper_row] == printed, name


def test_every_row_says_whether_it_was_run_and_what_was_run_has_its_n(stored: pt.Stored) -> None:
    starts = ("run", "not run (", "not runnable here: ", "run in part, without the rest (")
    for name in PRINTED:
        for row in pt.measured(name, stored):
            assert row.status.startswith(starts), (name, row)
            if row.status == "run":
                assert row.n != "-", (name, row)
                assert "not run" not in row.cells, (name, row)
            if row.status.startswith(("not run", "not runnable")):
                assert set(row.cells) <= {"-", "not run"}, (name, row)


def test_the_page_agrees_with_the_stored_results(stored: pt.Stored) -> None:
    text = (ROOT / pt.PAGE).read_text("utf-8")
    assert text == pt.page(pt.chosen(None), stored), (
        "run `poise eval tables --markdown docs/paper_tables.md`"
    )


def test_no_block_holds_published_and_measured_rows(stored: pt.Stored) -> None:
    for name, number in PRINTED.items():
        text = pt.section(name, stored)
        parts = text.split("**Published, different data")
        assert len(parts) == (2 if number else 1), name
        ours = [line for line in parts[0].splitlines() if line.startswith("|")]
        assert len(ours) == len(pt.measured(name, stored)) + 2
        # Figures of ours have a status in their own block and nowhere else.
        assert "status" in ours[0]
        for part in parts[1:]:
            theirs = [line for line in part.splitlines() if line.startswith("|")]
            assert len(theirs) == number + 2, name
            assert "status" not in theirs[0]
            assert "run" not in part.split(), name


def test_measured_cells_are_the_stored_values(tmp_path: Path) -> None:
    result = {"level_accuracy": 0.6125, "n": 16, "intervals": {"level_accuracy": [0.5, 0.75]}}
    (tmp_path / "mini_test.json").write_text(json.dumps(result))
    [run] = reproduce.plan(["agp"], [0])
    takes = [{"performer": "aabb"[i], "level": i, "p": [1, 0, 0, 0]} for i in range(4)]
    figures = {"accuracy": 0.25, "macro_f1": 0.125, "n": 8, "takes": takes}
    about = {"seed": 0, "settings_sha256": run.settings_sha256, "seconds": {}}
    reproduce.write_result(tmp_path / "paper_rows", run, about | figures)
    stored = pt.Stored(tmp_path)
    rows = {row.name: row for row in pt.measured("profvlm-3", stored)}
    assert rows["poise-mini"].cells == ("-", "-", "-", "61.3 [50.0, 75.0]")
    assert rows["poise-mini"].n == "16"
    assert rows["ProfVLM (AGP)"].cells == ("not run", "not run", "25.0 [0.0, 50.0]", "-")
    assert rows["ProfVLM (AGP)"].status == (
        "run in part, without the rest (poise eval reproduce --rows agp_ego; "
        "poise eval reproduce --rows agp_exos)"
    )
    rows = {row.name: row for row in pt.measured("profvlm-4", stored)}
    assert rows["ProfVLM (AGP), Ego+Exos"].cells == ("25.0 [0.0, 50.0]", "12.5")
    assert rows["ProfVLM (AGP), Ego+Exos"].status == "run"
    assert rows["ProfVLM (AGP), Ego+Exos"].n == "1 x 8"
    assert rows["ProfVLM (MLP), Ego"].status == ("not run (poise eval reproduce --rows mlp_ego)")
    rows = {row.name: row for row in pt.measured("look-closer-4", stored)}
    assert rows["2 + gaze"].status.startswith("not run (poise eval proficiency-controls")


def test_the_example_commentaries_are_the_best_the_middle_and_the_worst(tmp_path: Path) -> None:
    samples = [
        {"id": f"{i}", "activity": "golf_swing", "commentary": f"{score} said.",
         "scores": {"meteor": score, "bertscore_f1": 0.5, "rouge_l": 0.25}}
        for i, score in enumerate((0.3, 0.9, 0.1, 0.4, 0.2))
    ]  # fmt: skip
    samples.append({"id": "x", "activity": "golf_swing", "commentary": "", "scores": {}})
    (tmp_path / "mini_test.json").write_text(json.dumps({"samples": samples}))
    *rows, floor = pt.measured("profvlm-11", pt.Stored(tmp_path))
    assert [row.cells[1] for row in rows] == ["0.9 said.", "0.3 said.", "0.1 said."]
    assert rows[0].cells[2:] == ("50.0", "90.0", "25.0")
    assert {row.n for row in rows} == {"5"} and {row.status for row in rows} == {"run"}
    assert floor.status.startswith("not run (poise eval mini-test")


def test_every_override_is_a_setting_of_the_recipe() -> None:
    from training.recipe import load_recipe

    for group in pt.definitions()["runs"].values():
        for run in group["rows"]:
            load_recipe("ablation", overrides(run))
    with pytest.raises(KeyError):
        overrides("no such run")


def test_the_command_writes_all_four_forms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    page, folder = tmp_path / "page.md", tmp_path / "csv"
    arguments = ["eval", "tables", "--json", "--markdown", str(page), "--csv", str(folder)]
    assert cli.main(arguments) == 0
    found = json.loads(capsys.readouterr().out)["tables"]
    assert list(found) == sorted(PRINTED)
    assert page.read_text() == (ROOT / pt.PAGE).read_text()
    assert len(list(folder.iterdir())) == len(PRINTED) + sum(map(bool, PRINTED.values()))
    for name, table in found.items():
        for kind in table.keys() - {"title"}:
            lines = list(csv.reader((folder / f"{name}.{kind}.csv").open()))
            assert lines == [table[kind]["columns"], *table[kind]["rows"]]


def test_one_table_and_names_that_nobody_knows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    assert cli.main(["eval", "tables", "--table", "sse-2"]) == 0
    assert capsys.readouterr().out.count("\n## ") == 1
    with pytest.raises(PoiseError, match="profvlm-2, profvlm-3"):
        pt.chosen("profvlm-1")
    with pytest.raises(PoiseError, match="no stored results"):
        pt.Stored(tmp_path / "nowhere")
    (tmp_path / "mini_test.json").write_text("{")
    with pytest.raises(PoiseError, match="cannot read stored result"):
        pt.measured("profvlm-3", pt.Stored(tmp_path))
