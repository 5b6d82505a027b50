"""Drill films: the frames the encoder reads, and mp4 files that play back as rendered."""

import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.video.decode import frames, probe, write_video
from data_prep.drills.film import span_pictures, write_drill_film
from data_prep.drills.render import render_views


def falling() -> PoseSequence:
    """A crude body that sinks; only its pictures matter."""
    rng = np.random.default_rng(0)
    body = rng.uniform([-0.2, -0.3, 0.1], [0.2, 0.3, 1.7], (17, 3))
    joints = np.repeat(body[None], 30, axis=0).astype(np.float32)
    joints[:, :11, 2] -= np.linspace(0, 0.3, 30)[:, None]
    return PoseSequence(joints, np.ones((30, 17), np.float32), 30.0)


def test_span_pictures_are_the_middles_of_equal_parts() -> None:
    pose = falling()
    pictures = span_pictures(pose, ["exo2", "ego"], (0.2, 0.6), frames=4, size=32, seed=3)
    assert pictures.shape == (2, 4, 32, 32, 3)
    times = [0.25, 0.35, 0.45, 0.55]
    direct = render_views(pose, ["exo2"], times, size=32, seed=3)["exo2"]
    assert np.array_equal(pictures[0], direct)


def test_a_drill_film_plays_back_as_rendered(tmp_path) -> None:
    path = tmp_path / "drill.mp4"
    write_drill_film(falling(), path, view="exo1", size=64, fps=15, seed=1)
    info = probe(path)
    assert (info.width, info.height, info.frames) == (64, 64, 15)
    assert info.fps == pytest.approx(15, rel=0.01)
    time, picture = next(iter(frames(path, [0.6])))
    expected = render_views(falling(), ["exo1"], [time], size=64, seed=1)["exo1"][0]
    assert np.abs(picture.astype(int) - expected).mean() < 8


def test_the_same_pictures_give_the_same_file(tmp_path) -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (5, 32, 32, 3), dtype=np.uint8)
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, pictures, 10.0)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_odd_sides_are_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="even sides"):
        write_video(tmp_path / "x.mp4", np.zeros((2, 31, 32, 3), np.uint8), 10.0)
