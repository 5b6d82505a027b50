"""The quantity of every fault, measured on the joints by plain geometry, apart from the product."""

import numpy as np
import pytest

from assistant.skeleton import (
    LEFT_ANKLE,
    LEFT_EAR,
    LEFT_ELBOW,
    LEFT_EYE,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_SHOULDER,
    LEFT_WRIST,
    NOSE,
    RIGHT_ANKLE,
    RIGHT_EAR,
    RIGHT_HIP,
    RIGHT_KNEE,
    RIGHT_SHOULDER,
    RIGHT_WRIST,
    pelvis,
)

FPS = 30.0


@pytest.fixture(scope="session")
def measure():
    """(performer, drill, pose, fault name, repetition) -> the quantity in its unit."""
    return _measure


def _measure(performer, drill, pose, name, repetition=0):
    start, end = drill.repetitions[repetition]
    span = slice(int(start * FPS), int(end * FPS) + 1)
    joints = pose.joints[span].astype(np.float64)
    steps = drill.steps[span]
    return MEASURES[drill.activity][name](joints, steps, performer.left_handed)


def angle(a, b, c):
    u, v = a - b, c - b
    cosine = (u * v).sum(-1) / np.linalg.norm(u, axis=-1) / np.linalg.norm(v, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def one_knee(joints, side):
    return 180 - angle(
        joints[:, LEFT_HIP + side], joints[:, LEFT_KNEE + side], joints[:, LEFT_ANKLE + side]
    )


def knee_flexion(joints):
    return (one_knee(joints, 0) + one_knee(joints, 1)) / 2


def elbow(joints, side):
    return angle(
        joints[:, LEFT_SHOULDER + side], joints[:, LEFT_ELBOW + side], joints[:, LEFT_WRIST + side]
    )


def level(vectors):
    flat = vectors * np.array([1, 1, 0])
    return flat / np.linalg.norm(flat, axis=-1, keepdims=True)


def lateral(joints):
    return level(joints[:, LEFT_HIP] - joints[:, RIGHT_HIP])


def ahead_of(left):
    return np.stack([left[..., 1], -left[..., 0], 0 * left[..., 2]], -1)


def shoulders(joints):
    return (joints[:, LEFT_SHOULDER] + joints[:, RIGHT_SHOULDER]) / 2


def trunk(joints):
    return shoulders(joints) - pelvis(joints)


def lean(joints):
    line = trunk(joints)
    return np.degrees(np.arctan2(np.hypot(line[:, 0], line[:, 1]), line[:, 2]))


def face(joints):
    return joints[:, NOSE] - (joints[:, LEFT_EAR] + joints[:, RIGHT_EAR]) / 2


def pitch(joints):
    line = face(joints)
    return np.degrees(np.arctan2(-line[:, 2], np.hypot(line[:, 0], line[:, 1])))


def first(steps, index):
    return int(np.flatnonzero(steps == index)[0])


def deepest(joints):
    return int(np.argmax(knee_flexion(joints)))


# Squat


def medial_displacement(joints, steps, left_handed):
    at = deepest(joints)
    across = lateral(joints)[at]
    feet = (joints[at, LEFT_ANKLE] - joints[at, RIGHT_ANKLE]) @ across
    knees = (joints[at, LEFT_KNEE] - joints[at, RIGHT_KNEE]) @ across
    return 100 * (feet - knees) / 2


def ankle_rise(joints, steps, left_handed):
    height = joints[:, [LEFT_ANKLE, RIGHT_ANKLE], 2].mean(1)
    return 100 * (height.max() - height[0])


def head_pitch(joints, steps, left_handed):
    return pitch(joints)[deepest(joints)]


# Free throw


def flare(joints, steps, left_handed):
    top = first(steps, 3)
    side = 0 if left_handed else 1
    across = joints[top, LEFT_SHOULDER] - joints[top, RIGHT_SHOULDER]
    outward = across / np.linalg.norm(across) * (1 if left_handed else -1)
    upper_arm = joints[top, LEFT_ELBOW + side] - joints[top, LEFT_SHOULDER + side]
    return np.degrees(np.arcsin(upper_arm @ outward / np.linalg.norm(upper_arm)))


def follow_through(joints, steps, left_handed):
    release = first(steps, 4)
    wrist = joints[release:, LEFT_WRIST if left_handed else RIGHT_WRIST, 2]
    above = wrist > joints[release:, [LEFT_EYE, LEFT_EYE + 1], 2].mean(1)
    return (len(above) if above.all() else int(np.argmin(above))) / FPS


def side_sway(joints, steps, left_handed):
    release = first(steps, 4)
    line = trunk(joints)[release : release + 12]
    aside = (line * lateral(joints)[release : release + 12]).sum(-1)
    return np.abs(np.degrees(np.arctan2(aside, line[:, 2]))).max()


def stance(joints, steps, left_handed):
    apart = joints[:, LEFT_ANKLE] - joints[:, RIGHT_ANKLE]
    return 100 * np.abs((apart * lateral(joints)).sum(-1))[steps == 1].mean()


# Lunge


def front(joints):
    """0 or 1: the leg whose ankle is ahead at the deepest point."""
    at = deepest(joints)
    forward = ahead_of(lateral(joints))[at]
    return int((joints[at, RIGHT_ANKLE] - joints[at, LEFT_ANKLE]) @ forward > 0)


def front_inside(joints, steps, left_handed):
    side = front(joints)
    at = int(np.argmax(one_knee(joints, side)))
    inward = lateral(joints)[at] * (-1 if side == 0 else 1)
    return 100 * (joints[at, LEFT_KNEE + side] - joints[at, LEFT_ANKLE + side]) @ inward


def step_length(joints, steps, left_handed):
    at = deepest(joints)
    apart = joints[at, LEFT_ANKLE] - joints[at, RIGHT_ANKLE]
    return 100 * np.hypot(apart[0], apart[1])


# Press


def top_frame(joints):
    return int(np.argmax(joints[:, [LEFT_WRIST, RIGHT_WRIST], 2].mean(1)))


def middle_of_lockout(steps):
    return int(np.flatnonzero(steps == 2).mean())


def lockout(joints, steps, left_handed):
    at = middle_of_lockout(steps)
    return (elbow(joints, 0)[at] + elbow(joints, 1)[at]) / 2


def arch(joints, steps, left_handed):
    line = trunk(joints)
    back = -(line * ahead_of(lateral(joints))).sum(-1)
    return np.degrees(np.arctan2(back, line[:, 2]))[(steps == 1) | (steps == 2)].max()


def bar_ahead(joints, steps, left_handed):
    at = middle_of_lockout(steps)
    hands = joints[at, [LEFT_WRIST, RIGHT_WRIST]].mean(0) - shoulders(joints)[at]
    return 100 * hands @ ahead_of(lateral(joints))[at]


# Penalty kick


def kicking(left_handed):
    return 0 if left_handed else 1


def line_of_kick(joints, at, left_handed):
    ankle = joints[:, LEFT_ANKLE + kicking(left_handed)]
    return level(ankle[at + 1] - ankle[at - 1])


def backswing(joints, steps, left_handed):
    return one_knee(joints, kicking(left_handed))[(steps == 2) | (steps == 3)].max()


def leaning_back(joints, steps, left_handed):
    at = first(steps, 4)
    line = trunk(joints)[at]
    return np.degrees(np.arctan2(-line @ line_of_kick(joints, at, left_handed), line[2]))


def plant_behind(joints, steps, left_handed):
    at, side = first(steps, 4), kicking(left_handed)
    apart = joints[at, LEFT_ANKLE + side] - joints[at, LEFT_ANKLE + 1 - side]
    return 100 * apart @ line_of_kick(joints, at, left_handed)


def other_arm(joints, steps, left_handed):
    side = 1 - kicking(left_handed)
    hang = joints[:, LEFT_SHOULDER + side] - trunk(joints)
    raised = angle(joints[:, LEFT_ELBOW + side], joints[:, LEFT_SHOULDER + side], hang)
    return raised[first(steps, 3)]


# Golf


def lead(left_handed):
    return 1 if left_handed else 0


def lead_elbow(joints, steps, left_handed):
    return elbow(joints, lead(left_handed))[first(steps, 2)]


def turn(joints, steps, left_handed):
    line = joints[:, LEFT_SHOULDER] - joints[:, RIGHT_SHOULDER]
    u, v = line[0], line[first(steps, 2)]
    return np.degrees(np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v)))


