"""Samples survive the disk; bad folders and keys are named."""

import json
import weakref

import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.dataset import (
    COLUMNS,
    INFO_FILE,
    ROWS_IN_MEMORY,
    iterate_samples,
    read_samples,
    write_samples,
)
from assistant.errors import PoiseError
from assistant.packing import POSE_STEP, pack, unpack


def walk(seed, frames=50):
    rng = np.random.default_rng(seed)
    joints = rng.normal(size=(1, 17, 3)) + np.cumsum(rng.normal(0, 0.01, (frames, 17, 3)), axis=0)
    return PoseSequence(joints.astype(np.float32), np.ones((frames, 17), np.float32), 30.0)


def sample(seed, **more):
    clean = walk(seed)
    return {
        "sample_id": f"s{seed}",
        "activity": "bodyweight_squat",
        "level": 2,
        "pose": PoseSequence(clean.joints + 0.01, clean.confidence, 30.0, "simulated"),
        "pose_clean": clean,
        "twin": walk(seed + 1),
        "steps": np.array([0] * 20 + [1] * 20 + [2] * 10),
        "gaze": np.zeros((50, 2), np.float32),
        "regions": {"head": 2, "torso": 0, "arms": 1, "hands": 2, "legs": 2, "feet": 2},
        "faults": [{"name": "a", "region": "torso", "severity": 0.5, "start": 0.25, "end": 1.0}],
        "moments": [{"start": 0.25, "end": 1.0}],
        "dialogues": [{"question": "q", "answer": "a"}],
        "views": {"exo1": "films/s.mp4"},
        **more,
    }


def test_packing_is_within_half_a_step():
    rng = np.random.default_rng(0)
    for shape in ((1, 3), (2, 17, 3), (200, 17, 3), (7,)):
        array = rng.normal(0, 3, shape)
        back = unpack(pack(array, POSE_STEP))
        assert back.shape == shape
        np.testing.assert_allclose(back, array, atol=POSE_STEP / 2 + 1e-6)


def test_packing_refuses_other_bytes():
    for junk in (b"", b"PZ", b"parquet file", pack(np.zeros((4, 2)), 1.0)[:-6]):
        with pytest.raises(PoiseError, match="packed array"):
            unpack(junk)


def test_what_is_written_is_read(tmp_path):
    single = PoseSequence(
        walk(3).joints,
        np.linspace(0, 1, 850, dtype=np.float32).reshape(50, 17),
        25.0,
        "mediapipe",
        False,
    )
    written = [sample(0), sample(1, pose=single, twin=None, views=None), {"sample_id": "empty"}]
    write_samples(written, tmp_path / "set", {"preset": "none"})
    first, second, third = read_samples(tmp_path / "set")
    assert set(first) == set(COLUMNS)
    for key in ("pose", "pose_clean", "twin"):
        np.testing.assert_allclose(first[key].joints, written[0][key].joints, atol=4e-4)
    for key in ("sample_id", "level", "regions", "faults", "moments", "dialogues", "views"):
        assert first[key] == written[0][key]
    assert np.array_equal(first["steps"], written[0]["steps"])
    assert second["twin"] is None
    assert second["pose"].fps == 25
    assert second["pose"].source == "mediapipe"
    assert not second["pose"].world
    np.testing.assert_allclose(second["pose"].confidence, single.confidence, atol=0.003)
    assert all(value is None for key, value in third.items() if key != "sample_id")


def test_the_sha_is_that_of_the_content(tmp_path):
    one = write_samples([sample(0), sample(1)], tmp_path / "one")
    two = write_samples([sample(0), sample(1)], tmp_path / "two")
    other = write_samples([sample(0), sample(1, level=3)], tmp_path / "three")
    assert one == two != other
    assert json.loads((tmp_path / "one" / INFO_FILE).read_text())["sha256"] == one


