"""Play a demonstration beside a learner: same heading, same phase."""

from dataclasses import replace

import numpy as np

from assistant.clip import PoseSequence
from assistant.demos.library import Demonstration
from assistant.pose.dtw import dtw, frame_distances


def aligned_demonstration(demonstration: Demonstration, learner: PoseSequence) -> PoseSequence:
    """The demonstration warped in time to the learner's frames (both centred, same heading).

    Dynamic time warping over the mean joint distance gives each learner frame the mean of the
    demonstration frames that were matched to it.
    """
    shown = demonstration.pose().resample(learner.fps)
    distance = frame_distances(learner.joints, shown.joints)  # [learner, demonstration frames]
    matched: list[list[int]] = [[] for _ in range(len(learner))]
    for mine, theirs in dtw(distance):
        matched[mine].append(theirs)
    joints = np.stack([shown.joints[frames].mean(0) for frames in matched]).astype(np.float32)
    confidence = np.ones(joints.shape[:2], dtype=np.float32)
    return replace(shown, joints=joints, confidence=confidence)
