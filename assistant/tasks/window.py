"""The correction window: two seconds around the heaviest moment, as ten frames."""

from dataclasses import dataclass

import numpy as np

from assistant.pose.normalise import NormalisedPose
from assistant.skeleton import INDEX, LEFT_ANKLE, RIGHT_ANKLE
from prompts.pose_text import TEXT_FRAMES, TEXT_JOINTS, render_pose_text

WINDOW_FRAMES = 10
WINDOW_FPS = 5.0
WINDOW_SECONDS = WINDOW_FRAMES / WINDOW_FPS


@dataclass(frozen=True)
class WindowFrames:
    """The frames of a window, root-centred and heading-normalised.

    Attributes:
        start, end: seconds inside the clip that the window was cut from.
        joints: [10, 17, 3] metres.
        heights: [10, 3] pelvis, left and right ankle over the floor, metres.
        yaw: heading that was removed, radians from world +x.
    """

    start: float
    end: float
    joints: np.ndarray
    heights: np.ndarray
    yaw: float = 0.0


def window_around(centre: float, duration: float) -> tuple[float, float]:
    """Start and end of the two seconds around `centre`, moved inside [0, duration] if they fit.

    A clip shorter than the window keeps a window from 0: its last frame stands still.
    """
    start = min(centre - WINDOW_SECONDS / 2, duration - WINDOW_SECONDS)
    return max(start, 0.0), max(start, 0.0) + WINDOW_SECONDS


def window_times(start: float) -> np.ndarray:
    """[10] seconds of the window's frames."""
    return start + np.arange(WINDOW_FRAMES) / WINDOW_FPS


def cut_window(pose: NormalisedPose, start: float) -> WindowFrames:
    """The ten frames from `start` on (beyond the clip's end the last frame stands still)."""
    frames = pose.at_times(window_times(start), WINDOW_FPS)
    return WindowFrames(start, start + WINDOW_SECONDS, frames.joints, frames.heights, pose.yaw)


def heights_of(joints: np.ndarray, learner: WindowFrames) -> np.ndarray:
    """Heights [10, 3] of other joints in the learner's window.

    The lower ankle keeps the learner's height over the floor, since centred joints do not tell
    whether both feet are off the ground.
    """
    ankles = joints[:, [LEFT_ANKLE, RIGHT_ANKLE], 2]  # [10, 2] relative to the pelvis
    lift = learner.heights[:, 1:].min(1) - ankles.min(1)
    return np.column_stack([lift, ankles + lift[:, None]]).astype(np.float32)


def given_as_text(window: WindowFrames, form: str) -> str:
    """The window as coordinates over the floor, for a model that is given them so; else ""."""
    if form != "text":
        return ""
    frames = list(TEXT_FRAMES)
    places = [INDEX[name] for name in TEXT_JOINTS]
    joints = window.joints[frames][:, places]  # [3, 11, 3] about the pelvis
    points = np.concatenate([np.zeros((len(frames), 1, 3)), joints], axis=1)
    points[..., 2] += window.heights[frames, :1]
    return render_pose_text(points.tolist(), [frame / WINDOW_FPS for frame in frames])
