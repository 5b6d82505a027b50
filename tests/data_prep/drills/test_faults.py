"""Each fault moves the quantity that its registry entry states, by the stated size."""

import numpy as np
import pytest

from assistant.errors import PoiseError
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


@pytest.mark.parametrize(("activity", "name"), ALL)
@pytest.mark.parametrize(("severity", "stated"), [(0.3, "at_03"), (0.6, "at_06"), (1.0, "at_10")])
def test_the_measured_size_is_the_one_in_the_registry(measure, activity, name, severity, stated):
    fault = spec(activity, name)
    found = []
    for person in range(5):
        shown = {name: (severity, frozenset({0}))}
        performer, drill = performance(activity, person, shown)
        found.append(measure(performer, drill, drill.pose, name))
    expected = getattr(fault, stated)
    assert np.abs(np.array(found) - expected).max() < TOLERANCE[fault.unit], (found, expected)


@pytest.mark.parametrize(("activity", "name"), ALL)
def test_severity_moves_the_quantity_monotonically_from_the_twin(measure, activity, name):
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
def test_faultless_motion_never_shows_what_the_fault_shows(measure, activity, name):
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
    assert len(FAULTS) == 6
    for activity, faults in FAULTS.items():
        shown = {fault.name: (0.0, frozenset({0, 1})) for fault in faults}
        _, drill = performance(activity, 0, shown, repetitions=2)
        np.testing.assert_allclose(drill.pose.joints, drill.twin.joints, atol=1e-6)


def test_a_fault_shows_in_its_repetitions_only(measure):
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
        assert len(faults) >= 5
        assert len({fault.region for fault in faults}) >= 4
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
    with pytest.raises(PoiseError, match="bodyweight_squat, basketball_free_throw, forward_lunge"):
        specs("juggling")
    with pytest.raises(PoiseError, match="knee_valgus"):
        spec("bodyweight_squat", "elbow_flare")
