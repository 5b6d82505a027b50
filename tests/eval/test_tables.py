"""Tables print what was not run instead of leaving it out."""

import pytest

from eval import tables as t


def test_numbers() -> None:
    assert t.number(0.81234) == "0.812"
    assert t.number(12) == "12"
    assert t.number(None) == "not run"
    assert t.with_interval(0.8, (0.75, 0.85), 2) == "0.80 [0.75, 0.85]"
    assert t.with_interval(None, (0, 1)) == "not run"


def test_markdown_is_aligned_and_complete() -> None:
    assert t.markdown(["a", "long"], [["1", "2"]]) == "| a | long |\n|---|------|\n| 1 | 2    |"
    with pytest.raises(ValueError, match="cells"):
        t.markdown(["a"], [["1", "2"]])


def test_mini_test_table_names_every_measure_even_when_nothing_ran() -> None:
    text = t.mini_test_table({"level_accuracy": 0.75, "intervals": {"level_accuracy": [0.7, 0.8]}})
    assert "0.750 [0.700, 0.800]" in text
    assert text.count("\n") == len(t.MINI_TEST_ROWS) + 1
    assert "PCT, real throws (mm)" in text
    assert "not run" in text


def test_every_measure_stands_beside_the_clips_that_it_counts() -> None:
    counts = {"n": 9, "n_distractors": 4, "n_corrections": 5, "n_ranked": 3, "n_real": 2}
    lines = t.mini_test_table(counts).splitlines()[2:]
    found = {line.split("|")[1].strip(): line.split("|")[-2].strip() for line in lines}
    assert found["level accuracy"] == "9" and found["PCT, real throws (mm)"] == "2"
    assert found["known against other motions, AUROC"] == "9 + 4"
    assert found["correction, per frame (mm)"] == "5" and found["retrieval, median rank"] == "3"


def test_paired_tests_that_were_made_are_printed_with_p_and_n() -> None:
    test = {"difference": -2.345, "low": -5.1, "high": 0.16, "p_value": 0.0619, "n": 270,
            "test": "paired bootstrap over performers"}  # fmt: skip
    text = t.tests_table({"correction_mm - ridge_mm": test}, ["a - b", "correction_mm - ridge_mm"])
    assert len(text.splitlines()) == 3
    assert "| correction mm - ridge mm | -2.3 [-5.1, 0.2] | 0.062 | 270 |" in text


def test_conditions_table() -> None:
    text = t.conditions_table({"conditions": {"clean": {"n": 9, "f1": 0.5}}}, ["f1", "mae"])
    assert "| clean     | 9 | 0.500 | not run |" in text


def test_real_poses_table_prints_the_floor_of_stability() -> None:
    agreement = {"level": 0.9, "first_fault": 0.8, "both": None}
    result = {
        "n": 40,
        "activity": "throw",
        "recognised": 39,
        "judged": 38,
        "answered": 38,
        "shifts_frames": [-6, 6],
        "noise_mm": 12.0,
        "stability": {"shift": agreement, "noise": agreement},
        "between_clips": agreement,
        "levels": {"Novice": 38},
        "first_faults": {},
    }
    text = t.real_poses_table(result)
    assert "39 of 40" in text
    assert "two different clips" in text
    assert "Novice 38" in text
    assert "not run" in text
