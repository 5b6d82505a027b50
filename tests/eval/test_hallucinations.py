"""Contradicted and unsupported remarks by hand."""

from dataclasses import replace

import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.evidence import ExpertQuantity, Experts
from assistant.pose.normalise import REST_POSE
from eval import hallucinations as h
from eval.tables import remarks_table
from eval.testset import InjectedFault, TestClip

BAD, GOOD = "needs_improvement", "correct"
STANDING = PoseSequence(
    np.repeat(REST_POSE[None], 30, axis=0).astype(np.float32), np.ones((30, 17), np.float32), 30.0
)
SQUAT = "bodyweight_squat"
SHALLOW, CAVING = "The squat is too shallow.", "The knees cave in."


def clip(number: int, *names: str, pose: PoseSequence = STANDING) -> TestClip:
    regions = {"shallow_depth": "legs", "knee_valgus": "legs", "heel_rise": "feet"}
    faults = tuple(InjectedFault(name, regions[name], 0.6, 0.0, 1.0) for name in names)
    return TestClip(f"clip-{number}", f"p{number % 3}", SQUAT, 1, pose, pose, pose, faults, {})


def record(*remarks: tuple[str, str, str, bool | None]) -> dict:
    return {
        "judged": True,
        "clip": {"span": [0.0, 1.0]},
        "activity": {"name": SQUAT},
        "remarks": [
            {"region": r, "polarity": p, "text": t, "supported": s} for r, p, t, s in remarks
        ],
    }


@pytest.mark.parametrize(
    ("region", "polarity", "text", "faults", "contradicted"),
    [
        ("legs", BAD, SHALLOW, {"shallow_depth": "legs"}, False),
        ("legs", BAD, SHALLOW, {"knee_valgus": "legs"}, True),  # the region, but another fault
        ("legs", BAD, f"{SHALLOW} {CAVING}", {"knee_valgus": "legs"}, True),
        ("legs", BAD, "This needs work.", {"knee_valgus": "legs"}, False),
        ("legs", BAD, "You rush the way down.", {"knee_valgus": "legs"}, False),
        ("legs", BAD, SHALLOW, {}, True),
        ("legs", BAD, "This needs work.", {"heel_rise": "feet"}, True),
        ("legs", GOOD, "The depth is full.", {"shallow_depth": "legs"}, True),
        ("legs", GOOD, "The depth is full.", {"heel_rise": "feet"}, False),
    ],
)
def test_the_rule(
    region: str, polarity: str, text: str, faults: dict[str, str], contradicted: bool
) -> None:
    remark = {"region": region, "polarity": polarity, "text": text}
    assert h.is_contradicted(remark, SQUAT, faults) is contradicted


def test_counts_and_rates() -> None:
    records = [
        record(("legs", BAD, SHALLOW, True), ("feet", GOOD, "Flat feet.", False)),
        record(("legs", BAD, CAVING, None)),
        record(),
    ]
    clips = [clip(0, "shallow_depth", "heel_rise"), clip(1), clip(2)]
    np.testing.assert_array_equal(h.contradicted_counts(records, clips), [[1, 2], [1, 1], [0, 0]])
    np.testing.assert_array_equal(h.unsupported_counts(records), [[1, 2], [0, 0], [0, 0]])
    assert h.rate(h.contradicted_counts(records, clips)) == pytest.approx(2 / 3)
    assert h.rate(h.unsupported_counts(records)) == 0.5
    assert h.rate(np.zeros((3, 2))) is None


def test_the_floor_measures_another_clips_remarks_on_the_own_clip() -> None:
    """Standing upright: no knee is bent, so that every squat is too shallow."""
    row = ExpertQuantity("legs", "deg", 120.0, 8.0, 40)
    experts = Experts({SQUAT: {"knee_flexion_max": row}})
    pose = replace(STANDING, source="simulated")
    clips = [clip(0, "shallow_depth", pose=pose), clip(1, pose=pose)]
    records = [
        record(("legs", BAD, SHALLOW, True)),
        record(("legs", GOOD, "The depth is full.", True)),
    ]
    found = h.hallucinations(records, clips, experts, seed=0)
    assert (found["hallucination_rate"], found["hallucination_n"]) == (0.0, 2)
    assert found["hallucination_rate_shuffled"] == 1.0
    assert (found["unsupported_rate"], found["unsupported_n"]) == (0.0, 2)
    assert (found["unsupported_rate_shuffled"], found["unsupported_n_shuffled"]) == (0.5, 2)
    assert found["hallucination_rate_interval"] == [0.0, 0.0]
    assert "contradicted by the injected truth" in remarks_table(found)


def test_no_remark_is_no_rate() -> None:
    found = h.hallucinations([record()] * 2, [clip(0), clip(1)], Experts({}), seed=0)
    assert found["hallucination_rate"] is None and found["unsupported_n"] == 0
    assert "not run" in remarks_table(found)
