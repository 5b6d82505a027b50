"""`poise data drills --render`: films in the dataset, and nothing else changed."""

import json

import numpy as np
import pytest

from assistant.cli import run_command
from assistant.dataset import read_samples
from assistant.video.decode import frames, probe
from data_prep.drills.film import films_beside


def make(folder, *more):
    arguments = ["--performers", 1, "--clips", 1, "-o", folder, "--json", *more]
    return run_command("data", ["drills", *map(str, arguments)])


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filmed") / "set"
    assert make(folder, "--render", 2) == 0
    return folder


def test_each_clip_is_filmed_over_its_whole_length(filmed):
    records = read_samples(filmed)
    assert len(records) == 1
    for record in records:
        assert list(record["views"]) == ["ego", "exo1"]
        for path in record["views"].values():
            info = probe(filmed / path)
            assert (info.width, info.height) == (128, 128)
            assert info.duration == pytest.approx(record["pose"].duration, abs=0.05)
    stills = [next(frames(filmed / path))[1] for path in records[0]["views"].values()]
    assert np.abs(stills[0].astype(int) - stills[1]).mean() > 5  # two cameras see two pictures
    assert sorted(p.name for p in filmed.parent.iterdir()) == ["set"]


def test_apart_from_views_the_dataset_is_the_same(filmed, tmp_path, capsys):
    assert make(tmp_path / "plain") == 0
    plain = read_samples(tmp_path / "plain")
    assert not (tmp_path / "plain" / "films").exists()
    for a, b in zip(plain, read_samples(filmed), strict=True):
        assert not a["views"]
        assert (a["sample_id"], a["summary"]) == (b["sample_id"], b["summary"])
        np.testing.assert_array_equal(a["pose"].joints, b["pose"].joints)
    assert json.loads(capsys.readouterr().out)["clips"] == 1


def test_the_calibration_is_that_of_the_films(filmed):
    """The body is drawn where the dataset's cameras project the joints."""
    record = read_samples(filmed)[0]
    camera = json.loads((filmed / record["calibration"]).read_text())["exo1"]
    assert camera["size"] == 128
    still = next(frames(filmed / record["views"]["exo1"]))[1].astype(int)
    joints = record["pose_clean"].joints[0] @ np.array(camera["R"]).T + camera["t"]
    pixels = joints @ np.array(camera["K"]).T
    x, y = (pixels[:, :2] / pixels[:, 2:]).round().astype(int).clip(0, 127).T
    # Floor and walls change little along a row of the picture.
    stands_out = np.abs(still - np.median(still, axis=1, keepdims=True)).sum(axis=-1)
    assert np.median(stands_out[y, x]) > 3 * stands_out.mean()


def test_a_failing_build_leaves_no_films(tmp_path):
    def build():
        with films_beside(tmp_path / "set", True) as films:
            (films / "a.mp4").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        build()
    assert list(tmp_path.iterdir()) == []
