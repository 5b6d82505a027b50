"""`poise demos` with the checkpoint that ships: its library is listed, one's own grows."""

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assistant.checkpoint import WEIGHTS_FOLDER
from assistant.cli import CANNOT, DONE, run_command
from assistant.demos.add import film_frame
from assistant.demos.library import Library
from assistant.demos.store import DemoStore
from assistant.demos.thumbnail import pose_thumbnail
from assistant.feedback import validate

CLIP = str(WEIGHTS_FOLDER / "demo" / "squat_demo.npz")
FILM = WEIGHTS_FOLDER / "demo" / "squat_demo.mp4"
SQUAT = "bodyweight_squat"


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    command, *rest = arguments
    assert run_command(command, [*rest, "--json"]) == DONE
    return json.loads(capsys.readouterr().out)


def test_the_checkpoints_library_is_listed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    conditions = ("--activity", SQUAT, "--region", "legs", "--level", "Late Expert")
    told = answer(
        capsys, "demos", "list", *conditions, "--limit", "3", "--thumbnails", str(tmp_path)
    )
    assert told["count"] == len(told["demonstrations"]) == 3
    for row in told["demonstrations"]:
        assert (row["activity"], row["level"]) == (SQUAT, "Late Expert")
        assert "legs" in row["correct_regions"]
        assert row["licence"] == "Apache-2.0"
        assert Path(row["thumbnail"]).stat().st_size > 500
    assert run_command("demos", ["list", "--limit", "2"]) == DONE
    table = capsys.readouterr()
    assert table.out.splitlines()[0].split() == [
        "id", "activity", "level", "correct", "regions", "licence", "origin",
    ]  # fmt: skip
    assert len(table.out.splitlines()) == 3
    assert table.err == "2 demonstrations\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("list", "--level", "Pro"), "unknown level; got: 'Pro'"),
        (("list", "--library", "nowhere"), "no expert library in nowhere"),
        (("remove", "x", "--library", "nowhere"), "no expert library in nowhere"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command("demos", arguments) == CANNOT
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err
    assert shown.err.count("\n") == 1


def test_a_library_of_sports_that_stage_1_does_not_know_is_ranked_when_it_is_built(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shown = Library.load(WEIGHTS_FOLDER / "poise-mini" / "library").items[:2]
    items = [replace(item, activity="basketball, layup") for item in shown]
    Library(items, any_activity=True).save(tmp_path / "pairs")
    built = tmp_path / "built"
    told = answer(capsys, "demos", "build", str(tmp_path / "pairs"), "-o", str(built))
    assert told["by_activity"] == {"basketball, layup": 2}
    assert len(DemoStore.open(built).candidates(SQUAT, items[0].window)) == 2


@pytest.mark.slow
def test_a_clip_is_added_found_shown_and_removed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    own = ("--library", str(tmp_path / "own"))
    about = ("--level", "Late Expert", "--regions-correct", "legs, feet", "--licence", "CC0")
    told = answer(
        capsys, "demos", "add", CLIP, "--activity", SQUAT, *own, *about, "--id", "me",
        "--span", "1", "3",
    )  # fmt: skip
    assert [row["id"] for row in told["added"]] == ["me@1.00"]
    (found,) = answer(capsys, "demos", "search", CLIP, *own, "--span", "1", "3")["demonstrations"]
    assert (found["id"], found["licence"]) == ("me@1.00", "CC0")
    assert found["pa_mpjpe_mm"] < 1
    shown = answer(capsys, "coach", CLIP, *own)
    validate(shown)
    assert [row["id"] for row in shown["demonstrations"]] == ["me@1.00"]
    assert shown["demonstrations"][0]["licence"] == "CC0"
    refused = ["add", CLIP, "--activity", "basketball_free_throw", *own]
    assert run_command("demos", refused) == CANNOT
    assert "shows another activity; got: bodyweight_squat" in capsys.readouterr().err
    assert answer(capsys, "demos", "remove", "me@1.00", *own)["total"] == 0


@pytest.mark.slow
def test_a_film_is_added_with_its_picture_and_its_library_built_anew(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    own, built = tmp_path / "own", tmp_path / "built"
    told = answer(
        capsys, "demos", "add", str(FILM), "--activity", SQUAT, "--library", str(own),
        "--span", "1", "3",
    )  # fmt: skip
    (added,) = told["added"]
    assert (added["id"], added["origin"]) == ("squat_demo@1.00", "squat_demo.mp4")
    told = answer(capsys, "demos", "build", str(own), "-o", str(built))
    assert (told["demonstrations"], told["by_activity"]) == (1, {SQUAT: 1})

    listed = answer(capsys, "demos", "list", "--library", str(built), "--thumbnails", str(tmp_path))
    (row,) = listed["demonstrations"]
    assert row.pop("thumbnail") and row == added
    (picture,) = tmp_path.glob("*.jpg")
    with Image.open(picture) as opened:
        shown = np.asarray(opened, dtype=np.float64)
    film = film_frame(FILM, 2.0)
    assert film is not None
    resized = Image.fromarray(film).resize((shown.shape[1], shown.shape[0]))
    assert np.abs(shown - np.asarray(resized)).mean() < 5  # of 255; a drawn skeleton is far off
    (item,) = DemoStore.open(built).items
    with Image.open(BytesIO(pose_thumbnail(item))) as opened:
        drawn = np.asarray(opened, dtype=np.float64)
    assert np.abs(drawn - np.asarray(resized)).mean() > 20
