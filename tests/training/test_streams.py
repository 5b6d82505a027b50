"""Films and gaze of simulated clips as streams."""

from pathlib import Path

import numpy as np
import pytest

from assistant.proficiency.streams import GAZE_FPS, LONGEST_SECONDS, VIDEO_FPS
from assistant.video.encoder import VideoEncoder
from data_prep.drills.records import Drill
from data_prep.drills.simulate import simulate_many
from training.streams import (
    action_span,
    gaze_stream,
    load_streams,
    save_streams,
    video_streams,
)


@pytest.fixture(scope="module")
def drills() -> list[Drill]:
    return simulate_many(2, 2, 5)


@pytest.fixture(scope="module")
def encoder() -> VideoEncoder:
    small = {"num_frames": 4, "image_size": 32, "patch_size": 16, "hidden_size": 8}
    layers = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    return VideoEncoder.from_config("timesformer", **small, **layers).freeze()


def test_gaze_is_the_drill_s_own_at_five_a_second(drills: list[Drill]) -> None:
    for drill in drills:
        stream = gaze_stream(drill)
        assert stream.fps == GAZE_FPS and stream.start == 0
        assert stream.values[3] == pytest.approx(drill.gaze[round(3 / GAZE_FPS * drill.pose.fps)])
        assert abs(stream.end - drill.pose.duration) <= 1 / GAZE_FPS


def test_films_cover_the_repetitions_and_do_not_depend_on_workers(
    drills: list[Drill], encoder: VideoEncoder
) -> None:
    one = video_streams(drills, encoder, seed=3, workers=1)
    two = video_streams(drills, encoder, seed=3, workers=2)
    for drill, mine, again in zip(drills, one, two, strict=True):
        assert mine.keys() == again.keys() and set(mine) <= {"ego", "exo"} and mine
        start, end = action_span(drill)
        for name, stream in mine.items():
            assert np.array_equal(stream.values, again[name].values)
            assert stream.start == start and stream.fps == VIDEO_FPS
            assert stream.end == pytest.approx(min(end, start + LONGEST_SECONDS), abs=0.11)


def test_saving_keeps_every_stream(
    drills: list[Drill], encoder: VideoEncoder, tmp_path: Path
) -> None:
    made = video_streams(drills[:2], encoder, seed=3, workers=1, both_share=1.0)
    clips = dict(zip(("a", "b/c"), made, strict=True))
    save_streams(tmp_path / "s.npz", clips)
    back = load_streams(tmp_path / "s.npz")
    assert back.keys() == clips.keys()
    for clip, mine in clips.items():
        for name, stream in mine.items():
            assert np.array_equal(back[clip][name].values, stream.values)
            assert (back[clip][name].fps, back[clip][name].start) == (stream.fps, stream.start)
    assert not list(tmp_path.glob("*.part*"))
