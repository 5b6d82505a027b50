"""The drawing of a pose: as many lines as asked for, upright, seen at all moments."""

import numpy as np

from assistant.clip import PoseSequence
from assistant.figure import draw_motion
from assistant.pose.normalise import REST_POSE


def test_moments_stand_side_by_side_on_the_ground() -> None:
    joints = np.repeat(REST_POSE[None], 5, 0).astype(np.float32)
    pose = PoseSequence(joints, np.ones((5, 17), np.float32), 30.0)
    lines = draw_motion(pose, moments=2, rows=8).split("\n")
    assert len(lines) == 8
    dots = [[ord(c) - 0x2800 for c in line if c != " "] for line in lines]
    assert all(0 <= dot < 256 for line in dots for dot in line)
    assert any(dots[0]) and any(dots[-1])  # from head to feet
    first = [line.split("   ")[0].rstrip("\u2800") for line in lines]
    second = [line.split("   ")[1].rstrip("\u2800") for line in lines]
    assert first == second and any(first)
    upside_down = draw_motion(
        PoseSequence(joints * np.array([1, 1, -1], np.float32), pose.confidence, 30.0),
        moments=2,
        rows=8,
    )
    assert upside_down != "\n".join(lines)
