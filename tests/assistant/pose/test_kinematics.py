"""Angles by hand, quantities on posed bodies, error bars, bones and joint limits."""

from pathlib import Path

import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.pose import angles, bones, kinematics
from assistant.pose.normalise import REST_POSE, rotate_yaw
from assistant.pose.pose_error import disturbed, draw_errors, joint_error_mm, tilt_degrees
from assistant.pose.repetitions import TRACKS
from assistant.skeleton import (
    LEFT_ANKLE,
    LEFT_ELBOW,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_SHOULDER,
    LEFT_WRIST,
    MIRROR,
    RIGHT_ANKLE,
    RIGHT_ELBOW,
    RIGHT_KNEE,
    RIGHT_SHOULDER,
    RIGHT_WRIST,
)
from prompts.vocabulary import REGIONS

UPPER = [*range(11)]


def sequence(joints: np.ndarray, **changes: object) -> PoseSequence:
    ones = np.ones(joints.shape[:2], np.float32)
    return PoseSequence(joints.astype(np.float32), ones, 30.0, **changes)


def squat(depth: float = 90.0, lean: float = 30.0, valgus: float = 0.0, rise: float = 0.0):
    """One repetition of 3 s: knees to `depth`, trunk to `lean` degrees, ankles planted."""
    t = np.linspace(0, 1, 90)
    phase = np.sin(np.pi * np.clip((t - 0.2) / 0.6, 0, 1)) ** 2
    out = np.repeat(REST_POSE[None], 90, axis=0)
    half = np.radians(depth) * phase / 2
    for hip, knee, ankle in ((11, 13, 15), (12, 14, 16)):
        y = REST_POSE[hip, 1]
        out[:, ankle] = np.column_stack([0 * t, 0 * t + y, 0.08 + rise * phase])
        inward = -np.sign(y) * valgus * phase
        shank = np.column_stack([0.4 * np.sin(half), inward, 0.4 * np.cos(half)])
        out[:, knee] = out[:, ankle] + shank
        thigh = np.column_stack([-0.4 * np.sin(half), -inward, 0.4 * np.cos(half)])
        out[:, hip] = out[:, knee] + thigh
    centre = out[:, [11, 12]].mean(axis=1)
    tilt = np.radians(lean) * phase
    body = REST_POSE[None, UPPER].repeat(90, axis=0)
    x = body[..., 0] * np.cos(tilt)[:, None] + body[..., 2] * np.sin(tilt)[:, None]
    z = -body[..., 0] * np.sin(tilt)[:, None] + body[..., 2] * np.cos(tilt)[:, None]
    out[:, UPPER] = np.stack([x, body[..., 1], z], -1) + centre[:, None]
    return out


def throw(flare: float = 20.0, hold: int = 30, mirror: bool = False) -> np.ndarray:
    """A right-handed set point at frame 20 (elbow at 90), release about frame 29, `hold` frames
    of follow-through, then the arm drops."""
    out = np.repeat(REST_POSE[None], 90, axis=0)
    out[..., 2] += 0.91
    shoulder = out[:, RIGHT_SHOULDER]
    a = np.radians(flare)
    up = np.interp(np.arange(90), [0, 15, 21, 30, 30 + hold, 36 + hold], [-80, 0, 0, 70, 70, -80])
    bend = np.interp(np.arange(90), [0, 15, 21, 30, 30 + hold, 36 + hold], [20, 90, 90, 5, 5, 20])
    e, f = np.radians(up), np.radians(up + bend)
    upper = np.stack([np.cos(e) * np.cos(a), -np.sin(a) + 0 * e, np.sin(e) * np.cos(a)], -1)
    fore = np.stack([np.cos(f) * np.cos(a), -np.sin(a) + 0 * e, np.sin(f) * np.cos(a)], -1)
    out[:, RIGHT_ELBOW] = shoulder + 0.3 * upper
    out[:, RIGHT_WRIST] = out[:, RIGHT_ELBOW] + 0.26 * fore
    return out[:, MIRROR] * [1, -1, 1] if mirror else out


def values(pose: PoseSequence, activity: str | None, **options: object) -> dict[str, float]:
    return {m.quantity: m.value for m in kinematics.measure(pose, activity, **options)}


def test_joint_angle_by_hand() -> None:
    joints = np.zeros((1, 17, 3))
    joints[0, LEFT_HIP], joints[0, LEFT_KNEE] = (0, 0, 2), (0, 0, 1)
    for ankle, expected in (((1, 0, 1), 90), ((0, 0, 0), 180), ((1, 0, 2), 45)):
        joints[0, LEFT_ANKLE] = ankle
        angle = angles.joint_angle(joints, LEFT_HIP, LEFT_KNEE, LEFT_ANKLE)
        assert angle == pytest.approx(expected)
        assert angles.knee_flexion(joints, 0) == pytest.approx(180 - expected)


