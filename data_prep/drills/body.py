"""From control curves to joints: two-bone inverse kinematics for legs and arms, over all frames.

Local frame of a clip: +x is the heading at yaw 0, +y its left, +z up, floor at z = 0.
Masses: Winter, Biomechanics and Motor Control of Human Movement, 4th ed., Table 4.1 (after
Dempster): they put the pelvis where the body's centre of mass stands over its feet.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter1d

from assistant.skeleton import (
    LEFT_ANKLE,
    LEFT_EAR,
    LEFT_ELBOW,
    LEFT_EYE,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_SHOULDER,
    LEFT_WRIST,
    N_JOINTS,
    NOSE,
)
from data_prep.drills.holds import hold_together
from data_prep.drills.performer import Performer
from data_prep.drills.swing import swing_legs
from data_prep.drills.tracks import FPS, Meeting

SIDE = np.array([1.0, -1.0])  # left, right along +y
MID_FOOT = 0.38  # where the centre of mass rests between ankle (0) and ball of the foot (1)


def assemble(
    performer: Performer,
    curves: dict[str, np.ndarray],
    feet: np.ndarray,
    grounded: np.ndarray,
    meetings: Sequence[Meeting] = (),
) -> np.ndarray:
    """Joints of a clip in its local frame.

    Args:
        performer: whose bones.
        curves: control name -> [F] (`tracks.CONTROLS`).
        feet: [F, 2, 4] x, y, toe direction (degrees) and height of each foot.
        grounded: [F, 2], 1 where the foot stands.
        meetings: places that a swinging foot meets.

    Returns:
        [F, 17, 3] metres, float64.
    """
    length = performer.lengths
    yaw = np.radians(curves["yaw"])
    ankles, toe = _ankles(length, curves, feet, yaw)
    base = _base(feet)
    local = ankles.copy()
    local[..., 0] -= base[:, None, 0]
    local[..., 1] -= base[:, None, 1]
    local = _turn(local, -yaw)
    free = np.stack([curves["free_l"], curves["free_r"]], 1)
    thighs = np.zeros((*free.shape, 3))
    hips, hip_axis = _pelvis(length, curves, local, grounded * (1 - free), toe)
    if free.any():
        swung, thighs = swing_legs(length, curves, hips, base, yaw, local, meetings)
        local = local + free[..., None] * (swung - local)
        _, reached = two_bone(hips, local, length["thigh"], length["shank"], thighs)
        local = np.where(free[..., None] > 0, reached, local)
    knees = _knees(length, curves, hips, local, toe, free[..., None] * thighs)
    pelvis = hips.mean(1)
    shoulders, frame, centre = _trunk(length, curves, pelvis, hip_axis)
    arms_curves = _arm_swing(curves, local)
    elbows, wrists = _arms(length, arms_curves, shoulders, curves, frame)
    joints = np.empty((len(yaw), N_JOINTS, 3))
    for first, pair in (
        (LEFT_SHOULDER, shoulders),
        (LEFT_ELBOW, elbows),
        (LEFT_WRIST, wrists),
        (LEFT_HIP, hips),
        (LEFT_KNEE, knees),
        (LEFT_ANKLE, local),
    ):
        joints[:, first : first + 2] = pair
    _head(length, curves, centre, joints)
    joints = _turn(joints, yaw)
    joints[..., 0] += base[:, None, 0]
    joints[..., 1] += base[:, None, 1]
    return joints


def _turn(points: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    """Rotate [F, N, 3] about z by yaw [F]."""
    cos, sin = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    out = points.copy()
    out[..., 0] = cos * points[..., 0] - sin * points[..., 1]
    out[..., 1] = sin * points[..., 0] + cos * points[..., 1]
    return out


def _base(feet: np.ndarray) -> np.ndarray:
    """Slow middle of the feet [F, 2], over which the body is carried."""
    return gaussian_filter1d(feet[:, :, :2].mean(1), 0.12 * FPS, axis=0, mode="nearest")


def _ankles(
    length: dict[str, float], curves: dict[str, np.ndarray], feet: np.ndarray, yaw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ankles [F, 2, 3] in clip axes, and the toes' direction [F, 2] against the heading."""
    heel = np.stack([curves["heel_l"], curves["heel_r"]], 1)
    heel = np.clip(heel, 0, 0.8 * length["foot"])
    direction = np.radians(feet[:, :, 2])
    # The foot turns about its ball, `foot` ahead of the ankle and on the ground.
    radius = np.hypot(length["foot"], length["ankle_height"])
    rise = length["ankle_height"] + heel
    forward = length["foot"] - np.sqrt(np.maximum(radius**2 - rise**2, 0))
    ankles = np.empty((len(yaw), 2, 3))
    ankles[..., 0] = feet[..., 0] + forward * np.cos(direction)
    ankles[..., 1] = feet[..., 1] + forward * np.sin(direction)
    ankles[..., 2] = rise + feet[..., 3] + curves["lift"][:, None]
    return ankles, direction - yaw[:, None]


