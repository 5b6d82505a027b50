"""Bodies, levels, determinism and ground truth of the simulated drills."""

import hashlib

import numpy as np
import pytest

from assistant.errors import PoiseError
from assistant.skeleton import BONES, LEFT_ANKLE, RIGHT_ANKLE
from data_prep.drills.distractors import DISTRACTORS
from data_prep.drills.faults import DEFAULT_ACTIVITIES, GOOD_POINTS, KNOWN, RESERVED
from data_prep.drills.levels import COUNTS, SEVERITY_FLOOR, draw_faults, oracle_level
from data_prep.drills.performer import sample_performer
from data_prep.drills.simulate import simulate, simulate_many
from prompts.vocabulary import REGIONS

V1_TRAIN, V1_SHIFTED = "79b520e41d5d3376", "8433d402755b41ff"


@pytest.fixture(scope="module")
def drills():
    two = simulate_many(8, 4, 31, distractor_share=0.3)
    return two + simulate_many(6, 8, 32, activities=KNOWN)


def of_activity(activity, seed, **options):
    performer = sample_performer(np.random.default_rng([seed, 1]))
    level = 0 if activity in KNOWN else None
    return simulate(activity, level, performer, np.random.default_rng([seed, 2]), **options)


@pytest.mark.parametrize("activity", [*KNOWN, *DISTRACTORS])
def test_limbs_keep_their_length(activity):
    for seed in range(3):
        drill = of_activity(activity, seed)
        for pose in (drill.pose, drill.twin):
            if pose is None:
                continue
            joints = pose.joints.astype(np.float64)
            for a, b in BONES:
                length = np.linalg.norm(joints[:, a] - joints[:, b], axis=-1)
                assert np.ptp(length) < 2e-4, (activity, a, b)


@pytest.mark.parametrize("activity", [*KNOWN, *DISTRACTORS])
def test_planted_feet_do_not_slide(activity):
    """A foot at standing height stays where it is; it moves only when it is lifted."""
    for seed in range(3):
        drill = of_activity(activity, seed)
        joints = drill.pose.joints.astype(np.float64)
        for ankle in (LEFT_ANKLE, RIGHT_ANKLE):
            height = joints[:, ankle, 2]
            down = height < np.quantile(height, 0.03) + 0.002
            both = down[1:] & down[:-1]
            slide = np.linalg.norm(np.diff(joints[:, ankle, :2], axis=0), axis=-1)[both]
            assert slide.max(initial=0.0) < 0.006, (activity, seed, slide.max())
            assert height.min() > 0.03


def test_motion_is_continuous(drills):
    """No joint moves faster than a thrown hand: 15 m/s."""
    for drill in drills:
        step = np.linalg.norm(np.diff(drill.pose.joints, axis=0), axis=-1)
        assert step.max() < 0.5, (drill.activity, step.max())


def test_shapes_and_ground_truth_agree(drills):
    for drill in drills:
        frames = len(drill.pose)
        assert drill.steps.shape == (frames,)
        assert drill.gaze.shape == (frames, 2)
        assert drill.pose.fps == 30
        assert drill.step_names[0] == "set_up"
        assert drill.step_names[-1] == "rest"
        assert set(drill.regions) == set(REGIONS)
        if drill.level is None:
            assert drill.twin is None
            assert drill.activity in DISTRACTORS
            assert set(drill.regions.values()) == {2}
            continue
        assert len(drill.twin) == frames
        assert 1 <= drill.rating <= 10
        assert 1 <= len(drill.repetitions) <= 6
        faulted = {fault.region for fault in drill.faults}
        for region, polarity in drill.regions.items():
            assert (polarity == 0) == (region in faulted)
        praised = {GOOD_POINTS[drill.activity][point] for point in drill.correct_points}
        assert praised == {region for region, polarity in drill.regions.items() if polarity == 1}
        for fault in drill.faults:
            assert 0 <= fault.start < fault.end <= drill.pose.duration + 0.05
            assert any(
                a - 0.05 <= fault.start and fault.end <= b + 0.7 for a, b in drill.repetitions
            )
        assert drill.moments


def test_every_repetition_passes_through_all_steps(drills):
    for drill in drills:
        for start, end in drill.repetitions:
            inside = drill.steps[int(start * 30) + 1 : int(end * 30)]
            assert set(inside) >= set(range(1, len(drill.step_names) - 1))


def test_the_same_seed_gives_the_same_clips_whatever_the_workers():
    one = simulate_many(3, 2, 77, distractor_share=0.2)
    two = simulate_many(3, 2, 77, distractor_share=0.2, workers=2)
    late = simulate_many(1, 2, 77, distractor_share=0.2, first_performer=2)
    assert [d.sample_id for d in one] == [d.sample_id for d in two]
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a.pose.joints, b.pose.joints)
        assert a.faults == b.faults
    assert np.array_equal(one[4].pose.joints, late[0].pose.joints)
    other = simulate_many(1, 1, 78)
    assert not np.array_equal(one[0].pose.joints[:10], other[0].pose.joints[:10])


