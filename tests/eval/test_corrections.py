"""Scores of one correction, with a codec and a library whose answers are known."""

from types import SimpleNamespace

import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.demos.library import Demonstration, Library
from assistant.demos.rank import Ranked
from assistant.pose.normalise import REST_POSE, normalise
from assistant.skeleton import LEFT_WRIST, RIGHT_WRIST
from assistant.tasks.window import cut_window
from eval import corrections as c


def raised(height: float, seed: int = 0) -> PoseSequence:
    """Both hands go up by `height` metres within three seconds."""
    joints = np.tile(REST_POSE, (90, 1, 1)).astype(np.float32)
    joints[:, [LEFT_WRIST, RIGHT_WRIST], 2] += np.linspace(0, height, 90)[:, None]
    joints[:, :, 2] += 1.0
    return PoseSequence(joints, np.ones((90, 17), np.float32), 30.0)


def expert(name: str, height: float) -> Demonstration:
    joints = cut_window(normalise(raised(height)), 0.5).joints
    codes = np.zeros((10, 2), int)
    return Demonstration(
        name, "throw", 0.0, 2.0, "Late Expert", (), joints, 5.0, codes, unconditional=0.0
    )


def result(
    learner: PoseSequence,
    corrected: PoseSequence,
    ranking: list[str],
    estimate: PoseSequence | None = None,
) -> SimpleNamespace:
    frames = cut_window(normalise(learner), 0.5)
    return SimpleNamespace(
        frames=frames,
        corrected=cut_window(normalise(corrected), 0.5).joints,
        decoded=None,
        estimate=None if estimate is None else cut_window(normalise(estimate), 0.5).joints,
        ranked=[
            Ranked(expert(name, 0), -1.0 + i, -float(i), 20.0, 25.0, 30.0, score=-float(i))
            for i, name in enumerate(ranking)
        ],
        feedback=SimpleNamespace(demonstration_reason=None),
    )


@pytest.fixture
def exact_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c, "through_codec", lambda perception, joints: joints)


def score(outcome: SimpleNamespace, learner: PoseSequence, twin: PoseSequence, spans=((0, 3),)):
    library = Library([expert("low", 0.1), expert("middle", 0.5), expert("high", 0.9)])
    return c.score_correction(
        outcome,
        activity="throw",
        clean=learner,
        twin=twin,
        fault_spans=spans,
        experts=c.ExpertWindows(library),
        perception=None,
    )


def test_a_perfect_correction_is_the_twin(exact_codec: None) -> None:
    learner, twin = raised(0.1), raised(0.9)
    found = score(result(learner, twin, ["high", "low", "middle"]), learner, twin)
    assert found.faulty
    assert found.motions["correction"].frame_mm == pytest.approx(0, abs=0.05)
    assert found.motions["codec_floor"].frame_mm == pytest.approx(0, abs=0.05)
    assert found.motions["copy_learner"].frame_mm > 5
    assert found.motions["copy_learner"] == found.motions["learner_codec"]
    assert found.motions["retrieved_expert"].frame_mm == pytest.approx(0, abs=0.05)
    assert found.motions["nearest_expert"].frame_mm == pytest.approx(
        found.motions["copy_learner"].frame_mm, abs=0.05
    )
    middle = found.motions["global_expert"].frame_mm  # of low, middle and high it is nearest to all
    assert 0 < middle < found.motions["copy_learner"].frame_mm
    assert 0 < found.motions["mean_expert"].frame_mm < found.motions["copy_learner"].frame_mm


def test_ranks_of_the_gold_demonstration(exact_codec: None) -> None:
    learner, twin = raised(0.1), raised(0.9)
    found = score(result(learner, twin, ["low", "high", "middle"]), learner, twin)
    assert found.ranks == {
        "fitted": 2,
        "log_likelihood": 2,  # the other way round: low, high, middle have -1, 0, 1
        "relative": 2,
        "to_correction_mm": 3,  # all alike: ties count against it
        "neighbour": 3,
        "global": 2,
    }
    assert (found.suitable, found.candidates) == (True, 3)
    unranked = score(result(learner, twin, []), learner, twin)
    assert (unranked.ranks, unranked.suitable) == ({}, None)
    assert "retrieved_expert" not in unranked.motions


def test_perceptions_estimate_is_scored_beside_the_correction(exact_codec: None) -> None:
    learner, twin = raised(0.1), raised(0.9)
    assert "estimate" not in score(result(learner, twin, []), learner, twin).motions
    found = score(result(learner, learner, ["high"], estimate=twin), learner, twin)
    assert found.motions["estimate"].frame_mm == pytest.approx(0, abs=0.05)
    assert found.motions["correction"].frame_mm > 5
    assert (found.ranks["estimate"], found.ranks["neighbour"]) == (1, 3)


def test_a_window_without_a_fault_is_not_faulty(exact_codec: None) -> None:
    learner, twin = raised(0.1), raised(0.9)
    assert not score(result(learner, twin, []), learner, twin, spans=((2.6, 3.0),)).faulty
    assert not score(result(learner, twin, []), learner, twin, spans=()).faulty


def test_a_clip_that_is_not_judged_has_no_scores() -> None:
    outcome = SimpleNamespace(frames=None, corrected=None, ranked=())
    assert score(outcome, raised(0.1), raised(0.2)) is None
