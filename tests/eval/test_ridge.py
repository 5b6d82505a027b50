"""Ridge regression from learner to twin: what is linear is found, and other performers judge it."""

from pathlib import Path

import numpy as np
import pytest

from assistant.pose.alignment import pa_mpjpe
from assistant.pose.normalise import normalise
from assistant.tasks.window import cut_window
from eval.poses import window_joints
from eval.ridge import RidgeCorrection
from eval.testset import TestClip, load

ARGUMENTS = (
    "--performers", "12", "--clips", "4", "--seed", "31", "--split", "train", "--noise", "15",
    "--activities", "bodyweight_squat",
)  # fmt: skip


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[TestClip]:
    folder: Path = tmp_path_factory.mktemp("ridge")
    return load(folder, "squats", ARGUMENTS).clips


def errors(ridge: RidgeCorrection, clips: list[TestClip]) -> np.ndarray:
    """[N, 2] millimetres to the twin in the middle of a fault: as seen, and corrected."""
    found = []
    for clip in clips:
        if clip.fault_spans:
            start = float(np.mean(clip.fault_spans[0])) - 1.0
            window = cut_window(normalise(clip.pose), max(start, 0.0))
            twin = window_joints(clip.twin, window.start)
            motions = (window.joints, ridge.correct(clip.activity, window.joints))
            found.append([pa_mpjpe(motion, twin).mean() for motion in motions])
    return np.array(found)


def test_it_corrects_performers_that_it_never_saw(clips: list[TestClip]) -> None:
    names = sorted({clip.performer for clip in clips})
    held = names[::4]
    ridge = RidgeCorrection().fit([clip for clip in clips if clip.performer not in held])
    found = errors(ridge, [clip for clip in clips if clip.performer in held])
    assert found[:, 1].mean() < found[:, 0].mean()


def test_the_same_clips_give_the_same_map(clips: list[TestClip]) -> None:
    one, other = RidgeCorrection().fit(clips), RidgeCorrection().fit(clips)
    assert (errors(one, clips) == errors(other, clips)).all()


def test_an_activity_without_clips_is_left_as_it_is(clips: list[TestClip]) -> None:
    window = np.random.default_rng(0).normal(size=(10, 17, 3))
    assert (RidgeCorrection().fit(clips).correct("golf_swing", window) == window).all()