def test_leans_flare_and_pitch_have_signs() -> None:
    joints = REST_POSE[None].copy()
    assert angles.trunk_lean(joints) == pytest.approx(0) == angles.side_lean(joints)
    joints[:, UPPER] += [0.5, 0, 0]
    assert angles.trunk_lean(joints) == pytest.approx(45)
    joints[:, UPPER] += [-0.5, 0.5, 0]
    assert angles.side_lean(joints) == pytest.approx(45)
    joints[:, RIGHT_ELBOW] = joints[:, RIGHT_SHOULDER] + [0.2, -0.2, 0]
    assert angles.elbow_flare(joints, 1) == pytest.approx(45)
    joints[:, LEFT_ELBOW] = joints[:, LEFT_SHOULDER] + [0.2, -0.2, 0]
    assert angles.elbow_flare(joints, 0) == pytest.approx(-45)
    joints[:, 0] = joints[:, [3, 4]].mean(axis=1) + [0.1, 0, -0.1]
    assert angles.head_pitch(joints) == pytest.approx(45)


@pytest.mark.parametrize("angle", [0.0, 2.2])
def test_squat_quantities(angle: float) -> None:
    joints = rotate_yaw(squat(depth=100, lean=40), angle) + [3, 2, 0]
    found = values(sequence(joints), "bodyweight_squat")
    assert found["knee_flexion_max"] == pytest.approx(100, abs=1)
    assert found["trunk_lean_max"] == pytest.approx(40, abs=0.5)
    assert found["hip_depth"] == pytest.approx(np.cos(np.radians(50)), abs=0.02)
    assert found["ankle_rise"] == pytest.approx(0, abs=0.1)
    assert found["knee_inside_ankle"] == pytest.approx(0, abs=0.1)
    assert found["knee_separation_ratio"] == pytest.approx(1, abs=0.01)


def test_faults_move_their_quantity() -> None:
    found = values(sequence(squat(valgus=0.06, rise=0.05)), "bodyweight_squat")
    assert found["knee_inside_ankle"] == pytest.approx(6, abs=0.2)
    assert found["knee_separation_ratio"] < 0.6
    assert found["ankle_rise"] == pytest.approx(5, abs=0.2)


def test_a_single_view_has_no_ankle_rise() -> None:
    found = values(sequence(squat(rise=0.05), world=False), "bodyweight_squat")
    assert "ankle_rise" not in found and "hip_depth" in found


@pytest.mark.parametrize("mirror", [False, True])
def test_throw_quantities_and_handedness(mirror: bool) -> None:
    found = {
        m.quantity: m
        for m in kinematics.measure(
            sequence(throw(flare=25, mirror=mirror), source="simulated"), "basketball_free_throw"
        )
    }
    assert found["elbow_flare"].value == pytest.approx(25, abs=1)
    assert 26 <= found["elbow_extension_release"].time * 30 <= 36
    assert found["elbow_extension_release"].value == pytest.approx(175, abs=2)
    assert found["follow_through_time"].value == pytest.approx(1.0, abs=0.25)
    assert found["follow_through_time"].time * 30 == pytest.approx(29, abs=2)


def test_a_short_follow_through_is_shorter() -> None:
    long = values(sequence(throw(hold=30)), "basketball_free_throw")["follow_through_time"]
    short = values(sequence(throw(hold=6)), "basketball_free_throw")["follow_through_time"]
    assert long - short == pytest.approx(24 / 30, abs=0.05)


def test_span_restricts_but_keeps_the_reference() -> None:
    two = np.concatenate([squat(depth=60), squat(depth=100)])
    pose = sequence(two)
    first = kinematics.measure(pose, "bodyweight_squat", (0.0, 3.0))
    by_name = {m.quantity: m for m in first}
    assert by_name["knee_flexion_max"].value == pytest.approx(60, abs=1)
    assert by_name["knee_flexion_max"].time == pytest.approx(1.5, abs=0.1)
    inner = values(pose, "bodyweight_squat", span=(4.3, 4.7))
    assert inner["knee_flexion_max"] == pytest.approx(100, abs=1)
    assert inner["hip_depth"] == pytest.approx(np.cos(np.radians(50)), abs=0.03)
    with pytest.raises(PoiseError, match="no frame to measure"):
        kinematics.measure(pose, None, (9.0, 10.0))


