"""Each fault moves the quantity that its registry entry states, by the stated size."""

import numpy as np
import pytest

from assistant.errors import PoiseError
from assistant.skeleton import (
    LEFT_ANKLE,
    LEFT_EAR,
    LEFT_EYE,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_SHOULDER,
    NOSE,
    RIGHT_ANKLE,
    RIGHT_EAR,
    RIGHT_HIP,
    RIGHT_KNEE,
    RIGHT_SHOULDER,
    pelvis,
)
from data_prep.drills.faults import FAULTS, GOOD_POINTS, RESERVED, spec, specs
from data_prep.drills.performer import sample_performer
from data_prep.drills.simulate import simulate
from prompts.vocabulary import REGIONS

FPS = 30.0
EXPERT = 3
ALL = [(activity, fault.name) for activity, faults in FAULTS.items() for fault in faults]
# How far from the registry a measured peak may lie: smoothing, unsteadiness, frames.
TOLERANCE = {"deg": 4.5, "cm": 1.6, "s": 0.09}


def performance(activity, person, faults, repetitions=1):
    performer = sample_performer(np.random.default_rng([5, person]))
    rng = np.random.default_rng([6, person])
    drill = simulate(activity, EXPERT, performer, rng, repetitions=repetitions, faults=faults)
    return performer, drill


def measure(performer, drill, pose, name, repetition=0):
    """The quantity of fault `name`, in its unit, from the joints alone."""
    start, end = drill.repetitions[repetition]
    span = slice(int(start * FPS), int(end * FPS) + 1)
    joints = pose.joints[span].astype(np.float64)
    steps = drill.steps[span]
    if name in QUANTITIES:
        return QUANTITIES[name](joints)
    return SHOT_QUANTITIES[name](joints, steps, performer.left_handed)


