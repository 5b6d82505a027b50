"""Figures of the Sparse Skill Extractor (section 3.1), each beside its floor."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.stats import spearmanr

from assistant.proficiency.skill_reading import SkillReading
from data_prep.drills.records import Drill

ERROR_SHARE = 0.5  # of the step or of the fault that must lie in the other


def binary_f1(said: np.ndarray, truth: np.ndarray) -> float:
    """F1 of high proficiency; both [n] bool."""
    return float(2 * (said & truth).sum() / max(said.sum() + truth.sum(), 1))


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """(12); 0 where one of them is constant."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(spearmanr(a, b).statistic)


@dataclass(frozen=True)
class Steps:
    """The steps of one clip: runs of one label, each repetition its own.

    Attributes:
        times: (start, end) s of each.
        errors: [n] bool, whether a fault lies in it.
        active: [n] bool, whether it lies in a repetition.
    """

    times: tuple[tuple[float, float], ...]
    errors: np.ndarray
    active: np.ndarray


def clip_steps(drill: Drill) -> Steps:
    """A step is an error when half of it, or half of a fault, lies in the other."""
    fps, labels = drill.pose.fps, drill.steps
    borders = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    times = tuple((a / fps, b / fps) for a, b in pairwise(borders))
    errors = [any(_meet(step, (f.start, f.end)) for f in drill.faults) for step in times]
    active = [any(_meet(step, span) for span in drill.repetitions) for step in times]
    return Steps(times, np.array(errors), np.array(active))


def _meet(a: tuple[float, float], b: tuple[float, float]) -> bool:
    common = min(a[1], b[1]) - max(a[0], b[0])
    return common >= ERROR_SHARE * min(a[1] - a[0], b[1] - b[0]) and common > 0


def step_attention(reading: SkillReading, steps: Steps, fps: float) -> np.ndarray:
    """Mean weight [n] of each step: every frame of a segment brings the segment's weight to the
    step that it lies in; a step without frames has none."""
    seconds = reading.frames / fps  # [draws, n, K]
    weights = np.broadcast_to(reading.weights[..., None], seconds.shape)
    ends = np.array([end for _, end in steps.times])
    step = np.minimum(np.searchsorted(ends, seconds.ravel(), side="right"), len(ends) - 1)
    total = np.bincount(step, weights.ravel(), minlength=len(ends))
    return total / np.maximum(np.bincount(step, minlength=len(ends)), 1)


def error_recall(attention: np.ndarray, errors: np.ndarray) -> float:
    """|e and e_hat| / l: e_hat are the l steps with most attention, l the number of errors."""
    count = int(errors.sum())
    chosen = np.argsort(-attention, kind="stable")[:count]
    return float(errors[chosen].sum() / count)


def spread_recall(errors: np.ndarray) -> float:
    """Recall of l steps spread evenly over the clip."""
    count = int(errors.sum())
    chosen = ((np.arange(count) + 0.5) * len(errors) / count).astype(int)
    return float(errors[chosen].sum() / count)


def chance_recall(errors: np.ndarray, among: np.ndarray) -> float:
    """Expected recall of l random steps `among` [n] bool; all of them where there are fewer."""
    count = int(errors.sum())
    return float(errors[among].sum() * min(1.0, count / max(int(among.sum()), 1)) / count)


def skill_metrics(
    drills: Sequence[Drill],
    labels: np.ndarray,
    readings: Sequence[SkillReading],
    fps: float,
) -> dict[str, float]:
    """All figures of test clips; rank correlations are means over activities."""
    probability = np.array([r.probability for r in readings])
    rating = np.array([d.rating for d in drills], dtype=float)
    truth, tasks = labels == 1, np.array([d.activity for d in drills])
    low = [i for i, d in enumerate(drills) if labels[i] == 0 and clip_steps(d).errors.any()]
    steps = [clip_steps(drills[i]) for i in low]
    figures = {
        "n": float(len(drills)),
        "f1": binary_f1(probability >= 0.5, truth),
        "f1_always_high": binary_f1(np.ones_like(truth), truth),
        "accuracy": float(((probability >= 0.5) == truth).mean()),
        "accuracy_majority": float(max(truth.mean(), 1 - truth.mean())),
        "spearman": by_task(probability, rating, tasks),
        "spearman_within_label": float(
            np.mean([by_task(probability[m], rating[m], tasks[m]) for m in (truth, ~truth)])
        ),
        "spearman_of_true_label": by_task(labels.astype(float), rating, tasks),
        "n_errors": float(len(low)),
    }
    if low:
        every = [np.ones_like(s.errors) for s in steps]
        chance = [chance_recall(s.errors, e) for s, e in zip(steps, every, strict=True)]
        inside = [chance_recall(s.errors, s.active) for s in steps]
        figures["recall_random"] = float(np.mean(chance))
        figures["recall_uniform"] = float(np.mean([spread_recall(s.errors) for s in steps]))
        figures["recall_random_in_repetition"] = float(np.mean(inside))
        if readings[low[0]].weights.size:
            found = [
                error_recall(step_attention(readings[i], s, fps), s.errors)
                for i, s in zip(low, steps, strict=True)
            ]
            figures["recall"] = float(np.mean(found))
    return figures


def by_task(a: np.ndarray, b: np.ndarray, tasks: np.ndarray) -> float:
    """Mean over tasks of (12)."""
    return float(np.mean([spearman(a[tasks == t], b[tasks == t]) for t in np.unique(tasks)]))
