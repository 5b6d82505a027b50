"""Which quantity decides about a remark, and what it says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assistant.errors import PoiseError
from assistant.evidence import SUPPORT_Z, ExpertQuantity, Experts
from assistant.feedback import Measurement
from assistant.pose.normalise import normalise
from data_prep.drills.performer import sample_performer
from data_prep.drills.simulate import simulate
from prompts.parse import ParsedRemark
from training.experts import experts

BAD, GOOD = "needs_improvement", "correct"
EXPERT = {
    "knee_flexion_max": ExpertQuantity("legs", "deg", 100.0, 8.0, 40),
    "knee_inside_ankle": ExpertQuantity("legs", "cm", -8.0, 3.0, 40),
    "ankle_rise": ExpertQuantity("feet", "cm", 0.0, 1.0, 40),
    "stance_width_ratio": ExpertQuantity("feet", "shoulder widths", 1.0, 0.1, 40),
    "descent_time": ExpertQuantity("legs", "s", 1.0, 0.2, 40),
    "wrist_height": ExpertQuantity("hands", "cm", 30.0, 3.0, 40),
    "wrist_width": ExpertQuantity("hands", "cm", 50.0, 3.0, 40),
}
SQUAT = Experts({"bodyweight_squat": EXPERT})
SHALLOW = "The squat is clearly too shallow."
CAVING = "The knees cave in badly."


def measured(quantity: str, value: float, error: float = 6.0) -> Measurement:
    return Measurement(quantity, value, "deg", error, 1.0)


def judged(region: str, polarity: str, text: str, *found: Measurement):
    return SQUAT.evidence("bodyweight_squat", region, polarity, text, found)


@pytest.mark.parametrize("polarity", [BAD, GOOD])
@pytest.mark.parametrize(("away", "far"), [(-1.01, True), (-0.99, False), (3.0, False)])
def test_support_needs_so_many_spreads_on_the_side_of_the_fault(
    away: float, far: bool, polarity: str
) -> None:
    """The spread is sqrt(8^2 + 6^2) = 10; a squat deeper than the experts' is not shallow."""
    value = 100 + 10 * SUPPORT_Z * away
    shown, verdict = judged("legs", polarity, SHALLOW, measured("knee_flexion_max", value))
    assert shown is not None and (shown.quantity, shown.value) == ("knee_flexion_max", value)
    assert (shown.error, shown.expert_mean, shown.expert_std) == (6.0, 100.0, 8.0)
    assert verdict is (far if polarity == BAD else not far)


def test_the_words_decide_which_quantity_is_looked_at() -> None:
    found = [measured("knee_flexion_max", 40.0), measured("knee_inside_ankle", -8.0, 1.0)]
    shown, verdict = judged("legs", BAD, CAVING, *found)
    assert shown is not None and shown.quantity == "knee_inside_ankle" and verdict is False
    shown, verdict = judged("legs", BAD, SHALLOW, *found)
    assert shown is not None and shown.quantity == "knee_flexion_max" and verdict is True


def test_a_wide_stance_says_nothing_about_heels() -> None:
    found = [measured("ankle_rise", 6.0, 1.0), measured("stance_width_ratio", 9.0, 0.1)]
    shown, verdict = judged("feet", BAD, "The heels lift clearly.", *found)
    assert shown is not None and shown.quantity == "ankle_rise" and verdict is True
    assert judged("feet", BAD, "The heels lift clearly.", found[1]) == (None, None)


def test_all_that_a_criticism_names_must_hold() -> None:
    both = f"{SHALLOW} {CAVING}"
    deep, shallow = measured("knee_flexion_max", 100.0), measured("knee_flexion_max", 20.0)
    caving = measured("knee_inside_ankle", 30.0, 1.0)
    shown, verdict = judged("legs", BAD, both, deep, caving)
    assert shown is not None and shown.quantity == "knee_flexion_max" and verdict is False
    assert judged("legs", BAD, both, shallow, caving)[1] is True
    assert judged("legs", GOOD, both, deep, caving)[1] is False


def test_without_words_any_fault_of_the_region_is_enough() -> None:
    found = [measured("knee_flexion_max", 100.0), measured("knee_inside_ankle", 30.0, 1.0)]
    shown, verdict = judged("legs", BAD, "This needs work.", *found)
    assert shown is not None and shown.quantity == "knee_inside_ankle" and verdict is True
    assert judged("legs", GOOD, "Fine.", *found)[1] is False
    # A region without a fault: all of its quantities, on either side.
    found = [measured("wrist_height", 31.0, 1.0), measured("wrist_width", 10.0, 1.0)]
    shown, verdict = judged("hands", BAD, "This needs work.", *found)
    assert shown is not None and shown.quantity == "wrist_width" and verdict is True


def test_timings_are_looked_at_where_they_are_named() -> None:
    found = [measured("knee_flexion_max", 100.0), measured("descent_time", 0.3, 0.05)]
    shown, verdict = judged("legs", BAD, "You rush the way down.", *found)
    assert shown is not None and shown.quantity == "descent_time" and verdict is True


def test_the_worst_repetition_counts() -> None:
    found = [measured("knee_flexion_max", value) for value in (99.0, 60.0, 101.0)]
    shown, verdict = judged("legs", BAD, SHALLOW, *found)
    assert shown is not None and shown.value == 60.0 and verdict is True
    assert judged("legs", GOOD, SHALLOW, *found)[1] is False


@pytest.mark.parametrize("activity", ["bodyweight_squat", "juggling"])
def test_what_was_never_measured_supports_nothing(activity: str) -> None:
    found = [measured("something_else", 90.0)]
    assert SQUAT.evidence(activity, "legs", GOOD, SHALLOW, found) == (None, None)


def test_a_constant_of_the_experts_does_not_divide_by_zero() -> None:
    row = ExpertQuantity("legs", "deg", 100.0, 0.0, 3)
    table = Experts({"bodyweight_squat": {"knee_flexion_max": row}})
    found = [measured("knee_flexion_max", 100.0, 0.0)]
    assert table.evidence("bodyweight_squat", "legs", GOOD, SHALLOW, found)[1] is True


def test_expert_measurements_are_written_and_read(tmp_path: Path) -> None:
    SQUAT.save(tmp_path)
    assert Experts.load(tmp_path).table == {"bodyweight_squat": EXPERT}
    with pytest.raises(PoiseError, match="no expert measurements"):
        Experts.load(tmp_path / "none")


def test_a_fault_of_one_repetition_is_found_beside_simulated_experts() -> None:
    rng = np.random.default_rng(3)
    drills = [
        simulate("bodyweight_squat", 3, sample_performer(rng, "train", f"p{i}"), rng)
        for i in range(12)
    ]
    table = experts(drills)
    assert "descent_time" in table.table["bodyweight_squat"]
    person = sample_performer(rng, "test", "q")
    shallow = {"shallow_depth": (0.8, frozenset({1}))}
    for faults, supported in ((shallow, True), ({}, False)):
        drill = simulate("bodyweight_squat", 2, person, rng, faults=faults, repetitions=3)
        pose = normalise(replace(drill.pose, source="file"))
        span = (drill.repetitions[0][0], drill.repetitions[-1][1])
        remarks = [ParsedRemark("legs", BAD, SHALLOW), ParsedRemark("hands", GOOD, "Calm.")]
        (_, verdict), nothing = table.judge(pose, "bodyweight_squat", span, remarks)
        assert verdict is supported
        assert nothing == (None, None)
