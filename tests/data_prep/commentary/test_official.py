"""Labels against good executions and tips in the official layout."""

import json

import pytest

from assistant.cli import run_command
from assistant.dataset import read_samples, write_samples
from data_prep.commentary.official import Entry, read_official
from data_prep.egoexo4d.miniature import write_miniature
from prompts.vocabulary import REGIONS

OFFICIAL = [
    {
        "take_uid": "take-1",
        "proficiency_score": "Novice",
        "good_executions": [
            {"video_time": 4.0, "list": ["The feet are quiet."], "expert_uid": "e"},
            {"video_time": 30.0, "list": "['Good grip.', 'Straight arms.']", "expert_uid": "e"},
        ],
        "tips_for_improvement": [
            {"video_time": 4.2, "list": ["The knees cave in."], "expert_uid": "e"},
            {"video_time": 9.0, "list": ["Keep the chest up."], "expert_uid": "e"},
        ],
    },
    {"take_uid": "take-2", "good_executions": None, "tips_for_improvement": []},
]


def sample(name, pause, **said):
    """A labelled comment of take-1: its window ends at the pause."""
    return {
        "sample_id": name,
        "take_id": "take-1",
        "span": [pause - 4, pause],
        "moments": [{"start": 0.0, "end": 4.0}],
        "commentary_raw": "words",
        "regions": dict.fromkeys(REGIONS, 2) | said,
    }


@pytest.fixture
def labelled(tmp_path):
    rows = [sample("a", 4.0, legs=0, feet=1), sample("b", 9.5, torso=1), sample("c", 60.0, legs=0)]
    write_samples(rows, tmp_path / "labelled")
    return tmp_path / "labelled"


@pytest.mark.parametrize("wrapped", [False, True])
def test_agreement_by_hand(tmp_path, labelled, capsys, wrapped):
    path = tmp_path / "proficiency_demonstration_train.json"
    path.write_text(json.dumps({"annotations": OFFICIAL} if wrapped else OFFICIAL))
    arguments = ["label", str(labelled), "--check-official", str(path)]
    assert run_command("data", [*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    # The good execution at 30 s has no comment within a second; 4.2 belongs to a, 9.0 to b.
    assert (result["entries"], result["matched"]) == (4, 3)
    good, tips = (result["comments"][k] for k in ("good_executions", "tips_for_improvement"))
    assert (good["n"], good["agree"]) == (1, 1)
    assert (tips["n"], tips["agree"], tips["share"]) == (2, 1, 0.5)
    # Over all orders a tip meets a label with criticism in two of three cases.
    assert tips["shuffled"] == pytest.approx(2 / 3, abs=0.08)
    said = result["sentences"]
    assert (said["good_executions"]["n"], said["good_executions"]["agree"]) == (3, 3)
    assert (said["tips_for_improvement"]["n"], said["tips_for_improvement"]["agree"]) == (2, 2)
    assert run_command("data", arguments) == 0
    text = capsys.readouterr().out
    assert "3 of 4 official entries" in text
    assert "comments, tips_for_improvement: 1 of 2 agree (0.50)" in text


def test_entries_as_they_are_written(tmp_path):
    path = tmp_path / "official.json"
    path.write_text(json.dumps(OFFICIAL))
    entries = read_official(path)
    assert entries[1] == Entry("take-1", 30.0, "good_executions", ("Good grip.", "Straight arms."))
    assert len(entries) == 4


@pytest.mark.parametrize("text", ["[1, 2]", "not json", '{"videos": []}', "[{}]", "7"])
def test_other_files_are_named(tmp_path, labelled, capsys, text):
    path = tmp_path / "official.json"
    path.write_text(text)
    assert run_command("data", ["label", str(labelled), "--check-official", str(path)]) == 1
    error = capsys.readouterr().err
    assert "official" in error
    assert error.count("\n") <= 2


def test_nothing_in_common(tmp_path, labelled, capsys):
    path = tmp_path / "official.json"
    path.write_text(json.dumps([OFFICIAL[0] | {"take_uid": "another"}]))
    assert run_command("data", ["label", str(labelled), "--check-official", str(path)]) == 1
    assert "4 official entries, 3 labelled comments" in capsys.readouterr().err


def test_from_download_to_check(tmp_path, capsys):
    """What `poise data egoexo4d` writes can be labelled, and the labels be checked."""
    root, samples, labelled = tmp_path / "root", tmp_path / "samples", tmp_path / "labelled"
    write_miniature(root)
    lists = sorted((root / "annotations").glob("proficiency_demonstration_*.json"))
    checks = [text for path in lists for text in ("--check-official", str(path))]
    for arguments in (
        ["egoexo4d", str(root), "-o", str(samples)],
        ["label", str(samples), "-o", str(labelled)],
        ["label", str(labelled), *checks, "--json"],
    ):
        capsys.readouterr()
        assert run_command("data", arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["matched"] == result["entries"] > 0
    for kind in ("good_executions", "tips_for_improvement"):
        assert result["comments"][kind]["share"] > result["comments"][kind]["shuffled"] + 0.2
    before, after = read_samples(samples), read_samples(labelled)
    assert [set(s) for s in before] == [set(s) for s in after]
    spoken = [s for s in after if s["commentary_raw"]]
    assert all(s["regions"] and s["summary"] for s in spoken)
    # Films are named relative to the dataset, and still found from the new folder.
    assert all((labelled / path).exists() for s in spoken for path in s["views"].values())
