"""One's own demonstrations: from a film or a pose, from a data set, from another library."""

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from assistant.clip import Clip, PoseSequence
from assistant.clip_input import PoseResult
from assistant.dataset import write_samples
from assistant.demos.add import About, demonstrations_of, window_starts
from assistant.demos.build import build, dataset_items, key_windows
from assistant.demos.choice import Choice
from assistant.demos.library import Library
from assistant.demos.store import DemoStore
from assistant.demos.thumbnail import pose_thumbnail, write_thumbnails
from assistant.errors import PoiseError
from assistant.web.strip import RIM

if TYPE_CHECKING:
    from assistant.coach import Coach

SQUAT = "bodyweight_squat"


def no_progress(done: int, total: int) -> None:
    pass


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (None, [3.0]),
        ((4.0, 5.0), [3.5]),  # the middle of a short span
        ((0.0, 0.4), [0.0]),  # moved inside the clip
        ((9.8, 10.0), [8.0]),
        ((2.0, 4.0), [2.0]),
        ((2.0, 5.2), [2.0, 2.5, 3.0]),  # every half second
    ],
)
def test_where_windows_begin(span: tuple[float, float] | None, expected: list[float]) -> None:
    assert window_starts(span, 3.0, 10.0) == pytest.approx(expected)


def test_a_pose_becomes_a_demonstration(stub_coach: "Coach", squat: PoseSequence) -> None:
    about = About(SQUAT, "Late Expert", ("feet", "legs"), "CC0", "mine", (1.0, 3.0), "anna")
    (item,) = demonstrations_of(stub_coach, Clip("clip", {}, squat), PoseResult(squat), about)
    assert (item.demonstration_id, item.activity, item.level) == ("anna@1.00", SQUAT, "Late Expert")
    assert (item.start, item.end) == (1.0, 3.0)
    assert item.correct_regions == ("legs", "feet")
    assert (item.licence, item.note, item.origin) == ("CC0", "mine", "clip")
    assert item.source == squat.source
    assert item.joints.shape == (30, 17, 3)
    assert item.codes.shape == (10, 4)
    assert item.unconditional < 0
    assert item.thumbnail is not None
    assert Image.open(io.BytesIO(item.thumbnail)).format == "JPEG"


def test_without_a_word_nothing_is_claimed(stub_coach: "Coach", squat: PoseSequence) -> None:
    clip = Clip("clip", {}, squat)
    (item,) = demonstrations_of(stub_coach, clip, PoseResult(squat), About(SQUAT))
    assert (item.level, item.licence, item.correct_regions, item.note) == (None, None, (), "")
    assert item.start == pytest.approx(squat.duration / 2 - 1, abs=0.05)  # the heaviest moment


def test_a_clip_that_cannot_be_judged_is_refused(stub_coach: "Coach", squat: PoseSequence) -> None:
    clip, about = Clip("clip", {}, squat), About(SQUAT)
    stub_coach.perception.assessor.judged = False  # type: ignore[misc]
    with pytest.raises(PoiseError, match=r"^clip clip cannot be a demonstration; .*--force"):
        demonstrations_of(stub_coach, clip, PoseResult(squat), about)
    assert demonstrations_of(stub_coach, clip, PoseResult(squat), replace(about, trusted=True))


def test_another_activity_is_refused(stub_coach: "Coach", squat: PoseSequence) -> None:
    clip = Clip("clip", {}, squat)
    with pytest.raises(PoiseError, match=r"another activity; got: bodyweight_squat \(prob.* 0.90"):
        demonstrations_of(stub_coach, clip, PoseResult(squat), About("basketball_free_throw"))
    with pytest.raises(PoiseError, match="unknown activity; got: 'tennis'"):
        demonstrations_of(stub_coach, clip, PoseResult(squat), About("tennis"))