def test_every_repetition_is_measured_alone() -> None:
    three = np.concatenate([squat(depth=100), squat(depth=50), squat(depth=90, valgus=0.06)])
    records = kinematics.measure_repetitions(sequence(three), "bodyweight_squat")
    depths = [m.value for m in records if m.quantity == "knee_flexion_max"]
    assert depths == pytest.approx([100, 50, 90], abs=1.5)
    inside = [m.value for m in records if m.quantity == "knee_inside_ankle"]
    assert inside == pytest.approx([0, 0, 6], abs=0.3)
    few = kinematics.measure_repetitions(
        sequence(three), "bodyweight_squat", (0.0, 6.0), quantities=("ascent_time",)
    )
    assert [m.quantity for m in few] == ["ascent_time"] * 2


@pytest.mark.parametrize("activity", ["juggling", "bodyweight_squat"])
def test_one_repetition_is_measured_as_the_whole_clip(activity: str) -> None:
    pose = sequence(squat())
    assert kinematics.measure_repetitions(pose, activity) == kinematics.measure(pose, activity)


def test_timings_by_hand() -> None:
    """sin^2 falls to 0.2 of its height where sin is sqrt(0.2), 0.352 of its 1.8 s from the top."""
    stretched = sequence(squat(depth=100))
    found = values(stretched, "bodyweight_squat")
    assert found["descent_time"] == pytest.approx(0.352 * 1.8, abs=0.05)
    assert found["ascent_time"] == pytest.approx(0.352 * 1.8, abs=0.05)
    slow = PoseSequence(stretched.joints, stretched.confidence, 15.0)
    assert values(slow, "bodyweight_squat")["descent_time"] == pytest.approx(1.27, abs=0.1)
    shot = values(sequence(throw(), source="simulated"), "basketball_free_throw")
    assert shot["set_to_release_time"] == pytest.approx(15 / 30, abs=0.05)  # bent from 15


def test_asymmetries_by_hand() -> None:
    joints = squat(depth=100)
    assert values(sequence(joints), "bodyweight_squat")["knee_flexion_difference"] == pytest.approx(
        0, abs=1e-3
    )
    joints[:, LEFT_KNEE, 0] += 0.1  # the left leg bends further
    bent, straight = (angles.knee_flexion(joints, side) for side in (0, 1))
    found = values(sequence(joints), "bodyweight_squat")["knee_flexion_difference"]
    assert found == pytest.approx((bent - straight)[45], abs=1.0) and found > 5
    shot = throw()
    shot[:, RIGHT_SHOULDER, 2] += 0.36 * np.tan(np.radians(10))
    tilt = values(sequence(shot), "basketball_free_throw")["shoulder_tilt_release"]
    assert tilt == pytest.approx(10, abs=1)
    mirrored = shot[:, MIRROR] * [1, -1, 1]
    assert values(sequence(mirrored), "basketball_free_throw")[
        "shoulder_tilt_release"
    ] == pytest.approx(tilt, abs=0.1)


def test_error_bars_grow_with_the_source() -> None:
    def errors(source: str) -> dict[str, float]:
        records = kinematics.measure(sequence(squat(), source=source), "bodyweight_squat")
        return {m.quantity: m.error for m in records}

    exact, file, single = errors("simulated"), errors("file"), errors("mediapipe")
    assert set(exact.values()) == {0.0}
    assert 0.5 < file["knee_flexion_max"] < 6
    assert all(single[name] > 2 * file[name] > 0 for name in file)
    assert errors("file") == file


def test_error_bars_cover_the_truth() -> None:
    rng = np.random.default_rng(1)
    truth = values(sequence(squat()), None, draws=0)["trunk_lean_max"]
    noise = draw_errors("file", 90, 30.0, 60, rng)
    hits = 0
    for draw in noise:
        record = kinematics.measure(sequence(squat() + draw), None, quantities=("trunk_lean_max",))
        hits += abs(record[0].value - truth) < 2 * record[0].error
    assert hits >= 45  # 95 % of 60 is 57; a maximum is a little biased


def test_drawn_errors_have_the_stated_size() -> None:
    draws = draw_errors("mediapipe", 60, 30.0, 300, np.random.default_rng(0))
    sizes = np.linalg.norm(draws, axis=-1).mean(axis=(0, 1)) * 1000
    np.testing.assert_allclose(sizes, joint_error_mm("mediapipe"), rtol=0.08)
    steps = np.linalg.norm(np.diff(draws, axis=1), axis=-1).mean() * 1000
    assert steps < 0.15 * sizes.mean()  # slow: frames hardly jitter
    assert 70 < joint_error_mm("mediapipe").mean() < 90


