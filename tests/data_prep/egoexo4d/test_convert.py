"""`poise data egoexo4d` on the miniature: every field, every oddity, every refusal."""

import json

import numpy as np
import pytest

from assistant.cli import run_command
from assistant.dataset import read_info, read_samples
from assistant.errors import PoiseError
from assistant.levels import level_index
from assistant.pose.calibration import read_calibration
from assistant.pose.read import read_egoexo_body
from assistant.video.decode import probe
from assistant.video.precomputed import PrecomputedEncoder
from data_prep.egoexo4d.convert import NOTES_FILE, REPORT_FILE, convert
from data_prep.egoexo4d.layout import Layout
from data_prep.egoexo4d.mini_takes import EXPERTS, PHANTOM, TAKES, uid_of
from data_prep.egoexo4d.rows import Window

BY_NAME = {take.name: take for take in TAKES}
FIRST = BY_NAME["unc_basketball_01_1"]


def run(root, folder, **more):
    options = {"split": "all", "activities": [], "window": Window()} | more
    return convert(Layout(root), folder, progress=lambda done, total: None, **options)


def line(*arguments, **more):
    with pytest.raises(PoiseError) as caught:
        run(*arguments, **more)
    return str(caught.value)


def test_every_labelled_take_is_a_row_with_its_level_and_split(rows, dataset):
    whole = {id_: row for id_, row in rows.items() if row["commentary_raw"] is None}
    assert set(whole) == {take.uid for take in TAKES}
    for take in TAKES:
        row = whole[take.uid]
        assert row["level"] == level_index(take.level)
        assert row["split"] == {"train": "train", "val": "validation"}[take.split]
        assert row["participant_id"] == f"{take.university}:{take.participant}"
    climb = whole[uid_of("uniandes_bouldering_04_1")]
    assert (climb["activity"], climb["action"]) == ("rock_climbing", "losandes_v2_r1")
    folder, result = dataset
    assert result["takes"] == len(TAKES)
    assert result["rows"] == len(rows) == read_info(folder)["rows"]


def test_what_was_left_out_is_named(dataset):
    folder, result = dataset
    names = json.loads((folder / REPORT_FILE).read_text())["names"]
    assert names["phantom_takes"] == [PHANTOM]
    assert names["duplicated_takes"] == names["takes_twice_in_takes_json"] == [FIRST.uid]
    assert names["participants_crossing_splits"] == ["ego4d-unc:30: train, val"]
    assert names["videos_missing"] == ["takes/sfu_soccer_03_1/frame_aligned_videos/cam02.mp4"]
    assert names["durations_unknown"] == [uid_of("uniandes_bouldering_04_1")]
    (pose,) = names["poses_unreadable"]
    assert uid_of("uniandes_bouldering_04_2") in pose and "0 bytes" in pose
    (rating,) = names["ratings_unreadable"]
    assert "uniandes_bouldering_04_2/ab12cd/data.json" in rating and "broken JSON" in rating
    assert result["left_out"] == {
        "atomic_descriptions_of_others": 9,
        "atomic_descriptions_rejected": 9,
        "atomic_descriptions_unsure": 9,
        "comments_empty": 9,
        "comments_with_transcription_error": 9,
    }


def test_a_comment_is_the_window_before_its_pause(rows, tree):
    said = json.loads((tree / "annotations/expert_commentary_train.json").read_text())
    for entry in said["annotations"][FIRST.uid]:
        expert = entry["commentary"].rpartition("/")[2]
        for number, spoken in enumerate(entry["commentary_data"]):
            row = rows.get(f"{FIRST.uid}_{expert}_{number:03d}")
            if spoken["error"] or not spoken["text"].strip():
                assert row is None
                continue
            time = spoken["video_time"]
            assert row["span"] == pytest.approx([max(time - 4, 0), time])
            assert row["moments"] == [{"start": 0.0, "end": pytest.approx(min(4, time))}]
            assert row["commentary_raw"] == spoken["text"].strip()
            assert row["rating"] == 4 + 3 * EXPERTS.index(expert)
            assert row["level"] == level_index("Late Expert")