def test_spans_and_lengths_are_checked(stub_coach: "Coach", squat: PoseSequence) -> None:
    clip = Clip("clip", {}, squat)
    for span in ((-1.0, 1.0), (3.0, 2.0), (0.0, 1000.0)):
        with pytest.raises(PoiseError, match="no such part of the clip"):
            demonstrations_of(stub_coach, clip, PoseResult(squat), About(SQUAT, span=span))
    short = squat.crop(0.0, 1.5)
    with pytest.raises(PoiseError, match=r"too short for a demonstration; got: 1.50 s"):
        demonstrations_of(stub_coach, clip, PoseResult(short), About(SQUAT))
    with pytest.raises(PoiseError, match="unknown level"):
        About(SQUAT, level="Pro")
    with pytest.raises(PoiseError, match="unknown region"):
        About(SQUAT, regions=("knees",))


def sample(name: str, pose: PoseSequence | None, **changes: object) -> dict[str, object]:
    """A Late Expert's clip with one repetition and nothing to improve."""
    return {
        "sample_id": name, "participant_id": name, "activity": SQUAT, "split": "train",
        "span": [0.0, 6.0], "pose": pose, "level": 3, "faults": [], "origin": "simulated drills",
        "regions": {"head": 2, "torso": 2, "arms": 2, "hands": 2, "legs": 1, "feet": 1},
        "repetitions": [{"start": 1.0, "end": 4.0}], "moments": [{"start": 2.0, "end": 3.0}],
    } | changes  # fmt: skip


def test_experts_without_faults_are_taken_from_a_data_set(
    stub_coach: "Coach", squat: PoseSequence, tmp_path: Path
) -> None:
    faulty = {"head": 2, "torso": 0, "arms": 2, "hands": 2, "legs": 1, "feet": 1}
    nothing = dict.fromkeys(faulty, 2)
    comment = {"repetitions": None, "moments": [{"start": 0.0, "end": 3.5}], "span": [20.0, 24.0]}
    write_samples(
        [
            sample("expert", squat),
            sample("beginner", squat, level=1),
            sample("criticised", squat, regions=faulty),
            sample("not-praised", squat, regions=nothing),
            sample("unlabelled", squat, regions=None),
            sample("no-pose", None),
            sample("stranger", squat, level=None),
            sample("comment", squat, **comment),
            sample("short", squat.crop(0.0, 1.0), **comment),
        ],
        tmp_path / "data",
    )
    told = build(stub_coach, tmp_path / "data", tmp_path / "mine", no_progress)
    assert told["demonstrations"] == 4
    assert told["by_activity"] == {SQUAT: 4}
    assert told["left_out"] == {
        "another level": 1,
        "something to improve": 1,
        "no region said to be correct": 2,
        "no pose": 1,
        "no level or activity": 1,
        "shorter than 2 s": 1,
    }
    store = DemoStore.open(tmp_path / "mine")
    store.check_encoding(stub_coach.checkpoint.sha256())
    items = store.select(Choice())
    assert [item.demonstration_id for item in items] == [
        "comment@1.50", "expert@1.00", "expert@1.50", "expert@2.00",
    ]  # fmt: skip
    assert (items[0].start, items[0].end) == (21.5, 23.5)  # seconds of the take's film
    for item in items:
        assert (item.level, item.correct_regions) == ("Late Expert", ("legs", "feet"))
        assert item.licence == "Apache-2.0"
        assert item.unconditional < 0
        assert item.thumbnail


def test_of_sports_that_stage_1_does_not_know_all_are_candidates(
    stub_coach: "Coach", squat: PoseSequence, tmp_path: Path
) -> None:
    layup = {"activity": "basketball, layup"}
    rows = [sample("squatter", squat), sample("player", squat, **layup)]
    write_samples(rows, tmp_path / "both")
    told = build(stub_coach, tmp_path / "both", tmp_path / "open", no_progress)
    assert told["any_activity"]
    store = DemoStore.open(tmp_path / "open")
    assert len(store.candidates(SQUAT, store.items[0].window)) == len(store) == 6
    rows[1]["level"] = 1  # who is not shown does not count
    write_samples(rows, tmp_path / "one")
    assert not build(stub_coach, tmp_path / "one", tmp_path / "told", no_progress)["any_activity"]


