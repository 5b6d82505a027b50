import itertools

import numpy as np
import pytest

from assistant.pose.tracking import (
    Detections,
    _swapped_frames,
    clean,
    main_track,
    outliers,
    smooth,
    unswap_sides,
)
from assistant.skeleton import LEFT_KNEE, LEFT_WRIST, MIRROR, RIGHT_KNEE, pelvis

FPS = 30.0
SIDES = [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]


@pytest.fixture
def walking(standing):
    """A walker seen from the side, pelvis-centred, legs and arms swinging, [60, 17, 3]."""
    swing = 0.25 * np.sin(2 * np.pi * np.arange(60) / 30)
    body = np.repeat(standing[None], 60, axis=0)
    for left, share in ((13, 0.5), (15, 1.0), (8, -0.5), (10, -1.0)):
        body[:, left, 0] += share * swing
        body[:, MIRROR[left], 0] -= share * swing
    return body - pelvis(body)[:, None]


def detections(world, found=None, shift=0.0, size=100.0):
    """An orthographic camera that looks along y: 100 pixels a metre."""
    found = np.ones(len(world), bool) if found is None else found
    image = np.stack([world[..., 0], -world[..., 2]], axis=-1) * size + 300
    image[..., 0] += shift
    keep = found[:, None, None]
    return Detections(found, world * keep, image * keep, np.ones(world.shape[:2]) * found[:, None])


def test_clean_leaves_a_good_track_alone(walking):
    tidy, swaps = clean(detections(walking), FPS)
    assert tidy.found.all()
    assert swaps == {"arms": 0, "legs": 0}
    assert tidy.visibility.min() == 1
    assert np.abs(tidy.world - walking).max() < 0.01


def test_swapped_legs_are_put_back(walking):
    wrong = walking.copy()
    legs = [11, 12, 13, 14, 15, 16]
    for frame in (3, 4, 5, 40):
        wrong[frame, legs] = walking[frame, MIRROR[legs]]
    fixed, (image,), swaps = unswap_sides(wrong, wrong[..., :2])
    assert swaps == {"arms": 0, "legs": 4}
    np.testing.assert_array_equal(fixed, walking)
    np.testing.assert_array_equal(image, walking[..., :2])


def test_swapped_bodies_are_put_back(walking):
    wrong = walking.copy()
    wrong[20:29] = wrong[20:29][:, MIRROR]
    fixed, _, swaps = unswap_sides(wrong)
    assert swaps == {"arms": 9, "legs": 9}
    np.testing.assert_array_equal(fixed[:, SIDES], walking[:, SIDES])


def test_a_film_wrong_from_its_start_follows_the_majority(walking):
    wrong = walking.copy()
    wrong[:10] = wrong[:10][:, MIRROR]
    fixed, _, swaps = unswap_sides(wrong)
    assert swaps["legs"] == 10
    np.testing.assert_array_equal(fixed[:, SIDES], walking[:, SIDES])


def test_unswapping_is_the_cheapest_of_all_ways():
    """Against all 2^7 ways to read 7 frames, by the stated cost: metres moved plus the price."""
    for seed in range(20):
        joints = np.random.default_rng(seed).normal(0, 0.05, (7, 2, 3))
        costs = {}
        for ways in itertools.product((0, 1), repeat=7):
            read = np.stack(
                [body[::-1] if way else body for way, body in zip(ways, joints, strict=True)]
            )
            moved = sum(
                np.linalg.norm(read[i, side] - read[i - 1, side]) / 2
                for i in range(1, 7)
                for side in (0, 1)
            )
            costs[ways] = moved + 0.02 * sum(ways)
        swapped = _swapped_frames(joints[:, :1], joints[:, 1:])
        assert tuple(swapped.astype(int).tolist()) == min(costs, key=costs.get)


