"""Calibrate levels on performers that Stage 1 has not seen, and cross-fit them for the LM."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from scipy.optimize import minimize_scalar

from assistant.errors import PoiseError
from assistant.pose.normalise import NormalisedPose, normalise
from assistant.proficiency.assess import Assessment, Assessor, StreamSource
from assistant.proficiency.coral import PAPER_C, Form, fit_calibration
from data_prep.drills.records import Drill
from training.proficiency.settings import ProficiencySettings

FOLDS: Final = 5


def calibrate(
    assessor: Assessor,
    drills: Sequence[Drill],
    poses: Sequence[NormalisedPose],
    settings: ProficiencySettings,
    sources: Sequence[StreamSource | None] | None = None,
) -> None:
    """Fit temperature, CDFs and ordinal head on clips of performers that Stage 1 never saw."""
    assessor.temperature = 1.0
    assessments = _as_named(assessor, drills, poses, sources)
    levels = np.array([d.level for d in drills])
    p = np.stack([a.p_base for a in assessments])
    assessor.temperature = fit_temperature(np.log(np.maximum(p, 1e-12)), levels)
    p_base = _tempered(p, assessor.temperature)
    assessor.calibration = fit_calibration(
        p_base, [a.pdm for a in assessments], [d.activity for d in drills], levels,
        form=settings.form, c=settings.c,
    )  # fmt: skip


def _as_named(
    assessor: Assessor,
    drills: Sequence[Drill],
    poses: Sequence[NormalisedPose],
    sources: Sequence[StreamSource | None] | None = None,
) -> list[Assessment]:
    """Assessments with the true activity given, in the order of the drills."""
    found: dict[int, Assessment] = {}
    for activity in assessor.activities:
        mine = [i for i, d in enumerate(drills) if d.activity == activity]
        beside = None if sources is None else [sources[i] for i in mine]
        assessed = assessor.assess_many([poses[i] for i in mine], activity=activity, sources=beside)
        found |= dict(zip(mine, assessed, strict=True))
    return [found[i] for i in range(len(drills))]


def fit_temperature(logits: np.ndarray, levels: np.ndarray) -> float:
    """T that minimises the cross-entropy of softmax(logits / T), logits [N, 4]."""

    def loss(log_t: float) -> float:
        return float(-np.log(_tempered(np.exp(logits), np.exp(log_t))[
            np.arange(len(levels)), levels].clip(1e-12)).mean())  # fmt: skip

    return float(np.exp(minimize_scalar(loss, bounds=(-2, 2.5), method="bounded").x))


def _tempered(p: np.ndarray, temperature: float) -> np.ndarray:
    logits = np.log(np.maximum(p, 1e-12)) / temperature
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_fit_scores(
    assessor: Assessor,
    drills: Sequence[Drill],
    poses: Sequence[NormalisedPose] | None = None,
    *,
    form: Form = "regressions",
    c: float = PAPER_C,
    sources: Sequence[StreamSource | None] | None = None,
) -> list[Assessment]:
    """Assess pool-B clips with u and q fitted on the other four fifths of their performers.

    Args:
        drills: clips with a level, of performers that Stage 1 has not seen.
        poses: what is assessed of each clip (noise added); None takes the clean pose.
        sources: the streams beside the pose.
    Returns:
        One assessment a clip; score_vector(), regions and features are out-of-sample.
    """
    if poses is None:
        poses = [normalise(drill.pose) for drill in drills]
    assessments = _as_named(assessor, drills, poses, sources)
    fold = folds_by_participant([d.participant_id for d in drills])
    p_base = np.stack([a.p_base for a in assessments])
    pdm = [a.pdm for a in assessments]
    activity = [d.activity for d in drills]
    levels = np.array([d.level for d in drills])
    found: list[Assessment | None] = [None] * len(drills)
    for k in range(FOLDS):
        rest, mine = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        fitted = fit_calibration(
            p_base[rest], [pdm[i] for i in rest], [activity[i] for i in rest], levels[rest],
            form=form, c=c,
        )  # fmt: skip
        for i in mine:
            u = fitted.normal_scores(pdm[i], activity[i])
            q = fitted.cumulative(p_base[i : i + 1], [u])[0]
            found[i] = replace(assessments[i], u={s: u.get(s) for s in pdm[i]}, q=q)
    return [a for a in found if a is not None]


def folds_by_participant(participants: Sequence[str]) -> np.ndarray:
    """[N] fold 0..4 of each clip; all clips of a performer share one."""
    people = sorted(set(participants))
    if len(people) < FOLDS:
        raise PoiseError("cross-fit", got=f"{len(people)} performers", expected=f"{FOLDS} or more")
    number = {name: i % FOLDS for i, name in enumerate(people)}
    return np.array([number[p] for p in participants])
