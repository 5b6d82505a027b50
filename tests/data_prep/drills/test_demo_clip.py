"""The bundled demo is what its generator makes: a short film, its pose, and two faults."""

from pathlib import Path

import numpy as np
import pytest

import assistant
from assistant.pose.read import read_pose
from assistant.video.decode import probe
from data_prep.drills.demo_clip import FAULTS, NAME, demo_drill, write_demo

BUNDLED = Path(str(assistant.__file__)).parent / "weights" / "demo"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder)
    return folder


@pytest.mark.parametrize("place", ["bundled", "made"])
def test_film_and_pose_belong_together(place: str, made) -> None:
    folder = BUNDLED if place == "bundled" else made
    film, pose = probe(folder / f"{NAME}.mp4"), read_pose(folder / f"{NAME}.npz")
    assert (film.width, film.height) == (256, 256)
    assert 6 <= film.duration <= 8.5
    assert film.duration == pytest.approx(pose.duration, abs=0.05)
    assert pose.source == "file"  # it carries noise, so its error bars are not zero
    assert sum(path.stat().st_size for path in folder.glob(f"{NAME}.*")) < 200_000


def test_both_repetitions_show_the_faults() -> None:
    drill = demo_drill()
    assert len(drill.repetitions) == 2
    assert sorted(fault.name for fault in drill.faults) == sorted(2 * list(FAULTS))


def test_making_it_again_gives_the_same_files(made, tmp_path) -> None:
    film, pose = write_demo(tmp_path)
    assert film.read_bytes() == (made / film.name).read_bytes()
    assert np.array_equal(read_pose(pose).joints, read_pose(made / pose.name).joints)


def test_the_bundled_pose_is_what_the_simulator_makes_now(made) -> None:
    """Fails after a change of the simulator: run `python -m data_prep.drills.demo_clip`."""
    bundled, now = (read_pose(folder / f"{NAME}.npz").joints for folder in (BUNDLED, made))
    assert np.abs(bundled - now).max() < 1e-3
