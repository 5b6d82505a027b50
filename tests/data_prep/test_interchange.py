"""`poise data export` and `import`: what a format holds comes back, bad files leave nothing."""

import json

import numpy as np
import pytest

from assistant.cli import run_command
from assistant.dataset import read_samples, write_samples
from assistant.pose.markers import read_markers
from assistant.skeleton import INDEX
from data_prep.drills.build import build_dataset, named_source
from prompts.vocabulary import LEVELS


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Three drills, one of them with hidden joints, two films that are only named, a distractor."""
    folder = tmp_path_factory.mktemp("data")
    source = named_source(None, 1, 3, 0, "train", 0.0)
    build_dataset(source, folder / "first", "clean", lambda *_: None)
    samples = [sample | {"calibration": None} for sample in read_samples(folder / "first")]
    samples[0]["views"] = {"ego": "films/a b.mp4", "exo1": "films/b.mp4"}
    samples[0] |= {"take_id": "take 7", "span": [1.0, 3.0]}
    samples[0]["demonstration"] = {"take_id": "take 9", "span": [4.0, 6.0], "pa_mpjpe_mm": 31.5}
    samples[1]["pose"].confidence[3:9, INDEX["left_ankle"]] = 0
    typed = {"question": "Is <pose> or <|pose|> a token?", "answer": "No, <video> is text."}
    samples[2]["dialogues"] = [*samples[2]["dialogues"], typed]
    samples.append({"sample_id": "walk", "activity": "walk", "pose": samples[0]["pose"]})
    write_samples(samples, folder / "set")
    return folder / "set"


def run(capsys, *arguments):
    code = run_command("data", [str(a) for a in arguments])
    output = capsys.readouterr()
    return code, json.loads(output.out) if code == 0 else None, output.err


def export(capsys, dataset, form, folder):
    code, told, error = run(capsys, "export", dataset, "--format", form, "-o", folder, "--json")
    assert code == 0, error
    return told


KEPT = ("sample_id", "take_id", "participant_id", "activity", "split", "span", "level", "rating",
        "commentary_raw", "summary", "regions", "dialogues", "faults", "moments", "demonstration",
        "atomic_actions", "correct_points", "origin")  # fmt: skip


def test_llava_round_trip(dataset, tmp_path, capsys):
    told = export(capsys, dataset, "llava", tmp_path / "llava")
    assert (told["written"], told["skipped"]) == (3, 1)  # the walk has no text to learn
    path = tmp_path / "llava" / "conversations.json"
    back = tmp_path / "back"
    code, told, _ = run(capsys, "import", path, "--format", "llava", "-o", back, "--json")
    assert (code, told["samples"]) == (0, 3)
    assert (back / "README.md").is_file()
    for a, b in zip(read_samples(dataset), read_samples(back), strict=False):
        for key in KEPT:
            assert a[key] == b[key], key
        np.testing.assert_array_equal(a["pose"].joints, b["pose"].joints)
        np.testing.assert_allclose(a["pose"].confidence, b["pose"].confidence, atol=1e-6)
    films = read_samples(back)[0]["views"]
    assert {view: (back / p).resolve() for view, p in films.items()} == {
        "ego": dataset / "films" / "a b.mp4", "exo1": dataset / "films" / "b.mp4",
    }  # fmt: skip


def test_llava_items_are_as_its_readers_expect(dataset, tmp_path, capsys):
    export(capsys, dataset, "llava", tmp_path / "llava")
    items = json.loads((tmp_path / "llava" / "conversations.json").read_text())
    first, _, third = items
    turns = first["conversations"]
    assert [turn["from"] for turn in turns] == ["human", "gpt"] * (len(turns) // 2)
    asked = turns[0]["value"]
    assert (asked.count("<video>"), asked.count("<pose>")) == (2, 1)
    assert "<|" not in asked
    level = LEVELS[read_samples(dataset)[0]["level"]]
    assert turns[1]["value"].startswith(f"Proficiency Level: {level}. Proficiency Commentary:")
    assert (first["video1"], first["video1_range"]) == ("take 7", "[30, 90]")
    assert (first["video2"], first["video2_range"]) == ("take 9", "[120, 180]")
    assert len(first["video"]) == 2
    # Placeholders stand in the first turn only: typed ones are text.
    rest = "".join(turn["value"] for turn in third["conversations"][1:])
    assert not any(token in rest for token in ("<video>", "<pose>", "<|"))


def test_a_foreign_llava_file(tmp_path, capsys):
    """As ExpertAF's: ranges of takes in frames, free text, no fields of ours."""
    item = {
        "id": 12, "video1": "uni_soccer_01", "video1_range": "[60, 120]", "video2": "uni_soccer_02",
        "video2_range": "[30, 90]",
        "conversations": [
            {"from": "human", "value": "What should the learner <pose1> take from <pose2>?"},
            {"from": "gpt", "value": "Keep the ankle locked through the ball."},
        ],
    }  # fmt: skip
    graded = {
        "id": "b", "video": "b.mp4", "conversations": [
            {"from": "human", "value": "<video>\nHow good is it?"},
            {"from": "gpt", "value": "Proficiency Level: Novice. Proficiency Commentary:\n"
             "Legs (needs improvement): You stop too high.\nDrill: Pause at the bottom."},
        ],
    }  # fmt: skip
    path = tmp_path / "a.json"
    path.write_text(json.dumps([item, graded]))
    code, _, error = run(
        capsys, "import", path, "--format", "llava", "-o", tmp_path / "set", "--json"
    )
    assert code == 0, error
    free, ours = read_samples(tmp_path / "set")
    assert (free["sample_id"], free["take_id"], free["span"]) == ("12", "uni_soccer_01", [2.0, 4.0])
    assert free["demonstration"]["take_id"] == "uni_soccer_02"
    assert free["commentary_raw"] == "Keep the ankle locked through the ball."
    assert (free["summary"], free["level"], free["pose"]) == (None, None, None)
    assert (ours["level"], ours["regions"]["legs"], ours["regions"]["head"]) == (0, 0, 2)
    assert ours["views"] == {"exo1": "../b.mp4"}


