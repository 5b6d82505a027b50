"""Targets of disturbed examples, on a hand-made drill of two repetitions."""

import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.pose.normalise import FEATURE_DIM, REST_POSE, ROOT_PRESENT_COLUMN
from data_prep.drills.records import Drill, Fault
from prompts.vocabulary import CORRECT, NEEDS_IMPROVEMENT, NOT_MENTIONED, REGIONS
from training.proficiency.examples import IGNORE, Disturbance, make_example

ACTIVITIES = ("bodyweight_squat", "walk")
FAULTS = ("bodyweight_squat:head_drop", "bodyweight_squat:heel_rise")
STILL = Disturbance(
    whole_share=1, crop_share=0, joined_share=0, tempo=0, tilt=0, turn=0,
    slow_share=0, view_share=0, contact_share=0,
)  # fmt: skip


def drill(activity: str = "bodyweight_squat", *, level: int | None = 1) -> Drill:
    """8 s; repetitions at 2-4 s and 5-7 s; head_drop in both, heel_rise in the second only."""
    frames = 240
    joints = np.tile(REST_POSE + np.array([0, 0, 0.9]), (frames, 1, 1)).astype(np.float32)
    pose = PoseSequence(joints, np.ones((frames, 17), np.float32), 30.0, "simulated")
    regions = dict.fromkeys(REGIONS, NOT_MENTIONED) | {"torso": CORRECT}
    faults = (
        Fault("head_drop", "head", 0.6, 2.5, 3.5),
        Fault("head_drop", "head", 0.6, 5.5, 6.5),
        Fault("heel_rise", "feet", 0.6, 5.2, 6.0),
    )
    known = level is not None
    if known:
        regions |= {"head": NEEDS_IMPROVEMENT, "feet": NEEDS_IMPROVEMENT}
    return Drill(
        sample_id="x", participant_id="p", activity=activity, level=level,
        rating=5 if known else None, pose=pose, twin=None, steps=np.zeros(frames, np.int8),
        step_names=("set_up", "down", "rest"), faults=faults if known else (),
        moments=(), regions=regions, repetitions=((2.0, 4.0), (5.0, 7.0)) if known else (),
        gaze=np.zeros((frames, 2), np.float32), correct_points=(), seed=0, split="train",
    )  # fmt: skip


def test_a_whole_clip_keeps_all_its_targets() -> None:
    example = make_example(drill(), np.random.default_rng(0), STILL, ACTIVITIES, FAULTS)
    assert example.features.shape[1] == FEATURE_DIM
    assert example.level == 1 and example.activity == 0
    expected = {"head": 0, "torso": 1, "arms": 2, "hands": 2, "legs": 2, "feet": 0}
    assert dict(zip(REGIONS, example.polarity.tolist(), strict=True)) == expected
    assert example.faults.tolist() == [1, 1]
    assert example.action.sum() == pytest.approx(4 * 15, abs=3)
    assert set(example.frame_activity[example.action == 1]) == {0}
    assert set(example.frame_activity[example.action == 0]) == {IGNORE}
    assert example.where[REGIONS.index("head")].sum() == pytest.approx(2 * 15, abs=3)
    assert not example.where[REGIONS.index("torso")].any()


def test_a_fault_that_was_cut_away_is_not_asked_for() -> None:
    always = Disturbance(**{**STILL.__dict__, "whole_share": 0, "crop_share": 1.0, "margin": 0.01})
    seen = set()
    for seed in range(30):
        example = make_example(drill(), np.random.default_rng(seed), always, ACTIVITIES, FAULTS)
        feet, head = example.polarity[REGIONS.index("feet")], example.polarity[0]
        assert head == NEEDS_IMPROVEMENT
        whole = bool(example.where[REGIONS.index("feet")].any())
        assert feet == (NEEDS_IMPROVEMENT if whole else IGNORE)
        assert example.faults.tolist() == [1, int(whole)]
        assert example.level == (1 if whole else IGNORE)
        assert example.action.any()
        seen.add(whole)
    assert seen == {True, False}


def test_a_distractor_has_an_activity_and_nothing_else() -> None:
    example = make_example(
        drill("walk", level=None), np.random.default_rng(0), STILL, ACTIVITIES, FAULTS
    )
    assert example.activity == 1 and example.level == IGNORE
    assert (example.polarity == IGNORE).all() and (example.faults == IGNORE).all()
    assert not example.action.any() and (example.frame_activity == 1).all()


def test_joined_motion_is_outside_the_repetitions() -> None:
    joined = Disturbance(**{**STILL.__dict__, "joined_share": 1.0})
    alone = make_example(drill(), np.random.default_rng(0), STILL, ACTIVITIES, FAULTS)
    others = [drill("walk", level=None)]
    for seed in range(8):
        rng = np.random.default_rng(seed)
        example = make_example(drill(), rng, joined, ACTIVITIES, FAULTS, others)
        assert len(example.features) > len(alone.features)
        assert abs(example.action.sum() - alone.action.sum()) <= 3
        assert example.level == 1


def test_disturbed_features_stay_finite_and_lose_the_path_without_a_world() -> None:
    hard = Disturbance(view_share=1.0, slow_share=0.0, joined_share=0.5)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        example = make_example(drill(), rng, hard, ACTIVITIES, FAULTS, [drill("walk", level=None)])
        assert np.isfinite(example.features).all()
        assert (example.features[:, ROOT_PRESENT_COLUMN] == 0).all()


def test_the_same_generator_gives_the_same_example() -> None:
    a, b = (
        make_example(drill(), np.random.default_rng(3), Disturbance(), ACTIVITIES, FAULTS)
        for _ in range(2)
    )
    assert np.array_equal(a.features, b.features)
