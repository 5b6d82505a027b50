"""How demonstrations are ranked: weights and the score of chance, from validation performers.

    poise eval ranking -o assistant/demos/ranking.json

The gold demonstration of a clip is the library item nearest to its fault-free twin. The weights are
those of a conditional logit (McFadden 1974): the gold item is the one that was chosen among all of
the activity. Chance is a demonstration that was chosen for another performer's clip of the same
activity. What is printed of the fitted ranking is out of fold by performer, as is whether a best
candidate that passes for suitable is truly nearer to the twin than half of what others were shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from assistant.coach import Coach
from assistant.coach_result import CoachResult
from assistant.demos.rank import FEATURES, Ranking
from assistant.errors import PoiseError
from assistant.pose.alignment import distances_to
from eval.corrections import ExpertWindows
from eval.poses import rank_of, window_joints
from eval.testset import TestClip
from eval.variants import CoachVariant, coach_all

FOLDS: Final = 5
# Of 0.5 to 0.95, with shares of the library removed, this agreed best with the truth of `report`.
CHANCE_QUANTILE: Final = 0.6
PENALTY: Final = 0.1  # of the squared weights of standardised features, against the summed log-loss
# Shares of the library, nearest to the twin first, taken away to see whether it is noticed.
REMOVED: Final = (0.25, 0.5, 0.9)
# The rankings beside the fitted one: feature, and which sign is better.
ALONE: Final = {
    "log_likelihood": 1.0,
    "to_correction_mm": -1.0,
    "to_middle_mm": -1.0,
    "to_learner_mm": -1.0,
}


@dataclass(frozen=True)
class Choice:
    """One clip's candidates.

    Attributes:
        names: of the items; features: [N, 4] in the order of FEATURES.
        to_twin: [N] mm; gold: place of the nearest.
    """

    performer: str
    activity: str
    names: tuple[str, ...]
    features: np.ndarray
    to_twin: np.ndarray

    @property
    def gold(self) -> int:
        return int(self.to_twin.argmin())


def choices(
    coach: Coach, clips: Sequence[TestClip], results: Sequence[CoachResult]
) -> list[Choice]:
    """What was ranked for each judged clip whose activity was recognised."""
    experts, found = ExpertWindows(coach.library), []
    for clip, result in zip(clips, results, strict=True):
        if result.frames is None or not result.ranked:
            continue
        names, windows = experts.of(clip.activity)
        rows = {entry.demonstration.demonstration_id: entry for entry in result.ranked}
        if set(rows) != set(names):
            continue  # taken for another activity
        goal = window_joints(clip.twin, result.frames.start)
        features = [[getattr(rows[name], key) for key in FEATURES] for name in names]
        found.append(
            Choice(
                clip.performer,
                clip.activity,
                tuple(names),
                np.array(features),
                distances_to(np.stack(windows), goal),
            )
        )
    return found


def fit_weights(rows: Sequence[Choice]) -> np.ndarray:
    """[4] weights of the conditional logit, in the features' own units."""
    from scipy.optimize import minimize

    spread = np.concatenate([row.features for row in rows]).std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    parts = [((row.features - row.features.mean(axis=0)) / scale, row.gold) for row in rows]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        total, slope = PENALTY * float(weights @ weights), 2 * PENALTY * weights
        for features, gold in parts:
            scores = features @ weights
            top = scores.max()
            p = np.exp(scores - top)
            total += float(top + np.log(p.sum()) - scores[gold])
            slope = slope + features.T @ (p / p.sum()) - features[gold]
        return total, slope

    found = minimize(loss, np.zeros(len(FEATURES)), jac=True, method="L-BFGS-B")
    weights: np.ndarray = found.x / scale
    return weights


def chance_scores(rows: Sequence[Choice], weights: np.ndarray) -> np.ndarray:
    """Scores, under each clip, of what is best for every other performer's clip of its activity."""
    best = _best(rows, weights)
    found = [
        float((mine.features @ weights)[mine.names.index(chosen)])
        for mine in rows
        for other, chosen in zip(rows, best, strict=True)
        if other.activity == mine.activity and other.performer != mine.performer
    ]
    return np.array(found)


def _best(rows: Sequence[Choice], weights: np.ndarray) -> list[str]:
    """The name of the item that is shown for each clip."""
    return [row.names[int((row.features @ weights).argmax())] for row in rows]