def test_splits_share_no_participant_and_shifted_lies_outside():
    people = {
        split: [sample_performer(np.random.default_rng(n), split) for n in range(30)]
        for split in ("train", "shifted")
    }
    statures = np.array([p.stature for p in people["train"]])
    assert statures.min() >= 1.5
    assert statures.max() <= 2.0
    for person in people["shifted"]:
        assert person.stature < 1.5 or person.stature > 1.97
        assert person.tempo < 0.75 or person.tempo > 1.35
    names = [d.participant_id for d in simulate_many(2, 1, 5, split="train")]
    others = [d.participant_id for d in simulate_many(2, 1, 5, split="test")]
    assert not set(names) & set(others)


def test_reserved_fault_pairs_are_only_in_the_shifted_split():
    rng = np.random.default_rng(0)
    for activity, pair in RESERVED.items():
        for _ in range(200):
            assert not set(pair) <= set(draw_faults(rng, activity, 0, 3, shifted=False))
            assert set(pair) <= set(draw_faults(rng, activity, 0, 3, shifted=True))


def test_oracle_ceiling_lies_in_the_stated_range():
    """An oracle that reads the injected faults gets between 0.85 and 0.95 of the levels."""
    template = simulate_many(1, 1, 3)[0]
    for activity in KNOWN:
        rng = np.random.default_rng(1)
        right = []
        for number in range(2000):
            level = number % 4
            shown = draw_faults(rng, activity, level, 2, shifted=False)
            right.append(oracle_level(with_faults(template, shown)) == level)
        assert 0.86 < np.mean(right) < 0.94


def with_faults(drill, shown):
    from dataclasses import replace

    from data_prep.drills.records import Fault

    faults = tuple(Fault(name, "legs", s, 0.0, 1.0) for name, (s, _) in shown.items())
    return replace(drill, faults=faults)


def test_level_tables_are_distributions():
    np.testing.assert_allclose(COUNTS.sum(1), 1.0)
    leak = 1 - np.array([COUNTS[0, 3:].sum(), COUNTS[1, 2], COUNTS[2, 1], COUNTS[3, 0]])
    assert np.all((leak > 0.06) & (leak < 0.31))
    assert list(SEVERITY_FLOOR) == sorted(SEVERITY_FLOOR, reverse=True)


def test_levels_and_activities_are_balanced():
    for activities, people in ((DEFAULT_ACTIVITIES, 4), (KNOWN, 12)):
        chosen = {} if activities == DEFAULT_ACTIVITIES else {"activities": activities}
        counts = {(a, k): 0 for a in activities for k in range(4)}
        for drill in simulate_many(people, 4, 9, **chosen):
            counts[(drill.activity, drill.level)] += 1
        assert set(counts.values()) == {2}


def test_the_first_two_drills_keep_their_bytes():
    """Test set v1 and the model trained on these clips rest on them: sha256 of a few of them.

    Made by printing `fingerprint` of the same call before the other four drills existed.
    """
    assert fingerprint(simulate_many(3, 8, 99, distractor_share=0.3)) == V1_TRAIN
    assert fingerprint(simulate_many(2, 4, 98, split="shifted")) == V1_SHIFTED


def fingerprint(drills):
    digest = hashlib.sha256()
    for drill in drills:
        for pose in (drill.pose, drill.twin):
            if pose is not None:
                digest.update(
                    np.round(pose.joints.astype(np.float64) * 2000).astype("<i4").tobytes()
                )
        digest.update(np.round(drill.gaze * 100).astype("<i4").tobytes())
        digest.update(drill.steps.astype("<i1").tobytes())
        told = (drill.sample_id, drill.activity, drill.level, drill.rating, drill.regions)
        digest.update(repr((*told, drill.correct_points, drill.seed)).encode())
        digest.update(
            repr([(f.name, f.region, round(f.severity, 6)) for f in drill.faults]).encode()
        )
    return digest.hexdigest()[:16]


def test_bad_arguments_name_what_is_known():
    rng = np.random.default_rng(0)
    performer = sample_performer(rng)
    with pytest.raises(PoiseError, match=r"bodyweight_squat.*random_motion"):
        simulate("juggling", 0, performer, rng)
    with pytest.raises(PoiseError, match="expected: 0, 1, 2 or 3"):
        simulate("bodyweight_squat", None, performer, rng)
    with pytest.raises(PoiseError, match="train, validation, test, shifted"):
        simulate_many(1, 1, 0, split="dev")
    with pytest.raises(PoiseError, match="unknown activity"):
        simulate_many(1, 1, 0, activities=("walk",))