def test_frames_after_the_pause_only_when_asked(tree, tmp_path, rows):
    run(tree, tmp_path / "out", window=Window(2.0, 1.0))
    for row in read_samples(tmp_path / "out"):
        if row["commentary_raw"] is None:
            continue
        pause = rows[row["sample_id"]]["span"][1]
        end = min(pause + 1, max(rows[row["take_id"]]["span"][1], pause))
        assert row["span"] == pytest.approx([max(pause - 2, 0), end], abs=1e-5)
        assert row["moments"][0]["end"] == pytest.approx(min(2, pause), abs=1e-5)


def test_manual_poses_come_first_where_they_cover_the_window(rows):
    kinds = {id_: row["origin"].rpartition(" ")[2] for id_, row in rows.items()}
    # The annotators marked every third frame of the first half.
    assert kinds[f"{FIRST.uid}_ab12cd_000"] == "manual"
    assert rows[f"{FIRST.uid}_ab12cd_000"]["pose"].fps == 10
    assert kinds[f"{FIRST.uid}_ab12cd_001"] == "automatic"
    assert kinds[FIRST.uid] == "automatic"
    assert rows[FIRST.uid]["pose"].fps == 30


def test_a_pose_begins_with_its_span(rows, tree):
    """Frame i of a row is the take's frame at span[0] + i / fps, manual or automatic."""
    folder = tree / "annotations/ego_pose/train/body"
    for source, number in (("annotation", 0), ("automatic", 1)):
        row = rows[f"{FIRST.uid}_ab12cd_{number:03d}"]
        whole, first = read_egoexo_body(folder / source / f"{FIRST.uid}.json")
        start = round(row["span"][0] * whole.fps) - first
        assert len(row["pose"]) == round((row["span"][1] - row["span"][0]) * whole.fps)
        expected = whole.joints[start : start + len(row["pose"])]
        np.testing.assert_allclose(row["pose"].joints[: len(expected)], expected, atol=3e-4)


def test_units_are_checked_and_missing_joints_have_no_confidence(rows):
    soccer = rows[BY_NAME["sfu_soccer_05_1"].uid]["pose"]
    assert 0.5 < soccer.joints[..., 2].max() - soccer.joints[..., 2].min() < 3  # written in mm
    wrists = [9, 10]
    assert (soccer.confidence[::10, wrists] == 0).all()
    assert (soccer.confidence[1::10] == 1).all()
    assert rows[uid_of("unc_basketball_02_1")]["pose"] is None


def test_views_are_the_files_that_are_there(rows, dataset):
    folder, _ = dataset
    for row in rows.values():
        for path in row["views"].values():
            assert (folder / path).is_file()
        cameras = read_calibration(folder / row["calibration"])
        # The ego camera moves; the exo cameras stand.
        take = next(take for take in TAKES if take.uid == row["take_id"])
        assert {camera.name for camera in cameras} == {cam for cam in take.cameras if cam}
    soccer = rows[uid_of("sfu_soccer_03_1")]
    assert set(soccer["views"]) == {"ego", "exo1", "exo3", "exo4"}
    assert soccer["views"]["exo4"].endswith("/downscaled/448/cam05.mp4")
    assert soccer["best_exo"] == "exo2"
    lacking = rows[uid_of("unc_basketball_01_2")]
    assert set(lacking["views"]) == {"ego", "exo1", "exo2", "exo4"}
    assert rows[uid_of("uniandes_bouldering_04_1")]["best_exo"] is None
    assert abs(probe(folder / rows[FIRST.uid]["views"]["ego"]).duration - 11.67) < 0.1


def test_features_are_found_by_view(rows, dataset):
    folder, _ = dataset
    paths = rows[FIRST.uid]["features"]["omnivore_video"]
    assert paths["ego"].endswith(f"{FIRST.uid}_aria01_rgb.pt")
    assert paths["exo3"].endswith(f"{FIRST.uid}_cam03_0.pt")
    encoder = PrecomputedEncoder((folder / paths["ego"]).parent, 1.875)
    cameras = {view: path.rpartition("/")[2][37:-3] for view, path in paths.items()}
    views, features = encoder.encode(FIRST.uid, cameras, (0.0, 2.0))
    assert views == list(paths)
    assert features.shape == (5, 8)


