"""Whether a body pose can be a person: lengths and steadiness of bones, symmetry, speed."""

from typing import Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.skeleton import (
    LEFT_ANKLE,
    LEFT_ELBOW,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_SHOULDER,
    LEFT_WRIST,
    RIGHT_ANKLE,
    RIGHT_ELBOW,
    RIGHT_HIP,
    RIGHT_KNEE,
    RIGHT_SHOULDER,
    RIGHT_WRIST,
)

# Bone: its two ends on the left and right, shortest and longest in metres. Joint centres from the
# 5th percentile of ten-year-olds to the 95th of men (Drillis and Contini's shares of stature, for
# 1.3 to 1.95 m), with a margin of a fifth for pose error.
_LIMBS: Final = {
    "upper arm": ((LEFT_SHOULDER, LEFT_ELBOW), (RIGHT_SHOULDER, RIGHT_ELBOW), 0.19, 0.44),
    "forearm": ((LEFT_ELBOW, LEFT_WRIST), (RIGHT_ELBOW, RIGHT_WRIST), 0.15, 0.35),
    "thigh": ((LEFT_HIP, LEFT_KNEE), (RIGHT_HIP, RIGHT_KNEE), 0.25, 0.58),
    "shin": ((LEFT_KNEE, LEFT_ANKLE), (RIGHT_KNEE, RIGHT_ANKLE), 0.25, 0.58),
}
_SPREAD: Final = 0.3
_ASYMMETRY: Final = 0.2
# A kicking foot reaches some 25 m/s; nobody's hips pass 12 m/s.
_FASTEST_JOINT: Final = 35.0
_FASTEST_HIPS: Final = 12.0
_FAST_SHARE: Final = 0.01


def implausible(pose: PoseSequence) -> list[str]:
    """What no person could be or do, one line each; empty for a plausible pose.

    Bones are judged by their medians over the frames that show both ends, their spread by the
    10th and 90th percentile, speed by neighbouring frames that show the joint.
    """
    return [*_bad_bones(pose), *_bad_speeds(pose)]


def _bad_bones(pose: PoseSequence) -> list[str]:
    faults = []
    for name, (left, right, shortest, longest) in _LIMBS.items():
        medians = []
        for side, (a, b) in (("left", left), ("right", right)):
            seen = (pose.confidence[:, [a, b]] > 0).all(axis=1)
            if not seen.any():
                continue
            lengths = np.linalg.norm(pose.joints[seen, a] - pose.joints[seen, b], axis=-1)
            low, median, high = np.percentile(lengths, [10, 50, 90])
            medians.append(median)
            if not shortest <= median <= longest:
                faults.append(
                    f"{side} {name} {median:.2f} m long, expected {shortest} to {longest}"
                )
            elif high - low > _SPREAD * median:
                faults.append(f"{side} {name} between {low:.2f} and {high:.2f} m long")
        if len(medians) == 2 and abs(medians[0] - medians[1]) > _ASYMMETRY * max(medians):
            faults.append(f"{name}s of {medians[0]:.2f} and {medians[1]:.2f} m")
    return faults


def _bad_speeds(pose: PoseSequence) -> list[str]:
    if len(pose) < 2:
        return []
    both = (pose.confidence[1:] > 0) & (pose.confidence[:-1] > 0)
    speed = np.linalg.norm(np.diff(pose.joints, axis=0), axis=-1) * pose.fps * both
    hips = speed[:, [LEFT_HIP, RIGHT_HIP]].min(axis=1)
    faults = []
    for what, fast, limit in (
        ("a joint", speed.max(axis=1), _FASTEST_JOINT),
        ("the hips", hips, _FASTEST_HIPS),
    ):
        share = float((fast > limit).mean())
        if share > _FAST_SHARE:
            faults.append(f"{what} faster than {limit:g} m/s in {100 * share:.0f}% of the frames")
    return faults
