"""`poise eval humans`: blind sheets out, simulated raters' answers back."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assistant.cli import main
from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.pose.read import write_pose
from eval.humans import FLOOR, QUESTIONS, make_key, read_study, sheet_order
from eval.humans_import import _tests, holm, summarise
from eval.humans_sheet import render_sheets

N = 8
NAMES = ("OurSystem", "OtherSystem")
QUALITY = {"OurSystem": 4, "OtherSystem": 2, FLOOR: 1}


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """One system as `poise batch` writes it, the other as `poise eval score` reads it."""
    batch = [
        {"clip": {"id": f"take/{i}"}, "commentary": f"Bend <knee> {i} more.", "remarks": []}
        for i in range(N)
    ]
    answers = [
        {
            "id": f"take/{i}",
            "answer": "Proficiency Level: Novice. Proficiency Commentary:\n"
            f"Legs (needs improvement): Widen stance {i}.",
        }
        for i in reversed(range(N))
    ]
    texts = [write(tmp_path / "ours.jsonl", batch), write(tmp_path / "other.jsonl", answers)]
    return dict(zip(NAMES, texts, strict=True))


@pytest.fixture
def exported(files, tmp_path: Path, capsys) -> tuple[list[Path], Path]:
    arguments = [f"{name}={path}" for name, path in files.items()]
    options = [
        "-o",
        str(tmp_path / "sheets"),
        "--raters",
        "3",
        "--questions",
        "quality,correctness",
    ]
    assert main(["eval", "humans", "export", *arguments, *options]) == 0
    capsys.readouterr()
    key = tmp_path / "sheets.key.json"
    return sorted((tmp_path / "sheets").iterdir()), key


def rate(sheets: list[Path], key_path: Path, rating: Any) -> list[Path]:
    """Files as the sheets give them; `rating(rater, sample, system, question)`, "" to leave out."""
    key = json.loads(key_path.read_text("utf-8"))
    paths = []
    for sheet in sheets:
        page = sheet.read_text("utf-8")
        data = json.loads(re.search(r'id="sheet">(.*?)</script>', page).group(1))
        ratings = []
        for item, question in re.findall(r'data-item="(\w+)" data-question="(\w+)"', page):
            of = key["items"][item]
            value = rating(data["sheet"], of["sample"], of["system"], question)
            if value != "":
                ratings.append({"item": item, "question": question, "value": value})
        path = sheet.with_name(f"ratings_{data['sheet']}.json")
        path.write_text(json.dumps(data | {"ratings": ratings}), "utf-8")
        paths.append(path)
    return paths


def test_sheets_name_no_system_and_no_sample(exported, files):
    sheets, key = exported
    assert [sheet.name for sheet in sheets] == ["sheet_1.html", "sheet_2.html", "sheet_3.html"]
    for sheet in sheets:
        page = sheet.read_text("utf-8")
        for word in (*NAMES, "take/", "floor", *(path.name for path in files.values())):
            assert word.casefold() not in page.casefold()
        assert "Bend &lt;knee&gt; 3 more." in page and "Widen stance 3." in page
        assert "needs improvement" not in page  # headers would tell the systems apart
        assert not re.search(r'(src|href)="(?!data:)', page) and "http:" not in page
        assert "https:" not in page and "@import" not in page
    assert set(json.loads(key.read_text("utf-8"))["systems"]) == {*NAMES, FLOOR}


def test_every_rater_sees_all_in_an_order_of_their_own(files):
    key = make_key(read_study(files))
    orders = [sheet_order(key, sheet) for sheet in (1, 2)]
    for order in orders:
        assert {sample for sample, _ in order} == {f"take/{i}" for i in range(N)}
        for sample, items in order:
            assert {key["items"][item]["sample"] for item in items} == {sample}
            assert {key["items"][item]["system"] for item in items} == {*NAMES, FLOOR}
    assert [s for s, _ in orders[0]] != [s for s, _ in orders[1]]
    firsts = {key["items"][items[0]]["system"] for _, items in orders[0]}
    assert len(firsts) > 1


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(files):
    pages = {}
    for seed in (0, 1):
        study = read_study(files, seed=seed)
        pages[seed] = render_sheets(study, make_key(study))
    again = read_study(files, seed=0)
    assert render_sheets(again, make_key(again)) == pages[0] != pages[1]


def test_the_floor_is_a_comment_on_another_clip(files):
    study = read_study(files)
    said = {text for name in NAMES for text in study.texts[name].values()}
    for sample, text in study.texts[FLOOR].items():
        assert text in said
        assert text not in [study.texts[name][sample] for name in NAMES]
    assert FLOOR not in read_study(files, floor=False).texts


def test_round_trip_of_simulated_raters(exported, capsys):
    sheets, key = exported
    paths = rate(sheets, key, lambda rater, sample, system, question: QUALITY[system])
    assert main(["eval", "humans", "import", *map(str, paths), "--key", str(key), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["n_raters"], result["n_samples"]) == (3, N)
    assert result["n_ratings"] == 3 * N * 3 * 2 and result["n_left_open"] == 0
    found = result["questions"]["quality"]
    for name, rating in QUALITY.items():
        assert found["systems"][name]["mean"] == rating
        assert found["systems"][name]["interval"] == [rating, rating]
        assert found["systems"][name]["n_ratings"] == 3 * N
    test = next(t for t in found["tests"] if {t["a"], t["b"]} == set(NAMES))
    assert test["difference"] == pytest.approx(2.0) and test["p_holm"] < 0.05 and test["n"] == N
    assert found["alpha"]["value"] == pytest.approx(1.0)


def test_missing_ratings_and_harsh_raters(exported):
    sheets, key = exported

    def rating(rater: int, sample: str, system: str, question: str) -> Any:
        if question == "correctness" or system == FLOOR:
            return None if rater == 1 else ""
        if sample == "take/0":
            return ""
        harsh = rater == 3
        if harsh and system == "OurSystem":
            return ""  # who finds everything poor has rated one system alone
        return 1 if harsh else {"OurSystem": 3, "OtherSystem": 2}[system]

    result = summarise(rate(sheets, key, rating), key)
    found = result["questions"]["quality"]
    assert found["systems"]["OtherSystem"]["mean"] == pytest.approx((2 + 2 + 1) / 3)
    assert found["systems"]["OtherSystem"]["n_samples"] == N - 1
    assert found["systems"][FLOOR] == {
        "mean": None, "interval": None, "n_samples": 0, "n_ratings": 0,
    }  # fmt: skip
    (test,) = found["tests"]
    assert test["difference"] * (1 if test["a"] == "OurSystem" else -1) == pytest.approx(1.0)
    assert result["questions"]["correctness"]["alpha"]["value"] is None
    assert result["n_cannot_tell"] == N * 3 + N  # a rater's correctness, and floor's quality
    assert result["n_ratings"] + result["n_cannot_tell"] + result["n_left_open"] == 3 * N * 3 * 2


def test_random_raters_are_near_chance_and_systems_alike(exported):
    rng = np.random.default_rng(0)
    sheets, key = exported
    result = summarise(rate(sheets, key, lambda *_: int(rng.integers(1, 5))), key)
    for found in result["questions"].values():
        low, high = found["alpha"]["interval"]
        assert low < 0.1 and high > -0.1 and abs(found["alpha"]["value"]) < 0.3
        assert all(test["p_holm"] > 0.01 for test in found["tests"])


def broken(change: Any) -> Any:
    def edit(path: Path) -> None:
        data = json.loads(path.read_text("utf-8"))
        change(data)
        path.write_text(json.dumps(data), "utf-8")

    return edit


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(study="0" * 16), "of another study"),
        (lambda d: d.update(sheet=1), "sheet 1 stands twice"),
        (lambda d: d.update(sheet=9), "no ratings of a sheet"),
        (lambda d: d["ratings"][0].update(value=5), "off the scale; got: 5; expected: 1 to 4"),
        (lambda d: d["ratings"][0].update(value=0), "off the scale"),
        (lambda d: d["ratings"][0].update(value=True), "off the scale"),
        (lambda d: d["ratings"][0].update(value="3"), "off the scale"),
        (lambda d: d["ratings"][0].update(item="i99"), "to nothing asked"),
        (lambda d: d["ratings"][0].update(question="beauty"), "to nothing asked"),
        (lambda d: d["ratings"].append(d["ratings"][0]), "an answer twice"),
        (lambda d: d["ratings"].append(3), "to nothing asked"),
    ],
)
def test_wrong_ratings_are_refused_in_one_line(exported, capsys, change, message):
    sheets, key = exported
    paths = rate(sheets, key, lambda *_: 3)
    broken(change)(paths[1])
    assert main(["eval", "humans", "import", *map(str, paths), "--key", str(key)]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_nothing_is_written_over(exported, files, tmp_path, capsys):
    _, key = exported
    before = key.read_bytes()
    arguments = [f"{name}={path}" for name, path in files.items()]
    again = ["eval", "humans", "export", *arguments, "-o", str(tmp_path / "sheets"), "--seed", "1"]
    assert main(again) == 1
    assert "is there already" in capsys.readouterr().err and key.read_bytes() == before


def test_references_and_drawn_poses_are_shown(files, tmp_path, capsys):
    rng = np.random.default_rng(0)
    clips = tmp_path / "clips"
    clips.mkdir()
    for i in range(N):
        joints = rng.normal(0, 0.18, (20, 17, 3)).astype(np.float32)
        write_pose(clips / f"take%2F{i}.npz", PoseSequence(joints, np.ones((20, 17)), 30.0))
    rows = [{"id": f"take/{i}", "text": f"Said of {i}", "cluster": f"p{i % 2}"} for i in range(N)]
    true = write(tmp_path / "true.jsonl", rows)
    arguments = [f"{name}={path}" for name, path in files.items()]
    options = ["-o", str(tmp_path / "with"), "--clips", str(clips), "--references", str(true)]
    assert main(["eval", "humans", "export", *arguments, *options, "--limit", "4"]) == 0
    assert "4 clips left out" in capsys.readouterr().err
    page = (tmp_path / "with" / "sheet_1.html").read_text("utf-8")
    assert page.count('src="data:image/jpeg;base64,') == 4 and page.count("Said of") == 4
    key = tmp_path / "with.key.json"
    sheets = sorted((tmp_path / "with").iterdir())
    result = summarise(rate(sheets, key, lambda *_: 2), key)
    assert result["n_clusters"] == 2 and result["n_samples"] == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["OurSystem=ours.jsonl"], "no comparison"),
        (["OurSystem=ours.jsonl", "other.jsonl"], "a system without name or file"),
        (["A=ours.jsonl", "A=other.jsonl"], "a system twice"),
        (["A=ours.jsonl", "B=none.jsonl"], "no such file"),
        (["A=ours.jsonl", "B=other.jsonl", "--questions", "beauty"], "unknown questions"),
        (["A=ours.jsonl", "B=other.jsonl", "--limit", "1"], "no study"),
        (["A=ours.jsonl", "B=other.jsonl", "--clips", "."], "no clip of take/"),
        (["A=ours.jsonl", "B=foreign.jsonl"], "0 clips that all of A, B have"),
        (["A=ours.jsonl", "B=other.jsonl", "--references", "foreign.jsonl"], "no reference for"),
    ],
)
def test_wrong_input_is_refused_and_nothing_is_left(
    files, tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "foreign.jsonl", [{"id": "x", "text": "Good."}])
    assert main(["eval", "humans", "export", *arguments, "-o", "out"]) == 1
    assert message in capsys.readouterr().err
    assert not Path("out").exists() and not Path("out.key.json").exists()


def test_a_name_that_raters_would_read_is_told(files, tmp_path, capsys):
    systems = [f"knee={files['OurSystem']}", f"b2={files['OtherSystem']}"]
    assert main(["eval", "humans", "export", *systems, "-o", str(tmp_path / "out")]) == 0
    assert "knee: some of its comments hold this name" in capsys.readouterr().err


def test_holm_by_hand():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.5]) == [1.0, 1.0]


def test_one_clip_alone_gives_no_p():
    ratings = np.array([[[4.0, 2.0]], [[3.0, 2.0]]])  # [raters, samples, systems]
    (found,) = _tests(ratings, ["A", "B"], ["clip"], seed=0)
    assert found["difference"] == 1.5
    assert found["low"] is found["p_value"] is found["p_holm"] is None


def test_every_question_names_all_four_steps():
    assert len(QUESTIONS) == 3
    assert all(len(set(labels)) == 4 for _, labels in QUESTIONS.values())


def test_nothing_rated_is_refused(exported):
    sheets, key = exported
    with pytest.raises(PoiseError, match="nothing was rated"):
        summarise(rate(sheets, key, lambda *_: None), key)