def test_gaze_in_degrees_at_the_frames_of_the_pose(rows):
    gaze, pose = rows[FIRST.uid]["gaze"], rows[FIRST.uid]["pose"]
    assert gaze.shape == (len(pose), 2)
    # x = 704 + 100 sin(t / 5) at 10 Hz, y = 504; 110 degrees over 1408 pixels, left is positive.
    seconds = np.arange(len(pose)) / 30
    expected = -100 * np.sin(2 * seconds) * 110 / 1408
    np.testing.assert_allclose(gaze[:300, 0], expected[:300], atol=0.4)
    np.testing.assert_allclose(gaze[:, 1], 200 * 110 / 1408, atol=0.3)
    assert rows[uid_of("unc_basketball_01_2")]["gaze"] is not None  # general
    assert rows[uid_of("unc_basketball_02_1")]["gaze"] is None


def test_atomic_actions_count_from_the_span(rows):
    whole = rows[FIRST.uid]["atomic_actions"]
    assert [action["action"] for action in whole] == ["C bends the knees.", "C straightens up."]
    assert [a["t"] for a in whole] == pytest.approx([0.4 * 35 / 3, 0.7 * 35 / 3])
    window = rows[f"{FIRST.uid}_ab12cd_001"]
    (one,) = window["atomic_actions"]
    assert one["t"] == pytest.approx(whole[1]["t"] - window["span"][0])


def test_the_experts_lists_stand_beside_the_dataset(dataset):
    notes = [json.loads(text) for text in (dataset[0] / NOTES_FILE).read_text().splitlines()]
    assert len(notes) == dataset[1]["notes"] == 9 * 2 + 9 * 2 - 1
    first = [note for note in notes if note["take_id"] == FIRST.uid]
    assert [(note["kind"], note["polarity"]) for note in first] == [
        ("good_executions", 1),
        ("tips_for_improvement", 0),
        ("rating", None),
        ("rating", None),
    ]
    # "['...']" in the train file, a list in val: the same sentence.
    good = {note["text"] for note in notes if note["kind"] == "good_executions"}
    assert good == {"the knees don't cave in on the way down"}
    assert [note["rating"] for note in first[2:]] == [4, 7]


def test_the_card_says_what_the_dataset_is(dataset):
    folder, result = dataset
    card = (folder / "README.md").read_text()
    assert result["sha256"] in card
    assert "licence" in card and "not signed" in card
    assert "| validation | soccer | 4 | 0 | 0 | 0 | 0 | 4 |" in card
    assert "| gaze | 8 |" in card
    (null,) = [text for text in card.splitlines() if text.startswith("Null in every row")]
    assert "summary" in null and "pose_clean" in null and "level" not in null


def test_the_same_download_gives_the_same_sha_anywhere(copy, tmp_path, dataset):
    assert run(copy, tmp_path / "elsewhere")["sha256"] == dataset[1]["sha256"]


