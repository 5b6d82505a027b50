"""The model card: every number from the stored results."""

import json
import shutil
from pathlib import Path

import pytest

from assistant.checkpoint import Checkpoint
from assistant.errors import PoiseError
from eval.card import render_card, write_card

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"


def test_the_card_is_what_the_stored_results_say() -> None:
    write_card(check=True, results=RESULTS, card=ROOT / "docs" / "model_card.md")


def test_the_stored_results_are_of_the_shipped_checkpoint() -> None:
    shipped = Checkpoint.open().sha256()
    for name in ("mini_test.json", "real_poses.json", "chat_questions.json"):
        stored = json.loads((RESULTS / name).read_text("utf-8"))
        assert stored["provenance"]["model_sha256"] == shipped, name


def test_another_number_is_noticed(tmp_path: Path) -> None:
    shutil.copytree(RESULTS, tmp_path / "results")
    path = tmp_path / "results" / "mini_test.json"
    result = json.loads(path.read_text("utf-8"))
    result["level_accuracy"] = 0.123
    path.write_text(json.dumps(result), "utf-8")
    assert "0.123" in render_card(tmp_path / "results")
    with pytest.raises(PoiseError, match="differs from the stored results"):
        write_card(check=True, results=tmp_path / "results", card=ROOT / "docs" / "model_card.md")


def test_the_closed_loop_and_contradicted_remarks_stand_on_the_card(tmp_path: Path) -> None:
    shutil.copytree(RESULTS, tmp_path / "results")
    path = tmp_path / "results" / "mini_test.json"
    result = json.loads(path.read_text("utf-8"))
    for key in ("hallucination", "unsupported"):
        result |= {f"{key}_rate": 0.125, f"{key}_n": 8, f"{key}_rate_shuffled": 0.5}
    path.write_text(json.dumps(result), "utf-8")
    card = render_card(tmp_path / "results")
    assert "judged again" in card and "injected truth" in card and "0.125" in card


def test_a_missing_result_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match="no stored result"):
        render_card(tmp_path)
