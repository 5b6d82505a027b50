"""The fixed cameras of a simulated clip: their calibration, and which of them sees it best."""

from typing import Any

import numpy as np

from data_prep.drills.cameras import calibration_record, place_cameras
from data_prep.drills.records import Drill
from prompts.vocabulary import VIEWS

PICTURE_SIZE = 64
EXO = tuple(view for view in VIEWS if view != "ego")


def viewpoints(drill: Drill, size: int = PICTURE_SIZE) -> tuple[str, dict[str, Any]]:
    """The best exo view and the calibration of all four, as `render_views(seed=drill.seed)` films
    in pictures of `size` pixels.

    The best view is the one in which the joints spread widest over the picture during the
    repetitions: limbs that hide each other or point at the camera make the spread small.
    """
    start, end = (
        (drill.repetitions[0][0], drill.repetitions[-1][1])
        if drill.repetitions
        else (0.0, drill.pose.duration)
    )
    times = np.linspace(start, end, 12)
    cameras = place_cameras(drill.pose, EXO, times, size=size, seed=drill.seed)
    joints = drill.pose.at_times(times, drill.pose.fps).joints.astype(np.float64)
    spread = {}
    for view, camera in cameras.items():
        pixels = camera.project(joints)
        pixels = pixels - pixels.mean(axis=1, keepdims=True)
        covariance = np.einsum("njx,njy->nxy", pixels, pixels) / pixels.shape[1]
        spread[view] = float(np.sqrt(np.maximum(np.linalg.det(covariance), 0)).mean())
    return max(spread, key=lambda view: spread[view]), calibration_record(cameras)
