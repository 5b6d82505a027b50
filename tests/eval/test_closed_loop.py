"""Whether a corrected clip is judged better: the sums by hand, and the loop with an open heart."""

from types import SimpleNamespace

import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.coach_result import CoachResult, with_window
from assistant.feedback import Feedback
from assistant.perceive import reassess
from assistant.pose.normalise import REST_POSE, normalise
from assistant.proficiency.assess import recrop
from assistant.tasks.window import cut_window
from eval import closed_loop as loop
from eval.tables import closed_loop_table
from eval.testset import InjectedFault, TestClip

ACTIVITY = "bodyweight_squat"


def raised(height: float) -> PoseSequence:
    """A body that stands with its wrists `height` metres higher."""
    joints = np.repeat(REST_POSE[None], 120, axis=0).astype(np.float32)
    joints[:, [9, 10], 2] += height
    return PoseSequence(joints, np.ones(joints.shape[:2], np.float32), 30.0, source="simulated")


class WristAssessor:
    """Judges a clip by how high its wrists are in the mean: q is that height, three times."""

    def assess_many(self, poses, *, activity=None, find_span=True):  # type: ignore[no-untyped-def]
        assert activity == ACTIVITY and not find_span
        return [SimpleNamespace(q=np.full(3, p.joints[:, [9, 10], 2].mean())) for p in poses]


def test_reassessing_sees_the_frames_in_the_window_and_nothing_else() -> None:
    pose = normalise(raised(0.0))
    window = cut_window(pose, 1.0)
    higher = window.joints.copy()
    higher[:, [9, 10], 2] += 0.2
    perception = SimpleNamespace(assessor=WristAssessor())

    def judged(frames: np.ndarray) -> float:
        settings = {"activity": ACTIVITY, "span": (0.5, 3.5)}
        return reassess(perception, pose, window, frames, **settings).q[0]  # type: ignore[arg-type]

    same = recrop(pose, (0.5, 3.5)).joints[:, [9, 10], 2].mean()
    assert judged(window.joints) == pytest.approx(same, abs=1e-4)
    # Two of three seconds are raised by 20 cm.
    assert judged(higher) - same == pytest.approx(0.2 * 2 / 3, abs=0.01)
    assert len(with_window(pose, window, higher)) == len(pose)


def result(pose: PoseSequence, correction_height: float, *, judged: bool = True) -> CoachResult:
    normal = normalise(pose)
    window = cut_window(normal, 1.0)
    corrected = window.joints.copy()
    corrected[:, [9, 10], 2] += correction_height
    before = float(recrop(normal, (0.5, 3.5)).joints[:, [9, 10], 2].mean())
    feedback = Feedback(
        clip={"id": "c", "span": [0.5, 3.5]},
        activity={"name": ACTIVITY, "probability": 1.0},
        judged=judged,
        abstain_reason=None,
        measurements=[],
        provenance={},
        proficiency={"coral": [before] * 3} if judged else None,
    )
    if not judged:
        return CoachResult(feedback)
    return CoachResult(feedback, frames=window, corrected=corrected)


def test_rises_of_the_correction_and_its_floors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The codec gives back what it gets and bones are left as they are: only the way is tested."""
    monkeypatch.setattr(loop, "through_codec", lambda perception, joints: joints)
    monkeypatch.setattr(loop, "restore_bone_lengths", lambda joints, lengths: joints)
    learner, twin = raised(0.0), raised(0.3)
    fault = InjectedFault("shallow_depth", "legs", 0.6, 1.0, 2.0)
    late = InjectedFault("shallow_depth", "legs", 0.6, 3.6, 3.9)

    def clip(name: str, *faults: InjectedFault) -> TestClip:
        return TestClip(name, name, ACTIVITY, 1, learner, learner, twin, faults, {})

    clips = [clip("a", fault), clip("b", fault), clip("c", late), clip("d", fault)]
    results = [
        result(learner, 0.12),
        result(learner, -0.06),
        result(learner, 0.5),
        result(learner, 0.5, judged=False),
    ]
    perception = SimpleNamespace(assessor=WristAssessor())
    rises = loop.score_rises(perception, clips, results, seed=0)  # type: ignore[arg-type]
    assert rises[2] is None and rises[3] is None  # no fault in the window; not judged
    first, second = rises[0], rises[1]
    assert first is not None and second is not None
    # q is three times the height, and two of three seconds change.
    assert first["correction"] == pytest.approx(0.12 * 2, abs=0.03)
    assert second["correction"] == pytest.approx(-0.06 * 2, abs=0.03)
    assert first["other_correction"] == pytest.approx(second["correction"], abs=0.01)
    assert second["other_correction"] == pytest.approx(first["correction"], abs=0.01)
    assert first["own_frames"] == pytest.approx(0, abs=0.01)
    assert first["twin"] == pytest.approx(0.3 * 2, abs=0.05)

    found = loop.summarise_rises(rises, [c.performer for c in clips], seed=0)
    assert found["closed_loop_n"] == 2
    assert found["closed_loop_correction_risen"] == 0.5
    assert found["closed_loop_twin_risen"] == 1.0
    mean = (first["correction"] + second["correction"]) / 2
    assert found["closed_loop_correction_rise"] == pytest.approx(mean)
    low, high = found["closed_loop_correction_rise_interval"]
    assert low <= mean <= high
    assert found["closed_loop_tests"]["correction - twin"]["difference"] < -0.4
    table = closed_loop_table(found)
    assert "the true fault-free twin" in table and "0.500" in table


def test_nothing_to_reassess_is_said() -> None:
    found = loop.summarise_rises([None, None], ["a", "b"], seed=0)
    assert found == {"closed_loop_n": 0}
    assert "not run" in closed_loop_table(found)
