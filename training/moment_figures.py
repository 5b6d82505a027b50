"""Which moments find the errors: the skill model's or Stage 1's attention, on validation clips.

Both are weights of the frames of the same cut, found by Stage 1 itself; the skill model's are also
shown before they are restricted to repetitions. The margins' windows are compared beside them.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from assistant.pose.normalise import PERCEPTION_FPS, NormalisedPose, frame_features
from assistant.proficiency.activity import auroc
from assistant.proficiency.assess import Assessor, embed_frames, recrop
from assistant.proficiency.moments import (
    PROPOSALS,
    MomentSettings,
    frame_weights,
    margin_windows,
)
from assistant.proficiency.pdm import LOWEST_HIGH_LEVEL, action_dynamics
from assistant.proficiency.skill_reading import read_skill
from assistant.proficiency.sparse_skill import SparseSkillExtractor
from assistant.proficiency.stage1_run import run_stage1
from data_prep.drills.records import Drill
from training.sparse_skill_metrics import clip_steps, error_table

RESAMPLES: Final = 2000


def moment_figures(
    assessor: Assessor,
    model: SparseSkillExtractor,
    drills: Sequence[Drill],
    poses: Sequence[NormalisedPose],
) -> dict[str, Any]:
    """Error recall, moment hits and margins' AUC of both sources of moments.

    Args:
        assessor: with prototypes and the frame encoder that the skill model was trained on.
        drills: clips with a level whose performers trained nothing; poses: what cameras see.
    """
    spans = [s or (0.0, p.duration) for s, p in zip(assessor.find_spans(poses), poses, strict=True)]
    cuts = [recrop(p, s) for p, s in zip(poses, spans, strict=True)]
    outputs = run_stage1(assessor.stage1, [frame_features(cut) for cut in cuts])
    assert assessor.frame_encoder is not None
    embedded = [embed_frames(assessor.frame_encoder, cut) for cut in cuts]
    weights: dict[str, list[np.ndarray]] = {}
    for source in ("attention", "sparse_skill"):
        own = replace(assessor, moment_model=model, moment_settings=MomentSettings(source))
        weights[source] = [own.frame_weights(o, f) for o, f in zip(outputs, embedded, strict=True)]
    weights["sparse_skill_unrestricted"] = [
        frame_weights(read_skill(model, features), len(features)) for features in embedded
    ]
    low = [
        i for i, d in enumerate(drills)
        if d.level is not None and d.level < LOWEST_HIGH_LEVEL and clip_steps(d).errors.any()
    ]  # fmt: skip
    table = error_table(
        [drills[i] for i in low],
        [spans[i][0] for i in low],
        {name: [values[i] for i in low] for name, values in weights.items()},
    )
    figures: dict[str, Any] = {name: float(values.mean()) for name, values in table.items()}
    people = np.array([drills[i].participant_id for i in low])
    for figure in ("recall", "hit"):
        difference = table[f"{figure}_sparse_skill"] - table[f"{figure}_attention"]
        figures[f"{figure}_difference"] = float(difference.mean())
        figures[f"{figure}_difference_95"] = interval(difference, people)
    margins = margin_auc(assessor, drills, embedded, weights["sparse_skill"])
    return figures | margins | {"n": len(drills), "n_errors": len(low)}


def interval(values: np.ndarray, people: np.ndarray) -> list[float]:
    """95% bootstrap interval of the mean of [n], performers drawn with all their clips."""
    rng, names = np.random.default_rng(0), np.unique(people)
    sums = np.array([[values[people == name].sum(), (people == name).sum()] for name in names])
    draws = sums[rng.integers(len(names), size=(RESAMPLES, len(names)))].sum(axis=1)  # [R, 2]
    return np.quantile(draws[:, 0] / draws[:, 1], (0.025, 0.975)).tolist()


def margin_auc(
    assessor: Assessor,
    drills: Sequence[Drill],
    embedded: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
) -> dict[str, float]:
    """AUC of high against low level by the pose's annotation-free margin, mean over activities.

    The prototypes are those of other performers. One figure for each kind of windows.
    """
    bank = assessor.banks.get("pose")
    if bank is None:
        return {}
    tasks = np.array([d.activity for d in drills])
    high = np.array([d.level is not None and d.level >= LOWEST_HIGH_LEVEL for d in drills])
    figures = {}
    for proposals in PROPOSALS:
        margins = np.zeros(len(drills))
        for i, (drill, features) in enumerate(zip(drills, embedded, strict=True)):
            times, shares = margin_windows(proposals, weights[i], len(features), PERCEPTION_FPS)
            z = np.stack([action_dynamics(features, PERCEPTION_FPS, t) for t in times])
            margin = bank.annotation_free(z, drill.activity, shares)
            margins[i] = np.nan if margin is None else margin
        each = [auroc(margins[tasks == t], high[tasks == t]) for t in np.unique(tasks)]
        figures[f"margin_auc_{proposals}"] = float(np.mean(each))
    return figures
