"""Two clips compared: errors add up, only clear changes count, better is nearer to the experts."""

import pytest

from assistant.compare import compare_measurements, region_changes
from assistant.evidence import ExpertQuantity
from assistant.feedback import Measurement

EXPERTS = {
    "knee_flexion_max": ExpertQuantity("legs", "deg", 112.0, 7.0, 9),  # LOW is the fault
    "trunk_lean_max": ExpertQuantity("torso", "deg", 35.0, 5.0, 9),  # HIGH is the fault
}


def measured(knee: float, lean: float, error: float = 3.0) -> list[Measurement]:
    return [
        Measurement("knee_flexion_max", knee + 5, "deg", error, 1.0),
        Measurement("knee_flexion_max", knee, "deg", error, 2.0),  # the worse repetition
        Measurement("trunk_lean_max", lean, "deg", error, 1.0),
    ]


def test_changes_carry_both_errors_and_a_verdict() -> None:
    knee, lean = compare_measurements(
        "bodyweight_squat", measured(80, 36), measured(110, 52, error=4.0), EXPERTS
    )
    assert (knee.quantity, knee.before, knee.now, knee.change) == ("knee_flexion_max", 80, 110, 30)
    assert knee.change_error == pytest.approx((3**2 + 4**2) ** 0.5)
    assert (knee.verdict, lean.verdict) == ("better", "worse")
    assert region_changes([knee, lean]) == {"torso": "worse", "legs": "better"}


def test_within_the_error_nothing_changed() -> None:
    found = compare_measurements("bodyweight_squat", measured(80, 50), measured(85, 45), EXPERTS)
    assert {change.verdict for change in found} == {"the same"}  # 5 is below 2 * 4.2


def test_beyond_the_experts_on_the_good_side_nothing_is_gained() -> None:
    found = compare_measurements("bodyweight_squat", measured(115, 20), measured(140, 5), EXPERTS)
    assert {change.verdict for change in found} == {"the same"}


def test_what_was_measured_once_is_not_compared() -> None:
    assert compare_measurements("bodyweight_squat", [], measured(80, 50), EXPERTS) == []
    assert compare_measurements("nothing known", measured(1, 2), measured(3, 4), EXPERTS) == []