TURNS = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("{", "no readable JSON"),
        ("{}", "no list of items"),
        ([{"id": 1}], "item 0; got: KeyError: 'conversations'"),
        ([{"id": 1, "conversations": TURNS[:1]}], "turns of human"),
        ([{"id": 1, "conversations": TURNS}] * 2, "item 1; got: the id '1' a second time"),
        ([{"id": 1, "conversations": TURNS, "pose": "no.npz"}], "no.npz; got: no such file"),
        ([{"id": 1, "conversations": TURNS, "video": ["a"] * 6}], "for 6 films"),
        ([{"id": 1, "conversations": TURNS, "video1": "a", "video1_range": "x"}], "video1_range"),
    ],
)
def test_bad_conversations_are_one_line_and_leave_nothing(tmp_path, capsys, content, line):
    path = tmp_path / "a.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    code, _, error = run(capsys, "import", path, "--format", "llava", "-o", tmp_path / "set")
    assert code == 1
    assert line in error
    assert error.count("\n") == 1
    assert not list((tmp_path / "set").glob("*"))


@pytest.mark.parametrize("form", ["trc", "c3d"])
def test_poses_round_trip_through_marker_files(dataset, tmp_path, capsys, form):
    told = export(capsys, dataset, form, tmp_path / form)
    files = sorted((tmp_path / form).iterdir())
    assert (told["written"], len(files)) == (4, 4)
    code, told, _ = run(
        capsys, "import", *files, "--format", form, "-o", tmp_path / "back", "--json"
    )
    assert (code, told["samples"]) == (0, 4)
    assert all(row["joints"] == 17 and not row["unused"] for row in told["markers"])
    samples = {sample["sample_id"]: sample for sample in read_samples(dataset)}
    for back in read_samples(tmp_path / "back"):
        pose = samples[back["sample_id"]]["pose"]
        assert back["pose"].fps == pytest.approx(pose.fps)
        np.testing.assert_array_equal(back["pose"].confidence, pose.confidence)
        seen = pose.confidence > 0
        # Datasets keep poses to half a millimetre.
        assert np.abs(back["pose"].joints - pose.joints)[seen].max() < 0.6e-3


def test_import_lists_what_it_did_not_understand(dataset, tmp_path, capsys):
    export(capsys, dataset, "trc", tmp_path / "trc")
    path = tmp_path / "trc" / "walk.trc"
    path.write_text(path.read_text().replace("left_ear", "LFHD").replace("nose", "Nase"))
    assert read_markers(path).markers.unused == ("Nase", "LFHD")
    code = run_command(
        "data", ["import", str(path), "--format", "trc", "-o", str(tmp_path / "back")]
    )
    told = capsys.readouterr().out
    assert code == 0
    assert "15 of 17 joints, up y; missing: nose, left_ear; markers not used: Nase, LFHD" in told


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["export", "SET", "--format", "bvh", "-o", "OUT"], "unknown format; got: 'bvh'"),
        (["export", "NO", "--format", "trc", "-o", "OUT"], "cannot read dataset"),
        (["import", "NO.trc", "--format", "trc", "-o", "OUT"], "no such file"),
        (["import", "SET/README.md", "--format", "trc", "-o", "OUT"], "got: .md; expected: .trc"),
    ],
)
def test_bad_calls_are_one_line_and_leave_nothing(dataset, tmp_path, capsys, arguments, line):
    names = {"SET": dataset, "OUT": tmp_path / "out", "NO": tmp_path / "no"}
    words = [str(names.get(a, a)).replace("SET", str(dataset)) for a in arguments]
    words = [w.replace("NO.trc", str(tmp_path / "no.trc")) for w in words]
    code, _, error = run(capsys, *words)
    assert code == 1
    assert line in error
    assert not list((tmp_path / "out").glob("*")) and not list(tmp_path.glob(".*"))


def test_export_keeps_off_a_folder_in_use(dataset, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    code, _, error = run(
        capsys, "export", dataset, "--format", "trc", "-o", tmp_path / "out", "--json"
    )
    assert code == 1
    assert "it is there already" in error
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine"]
