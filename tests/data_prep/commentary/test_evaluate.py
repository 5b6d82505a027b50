"""The figures of a labeller: by hand, against brute force, and on the development comments."""

import itertools
import json

import numpy as np
import pytest

from assistant.cli import run_command
from assistant.errors import PoiseError
from assistant.feedback import region_polarity_f1
from assistant.files import file_sha256
from data_prep.commentary.evaluate import Reference, evaluate, floors, read_references
from data_prep.commentary.labels import Comment, Failure, Label, mentioned
from data_prep.commentary.lexicon_labeller import LexiconLabeller
from data_prep.commentary.report import page_table
from prompts.vocabulary import REGIONS


def polarities(**said):
    return dict.fromkeys(REGIONS, 2) | said


def reference(**said):
    return Reference(Comment("x", "words"), polarities(**said))


def test_counts_by_hand():
    references = [reference(legs=0, torso=1), reference(legs=1), reference(), reference(feet=0)]
    answers = [
        Label("", polarities(legs=0, torso=0)),  # one right, one wrong polarity
        Label("", polarities(legs=1, head=1)),  # one right, one too many
        Label("", polarities()),
        Failure("no answer"),  # counts as one that mentions nothing
    ]
    result = evaluate(references, answers)
    assert (result["n"], result["mentioned"], result["failures"]) == (4, 4, 1)
    assert result["micro_precision"] == pytest.approx(2 / 4)
    assert result["micro_recall"] == pytest.approx(2 / 4)
    assert result["micro_f1"] == pytest.approx(0.5)
    legs, torso, head = (result["regions"][name] for name in ("legs", "torso", "head"))
    assert (legs["n"], legs["f1"]) == (2, 1.0)
    assert (torso["n"], torso["precision"], torso["recall"]) == (1, 0.0, 0.0)
    assert (head["n"], head["f1"]) == (0, 0.0)
    # legs 1, torso 0, feet 0; head is not mentioned in any reference
    assert result["macro_f1"] == pytest.approx(1 / 3)
    low, high = result["micro_f1_interval"]
    assert low <= result["micro_f1"] <= high
    assert low < high


def test_it_is_the_one_f1_of_the_project():
    rng = np.random.default_rng(0)
    truth, found = (
        [dict(zip(REGIONS, row, strict=True)) for row in rng.integers(0, 3, (30, 6)).tolist()]
        for _ in range(2)
    )
    result = evaluate(
        [Reference(Comment("x", ""), t) for t in truth], [Label("", f) for f in found]
    )
    score = region_polarity_f1(map(mentioned, found), map(mentioned, truth))
    assert result["micro_f1"] == pytest.approx(score.f1)


def test_the_best_constant_is_the_best_of_all():
    truth = [polarities(legs=0), polarities(legs=0, torso=1), polarities(torso=1), polarities()]
    best = 0.0
    for chosen in itertools.product(range(3), repeat=6):
        constant = mentioned(dict(zip(REGIONS, chosen, strict=True)))
        score = region_polarity_f1([constant] * 4, [mentioned(t) for t in truth])
        best = max(best, score.f1)
    found = floors([polarities()] * 4, truth)
    assert found["best_constant"] == pytest.approx(best) == pytest.approx(2 / 3)
    assert found["majority"] == pytest.approx(2 * 2 / (2 * 2 + 2 + 2))
    assert found["shuffled"] == 0.0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", "line 1 of"),
        ('{"text": "a"}', "no labelled comment"),
        ('{"text": "a", "regions": {"legs": 0}}', "with 0, 1 or 2 for head"),
        (json.dumps({"text": "a", "regions": polarities(legs=3)}), "no labelled comment"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, message):
    path = tmp_path / "dev.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(PoiseError, match=message):
        read_references(path)


def test_halves_and_bad_arguments(tmp_path, capsys):
    path = tmp_path / "dev.jsonl"
    rows = [{"id": f"c{i}", "text": "a", "regions": polarities(legs=0)} for i in range(1, 6)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = {
        half: [r.comment.name for r in read_references(path, half)] for half in ("odd", "even")
    }
    assert names == {"odd": ["c1", "c3", "c5"], "even": ["c2", "c4"]}
    for arguments, message in [
        (["--evaluate", path, "--lines", "third"], "all, odd, even"),
        (["--evaluate", tmp_path / "none.jsonl"], "no such file"),
        (["--evaluate", path, "--backend", "oracle"], "lexicon, llm, model"),
        ([path], "DATASET -o DIR, --evaluate FILE"),
        (["--evaluate", path, "--check-official", tmp_path / "o"], "give one of the three"),
        (["--evaluate", path, "-o", path / "o.json"], "cannot write"),
    ]:
        assert run_command("data", ["label", *map(str, arguments)]) == 1
        assert message in capsys.readouterr().err


def test_a_result_is_stored_as_it_is_printed(tmp_path, capsys):
    path, stored = tmp_path / "dev.jsonl", tmp_path / "new" / "result.json"
    path.write_text(json.dumps({"text": "Bend your knees.", "regions": polarities(legs=0)}) + "\n")
    arguments = ["label", "--evaluate", str(path), "-o", str(stored), "--json"]
    assert run_command("data", arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert json.loads(stored.read_text("utf-8")) == result
    assert result["n"] == 1 and result["provenance"]["file_sha256"] == file_sha256(path)
    [*_, row] = page_table({"dev": result}).splitlines()
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:5] == ["dev.jsonl", "lexicon", "1", "0", "1.000 (1.000 to 1.000)"]


@pytest.mark.real
def test_the_development_comments(shared_data, capsys):
    path = shared_data / "commentary_dev.jsonl"
    assert run_command("data", ["label", "--evaluate", str(path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["n"] == 80
    assert result["floors"]["best_constant"] == pytest.approx(0.41, abs=0.005)
    assert result["micro_f1"] >= 0.70
    assert result["macro_f1"] >= 0.60
    assert result["failures"] == 0
    held_out = evaluate_lines(path, "odd")
    assert held_out["micro_f1"] >= 0.55
    assert run_command("data", ["label", "--evaluate", str(path)]) == 0
    table = capsys.readouterr().out
    assert "floors (micro F1): best constant 0.412" in table


def evaluate_lines(path, lines):
    references = read_references(path, lines)
    comments = [r.comment for r in references]
    return evaluate(references, LexiconLabeller().label(comments, lambda done, total: None))