def fit(rows: Sequence[Choice]) -> Ranking:
    """Weights and the score of chance.

    Raises:
        PoiseError: too few clips or performers to fit and to compare with.
    """
    performers = {row.performer for row in rows}
    of = {a: [row for row in rows if row.activity == a] for a in {row.activity for row in rows}}
    compared = sorted(a for a, mine in of.items() if len({row.performer for row in mine}) > 1)
    if not compared:
        raise PoiseError(
            "no ranking can be fitted",
            got=f"{len(rows)} ranked clips of {len(performers)} performers",
            expected="at least 2 performers of an activity, better 30",
        )
    weights = fit_weights(rows)
    least = {
        activity: float(f"{np.quantile(chance_scores(of[activity], weights), CHANCE_QUANTILE):.5g}")
        for activity in compared
    }
    return Ranking(
        {name: float(f"{w:.5g}") for name, w in zip(FEATURES, weights, strict=True)},
        least,
        {
            "clips": len(rows),
            "performers": len(performers),
            "candidates": int(np.median([len(row.names) for row in rows])),
            "chance_quantile": CHANCE_QUANTILE,
        },
    )


def report(rows: Sequence[Choice]) -> dict[str, Any]:
    """Ranks of the gold item by each feature alone and by a ranking of the other performers, and
    how often that ranking finds a suitable demonstration: `found`, beside `nearer`, how often the
    best one is truly nearer to the twin than the middle of those that others were shown, and
    `agree`, how often the two are the same."""
    ranks: dict[str, list[int]] = {name: [] for name in (*ALONE, "fitted")}
    kept: dict[float, list[tuple[bool, bool]]] = {share: [] for share in (0.0, *REMOVED)}
    performers = sorted({row.performer for row in rows})
    for fold in range(min(FOLDS, len(performers))):
        held = set(performers[fold::FOLDS])
        others = [row for row in rows if row.performer not in held]
        ranking = fit(others)
        weights = np.array([ranking.weights[name] for name in FEATURES])
        for row in (row for row in rows if row.performer in held):
            columns = {n: s * row.features[:, FEATURES.index(n)] for n, s in ALONE.items()}
            columns["fitted"] = row.features @ weights
            for name, scores in columns.items():
                ranks[name].append(rank_of(row.gold, -scores))
            shown = _best([other for other in others if other.activity == row.activity], weights)
            usual = np.median([row.to_twin[row.names.index(name)] for name in shown])
            near_first = np.argsort(row.to_twin)
            for share in kept:
                left = near_first[int(share * len(near_first)) :]
                best = left[columns["fitted"][left].argmax()]
                passed = columns["fitted"][best] > ranking.limit(row.activity)
                kept[share].append((bool(passed), bool(row.to_twin[best] < usual)))
    return {
        "n": len(rows),
        "performers": len(performers),
        "ranks": {
            name: {
                "median_rank": float(np.median(values)),
                "mean_rank": float(np.mean(values)),
                "mean_reciprocal_rank": float(np.mean(1 / np.array(values))),
            }
            for name, values in ranks.items()
        },
        "suitable": {f"{share:.0%} removed": _suitable(v) for share, v in kept.items()},
    }


def _suitable(pairs: Sequence[tuple[bool, bool]]) -> dict[str, float]:
    found, nearer = np.array(pairs).T
    shares = {"found": found, "nearer": nearer, "agree": found == nearer}
    return {name: float(np.mean(values)) for name, values in shares.items()}


def rank_clips(coach: Coach, clips: Sequence[TestClip], **options: Any) -> list[CoachResult]:
    """Coach the clips with every demonstration ranked."""
    given = [clip.given for clip in clips]
    return coach_all(CoachVariant(coach), given, **options)


def table(found: Mapping[str, Any]) -> str:
    """`report` as Markdown."""
    from assistant.markdown import markdown
    from eval.tables import number

    keys = ("median_rank", "mean_rank", "mean_reciprocal_rank")
    rows = [[name, *(number(v[k], 2) for k in keys)] for name, v in found["ranks"].items()]
    kept = [
        [name, *(number(v[k], 2) for k in ("found", "nearer", "agree"))]
        for name, v in found["suitable"].items()
    ]
    header = ["library, nearest to the twin first", "a suitable one is found"]
    header += ["it is nearer to the twin than others' are", "both agree"]
    return "\n\n".join(
        [
            markdown([f"ranked by (n {found['n']})", "median rank", "mean rank", "MRR"], rows),
            markdown(header, kept),
        ]
    )
