"""`poise data doctor` names everything that the miniature has wrong, and never stops."""

import json

import pytest

from assistant.cli import run_command
from assistant.video.decode import write_video
from data_prep.doctor import PROBLEMS
from data_prep.egoexo4d.mini_takes import PHANTOM, TAKES, UNLABELLED, uid_of


def examine(capsys, root, *options):
    code = run_command("data", ["doctor", str(root), "--json", *options])
    output = capsys.readouterr()
    return code, json.loads(output.out)


def test_everything_that_is_wrong_is_named(tree, capsys):
    code, report = examine(capsys, tree)
    assert code == 0
    assert (report["takes"], report["labelled"]) == (len(TAKES) + 1, len(TAKES))
    problems = report["problems"]
    assert list(problems) == list(PROBLEMS)
    assert report["counts"] == {key: len(names) for key, names in problems.items()}
    assert problems["phantom_takes"] == [
        f"{PHANTOM}: proficiency_demonstrator_train.json, expert_commentary_train.json"
    ]
    first = TAKES[0].uid
    assert problems["duplicated_takes"] == problems["takes_twice_in_takes_json"] == [first]
    assert problems["participants_crossing_splits"] == ["ego4d-unc:30: train, val"]
    lacking = uid_of("unc_basketball_01_2")
    assert problems["views_missing"] == [f"unc_basketball_01_2 ({lacking}): exo3"]
    assert problems["videos_missing"] == ["takes/sfu_soccer_03_1/frame_aligned_videos/cam02.mp4"]
    (corrupt,) = problems["videos_corrupt"]
    assert "uniandes_bouldering_04_2/frame_aligned_videos/downscaled/448/cam01.mp4" in corrupt
    assert "truncated" in corrupt
    absent = [take for take in TAKES if not take.poses]
    assert problems["poses_absent"] == [f"{take.name} ({take.uid})" for take in absent]
    (unreadable,) = problems["poses_unreadable"]
    assert uid_of("uniandes_bouldering_04_2") in unreadable and "0 bytes" in unreadable
    (jumps,) = problems["poses_implausible"]
    assert uid_of("unc_basketball_01_3") in jumps and "m/s" in jumps
    (rating,) = problems["expert_files_unreadable"]
    assert "uniandes_bouldering_04_2/ab12cd/data.json" in rating
    for sound in ("files_missing", "files_unreadable", "levels_unknown", "takes_in_two_splits"):
        assert problems[sound] == []


def test_text_names_the_same(tree, capsys):
    assert run_command("data", ["doctor", str(tree), "--no-videos"]) == 0
    text = capsys.readouterr().out
    assert f"takes in annotations that takes.json lacks (1):\n  {PHANTOM}" in text
    assert "the videos were not opened" in text
    assert "videos that do not play to their end (" not in text


def test_broken_files_are_named_and_the_rest_is_checked(copy, capsys, edit):
    (copy / "annotations/expert_commentary_val.json").write_text('{"annotations": {')
    (copy / "annotations/atomic_descriptions_train.json").unlink()
    (copy / "captures.json").unlink()
    labels = copy / "annotations/proficiency_demonstrator_val.json"
    edit(labels, lambda value: value[0].update(proficiency_score="Guru"))
    (copy / "takes/unc_basketball_01_1/eye_gaze/personalized_eye_gaze_2d.csv").write_text("x\n1\n")
    code, report = examine(capsys, copy, "--no-videos")
    problems = report["problems"]
    assert code == 0
    assert problems["files_missing"] == [
        "annotations/atomic_descriptions_train.json",
        "captures.json",
    ]
    (broken,) = problems["files_unreadable"]
    assert "expert_commentary_val.json; got: broken JSON" in broken
    (level,) = problems["levels_unknown"]
    assert uid_of("sfu_soccer_05_1") in level and "Guru" in level
    assert "personalized_eye_gaze_2d.csv" in problems["gaze_unreadable"][0]
    assert report["labelled"] == len(TAKES) - 1
    assert len(problems["phantom_takes"]) == 1


def test_broken_takes_json_makes_no_phantoms(copy, capsys):
    path = copy / "takes.json"
    path.write_bytes(path.read_bytes()[:2000])
    code, report = examine(capsys, copy, "--no-videos")
    assert code == 0
    assert "takes.json" in report["problems"]["files_unreadable"][0]
    assert report["problems"]["phantom_takes"] == []
    assert report["labelled"] == len(TAKES) + 1  # with the phantom


def test_a_take_in_an_annotation_only(copy, capsys, edit):
    edit(
        copy / "takes.json",
        lambda value: [entry for entry in value if entry["take_name"] != UNLABELLED],
    )
    edit(
        copy / "annotations/atomic_descriptions_val.json",
        lambda value: value["annotations"].update({uid_of(UNLABELLED): []}),
    )
    _, report = examine(capsys, copy, "--no-videos")
    assert len(report["problems"]["phantom_takes"]) == 1  # an empty list is no entry


def test_a_film_of_another_length(copy, capsys):
    import numpy as np

    path = copy / "takes/unc_basketball_01_1/frame_aligned_videos/cam03.mp4"
    write_video(path, np.zeros((30, 64, 64, 3), np.uint8), 30)
    _, report = examine(capsys, copy)
    assert report["problems"]["videos_of_other_length"] == [
        "takes/unc_basketball_01_1/frame_aligned_videos/cam03.mp4: 1.0 s, take 11.7 s"
    ]


def test_no_download(tmp_path, capsys):
    with pytest.raises(json.JSONDecodeError):
        examine(capsys, tmp_path)
    assert run_command("data", ["doctor", str(tmp_path)]) == 1
    assert "no Ego-Exo4D in" in capsys.readouterr().err