def hip_sway(joints, steps, left_handed):
    moved = pelvis(joints)[first(steps, 2)] - pelvis(joints)[0]
    return -100 * (moved @ lateral(joints)[0]) * (-1 if left_handed else 1)


def face_turn(joints, steps, left_handed):
    line = face(joints)
    a, b = line[0], line[first(steps, 3)]
    left = a[0] * b[1] - a[1] * b[0]
    return np.degrees(np.arctan2(left, a[:2] @ b[:2])) * (-1 if left_handed else 1)


def finish_height(joints, steps, left_handed):
    height = joints[:, [LEFT_WRIST, RIGHT_WRIST], 2].mean(1) - shoulders(joints)[:, 2]
    return 100 * np.median(height[steps == 4])


MEASURES = {
    "bodyweight_squat": {
        "shallow_depth": lambda j, steps, left: knee_flexion(j).max(),
        "knee_valgus": medial_displacement,
        "forward_lean": lambda j, steps, left: lean(j).max(),
        "heel_rise": ankle_rise,
        "head_drop": head_pitch,
    },
    "basketball_free_throw": {
        "elbow_flare": flare,
        "insufficient_knee_bend": lambda j, steps, left: knee_flexion(j)[
            (steps == 2) | (steps == 3)
        ].max(),
        "short_follow_through": follow_through,
        "off_balance": side_sway,
        "narrow_stance": stance,
    },
    "forward_lunge": {
        "shallow_lunge": lambda j, steps, left: one_knee(j, front(j))[
            (steps == 2) | (steps == 3)
        ].max(),
        "front_knee_valgus": front_inside,
        "forward_lean": lambda j, steps, left: lean(j).max(),
        "short_step": step_length,
        "head_drop": head_pitch,
    },
    "overhead_press": {
        "soft_lockout": lockout,
        "back_arch": arch,
        "knee_drive": lambda j, steps, left: knee_flexion(j)[(steps == 1) | (steps == 2)].max(),
        "bar_forward": bar_ahead,
        "head_back": lambda j, steps, left: pitch(j)[middle_of_lockout(steps)],
    },
    "soccer_penalty_kick": {
        "short_backswing": backswing,
        "lean_back": leaning_back,
        "plant_behind": plant_behind,
        "head_up": lambda j, steps, left: pitch(j)[first(steps, 4)],
        "idle_arm": other_arm,
    },
    "golf_swing": {
        "bent_lead_arm": lead_elbow,
        "restricted_turn": turn,
        "hip_sway": hip_sway,
        "head_up_early": face_turn,
        "low_finish": finish_height,
    },
}
