"""A made-up answer of the coach with a hand-made squatting skeleton, as the report's input."""

import copy
from typing import Any

import numpy as np
import pytest

from assistant.clip import PoseSequence
from assistant.web.report import ReportFrame

FPS = 30.0
SECONDS = 5.0


def make_squat(
    *, depth: float = 0.42, lean: float = 35.0, cave: float = 0.0, yaw: float = 0.0, seed: int = 0
) -> PoseSequence:
    """Two squats in 5 s: `depth` metres down, trunk `lean` degrees at the bottom, knees inwards."""
    time = np.arange(round(SECONDS * FPS)) / FPS
    phase = np.where(time < 0.4, 0.0, (1 - np.cos(2 * np.pi * (time - 0.4) / 2.3)) / 2)
    joints = np.zeros((len(time), 17, 3))
    pelvis = np.stack([-0.24 * phase, 0 * phase, 0.92 - depth * phase], axis=-1)
    angle = np.radians(6 + lean * phase)
    trunk = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], axis=-1)
    chest, up = pelvis + 0.5 * trunk, np.array([0, 0, 1.0])
    for side, sign in ((0, 1), (1, -1)):
        across = np.array([0, sign, 0.0])
        hip, ankle = pelvis + 0.1 * across, np.array([0.02, 0.15 * sign, 0.08])
        shoulder = chest + 0.19 * across
        gap = np.linalg.norm(hip - ankle, axis=-1)
        out = np.sqrt(np.maximum(0.435**2 - (gap / 2) ** 2, 0))
        knee = (hip + ankle) / 2 + out[:, None] * np.array([0.93, 0.36 * sign, 0.1])
        knee = knee - (cave * phase)[:, None] * across
        reach = np.stack([0.1 + 0.9 * phase, 0 * phase, -1 + phase], axis=-1)
        reach /= np.linalg.norm(reach, axis=-1, keepdims=True)
        elbow = shoulder + 0.28 * reach + 0.03 * across
        wrist = elbow + 0.26 * reach - 0.02 * across
        head = chest + 0.2 * trunk + 0.05 * up
        joints[:, 1 + side] = head + np.array([0.08, 0.03 * sign, 0.04])
        joints[:, 3 + side] = head + np.array([0, 0.075 * sign, 0.02])
        for first, points in ((5, shoulder), (7, elbow), (9, wrist), (11, hip), (13, knee)):
            joints[:, first + side] = points
        joints[:, 15 + side] = ankle
        joints[:, 0] = head + np.array([0.11, 0, 0])
    joints += np.random.default_rng(seed).normal(0, 0.002, joints.shape)
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    joints[..., :2] = joints[..., :2] @ turn.T + [1.5, -0.7]
    return PoseSequence(
        joints.astype(np.float32), np.ones(joints.shape[:2], np.float32), FPS, "simulated"
    )