def test_splits_and_activities(tree, tmp_path, capsys):
    arguments = ["egoexo4d", str(tree), "-o", str(tmp_path / "out"), "--split", "val", "--json"]
    assert run_command("data", [*arguments, "--activity", "Rock Climbing"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["takes"], told["comments"]) == (1, 3)
    (take,) = {row["take_id"] for row in read_samples(tmp_path / "out")}
    assert take == uid_of("uniandes_bouldering_06_1")
    assert "unknown activity; got: chess; expected: basketball, rock_climbing, soccer" in line(
        tree, tmp_path / "a", activities=["Chess"]
    )
    assert "its labels are not published" in line(tree, tmp_path / "a", split="test")
    assert "unknown split; got: 'dev'" in line(tree, tmp_path / "a", split="dev")
    with pytest.raises(PoiseError, match=r"0\.1 s before"):
        Window(0.1)


@pytest.mark.parametrize("label", ["Beginner", "novice", None, 2])
def test_an_unknown_level_names_the_take(copy, tmp_path, edit, label):
    path = copy / "annotations/proficiency_demonstrator_train.json"
    edit(path, lambda value: value["annotations"][2].update(proficiency_score=label))
    assert line(copy, tmp_path / "out") == (
        f"unknown proficiency level of take {TAKES[2].uid} in {path}; got: {label!r}; "
        "expected: Novice, Early Expert, Intermediate Expert, Late Expert"
    )
    assert not (tmp_path / "out").exists()


def test_a_take_with_two_levels(copy, tmp_path, edit):
    path = copy / "annotations/proficiency_demonstrator_train.json"
    edit(path, lambda value: value["annotations"][-2].update(proficiency_score="Novice"))
    assert f"take {FIRST.uid} has two levels" in line(copy, tmp_path / "out")


def test_a_take_in_two_splits_counts_as_held_out(copy, tmp_path, edit):
    train = copy / "annotations/proficiency_demonstrator_train.json"
    entry = json.loads(train.read_text())["annotations"][0]
    edit(copy / "annotations/proficiency_demonstrator_val.json", lambda value: value.append(entry))
    run(copy, tmp_path / "out")
    rows = {row["sample_id"]: row for row in read_samples(tmp_path / "out")}
    assert rows[FIRST.uid]["split"] == "validation"
    report = json.loads((tmp_path / "out" / REPORT_FILE).read_text())
    assert report["names"]["takes_in_two_splits"][0] == f"{FIRST.uid}: val, train"


@pytest.mark.parametrize(
    ("name", "text", "got"),
    [
        ("takes.json", "", "an empty file (0 bytes)"),
        ("takes.json", "[{", "broken JSON (parse error: premature EOF)"),
        ("annotations/expert_commentary_train.json", '{"annotations": {"a": [{]}}', "broken JSON"),
        ("annotations/atomic_descriptions_val.json", "", "an empty file (0 bytes)"),
        ("annotations/proficiency_demonstrator_val.json", "7", "a single value"),
        ("annotations/proficiency_demonstrator_val.json", "[{}]", "an entry without take_uid"),
        ("annotations/proficiency_demonstration_val.json", "[3]", "an entry without take_uid: 3"),
    ],
)
def test_a_broken_annotation_file_is_one_line(copy, tmp_path, name, text, got):
    (copy / name).write_text(text)
    message = line(copy, tmp_path / "out")
    assert message.startswith(f"cannot read annotation file {copy / name}; got: {got}")
    assert "\n" not in message
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_truncated_file_is_found_though_its_takes_were_read(copy, tmp_path):
    path = copy / "annotations/expert_commentary_train.json"
    path.write_bytes(path.read_bytes()[:-40])
    assert f"{path}; got: broken JSON" in line(copy, tmp_path / "out")


def test_too_many_broken_pose_files_stop_the_run(copy, tmp_path, monkeypatch):
    monkeypatch.setattr("data_prep.egoexo4d.findings._TOLERATED", 1)
    for path in (copy / "annotations/ego_pose").rglob("body/*/*.json"):
        path.write_text("{}")
    assert "too many unreadable files (poses); got: 2 of the first 2" in line(
        copy, tmp_path / "out"
    )
    assert list((tmp_path / "out").iterdir()) == []


def test_a_flag_that_is_none(copy, tmp_path, edit):
    path = copy / "annotations/atomic_descriptions_train.json"
    edit(path, lambda value: value["annotations"][FIRST.uid][0].update(rejected="maybe"))
    message = line(copy, tmp_path / "out")
    assert message == (
        f"atomic descriptions of take {FIRST.uid}; got: 'maybe' is no boolean; expected: 0 or 1"
    )


def test_a_folder_that_is_no_download(tmp_path, capsys):
    assert run_command("data", ["egoexo4d", str(tmp_path), "-o", str(tmp_path / "out")]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"poise: no Ego-Exo4D in {tmp_path}; got: no takes.json")


def test_a_folder_in_use_is_left_alone(tree, tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    assert "a folder with files in it" in line(tree, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