def _pelvis(
    length: dict[str, float],
    curves: dict[str, np.ndarray],
    ankles: np.ndarray,
    grounded: np.ndarray,
    toe: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Hips [F, 2, 3] and their axis [F, 3], so that the knees have the wanted flexion."""
    thigh, shank = length["thigh"], length["shank"]
    flexion = np.radians(np.clip(curves["knee"], 3, 150))
    reach = np.sqrt(thigh**2 + shank**2 + 2 * thigh * shank * np.cos(flexion))
    full = 0.9985 * (thigh + shank)
    # A foot in the air does not carry: its leg may be as long as it gets.
    reach = reach[:, None] * grounded + full * (1 - grounded)
    carry = (grounded + 1e-3) * np.stack([curves["carry_l"], curves["carry_r"]], 1)
    share = carry / carry.sum(1, keepdims=True)
    tilt, turn = np.radians(curves["list"]), np.radians(curves["hip_turn"])
    half = length["hip_width"] / 2
    axis = np.stack([-np.sin(turn) * np.cos(tilt), np.cos(turn) * np.cos(tilt), np.sin(tilt)], 1)
    offset = half * SIDE[None, :, None] * axis[:, None]
    forward = np.cos(toe).mean(1)
    target_x = ankles[..., 0].mean(1) + MID_FOOT * length["foot"] * forward + curves["com_x"]
    lean, side = np.radians(curves["lean"]), np.radians(curves["side"])
    y = curves["com_y"] - 0.45 * length["trunk"] * np.sin(side)
    x = target_x - 0.3 * length["trunk"] * np.sin(lean)
    for _ in range(4):
        z = (_heights(x, y, offset, ankles, reach) * share).sum(1)
        x = x + (target_x - _mass_x(length, curves, x, z, ankles, lean)) / 0.8
    z = (_heights(x, y, offset, ankles, reach) * share).sum(1)
    smooth_z = gaussian_filter1d(z, 1.2, mode="nearest")
    free = np.stack([curves["free_l"], curves["free_r"]], 1)
    limit = (_heights(x, y, offset, ankles, np.full_like(reach, full)) + 2 * free).min(1)
    centre = np.stack([x, y, np.minimum(smooth_z, limit)], 1)
    return centre[:, None] + offset, axis


def _heights(
    x: np.ndarray, y: np.ndarray, offset: np.ndarray, ankles: np.ndarray, reach: np.ndarray
) -> np.ndarray:
    """The pelvis heights [F, 2] at which each leg is as long as its reach."""
    dx = x[:, None] + offset[..., 0] - ankles[..., 0]
    dy = y[:, None] + offset[..., 1] - ankles[..., 1]
    square = np.maximum(reach**2 - dx**2 - dy**2, 0.01)
    return ankles[..., 2] + np.sqrt(square) - offset[..., 2]


def _mass_x(
    length: dict[str, float],
    curves: dict[str, np.ndarray],
    x: np.ndarray,
    z: np.ndarray,
    ankles: np.ndarray,
    lean: np.ndarray,
) -> np.ndarray:
    """Forward position [F] of the body's centre of mass for a pelvis at (x, z)."""
    thigh, shank = length["thigh"], length["shank"]
    ax, az = ankles[..., 0].mean(1), ankles[..., 2].mean(1)
    dx, dz = ax - x, az - z
    distance = np.clip(np.hypot(dx, dz), 0.05, 0.999 * (thigh + shank))
    along = (thigh**2 - shank**2 + distance**2) / (2 * distance)
    out = np.sqrt(np.maximum(thigh**2 - along**2, 0))
    knee = x + along * dx / distance - out * dz / distance * 0.9
    shoulder = x + length["trunk"] * np.sin(lean)
    arm = length["upper_arm"] + length["forearm"]
    hand = 0.5 * (curves["hand_x_l"] + curves["hand_x_r"]) * arm
    follow = 0.5 * (curves["follow_l"] + curves["follow_r"])
    hand_z = 0.5 * (curves["hand_z_l"] + curves["hand_z_r"]) * arm
    hand = hand * np.cos(follow * lean) + hand_z * np.sin(follow * lean)
    mass = 0.497 * (x + 0.55 * (shoulder - x)) + 0.081 * (shoulder + 0.03)
    mass = mass + 0.100 * (shoulder + 0.45 * hand)
    mass = mass + 0.200 * (0.567 * x + 0.433 * knee) + 0.093 * (0.567 * knee + 0.433 * ax)
    return mass + 0.029 * (ax + 0.5 * length["foot"])


def two_bone(
    root: np.ndarray, target: np.ndarray, first: float, second: float, pole: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Middle joint and end of a two-bone chain, [..., 3]; the end is the target if in reach."""
    line = target - root
    distance = np.linalg.norm(line, axis=-1, keepdims=True)
    unit = line / np.maximum(distance, 1e-9)
    reach = np.clip(distance, abs(first - second) + 1e-3, 0.9995 * (first + second))
    along = (first**2 - second**2 + reach**2) / (2 * reach)
    height = np.sqrt(np.maximum(first**2 - along**2, 0))
    aside = pole - (pole * unit).sum(-1, keepdims=True) * unit
    aside = aside / np.maximum(np.linalg.norm(aside, axis=-1, keepdims=True), 1e-9)
    return root + along * unit + height * aside, root + reach * unit


def _knees(
    length: dict[str, float],
    curves: dict[str, np.ndarray],
    hips: np.ndarray,
    ankles: np.ndarray,
    toe: np.ndarray,
    swinging: np.ndarray,
) -> np.ndarray:
    """Knees [F, 2, 3]: over the toes, then turned outward, then pushed inward by the fault.

    `swinging` [F, 2, 3] is the thigh's direction of a leg that swings, as long as it is free.
    """
    out = np.stack([curves["knee_out_l"], curves["knee_out_r"]], 1)
    angle = toe + SIDE * np.radians(out)
    pole = np.stack([np.cos(angle), np.sin(angle), np.full_like(angle, 0.25)], -1)
    pole = pole * (1 - np.linalg.norm(swinging, axis=-1, keepdims=True)) + swinging
    knees, _ = two_bone(hips, ankles, length["thigh"], length["shank"], pole)
    inward = np.stack([curves["inward_l"], curves["inward_r"]], 1)
    if not (inward > 1e-6).any():
        return knees
    size = np.stack([curves["inward_size_l"], curves["inward_size_r"]], 1)
    return _push_inward(knees, hips, ankles, inward, size)


def _push_inward(
    knees: np.ndarray,
    hips: np.ndarray,
    ankles: np.ndarray,
    share: np.ndarray,
    size: np.ndarray,
) -> np.ndarray:
    """Turn the knees about the hip-ankle line so that they stand inside the ankles.

    `share` [F, 2] in 0..1 goes from the knee's own place to `size` [F, 2] metres inside the
    ankle; solves a cos(t) + b sin(t) = c for the turn t.
    """
    line = ankles - hips
    unit = line / np.linalg.norm(line, axis=-1, keepdims=True)
    foot = hips + ((knees - hips) * unit).sum(-1, keepdims=True) * unit
    radius = knees - foot
    across = np.cross(unit, radius)
    now = SIDE * (knees[..., 1] - ankles[..., 1])
    want = now + share * (np.minimum(now, -size) - now)
    a, b = SIDE * radius[..., 1], SIDE * across[..., 1]
    c = want - SIDE * (foot[..., 1] - ankles[..., 1])
    ratio = np.clip(c / np.maximum(np.hypot(a, b), 1e-9), -0.98, 0.98)
    centre = np.arctan2(b, a)
    swing = np.arccos(ratio)
    turns = np.stack([centre + swing, centre - swing])
    turns = (turns + np.pi) % (2 * np.pi) - np.pi
    turn = np.where(np.abs(turns[0]) < np.abs(turns[1]), turns[0], turns[1])
    turn = np.where(share > 1e-6, turn, 0.0)[..., None]
    return foot + radius * np.cos(turn) + across * np.sin(turn)


def _trunk(
    length: dict[str, float],
    curves: dict[str, np.ndarray],
    pelvis: np.ndarray,
    hip_axis: np.ndarray,
) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Shoulders [F, 2, 3], the trunk's angles for the arms, and the middle of the shoulders."""
    lean, side = np.radians(curves["lean"]), np.radians(curves["side"])
    up, left, _ = _axes(lean, side, np.radians(curves["twist"]))
    centre = pelvis + length["trunk"] * up
    half = length["shoulder_width"] / 2
    raised = np.stack([curves["hand_z_l"], curves["hand_z_r"]], 1)
    shrug = 0.035 * np.clip((raised + 0.1) / 1.1, 0, 1)  # scapular elevation of a raised arm
    # Shoulder blades that slide forward with the arms bring the joints closer together.
    reach = np.stack([curves["hand_x_l"], curves["hand_x_r"]], 1)
    closer = 1 - 0.08 * np.clip(reach, 0, 1) - 0.05 * np.clip(raised, 0, 1)
    shoulders = centre[:, None] + (half * closer * SIDE)[..., None] * left[:, None]
    shoulders = shoulders + shrug[..., None] * up[:, None]
    angles = {"lean": lean, "side": side, "twist": np.radians(curves["twist"])}
    return shoulders, angles, centre


def _axes(
    lean: np.ndarray, side: np.ndarray, twist: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Up, left and forward unit vectors [..., 3] of a trunk."""
    up = np.stack([np.sin(lean) * np.cos(side), np.sin(side), np.cos(lean) * np.cos(side)], -1)
    left = np.stack([-up[..., 0] * up[..., 1], 1 - up[..., 1] ** 2, -up[..., 2] * up[..., 1]], -1)
    left = left / np.linalg.norm(left, axis=-1, keepdims=True)
    ahead = np.cross(left, up)
    cos, sin = np.cos(twist)[..., None], np.sin(twist)[..., None]
    return up, left * cos - ahead * sin, ahead * cos + left * sin


def _arm_swing(curves: dict[str, np.ndarray], ankles: np.ndarray) -> dict[str, np.ndarray]:
    """Hand targets with the arms swinging against the legs."""
    apart = (ankles[:, 0, 0] - ankles[:, 1, 0]) * curves["swing"]
    targets = {
        name: np.stack([curves[f"{name}_l"], curves[f"{name}_r"]], 1)
        for name in ("hand_x", "hand_y", "hand_z", "elbow", "follow")
    }
    targets["hand_x"] = targets["hand_x"] - SIDE * apart[:, None]
    return targets


def _arms(
    length: dict[str, float],
    targets: dict[str, np.ndarray],
    shoulders: np.ndarray,
    curves: dict[str, np.ndarray],
    angles: dict[str, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Elbows and wrists [F, 2, 3]."""
    follow = targets["follow"]
    up, left, ahead = _axes(
        angles["lean"][:, None] * follow,
        angles["side"][:, None] * follow,
        np.repeat(angles["twist"][:, None], 2, 1),
    )
    arm = length["upper_arm"] + length["forearm"]
    line = (
        targets["hand_x"][..., None] * ahead
        + (SIDE * targets["hand_y"])[..., None] * left
        + targets["hand_z"][..., None] * up
    ) * arm
    line = hold_together(line, shoulders, curves, left, up)
    unit = line / np.maximum(np.linalg.norm(line, axis=-1, keepdims=True), 1e-6)
    natural = np.cross(left - 0.3 * SIDE[None, :, None] * ahead, unit)
    turn = (SIDE * np.radians(targets["elbow"]))[..., None]
    pole = natural * np.cos(turn) + np.cross(unit, natural) * np.sin(turn)
    return two_bone(shoulders, shoulders + line, length["upper_arm"], length["forearm"], pole)


def _head(
    length: dict[str, float],
    curves: dict[str, np.ndarray],
    centre: np.ndarray,
    joints: np.ndarray,
) -> None:
    """Write nose, eyes and ears into `joints`."""
    pitch = np.radians(curves["head_pitch"])
    lean, side = np.radians(curves["lean"]), np.radians(curves["side"])
    bend = 0.45 * lean + 0.35 * pitch + 0.03
    neck = np.stack([np.sin(bend), 0.6 * np.sin(side), np.cos(bend)], 1)
    middle = centre + length["neck"] * neck
    yaw = np.radians(curves["head_yaw"] + 0.7 * curves["twist"] * (1 - curves["head_free"]))
    up, left, ahead = _axes(pitch, 0.4 * side, yaw)
    half = length["head"] / 2
    size = length["head"] / 0.155
    offsets = (
        (NOSE, 0.108, 0.0, 0.0),
        (LEFT_EYE, 0.092, 0.032, 0.032),
        (LEFT_EYE + 1, 0.092, -0.032, 0.032),
        (LEFT_EAR, 0.0, half / size, 0.0),
        (LEFT_EAR + 1, 0.0, -half / size, 0.0),
    )
    for joint, forward, lateral, above in offsets:
        joints[:, joint] = middle + size * (forward * ahead + lateral * left + above * up)


def swivel_for(performer: Performer, hand: tuple[float, float, float], flare: float) -> float:
    """Elbow swivel in degrees at which the upper arm leaves the sagittal plane by `flare`.

    Args:
        performer: whose arm.
        hand: target forward, outward, up in arm lengths.
        flare: wanted angle of the upper arm out of the sagittal plane, degrees; out of reach
            gives the nearest.
    """
    first, second = performer.lengths["upper_arm"], performer.lengths["forearm"]
    swivels = np.linspace(-50.0, 110.0, 81)
    line = np.array(hand) * (first + second)
    unit = line / np.linalg.norm(line)
    natural = np.cross(np.array([-0.3, 1.0, 0.0]), unit)  # a left arm: outward is +y
    turn = np.radians(swivels)[:, None]
    pole = natural * np.cos(turn) + np.cross(unit, natural) * np.sin(turn)
    elbow, _ = two_bone(np.zeros_like(pole), np.broadcast_to(line, pole.shape), first, second, pole)
    angle = np.degrees(np.arcsin(np.clip(elbow[:, 1] / first, -1, 1)))
    return float(swivels[np.argmin(np.abs(angle - flare) + 1e-3 * np.abs(swivels - 20))])


def raise_for(
    performer: Performer, angle: float, back: float, reach: float
) -> tuple[float, float, float]:
    """Hand target (forward, outward, up in arm lengths) of an arm lifted sideways.

    Args:
        performer: whose arm.
        angle: wanted angle of the upper arm against the trunk, degrees; 90 is level.
        back: how far behind the side, share of the outward distance.
        reach: distance of the hand from the shoulder in arm lengths.
    """
    first, second = performer.lengths["upper_arm"], performer.lengths["forearm"]
    lifts = np.radians(np.linspace(0.0, 140.0, 141))
    across = np.sin(lifts) / np.hypot(1.0, back)
    lines = np.stack([-back * across, across, -np.cos(lifts)], -1) * reach
    unit = lines / np.linalg.norm(lines, axis=-1, keepdims=True)
    natural = np.cross(np.array([-0.3, 1.0, 0.0]), unit)  # as in `_arms`, for a left arm
    turn = np.radians(20.0)
    pole = natural * np.cos(turn) + np.cross(unit, natural) * np.sin(turn)
    arm = first + second
    elbow, _ = two_bone(np.zeros_like(lines), lines * arm, first, second, pole)
    found = np.degrees(np.arccos(np.clip(-elbow[:, 2] / first, -1, 1)))
    x, y, z = lines[int(np.argmin(np.abs(found - angle)))]
    return float(x), float(y), float(z)
