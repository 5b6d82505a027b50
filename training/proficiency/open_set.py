"""Fit the open-set score of an assessor."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from assistant.pose.normalise import NormalisedPose, frame_features
from assistant.proficiency.activity import OpenSet, fit_gaussians, fit_score
from assistant.proficiency.assess import Assessor, recrop
from assistant.proficiency.stage1 import GLOBAL_POOL
from assistant.proficiency.stage1_run import run_stage1
from data_prep.drills.records import Drill

# Known clips of pool A that describe it to the open-set score; prototypes use all.
OPEN_SET_CLIPS: Final = 1200


def fit_known_features(
    assessor: Assessor, drills: Sequence[Drill], poses: Sequence[NormalisedPose]
) -> tuple[np.ndarray, np.ndarray]:
    """Means and whitening of the pooled features of known training clips."""
    features = pooled_features(assessor, poses)[1]
    activity = np.array([assessor.activities.index(d.activity) for d in drills])
    return fit_gaussians(features, activity, len(assessor.activities))


def pooled_features(
    assessor: Assessor, poses: Sequence[NormalisedPose]
) -> tuple[np.ndarray, np.ndarray]:
    """Activity logits [N, A] and global pooled feature [N, P] of the clips' active spans."""
    spans = assessor.find_spans(poses)
    cuts = [p if s is None else recrop(p, s) for p, s in zip(poses, spans, strict=True)]
    outputs = run_stage1(assessor.stage1, [frame_features(cut) for cut in cuts])
    logits = np.concatenate([o.activity.double().numpy() for o in outputs])
    return logits, np.concatenate([o.features[:, GLOBAL_POOL].double().numpy() for o in outputs])


def fit_open_set(
    assessor: Assessor,
    gaussians: tuple[np.ndarray, np.ndarray],
    drills: Sequence[Drill],
    poses: Sequence[NormalisedPose],
) -> OpenSet:
    logits, features = pooled_features(assessor, poses)
    chosen = logits[:, : len(assessor.activities)].argmax(axis=1)
    is_known = np.array([d.level is not None for d in drills])
    return fit_score(logits, features, is_known, *gaussians, chosen)