def test_one_view_leans_as_a_whole_too() -> None:
    body = np.repeat(REST_POSE[None], 30, axis=0)
    rng = np.random.default_rng(0)
    leans = disturbed("mediapipe", body, 30.0, 400) - draw_errors("mediapipe", 30, 30.0, 400, rng)
    lengths = np.linalg.norm(leans, axis=-1)
    np.testing.assert_allclose(lengths, np.linalg.norm(body, axis=-1)[None] + 0 * lengths)
    up = leans[:, 0, LEFT_SHOULDER] + leans[:, 0, RIGHT_SHOULDER]
    spread = np.degrees(np.arctan2(up[:, :2], up[:, 2:])).std(axis=0)
    np.testing.assert_allclose(spread, tilt_degrees(), rtol=0.12)
    np.testing.assert_allclose(leans[:, 0], leans[:, -1], atol=1e-12)  # constant over the clip
    file = disturbed("file", body, 30.0, 5)
    np.testing.assert_array_equal(
        file, body + draw_errors("file", 30, 30.0, 5, np.random.default_rng(0))
    )


def test_unseen_joints_and_unknown_names() -> None:
    pose = sequence(throw())
    confidence = pose.confidence.copy()
    confidence[:, RIGHT_WRIST] = 0
    hidden = PoseSequence(pose.joints, confidence, 30.0)
    found = values(hidden, "basketball_free_throw")
    assert "follow_through_time" not in found and "trunk_lean_max" in found
    with pytest.raises(PoiseError, match="unknown pose source"):
        kinematics.measure(sequence(throw(), source="guess"))
    with pytest.raises(PoiseError, match="unknown quantity"):
        kinematics.measure(pose, None, quantities=("charm",))


def test_general_quantities_need_no_activity() -> None:
    assert set(values(sequence(squat()), None)) == set(values(sequence(squat()), "juggling"))
    assert len(values(sequence(squat()), None)) == 4


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_short_clips_are_finite(frames: int) -> None:
    for activity in TRACKS:
        records = kinematics.measure_repetitions(sequence(throw()[20 : 20 + frames]), activity)
        assert all(np.isfinite([m.value, m.error]).all() for m in records)


def test_registry_is_well_formed() -> None:
    for name, quantity in kinematics.QUANTITIES.items():
        assert quantity.name == name and quantity.region in REGIONS and quantity.meaning


def test_bone_lengths_return() -> None:
    rng = np.random.default_rng(0)
    own = squat()
    lengths = bones.bone_lengths(own)
    assert lengths[bones.TREE.index((LEFT_HIP, LEFT_KNEE))] == pytest.approx(0.4)
    assert bones.bone_length_drift_mm(own, lengths) < 1e-6
    wrong = own * 1.1 + rng.normal(0, 0.02, own.shape)
    assert bones.bone_length_drift_mm(wrong, lengths) > 10
    restored = bones.restore_bone_lengths(wrong.astype(np.float32), lengths)
    assert restored.dtype == np.float32
    assert bones.bone_length_drift_mm(restored, lengths) < 0.01
    np.testing.assert_allclose(bones.restore_bone_lengths(own, lengths), own, atol=1e-9)
    knee = angles.knee_flexion(wrong, 0)
    np.testing.assert_allclose(angles.knee_flexion(restored.astype(float), 0), knee, atol=0.01)


def test_restoring_a_point_stays_finite() -> None:
    lengths = bones.bone_lengths(REST_POSE[None])
    assert np.isfinite(bones.restore_bone_lengths(np.zeros((2, 17, 3)), lengths)).all()


def test_joint_limits() -> None:
    assert bones.joint_limit_violations(squat()) == 0
    broken = squat()
    broken[40, LEFT_ANKLE] = broken[40, LEFT_KNEE] + [0.4, 0, -0.1]  # the shank kicks forward
    assert bones.joint_limit_violations(broken) == 1
    broken[50, LEFT_WRIST] = broken[50, LEFT_SHOULDER]
    assert bones.joint_limit_violations(broken) == 2
    assert angles.signed_knee_extension(squat(), 1).max() < 1
    broken[60, RIGHT_ANKLE] = broken[60, RIGHT_KNEE] * 0.9 + REST_POSE[12] * 0.1
    assert np.isfinite(angles.signed_knee_extension(broken, 1)).all()


REAL = Path(__file__).parents[4] / "shared/data/poses/basketball_free_throw_real.npz"


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_file(), reason="no real free throws beside the repository")
def test_release_of_real_throws_is_when_the_ball_leaves() -> None:
    with np.load(REAL, allow_pickle=False) as data:
        poses, balls = data["poses"][:20], data["ball"][:20]
    for joints, ball in zip(poses, balls, strict=True):
        records = kinematics.measure(sequence(joints), "basketball_free_throw", draws=0)
        found = {m.quantity: m for m in records}
        release = found["follow_through_time"].time * 30
        gap = np.linalg.norm(ball - joints[:, RIGHT_WRIST], axis=1)
        leaves = int(np.flatnonzero(gap < 0.35).max())
        assert -4 <= release - leaves <= 2
        assert 140 < found["elbow_extension_release"].value < 180
