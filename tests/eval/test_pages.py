"""Pages of docs/: every figure that has a stored result is written from it."""

import json
import shutil
from pathlib import Path

import pytest

from assistant import cli
from assistant.checkpoint import Checkpoint
from assistant.errors import PoiseError
from eval import pages

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"


def blocks(text: str) -> list[str]:
    return [match["name"] for match in pages.BLOCK.finditer(text)]


def test_every_page_says_what_the_stored_results_say() -> None:
    pages.write_pages(ROOT, check=True)


def test_every_block_stands_on_exactly_one_page() -> None:
    found = [name for page in sorted((ROOT / "docs").rglob("*.md"))
             for name in blocks(page.read_text("utf-8"))]  # fmt: skip
    assert sorted(found) == sorted(pages.BLOCKS)


def test_results_that_name_a_model_are_of_the_shipped_one() -> None:
    shipped, named = Checkpoint.open().sha256(), 0
    for stored, _ in pages.BLOCKS.values():
        path = RESULTS / stored
        for file in sorted(path.glob("*.json")) if path.is_dir() else [path]:
            about = json.loads(file.read_text("utf-8")).get("provenance", {})
            if "model_sha256" in about:
                named += 1
                assert about["model_sha256"] == shipped, file
    assert named > 0


def test_the_test_sets_of_the_page_are_those_that_were_measured_on() -> None:
    sets = json.loads((RESULTS / "mini_test.json").read_text("utf-8"))["sets"]
    for preset, name in (("mini_test", "standard"), ("mini_test_shifted", "shifted")):
        made = json.loads((RESULTS / "drills" / f"{preset}.json").read_text("utf-8"))
        assert made["sha256"] == sets[name]["sha256"], preset


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    return tmp_path


def test_another_figure_is_noticed_and_written(copied: Path) -> None:
    path = copied / "docs/results/calibration.json"
    result = json.loads(path.read_text("utf-8"))
    result["majority"] = 0.123456
    path.write_text(json.dumps(result), "utf-8")
    with pytest.raises(PoiseError, match=r"docs/proficiency/calibration.md differs"):
        pages.write_pages(copied, check=True)
    pages.write_pages(copied)
    assert "0.123" in (copied / "docs/proficiency/calibration.md").read_text("utf-8")
    pages.write_pages(copied, check=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- calibration: from there -->\n", "is not closed"),
        ("<!-- end -->\n", "is not closed"),
        ("<!-- oracle: from there -->\n<!-- end -->\n", "unknown block in .*'oracle'.*calibration"),
    ],
)
def test_blocks_that_cannot_be_written_are_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(PoiseError, match=message):
        pages.with_blocks(text, RESULTS, tmp_path / "page.md")


def test_results_that_are_missing_or_of_another_form_are_one_line(tmp_path: Path) -> None:
    text = "before\n<!-- calibration: from there -->\nold\n<!-- end -->\nafter\n"
    with pytest.raises(PoiseError, match="no stored result"):
        pages.with_blocks(text, tmp_path, Path("page.md"))
    (tmp_path / "calibration.json").write_text("{}")
    with pytest.raises(PoiseError, match=r"cannot read .*calibration\.json"):
        pages.with_blocks(text, tmp_path, Path("page.md"))
    found = pages.with_blocks(text, RESULTS, Path("page.md"))
    assert found.startswith("before\n<!-- calibration: from docs/results/calibration.json by ")
    assert found.endswith("<!-- end -->\nafter\n") and "\nold\n" not in found


def test_the_command_names_what_it_wrote(
    copied: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copied)
    page = copied / "docs/proficiency/calibration.md"
    wanted = page.read_text("utf-8")
    page.write_text(wanted.replace("| majority", "| oracle"), "utf-8")
    assert cli.main(["eval", "pages", "--check"]) == 1
    assert "run `poise eval pages`" in capsys.readouterr().err
    assert cli.main(["eval", "pages"]) == 0
    assert "docs/proficiency/calibration.md" in capsys.readouterr().out.split()
    assert page.read_text("utf-8") == wanted
