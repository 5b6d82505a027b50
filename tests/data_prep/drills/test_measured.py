"""Every fault of the six drills shows in a quantity that reports measure, at 15 mm of noise."""

import numpy as np
import pytest

from assistant.pose.kinematics import QUANTITIES, measure
from data_prep.drills.faults import FAULTS
from data_prep.drills.noise import add_pose_noise
from data_prep.drills.performer import sample_performer
from data_prep.drills.simulate import simulate

EVIDENCE = {
    "bodyweight_squat": {
        "shallow_depth": "knee_flexion_max",
        "knee_valgus": "knee_inside_ankle",
        "forward_lean": "trunk_lean_max",
        "heel_rise": "ankle_rise",
        "head_drop": "head_pitch_bottom",
    },
    "basketball_free_throw": {
        "elbow_flare": "elbow_flare",
        "insufficient_knee_bend": "knee_flexion_dip",
        "short_follow_through": "follow_through_time",
        "off_balance": "side_lean_release",
        "narrow_stance": "stance_width",
    },
    "forward_lunge": {
        "shallow_lunge": "front_knee_flexion",
        "front_knee_valgus": "front_knee_inside_ankle",
        "forward_lean": "trunk_lean_max",
        "short_step": "step_length",
        "head_drop": "head_pitch_bottom",
    },
    "overhead_press": {
        "soft_lockout": "elbow_angle_top",
        "back_arch": "lean_back_max",
        "knee_drive": "knee_flexion_max",
        "bar_forward": "hands_ahead_top",
        "head_back": "head_pitch_top",
    },
    "soccer_penalty_kick": {
        "short_backswing": "kick_knee_flexion",
        "lean_back": "lean_back_contact",
        "plant_behind": "plant_foot_behind",
        "head_up": "head_pitch_contact",
        "idle_arm": "free_arm_raise",
    },
    "golf_swing": {
        "bent_lead_arm": "lead_elbow_top",
        "restricted_turn": "shoulder_turn",
        "hip_sway": "hip_sway",
        "head_up_early": "face_turn_impact",
        "low_finish": "hands_over_shoulders",
    },
}
ALL = [(activity, fault) for activity, faults in FAULTS.items() for fault in faults]


@pytest.mark.parametrize(("activity", "fault"), ALL, ids=[f"{a}-{f.name}" for a, f in ALL])
def test_the_fault_moves_its_measured_quantity(activity, fault):
    name = EVIDENCE[activity][fault.name]
    assert QUANTITIES[name].region == fault.region
    medians = []
    for severity in (0.0, 0.6, 1.0):
        found = []
        for person in range(6):
            performer = sample_performer(np.random.default_rng([5, person]))
            rng = np.random.default_rng([6, person])
            shown = {fault.name: (severity, frozenset({0}))}
            drill = simulate(activity, 3, performer, rng, repetitions=1, faults=shown)
            pose = add_pose_noise(drill.pose, np.random.default_rng(person))
            (record,) = measure(pose, activity, drill.repetitions[0], draws=0, quantities=(name,))
            assert record.unit == fault.unit
            found.append(record.value)
        medians.append(np.median(found))
    direction = np.sign(fault.at_10 - fault.at_03)
    steps = np.diff(medians) * direction
    assert np.all(steps > 0), medians
    # Beyond the faultless ones by at least half of what was injected beyond their range.
    near = fault.normal[1] if direction > 0 else fault.normal[0]
    assert (medians[2] - medians[0]) * direction > 0.5 * abs(fault.at_10 - near), medians
