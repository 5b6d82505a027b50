"""Labels written into samples, drills as labelled comments, and poise-mini as a back end."""

import json

import numpy as np
import pytest

from assistant.cli import run_command
from assistant.clip import PoseSequence
from assistant.dataset import read_info, read_samples, write_samples
from assistant.engine.base import Generation
from data_prep.commentary.composed import composed_label, conversation
from data_prep.commentary.labels import Comment, Failure, Label
from data_prep.commentary.model_labeller import ModelLabeller
from prompts.labelling import format_mini_label, parse_mini_label
from prompts.vocabulary import REGIONS


@pytest.fixture(scope="module")
def drills(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drills") / "set"
    arguments = ["drills", "--performers", 6, "--clips", 8, "--seed", 3, "-o", folder]
    assert run_command("data", list(map(str, arguments))) == 0
    return folder


def sample(name, text, **more):
    joints = np.zeros((20, 17, 3), np.float32)
    pose = PoseSequence(joints, np.ones((20, 17), np.float32), 30.0)
    return {"sample_id": name, "activity": "diving", "commentary_raw": text, "pose": pose, **more}


def test_labels_are_written_and_all_else_is_kept(tmp_path, capsys):
    given = [
        sample("a", "toes pointed but short of vertical", views={"exo1": "films/a.mp4"}, level=2),
        sample("b", None, regions=dict.fromkeys(REGIONS, 1), summary="as it was"),
        sample("c", "what a crowd", calibration="/else/where.json"),
    ]
    write_samples(given, tmp_path / "in", {"preset": "own"})
    (tmp_path / "deeper").mkdir()
    out = tmp_path / "deeper" / "out"
    assert run_command("data", ["label", str(tmp_path / "in"), "-o", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["samples"], told["comments"], told["labelled"]) == (3, 2, 2)
    before, after = read_samples(tmp_path / "in"), read_samples(out)
    a, b, c = after
    assert a["regions"] == dict.fromkeys(REGIONS, 2) | {"feet": 1, "torso": 0}
    assert a["summary"] == "To improve: torso (short of vertical); done well: feet (toes pointed)."
    assert a["views"] == {"exo1": "../../in/films/a.mp4"}
    assert b["regions"] == dict.fromkeys(REGIONS, 1)
    assert b["summary"] == "as it was"
    assert set(c["regions"].values()) == {2}
    assert c["calibration"] == "/else/where.json"
    for old, new in zip(before, after, strict=True):
        assert np.array_equal(old["pose"].joints, new["pose"].joints)
        assert (old["commentary_raw"], old["level"]) == (new["commentary_raw"], new["level"])
    info = read_info(out)
    assert info["labels"]["backend"] == "lexicon"
    assert len(info["labels"]["prompt_sha256"]) == 64
    assert (info["preset"], info["sha256"]) == ("own", told["sha256"])
    assert "lexicon" in (out / "README.md").read_text()


def test_a_folder_in_use_and_a_set_without_comments(tmp_path, capsys):
    write_samples([sample("a", None)], tmp_path / "in")
    assert run_command("data", ["label", str(tmp_path / "in"), "-o", str(tmp_path / "in")]) == 1
    assert "a new or empty folder" in capsys.readouterr().err
    assert run_command("data", ["label", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 1
    assert "without commentary_raw" in capsys.readouterr().err
    assert run_command("data", ["label", str(tmp_path / "no"), "-o", str(tmp_path / "out")]) == 1
    assert not (tmp_path / "out").exists()


def test_the_lexicon_reads_composed_comments(drills, capsys):
    assert run_command("data", ["label", "--evaluate", str(drills), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["n"] == 48
    assert result["micro_f1"] > 0.75
    assert result["micro_f1"] > result["floors"]["best_constant"] + 0.2


def test_drills_teach_the_task(drills):
    samples = read_samples(drills)
    for one in samples:
        label = composed_label(one)
        faulted = {fault["region"] for fault in one["faults"]}
        assert faulted == {name for name, polarity in label.regions.items() if polarity == 0}
        for name, polarity in label.regions.items():
            assert polarity in (2, one["regions"][name])
        assert label.summary.endswith(".")
        _, user, answer = conversation(one)
        assert one["commentary_raw"] in user["content"]
        assert parse_mini_label(answer["content"]) == label
    assert conversation(samples[0] | {"summary": None}) is None
    assert conversation(samples[0] | {"commentary_raw": None}) is None
    assert composed_label(samples[0] | {"summary": "One sentence of another kind."}) is None


class Parrot:
    """An engine that says what it is given."""

    name = "parrot"

    def __init__(self, texts):
        self.texts = list(texts)
        self.prompts = []

    def generate(self, prompts, options):
        self.prompts += prompts
        return [Generation(self.texts.pop(0), []) for _ in prompts]


def test_the_model_back_end_reads_answers_or_counts_failures(drills):
    label = composed_label(read_samples(drills)[0])
    engine = Parrot([format_mini_label(label), "Proficiency Level: Novice.", ""])
    comments = [Comment(str(i), f"words {i}", "squat") for i in range(3)]
    answers = ModelLabeller(engine).label(comments, lambda done, total: None)
    assert answers[0] == Label(label.summary, label.regions)
    assert all(isinstance(answer, Failure) for answer in answers[1:])
    assert [prompt.messages[-1]["content"][-7:] for prompt in engine.prompts] == [
        f"words {i}" for i in range(3)
    ]


def test_the_shipped_checkpoint_answers_in_the_form_or_fails(tmp_path, capsys):
    rows = [
        {"text": "the knees cave in", "regions": dict.fromkeys(REGIONS, 2) | {"legs": 0}},
        {"text": "a tall chest", "regions": dict.fromkeys(REGIONS, 2) | {"torso": 1}},
    ]
    path = tmp_path / "dev.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ["label", "--evaluate", str(path), "--backend", "model", "--json"]
    assert run_command("data", arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["provenance"]["model"] == "poise-mini"
    assert 0 <= result["failures"] <= result["n"] == 2
    if result["failures"] == 2:
        assert result["micro_f1"] == 0.0
