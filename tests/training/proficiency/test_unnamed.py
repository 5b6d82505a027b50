"""Nameless motions are finite, labelled as unknown, and what their maker says they are."""

import numpy as np
import pytest

from assistant.pose.normalise import PERCEPTION_FPS
from assistant.skeleton import LEFT_ANKLE, LEFT_HIP, LEFT_KNEE, RIGHT_ANKLE, RIGHT_HIP, RIGHT_KNEE
from data_prep.drills.records import Drill
from data_prep.drills.simulate import simulate_many
from training.proficiency.unnamed import MAKERS, UNNAMED, join, make_unnamed, stretch, tilt


@pytest.fixture(scope="module")
def drills() -> list[Drill]:
    return simulate_many(3, 6, 5, distractor_share=0.4)


def test_every_kind_is_made_and_nothing_of_the_drill_is_claimed(drills: list[Drill]) -> None:
    made = make_unnamed(drills, 10, 0)
    assert [d.step_names[0] for d in made[:5]] == list(MAKERS)
    assert len({d.sample_id for d in made}) == 10
    for drill in made:
        assert drill.activity == UNNAMED and drill.level is None
        assert drill.repetitions == () and drill.faults == ()
        assert drill.pose.fps == PERCEPTION_FPS and len(drill.pose) > 5
        assert np.isfinite(drill.pose.joints).all()
        assert drill.pose.joints[..., 2].min() > -0.2


def test_the_same_seed_makes_the_same_motions(drills: list[Drill]) -> None:
    for a, b in zip(make_unnamed(drills, 5, 3), make_unnamed(drills, 5, 3), strict=True):
        assert np.array_equal(a.pose.joints, b.pose.joints)


def test_uneven_legs_keep_their_bones_and_part_ways(drills: list[Drill]) -> None:
    for drill in make_unnamed(drills, 4, 1, kinds=["uneven_legs"]):
        joints = drill.pose.joints

        def length(a: int, b: int, joints: np.ndarray = joints) -> np.ndarray:
            return np.linalg.norm(joints[:, a] - joints[:, b], axis=-1)

        for hip, knee, ankle in (
            (LEFT_HIP, LEFT_KNEE, LEFT_ANKLE),
            (RIGHT_HIP, RIGHT_KNEE, RIGHT_ANKLE),
        ):
            assert np.ptp(length(hip, knee)) < 0.03 and np.ptp(length(knee, ankle)) < 0.03
        bend = length(LEFT_HIP, LEFT_ANKLE) - length(RIGHT_HIP, RIGHT_ANKLE)
        assert np.abs(bend).max() > 0.05


def test_stretch_changes_the_duration_only(drills: list[Drill]) -> None:
    pose = drills[0].pose
    quick = stretch(pose, 2.0)
    assert quick.duration == pytest.approx(pose.duration / 2, abs=0.1)
    assert quick.joints[-1] == pytest.approx(pose.joints[-1], abs=0.05)


def test_tilt_turns_gravity_by_the_angle(drills: list[Drill]) -> None:
    pose = drills[0].pose
    turned = tilt(pose, np.deg2rad(10), 0.7)
    spine = pose.joints[:, 5] - pose.joints[:, 11]
    moved = turned.joints[:, 5] - turned.joints[:, 11]
    assert np.linalg.norm(moved, axis=1) == pytest.approx(np.linalg.norm(spine, axis=1), abs=1e-4)
    assert tilt(turned, -np.deg2rad(10), 0.7).joints == pytest.approx(pose.joints, abs=1e-4)
    assert not np.allclose(moved, spine, atol=1e-3)


def test_joined_clips_meet_at_the_pelvis(drills: list[Drill]) -> None:
    first, second = (d.pose.resample(PERCEPTION_FPS) for d in drills[:2])
    for ahead in (True, False):
        whole, before = join(first, second, np.random.default_rng(0), ahead=ahead)
        assert (before > 0) == ahead
        kept = slice(before, before + len(first))
        assert np.array_equal(whole.joints[kept], first.joints)
        seam = before if ahead else len(first)
        pelvis = whole.joints[:, [LEFT_HIP, RIGHT_HIP]].mean(axis=1)
        assert pelvis[seam, :2] == pytest.approx(pelvis[seam - 1, :2], abs=1e-4)
