"""Figures of the Sparse Skill Extractor (section 3.1), each beside its floor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from scipy.stats import spearmanr

from assistant.pose.normalise import PERCEPTION_FPS
from assistant.proficiency.stage1 import heaviest_windows
from data_prep.drills.records import Drill
from eval.moments import chance_recall, error_recall, spread_recall

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


def step_weights(
    weights: np.ndarray, start: float, steps: Steps, fps: float = PERCEPTION_FPS
) -> np.ndarray:
    """Mean weight [n] of each step; a step without frames has none.

    Args:
        weights: [T] of the frames of a cut at `fps`; start: second of its first frame.
    """
    seconds = start + np.arange(len(weights)) / fps
    ends = np.array([end for _, end in steps.times])
    step = np.minimum(np.searchsorted(ends, seconds, side="right"), len(ends) - 1)
    total = np.bincount(step, weights, minlength=len(ends))
    return total / np.maximum(np.bincount(step, minlength=len(ends)), 1)


def moment_hit(
    weights: np.ndarray, start: float, drill: Drill, fps: float = PERCEPTION_FPS
) -> bool:
    """Whether the middle of the heaviest window lies in a fault: there a correction is centred."""
    first, last, _ = heaviest_windows(torch.from_numpy(weights), fps)[0]
    return bool(_in_fault(np.array([start + (first + last) / 2]), drill)[0])


def _in_fault(seconds: np.ndarray, drill: Drill) -> np.ndarray:
    return np.array([any(f.start <= t <= f.end for f in drill.faults) for t in seconds])


def _chance_hit(drill: Drill) -> float:
    """Share of the repetitions' time that lies in a fault."""
    times = np.arange(0, drill.pose.duration, 1 / drill.pose.fps)
    active = np.array([any(a <= t < b for a, b in drill.repetitions) for t in times])
    return float(_in_fault(times[active], drill).mean())


def error_table(
    drills: Sequence[Drill],
    starts: Sequence[float],
    sources: Mapping[str, Sequence[np.ndarray]],
    fps: float = PERCEPTION_FPS,
) -> dict[str, np.ndarray]:
    """Error recall and moment hits of each low clip with errors, and their floors; [n] each.

    Args:
        drills: low clips with an error step; starts: second where each was cut.
        sources: name -> frame weights [T] of each clip at `fps`.
    """
    steps = [clip_steps(d) for d in drills]
    table = {
        "recall_random": [chance_recall(s.errors, np.ones_like(s.errors)) for s in steps],
        "recall_uniform": [spread_recall(s.errors) for s in steps],
        "recall_random_in_repetition": [chance_recall(s.errors, s.active) for s in steps],
        "hit_random_in_repetition": [_chance_hit(d) for d in drills],
    }
    for name, weights in sources.items():
        each = list(zip(weights, starts, steps, drills, strict=True))
        table[f"recall_{name}"] = [
            error_recall(step_weights(w, start, s, fps), s.errors) for w, start, s, _ in each
        ]
        table[f"hit_{name}"] = [moment_hit(w, start, d, fps) for w, start, _, d in each]
    return {name: np.array(values, dtype=float) for name, values in table.items()}


def skill_metrics(
    drills: Sequence[Drill], labels: np.ndarray, probability: np.ndarray
) -> dict[str, float]:
    """Figures of the probability of high proficiency; rank correlations are means over activities.

    Args:
        labels: [n] weak labels 0 or 1; probability: [n].
    """
    rating = np.array([d.rating for d in drills], dtype=float)
    truth, tasks = labels == 1, np.array([d.activity for d in drills])
    within = [by_task(probability[m], rating[m], tasks[m]) for m in (truth, ~truth)]
    return {
        "n": float(len(drills)),
        "f1": binary_f1(probability >= 0.5, truth),
        "f1_always_high": binary_f1(np.ones_like(truth), truth),
        "accuracy": float(((probability >= 0.5) == truth).mean()),
        "accuracy_majority": float(max(truth.mean(), 1 - truth.mean())),
        "spearman": by_task(probability, rating, tasks),
        "spearman_within_label": float(np.mean(within)),
        "spearman_of_true_label": by_task(labels.astype(float), rating, tasks),
    }


def by_task(a: np.ndarray, b: np.ndarray, tasks: np.ndarray) -> float:
    """Mean over tasks of (12)."""
    return float(np.mean([spearman(a[tasks == t], b[tasks == t]) for t in np.unique(tasks)]))