def test_bad_folders_and_keys(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    with pytest.raises(PoiseError, match="a folder with files in it"):
        write_samples([sample(0)], tmp_path / "full")
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["note.txt"]
    with pytest.raises(PoiseError, match="level_name"):
        write_samples([sample(0, level_name="x")], tmp_path / "new")
    with pytest.raises(PoiseError, match=r"no readable poise\.json"):
        read_samples(tmp_path / "full")
    write_samples([sample(0)], tmp_path / "old")
    (tmp_path / "old" / INFO_FILE).write_text('{"schema_version": 99}')
    with pytest.raises(PoiseError, match="schema version 99"):
        read_samples(tmp_path / "old")


def test_a_dataset_without_samples_is_refused(tmp_path):
    folder = tmp_path / "set"
    for none in ([], iter(())):
        with pytest.raises(PoiseError, match=r"cannot write dataset .*set; got: no sample"):
            write_samples(none, folder)
        assert not list(folder.iterdir())
    write_samples([{"sample_id": "x"}], folder)


def test_a_generator_is_drained_row_by_row(tmp_path):
    """Same files and sha as from a list, and no more rows alive than one batch."""
    seen = []

    def rows():
        for seed in range(3 * ROWS_IN_MEMORY):
            record = sample(seed % 4, sample_id=f"s{seed}")
            seen.append(weakref.ref(record["pose"].joints))
            yield record
            most.append(sum(ref() is not None for ref in seen))

    most = []
    sha = write_samples(rows(), tmp_path / "stream")
    listed = [sample(seed % 4, sample_id=f"s{seed}") for seed in range(3 * ROWS_IN_MEMORY)]
    assert write_samples(listed, tmp_path / "list") == sha
    name = "data-00000-of-00001.arrow"
    assert (tmp_path / "stream" / name).read_bytes() == (tmp_path / "list" / name).read_bytes()
    assert max(most) <= 2
    read = iterate_samples(tmp_path / "stream")
    assert next(read)["sample_id"] == "s0"
    assert len(list(read)) == 3 * ROWS_IN_MEMORY - 1


def test_the_bytes_of_a_stored_set_do_not_change(tmp_path):
    """Tables name datasets by this hash: it was the same before rows were streamed."""
    still = PoseSequence(
        np.arange(153, dtype=np.float32).reshape(3, 17, 3), np.ones((3, 17), "f4"), 30.0
    )
    record = {"sample_id": "a", "level": 1, "pose": still, "views": {"ego": "a.mp4"}}
    sha = write_samples([record], tmp_path / "set")
    assert sha == "dff5ff22d84811c9a1e2b3b5305f555a4ae0fbd3f9cf8d3278d318450d3d30c5"


def test_a_failing_source_leaves_nothing_behind(tmp_path):
    def rows():
        yield sample(0)
        raise PoiseError("the source broke")

    with pytest.raises(PoiseError, match="the source broke"):
        write_samples(rows(), tmp_path / "set")
    assert list((tmp_path / "set").iterdir()) == []
    write_samples([sample(0)], tmp_path / "set")


def test_optional_columns(tmp_path):
    paths = {"omnivore_video": {"ego": "f/a.pt", "exo2": "f/b.pt"}}
    write_samples([sample(0, features=None), sample(1, features=paths)], tmp_path / "with")
    first, second = read_samples(tmp_path / "with")
    assert first["features"] is None
    assert second["features"] == paths
    # What is read can be written again.
    sha = write_samples(iterate_samples(tmp_path / "with"), tmp_path / "again")
    assert sha == json.loads((tmp_path / "with" / INFO_FILE).read_text())["sha256"]
    write_samples([sample(0)], tmp_path / "without")
    assert "features" not in read_samples(tmp_path / "without")[0]
    with pytest.raises(PoiseError, match="unknown keys in a sample; got: features"):
        write_samples([sample(0), sample(1, features=paths)], tmp_path / "late")