FEEDBACK: dict[str, Any] = {
    "schema_version": 1,
    "clip": {"id": "squat_side_gym", "duration": SECONDS, "views": ["exo1"], "span": [0.4, 5.0]},
    "activity": {"name": "bodyweight_squat", "probability": 0.97},
    "judged": True,
    "abstain_reason": None,
    "measurements": [
        {"quantity": "knee_flexion_max", "value": 96.4, "unit": "deg", "error": 6.0, "time": 1.55},
        {"quantity": "trunk_lean_max", "value": 47.2, "unit": "deg", "error": 5.0, "time": 1.6},
        {"quantity": "heel_rise_max", "value": 31.0, "unit": "mm", "error": 12.0, "time": 1.5},
        {"quantity": "knee_travel_in", "value": -24.0, "unit": "mm", "error": 15.0, "time": 1.5},
        {"quantity": "descent_time", "value": 1.15, "unit": "s", "error": 0.07, "time": 0.4},
    ],
    "proficiency": {
        "level": "Early Expert",
        "probabilities": [0.18, 0.55, 0.224, 0.046],
        "score": 1.14,
        "pdm": {"ego": None, "exo": None, "pose": -0.3},
        "coral": [0.81, 0.29, 0.06],
    },
    "commentary": (
        "Legs (needs improvement): The knees drift inwards as you come out of the bottom, so the "
        "hips cannot share the load.\nTorso (correct): The back stays long and braced.\n"
        "Drill: Put a light band just above the knees."
    ),
    "focus": {
        "region": "legs",
        "remark": 0,
        "drill": "Put a light band just above the knees and push it apart through ten slow squats.",
    },
    "remarks": [
        {
            "region": "legs",
            "polarity": "needs_improvement",
            "text": "The knees drift inwards as you come out of the bottom, so the hips cannot "
            "share the load.",
            "start": 1.2,
            "end": 1.9,
            "evidence": {
                "quantity": "knee_travel_in",
                "value": 58.0,
                "unit": "mm",
                "error": 15.0,
                "expert_mean": 12.0,
                "expert_std": 9.0,
            },
            "supported": True,
        },
        {
            "region": "legs",
            "polarity": "correct",
            "text": "You reach a good depth, with the thighs close to parallel.",
            "start": 1.4,
            "end": 1.8,
            "evidence": {
                "quantity": "knee_flexion_max",
                "value": 96.4,
                "unit": "deg",
                "error": 6.0,
                "expert_mean": 101.0,
                "expert_std": 7.5,
            },
            "supported": True,
        },
        {
            "region": "feet",
            "polarity": "needs_improvement",
            "text": "The heels come off the floor near the bottom.",
            "start": 3.5,
            "end": 4.2,
            "evidence": {
                "quantity": "heel_rise_max",
                "value": 31.0,
                "unit": "mm",
                "error": 12.0,
                "expert_mean": 8.0,
                "expert_std": 6.0,
            },
            "supported": False,
        },
        {
            "region": "torso",
            "polarity": "correct",
            "text": "The back stays long and braced from start to finish.",
            "start": 1.0,
            "end": 2.0,
            "evidence": None,
            "supported": None,
        },
    ],
    "moments": [
        {"start": 1.2, "end": 1.9, "weight": 0.46},
        {"start": 3.5, "end": 4.2, "weight": 0.31},
        {"start": 2.5, "end": 2.9, "weight": 0.08},
    ],
    "demonstrations": [
        {
            "id": "squat_expert_0042",
            "start": 0.5,
            "end": 2.5,
            "log_likelihood": -1.234,
            "score": -4.2,
            "pa_mpjpe_mm": 41.0,
            "to_correction_mm": 39.0,
            "fixes": ["legs", "feet"],
        },
        {
            "id": "squat_expert_0007",
            "start": 0.2,
            "end": 2.2,
            "log_likelihood": -1.301,
            "score": -4.9,
            "pa_mpjpe_mm": 44.5,
            "to_correction_mm": 43.0,
            "fixes": ["legs"],
        },
    ],
    "demonstration_reason": None,
    "correction": {
        "pose": "squat_side_gym.correction.npz",
        "start": 0.55,
        "end": 2.55,
        "fps": 30,
        "level_before": "Early Expert",
        "level_after": "Late Expert",
        "pa_mpjpe_to_learner_mm": 38.0,
        "bone_length_drift_mm": 0.7,
        "joint_limit_violations": 0,
        "joint_limit_frame_share": 0.0,
    },
    "provenance": {
        "model": "poise-mini",
        "model_sha256": "9f2c" * 16,
        "prompt_sha256": "b04d" * 16,
        "poise_version": "0.1.0",
        "engine": "transformers",
        "seed": 0,
        "inputs_used": ["pose"],
        "level_basis": "simulated drills",
    },
    "timings_ms": {"pose": 5200.0, "assess": 41.0, "generate": 930.0, "total": 6420.0},
}


@pytest.fixture
def feedback() -> dict[str, Any]:
    """A judged clip's answer."""
    return copy.deepcopy(FEEDBACK)


@pytest.fixture
def not_judged(feedback: dict[str, Any]) -> dict[str, Any]:
    """The answer for a clip that shows no known drill."""
    feedback["clip"]["id"] = "outdoor_two_people"
    feedback["activity"] = {"name": "walk", "probability": 0.61}
    feedback["judged"] = False
    feedback["abstain_reason"] = (
        "No drill that Poise knows was recognised here (closest: walking). Film a bodyweight "
        "squat or a basketball free throw instead, one person, whole body in view."
    )
    for key in ("proficiency", "commentary", "focus", "correction"):
        feedback[key] = None
    for key in ("remarks", "demonstrations", "moments"):
        feedback[key] = []
    return feedback


@pytest.fixture
def poses() -> dict[str, PoseSequence]:
    """The three poses: whole learner, whole demonstration (other heading), corrected window."""
    return {
        "learner": make_squat(depth=0.36, lean=48, cave=0.07, yaw=0.8),
        "demonstration": make_squat(depth=0.46, lean=28, yaw=-1.9, seed=1),
        "correction": make_squat(depth=0.43, lean=33, yaw=0.8, seed=2).crop(0.55, 2.55),
    }


@pytest.fixture
def frames(poses: dict[str, PoseSequence]) -> list[ReportFrame]:
    """Eight grey gradient frames with the learner's skeleton in pixels; one without points."""
    result = []
    for i, time in enumerate(np.linspace(0, 4.9, 8)):
        image = np.zeros((360, 480, 3), np.uint8)
        image[:] = np.linspace(70, 170, 360)[:, None, None]
        joints = poses["learner"].joints[round(time * FPS)]
        points = np.stack([240 + 190 * (joints[:, 0] - 1.5), 340 - 190 * joints[:, 2]], axis=-1)
        points[4] = np.nan
        result.append(ReportFrame(float(time), image, None if i == 7 else points))
    return result