def test_nothing_to_show_leaves_no_library(
    stub_coach: "Coach", squat: PoseSequence, tmp_path: Path
) -> None:
    write_samples([sample("beginner", squat, level=1)], tmp_path / "data")
    with pytest.raises(PoiseError, match=r"no demonstration in .*; got: 1 x another level"):
        build(stub_coach, tmp_path / "data", tmp_path / "mine", no_progress)
    with pytest.raises(PoiseError, match="no expert library"):
        DemoStore.open(tmp_path / "mine")
    found = dataset_items(stub_coach, tmp_path / "data", no_progress, Counter(), ("Early Expert",))
    assert len(list(found)) == 3


def test_a_film_longer_than_its_last_moment_ends_with_a_whole_window() -> None:
    row = sample("x", None, repetitions=None, moments=[{"start": 0.0, "end": 9.0}])
    assert key_windows(row, 6.0) == ((0.0, 6.0), [4.0])


def test_a_library_is_copied_or_encoded_anew(
    stub_coach: "Coach", library: Library, tmp_path: Path
) -> None:
    build(stub_coach, None, tmp_path / "copy", no_progress)
    copied = DemoStore.open(tmp_path / "copy").items
    assert [i.demonstration_id for i in copied] == [i.demonstration_id for i in library.items]
    for item, old in zip(copied, library.items, strict=True):
        assert np.array_equal(item.codes, old.codes)  # the checkpoint's own: as they are
    DemoStore.create(tmp_path / "foreign", "sha-of-another", library.items)
    build(stub_coach, tmp_path / "foreign", tmp_path / "anew", no_progress)
    anew = DemoStore.open(tmp_path / "anew")
    anew.check_encoding(stub_coach.checkpoint.sha256())
    assert any(
        not np.array_equal(item.codes, old.codes)
        for item, old in zip(anew.items, library.items, strict=True)
    )
    build(stub_coach, tmp_path / "anew", tmp_path / "again", no_progress)
    for item, old in zip(DemoStore.open(tmp_path / "again").items, anew.items, strict=True):
        assert np.array_equal(item.codes, old.codes)


def test_a_picture_shows_a_body_and_is_written_by_name(library: Library, tmp_path: Path) -> None:
    item = replace(library.items[0], demonstration_id="a/b@1.00")
    (path,) = write_thumbnails([item], tmp_path / "new")
    assert path == tmp_path / "new" / "a_b@1.00.jpg"
    assert path.read_bytes() == pose_thumbnail(item)
    picture = np.asarray(Image.open(path))
    assert picture.shape == (240, 240, 3)
    drawn = np.abs(picture.astype(int) - 32).max(-1) > max(RIM) + 40
    rows, columns = np.nonzero(drawn)
    assert 0.01 < drawn.mean() < 0.3
    assert np.ptp(rows) > 120 and 20 < columns.mean() < 220


def test_coaching_uses_ones_own_library(
    stub_coach: "Coach", library: Library, squat: PoseSequence, tmp_path: Path
) -> None:
    from assistant.coach import _library
    from assistant.coach_result import CoachInput

    sha = stub_coach.checkpoint.sha256()
    mine = [replace(library.items[0], demonstration_id="mine", licence=None)]
    DemoStore.create(tmp_path / "mine", sha, mine)
    stub_coach.library = _library(stub_coach.checkpoint, tmp_path / "mine")
    (row,) = stub_coach.coach(CoachInput("clip", squat)).feedback.to_json()["demonstrations"]
    assert (row["id"], row["licence"]) == ("mine", None)
    DemoStore.create(tmp_path / "foreign", "sha-of-another", mine)
    with pytest.raises(PoiseError, match="encoded by another checkpoint"):
        _library(stub_coach.checkpoint, tmp_path / "foreign")