def angle(a, b, c):
    u, v = a - b, c - b
    cosine = (u * v).sum(-1) / np.linalg.norm(u, axis=-1) / np.linalg.norm(v, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def knee_flexion(joints):
    left = angle(joints[:, LEFT_HIP], joints[:, LEFT_KNEE], joints[:, LEFT_ANKLE])
    right = angle(joints[:, RIGHT_HIP], joints[:, RIGHT_KNEE], joints[:, RIGHT_ANKLE])
    return 180 - (left + right) / 2


def lateral(joints):
    axis = joints[:, LEFT_HIP] - joints[:, RIGHT_HIP]
    axis = axis * np.array([1, 1, 0])
    return axis / np.linalg.norm(axis, axis=-1, keepdims=True)


def trunk(joints):
    return (joints[:, LEFT_SHOULDER] + joints[:, RIGHT_SHOULDER]) / 2 - pelvis(joints)


def lean(joints):
    line = trunk(joints)
    return np.degrees(np.arctan2(np.hypot(line[:, 0], line[:, 1]), line[:, 2]))


def medial_displacement(joints):
    deepest = int(np.argmax(knee_flexion(joints)))
    across = lateral(joints)[deepest]
    feet = (joints[deepest, LEFT_ANKLE] - joints[deepest, RIGHT_ANKLE]) @ across
    knees = (joints[deepest, LEFT_KNEE] - joints[deepest, RIGHT_KNEE]) @ across
    return 100 * (feet - knees) / 2


def ankle_rise(joints):
    height = joints[:, [LEFT_ANKLE, RIGHT_ANKLE], 2].mean(1)
    return 100 * (height.max() - height[0])


def head_pitch(joints):
    deepest = int(np.argmax(knee_flexion(joints)))
    face = joints[deepest, NOSE] - (joints[deepest, LEFT_EAR] + joints[deepest, RIGHT_EAR]) / 2
    return np.degrees(np.arctan2(-face[2], np.hypot(face[0], face[1])))


def flare(joints, steps, left_handed):
    top = int(np.flatnonzero(steps == 3)[0])
    side = 0 if left_handed else 1
    across = joints[top, LEFT_SHOULDER] - joints[top, RIGHT_SHOULDER]
    outward = across / np.linalg.norm(across) * (1 if left_handed else -1)
    upper_arm = joints[top, LEFT_SHOULDER + 2 + side] - joints[top, LEFT_SHOULDER + side]
    return np.degrees(np.arcsin(upper_arm @ outward / np.linalg.norm(upper_arm)))


def follow_through(joints, steps, left_handed):
    release = int(np.flatnonzero(steps == 4)[0])
    wrist = joints[release:, 9 if left_handed else 10, 2]
    above = wrist > joints[release:, [LEFT_EYE, LEFT_EYE + 1], 2].mean(1)
    return (len(above) if above.all() else int(np.argmin(above))) / FPS


def sway(joints, steps, left_handed):
    release = int(np.flatnonzero(steps == 4)[0])
    line = trunk(joints)[release : release + 12]
    aside = (line * lateral(joints)[release : release + 12]).sum(-1)
    return np.abs(np.degrees(np.arctan2(aside, line[:, 2]))).max()


def stance(joints, steps, left_handed):
    apart = joints[:, LEFT_ANKLE] - joints[:, RIGHT_ANKLE]
    return 100 * np.abs((apart * lateral(joints)).sum(-1))[steps == 1].mean()


QUANTITIES = {
    "shallow_depth": lambda joints: knee_flexion(joints).max(),
    "knee_valgus": medial_displacement,
    "forward_lean": lambda joints: lean(joints).max(),
    "heel_rise": ankle_rise,
    "head_drop": head_pitch,
}
SHOT_QUANTITIES = {
    "elbow_flare": flare,
    "insufficient_knee_bend": lambda j, steps, _: knee_flexion(j)[
        (steps == 2) | (steps == 3)
    ].max(),
    "short_follow_through": follow_through,
    "off_balance": sway,
    "narrow_stance": stance,
}


@pytest.mark.parametrize(("activity", "name"), ALL)
@pytest.mark.parametrize(("severity", "stated"), [(0.3, "at_03"), (0.6, "at_06"), (1.0, "at_10")])
def test_the_measured_size_is_the_one_in_the_registry(activity, name, severity, stated):
    fault = spec(activity, name)
    found = []
    for person in range(5):
        shown = {name: (severity, frozenset({0}))}
        performer, drill = performance(activity, person, shown)
        found.append(measure(performer, drill, drill.pose, name))
    expected = getattr(fault, stated)
    assert np.abs(np.array(found) - expected).max() < TOLERANCE[fault.unit], (found, expected)


@pytest.mark.parametrize(("activity", "name"), ALL)
def test_severity_moves_the_quantity_monotonically_from_the_twin(activity, name):
    fault = spec(activity, name)
    direction = np.sign(fault.at_10 - fault.at_03)
    for person in range(3):
        sizes = []
        for severity in (0.0, 0.1, 0.3, 0.6, 1.0):
            shown = {name: (severity, frozenset({0}))} if severity else {}
            performer, drill = performance(activity, person, shown)
            sizes.append(measure(performer, drill, drill.pose, name) * direction)
        assert np.all(np.diff(sizes) > -0.05), sizes
        assert sizes[-1] - sizes[0] > abs(fault.at_10 - fault.at_03)


@pytest.mark.parametrize(("activity", "name"), ALL)
def test_faultless_motion_never_shows_what_the_fault_shows(activity, name):
    """Over people, styles and the least steady level, twins stay clear of severity 0.3."""
    fault = spec(activity, name)
    direction = np.sign(fault.at_10 - fault.at_03)
    worst = -np.inf
    for person in range(25):
        performer = sample_performer(np.random.default_rng([7, person]))
        rng = np.random.default_rng([8, person])
        drill = simulate(activity, 0, performer, rng, repetitions=1)
        worst = max(worst, measure(performer, drill, drill.twin, name) * direction)
    assert worst < fault.at_03 * direction, (worst, fault.at_03)


def test_severity_zero_is_the_twin():
    for activity, faults in FAULTS.items():
        shown = {fault.name: (0.0, frozenset({0, 1})) for fault in faults}
        _, drill = performance(activity, 0, shown, repetitions=2)
        np.testing.assert_allclose(drill.pose.joints, drill.twin.joints, atol=1e-6)


def test_a_fault_shows_in_its_repetitions_only():
    performer, drill = performance(
        "bodyweight_squat", 1, {"shallow_depth": (0.8, frozenset({1}))}, repetitions=3
    )
    depth = [measure(performer, drill, drill.pose, "shallow_depth", n) for n in range(3)]
    assert depth[1] < 80 < 100 < min(depth[0], depth[2])
    (fault,) = drill.faults
    start, end = drill.repetitions[1]
    assert start <= fault.start < fault.end <= end
    apart = np.abs(drill.pose.joints - drill.twin.joints).max((1, 2))
    assert apart[: int(start * FPS) - 3].max() < 1e-6
    assert apart[int(start * FPS) : int(end * FPS)].max() > 0.1


def test_registry_is_complete():
    for activity, faults in FAULTS.items():
        assert len(faults) == 5
        assert set(RESERVED[activity]) <= {fault.name for fault in faults}
        assert set(GOOD_POINTS[activity].values()) <= set(REGIONS)
        for fault in faults:
            assert fault.region in REGIONS
            assert fault.unit in TOLERANCE
            assert fault.source
            low, high = fault.normal
            outside = fault.at_03 > high or fault.at_03 < low
            assert outside, fault.name
            steps = np.diff([fault.at_03, fault.at_06, fault.at_10])
            assert np.all(steps > 0) or np.all(steps < 0)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(PoiseError, match="bodyweight_squat, basketball_free_throw"):
        specs("juggling")
    with pytest.raises(PoiseError, match="knee_valgus"):
        spec("bodyweight_squat", "elbow_flare")
