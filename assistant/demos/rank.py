"""Rank demonstrations: likelihood of their codes (ExpertAF F_r) and nearness to the correction.

The likelihood alone favours motions that are typical. The same model also writes how the learner
would look without the fault (F_g), and a demonstration that shows the correction is near to that.
The correction takes the fault away and adds the errors of its codes, of which the middle between
learner and correction has half. So candidates are ranked by a conditional logit over four features;
`poise eval ranking` fits the weights on validation performers, and prints each feature alone:

    score = sum_k weight_k x feature_k,    P(candidate) = softmax of the scores

A demonstration is suitable when its score is better than chance: above what demonstrations reach,
by and large, that were chosen for somebody else (`Ranking.least`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.demos.library import Demonstration
from assistant.engine.base import Engine, Prompt
from assistant.errors import PoiseError
from assistant.model.configuration_poise import PoiseConfig
from assistant.pose.alignment import distances_to
from assistant.tasks.retrieval import candidate_continuations

RANKING_FILE: Final = "ranking.json"
# nats a token, then millimetres
FEATURES: Final = ("log_likelihood", "to_correction_mm", "to_middle_mm", "to_learner_mm")
NO_SUITABLE: Final = (
    "No suitable demonstration: the best of {n} fits this clip no better than demonstrations that"
    " were chosen for other people (score {best:.1f}, theirs {least:.1f})."
)
NONE_OF_ACTIVITY: Final = "No suitable demonstration: the library holds none of {activity}."


@dataclass(frozen=True)
class Ranking:
    """How candidates are ordered, and from which score on one is suitable.

    Attributes:
        weights: of each of FEATURES.
        least: of each activity; the share `chance_quantile` of demonstrations chosen for others'
            clips score below it.
        fitted: on what, in numbers; for readers.
    """

    weights: Mapping[str, float]
    least: Mapping[str, float]
    fitted: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path | None = None) -> "Ranking":
        """That of a checkpoint whose library has one, else that of the shipped model.

        Raises:
            PoiseError: the file is damaged.
        """
        own = None if folder is None else folder / RANKING_FILE
        return _read(own if own is not None and own.is_file() else SHIPPED)

    def limit(self, activity: str) -> float:
        """The score of chance of an activity; of one that was not fitted, the strictest of all."""
        return self.least.get(activity, max(self.least.values()))

    def scores(self, features: Mapping[str, np.ndarray]) -> np.ndarray:
        """[N] from the features [N] each."""
        total: np.ndarray = sum(
            (weight * features[name] for name, weight in self.weights.items()), np.zeros(1)
        )
        return total


SHIPPED: Final = Path(__file__).with_name(RANKING_FILE)


@cache
def _read(path: Path) -> Ranking:
    try:
        content = json.loads(path.read_text("utf-8"))
        weights = {name: float(content["weights"][name]) for name in FEATURES}
        least = {name: float(value) for name, value in content["least"].items()}
        if not least:
            raise ValueError("least is empty")
        return Ranking(weights, least, content.get("fitted", {}))
    except (AttributeError, KeyError, TypeError, ValueError) as fault:
        raise PoiseError(
            f"{path} is damaged",
            got=repr(fault),
            expected=f"weights of {', '.join(FEATURES)}, and least of activities",
            remedy="write it again by `poise eval ranking`",
        ) from fault


@dataclass(frozen=True)
class Ranked:
    """A candidate with its scores.

    Attributes:
        log_likelihood: mean a token of the codes after the shared prefix.
        relative: the same minus the candidate's unconditional likelihood, which takes away the
            advantage of motions that are typical anyway.
        to_correction_mm, to_middle_mm, to_learner_mm: PA-MPJPE from the candidate's window to the
            generated correction, to the mean of it and the learner, and to the learner.
        score: what it is ranked by.
    """

    demonstration: Demonstration
    log_likelihood: float
    relative: float
    to_correction_mm: float
    to_middle_mm: float
    to_learner_mm: float
    score: float


def rank(
    engine: Engine,
    config: PoiseConfig,
    prompt: Prompt,
    candidates: Sequence[Demonstration],
    *,
    learner: np.ndarray,
    correction: np.ndarray,
    ranking: Ranking,
) -> list[Ranked]:
    """Candidates by falling score; the prompt is computed once.

    Args:
        learner, correction: [10, 17, 3] window frames.
    """
    if not candidates:
        return []
    sums, counts = engine.score(
        prompt, candidate_continuations([item.codes for item in candidates], config)
    )
    means = np.asarray(sums, dtype=np.float64) / np.asarray(counts)
    windows = np.stack([item.window for item in candidates])
    features = {
        "log_likelihood": means,
        "to_correction_mm": distances_to(windows, correction),
        "to_middle_mm": distances_to(windows, (learner + correction) / 2),
        "to_learner_mm": distances_to(windows, learner),
    }
    relative = means - np.array([item.unconditional for item in candidates])
    columns = {**features, "relative": relative, "score": ranking.scores(features)}
    ranked = [
        Ranked(item, **{name: float(values[i]) for name, values in columns.items()})
        for i, item in enumerate(candidates)
    ]
    return sorted(ranked, key=lambda r: (-r.score, r.demonstration.demonstration_id))


def unsuitable(ranked: Sequence[Ranked], activity: str, ranking: Ranking) -> str | None:
    """Why no demonstration is shown; None where the best one is better than chance."""
    if not ranked:
        return NONE_OF_ACTIVITY.format(activity=activity.replace("_", " "))
    least = ranking.limit(activity)
    if ranked[0].score > least:
        return None
    return NO_SUITABLE.format(n=len(ranked), best=ranked[0].score, least=least)