def test_turning_around_is_no_swap(standing):
    centred = standing - pelvis(standing)
    turn = np.linspace(0, np.pi, 45)
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    body = np.repeat(centred[None], 45, axis=0)
    x, y = centred[:, 0], centred[:, 1]
    body[..., 0], body[..., 1] = cos * x - sin * y, sin * x + cos * y
    fixed, _, swaps = unswap_sides(body)
    assert swaps == {"arms": 0, "legs": 0}
    np.testing.assert_array_equal(fixed, body)


def test_the_person_seen_most_is_kept(walking):
    one = detections(walking)
    other = detections(walking, shift=400.0)
    is_other = np.zeros(60, bool)
    is_other[22:35] = True
    mixed = Detections(
        one.found, one.world, np.where(is_other[:, None, None], other.image, one.image), one.world
    )
    np.testing.assert_array_equal(main_track(mixed), ~is_other)


def test_a_jump_in_size_is_another_person(walking):
    near, far = detections(walking), detections(walking, size=40.0)
    image = np.concatenate([near.image[:40], far.image[40:]])
    track = main_track(Detections(near.found, near.world, image, near.visibility))
    np.testing.assert_array_equal(track, np.arange(60) < 40)


def test_running_across_the_picture_is_one_track(walking):
    run = np.arange(60)[:, None] * (8.0 / FPS) * 100  # 8 m/s at 100 px a metre
    seen = detections(walking)
    seen.image[..., 0] += run
    assert main_track(seen).all()


def test_missing_frames_are_interpolated_without_confidence(walking):
    found = np.ones(60, bool)
    found[30:33] = False
    tidy, _ = clean(detections(walking, found), FPS)
    np.testing.assert_array_equal(tidy.found, found)
    np.testing.assert_array_equal(tidy.visibility.min(axis=1) == 1, found)
    assert np.abs(tidy.world - walking).max() < 0.03
    assert np.abs(tidy.image - detections(walking).image).max() < 3


def test_a_joint_that_leaves_its_path_is_mended(walking):
    wrong = walking.copy()
    wrong[22:24, LEFT_WRIST] += (0.0, 0.3, 0.2)
    flags = outliers(wrong, FPS)
    expected = np.zeros_like(flags)
    expected[22:24, LEFT_WRIST] = True
    np.testing.assert_array_equal(flags, expected)
    tidy, _ = clean(detections(wrong), FPS)
    assert np.abs(tidy.world - walking).max() < 0.02
    assert tidy.visibility[22, LEFT_WRIST] == 0


def test_a_fast_throw_is_no_outlier():
    path = np.zeros((30, 17, 3))
    path[:, :, 2] = (1.2 / (1 + np.exp(-(np.arange(30) - 15) * 0.7)))[:, None]  # up to 6.3 m/s
    assert not outliers(path, FPS).any()


def test_smoothing_keeps_a_squat_and_takes_jitter_away():
    rng = np.random.default_rng(0)
    depth = -0.4 * np.sin(np.pi * np.clip(np.arange(90) - 15, 0, 60) / 60) ** 2  # 2 s down and up
    path = np.zeros((90, 2, 3))
    path[:, 0, 2] = depth
    path[:, 1] = rng.normal(0, 0.005, (90, 3))
    smoothed = smooth(path, FPS)
    assert np.abs(smoothed[:, 0, 2] - depth).max() < 0.004
    assert smoothed[:, 1].std() < 0.7 * path[:, 1].std()


def test_cleaned_bodies_are_centred_on_the_pelvis(walking):
    tidy, _ = clean(detections(walking + 0.1), FPS)
    assert np.abs(pelvis(tidy.world)).max() < 1e-9


@pytest.mark.parametrize("count", [1, 2, 5])
def test_short_stretches(walking, count):
    tidy, _ = clean(detections(walking[:count]), FPS)
    assert tidy.world.shape == (count, 17, 3)
    assert tidy.world[0, LEFT_KNEE, 2] < 0 > tidy.world[0, RIGHT_KNEE, 2]


def test_no_detection_at_all(walking):
    tidy, swaps = clean(detections(walking, np.zeros(60, bool)), FPS)
    assert not tidy.found.any()
    assert np.isfinite(tidy.world).all()
    assert swaps == {"arms": 0, "legs": 0}
