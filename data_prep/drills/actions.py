"""What happens when, in short sentences, and how a simulated activity's movement is called."""

from collections.abc import Mapping
from typing import Final

import numpy as np

MOVEMENT: Final[Mapping[str, str]] = {
    "bodyweight_squat": "squat",
    "basketball_free_throw": "shot",
    "forward_lunge": "lunge",
    "overhead_press": "press",
    "soccer_penalty_kick": "kick",
    "golf_swing": "swing",
}
_STEPS: Final[Mapping[str, Mapping[str, str]]] = {
    "bodyweight_squat": {
        "set_up": "stands ready for the squat",
        "descent": "bends hips and knees and sinks",
        "bottom": "turns around at the lowest point",
        "ascent": "pushes up to standing",
        "rest": "stands at rest",
    },
    "basketball_free_throw": {
        "set_up": "prepares for the shot at the line",
        "dip": "bends the knees and brings the ball down",
        "rise": "stretches the legs and lifts the ball",
        "release": "stretches the arm and lets the ball go",
        "follow_through": "holds the arm up after the release",
        "rest": "lowers the arms and rests",
    },
    "forward_lunge": {
        "set_up": "stands ready for the lunge",
        "step": "steps forward with one foot",
        "descent": "sinks between the feet",
        "bottom": "turns around with the rear knee near the floor",
        "push_back": "pushes back to standing",
        "rest": "stands at rest",
    },
    "overhead_press": {
        "set_up": "holds the bar and gets ready",
        "press": "pushes the bar up past the face",
        "lockout": "holds the bar overhead with straight arms",
        "lower": "lowers the bar to the shoulders",
        "rest": "holds the bar at the shoulders or puts it down",
    },
    "soccer_penalty_kick": {
        "set_up": "stands ready for the run-up",
        "run_up": "runs up to the ball",
        "backswing": "plants the standing foot and swings the other leg back",
        "strike": "swings the leg forward into the ball",
        "follow_through": "lets the leg swing through and lands",
        "rest": "comes to a stop",
    },
    "golf_swing": {
        "set_up": "stands to the ball and takes the grip",
        "backswing": "turns the trunk and swings the club back",
        "downswing": "swings the club down to the ball",
        "follow_through": "swings through the ball",
        "finish": "holds the finish facing the target",
        "rest": "lowers the club and rests",
    },
}


def atomic_actions(
    activity: str, steps: np.ndarray, names: tuple[str, ...], fps: float
) -> list[dict[str, float | str]] | None:
    """One entry where each step begins, [{t, action}] with t in seconds; None for a distractor."""
    if activity not in _STEPS:
        return None
    begins = np.flatnonzero(np.diff(steps, prepend=-1))
    return [
        {"t": float(frame / fps), "action": f"The person {_STEPS[activity][names[steps[frame]]]}."}
        for frame in begins
    ]
