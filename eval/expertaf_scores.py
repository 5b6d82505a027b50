"""Scores of ExpertAF's retrieval (F_r) and correction (F_g), beside what needs no model."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assistant.demos.rank import Ranked
from assistant.pose.alignment import pa_mpjpe
from assistant.pose.normalise import heading, rotate_yaw
from assistant.pose.windows import window_errors
from eval.corrections import through_codec
from eval.levels import derangement
from eval.poses import centred, mean_motion, rank_of
from eval.statistics import bootstrap, chance_median_rank, median_rank, paired_bootstrap

if TYPE_CHECKING:
    from assistant.perception import Perception
    from eval.pairs import LearnerPair, PairTable

# Order to the field of `Ranked` that makes it and the sign that rises to the better.
ORDERS: Final[Mapping[str, tuple[str, float]]] = {
    "likelihood": ("log_likelihood", 1.0),
    "relative_likelihood": ("relative", 1.0),
    "fitted": ("score", 1.0),
    "nearest_to_correction": ("to_correction_mm", -1.0),
}
NEAREST: Final = "nearest_neighbour"  # a floor: of the data alone, whatever the model answered
SHUFFLED: Final = "likelihood"  # the order that is also scored for another learner's demonstration
RECALL_AT: Final = (1, 10, 50)
MOTION_ERRORS: Final = ("pa_mpjpe", "mpjpe")
# Order to the ranks [N] of all candidates, from 1; ties count against a candidate.
Ranks = dict[str, np.ndarray]
Motions = dict[str, np.ndarray]


def ranks_of(ranked: Sequence[Ranked], names: Sequence[str]) -> Ranks:
    """The rank of each candidate of `names` in every order."""
    rows = {entry.demonstration.demonstration_id: entry for entry in ranked}
    found = {}
    for order, (key, sign) in ORDERS.items():
        worse = -sign * np.array([getattr(rows[name], key) for name in names])
        found[order] = np.searchsorted(np.sort(worse), worse, side="right").astype(np.int32)
    return found


def score_ranks(
    answers: Sequence[Ranks | None],
    near: np.ndarray,
    gold: Sequence[int],
    people: Sequence[Hashable],
    activities: Sequence[str],
    seed: int,
) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """Recall@k and median rank of the paired demonstration by order, and scores of each pair.

    Chance is exact for this number of candidates. `shuffled` ranks the demonstration of another
    learner of the activity. The order by nearness to the learner needs no answer: it is of all
    pairs, also of those where the model failed.

    Args:
        answers: None where nothing was ranked: the demonstration then comes last.
        near: [N, candidates] distance of each candidate's window to each learner's.
        gold: place of each pair's demonstration among the candidates.
    """
    candidates = near.shape[1]
    order = derangement(activities, np.random.default_rng(seed))
    columns = {name: _ranks(answers, name, gold, candidates) for name in ORDERS}
    columns[NEAREST] = np.array(
        [rank_of(item, row) for item, row in zip(gold, near, strict=True)], dtype=np.float64
    )
    columns["shuffled"] = _ranks(answers, SHUFFLED, [gold[i] for i in order], candidates)
    chance: dict[str, Any] = {f"recall_at_{k}": min(1.0, k / candidates) for k in RECALL_AT}
    chance["median_rank"] = chance_median_rank(candidates)
    found = {name: _rank_figures(ranks, people, seed) for name, ranks in columns.items()}
    samples = [
        {
            "rank": float(columns["likelihood"][i]),
            "recall_at_50": float(columns["likelihood"][i] <= 50),
            "fitted_rank": float(columns["fitted"][i]),
        }
        for i in range(len(gold))
    ]
    values = {
        "n": len(gold),
        "answered": sum(answer is not None for answer in answers),
        "candidates": candidates,
        "orders": found | {"chance": chance},
    }
    return values, samples


def _ranks(
    answers: Sequence[Ranks | None], order: str, gold: Sequence[int], candidates: int
) -> np.ndarray:
    return np.array(
        [candidates if a is None else a[order][g] for a, g in zip(answers, gold, strict=True)],
        dtype=np.float64,
    )


def _rank_figures(ranks: np.ndarray, people: Sequence[Hashable], seed: int) -> dict[str, Any]:
    bounds = {f"recall_at_{k}": bootstrap(ranks <= k, people, seed=seed) for k in RECALL_AT}
    bounds["median_rank"] = bootstrap(
        ranks, people, lambda rows: median_rank(rows.tolist()), seed=seed
    )
    found: dict[str, Any] = {name: each.value for name, each in bounds.items()}
    return found | {"intervals": {name: [b.low, b.high] for name, b in bounds.items()}}


def window_distances(motions: np.ndarray, windows: Sequence[np.ndarray]) -> np.ndarray:
    """[N, M] PA-MPJPE (mm, mean over frames) of M windows [F, 17, 3] onto motions [N, F, 17, 3]."""
    found: np.ndarray = window_errors(motions, windows)[:, :, 0]
    return found


def facing(joints: np.ndarray) -> np.ndarray:
    """A window [F, 17, 3] on its pelvis, turned by one yaw to face +x: MPJPE then is of posture."""
    joints = np.asarray(joints, dtype=np.float64)
    turned: np.ndarray = rotate_yaw(joints, -heading(joints, np.ones(joints.shape[:2])))
    return centred(turned)


def correction_motions(
    perception: "Perception",
    table: "PairTable",
    pairs: Sequence["LearnerPair"],
    split: Sequence["LearnerPair"],
    training: Sequence["LearnerPair"],
    answers: Sequence[tuple[np.ndarray, np.ndarray, str] | None],
) -> list[Motions | None]:
    """What each answered pair's window is compared with: `goal`, and by name what stands for it.

    Nearest and mean expert are of the training pairs of the activity; without any, of the split's
    other takes, since the pair's own expert was chosen for being nearest.

    Args:
        answers: the learner's frames, the corrected ones [10, 17, 3], and the name of the
            demonstration that is ranked first.
    """
    pool = {pair.expert.name: pair for pair in (training or split)}
    frames = {name: table.frames(pair.expert) for name, pair in pool.items()}
    found: list[Motions | None] = []
    own = {pair.expert.name: pair for pair in split}
    for pair, answer in zip(pairs, answers, strict=True):
        if answer is None:
            found.append(None)
            continue
        learner, corrected, first = answer
        goal = table.frames(pair.expert)
        experts = [
            frames[name]
            for name, other in pool.items()
            if other.activity == pair.activity and other.expert.take != pair.expert.take
        ]
        motions = {
            "goal": goal,
            "correction": corrected,
            "copy_learner": learner,
            "retrieved_expert": table.frames(own[first].expert),
            "codec": through_codec(perception, goal),
        }
        if experts:
            near = window_distances(learner[None], experts)[0]
            motions["nearest_expert"] = experts[int(near.argmin())]
            motions["mean_expert"] = mean_motion(np.stack(experts), learner)
        found.append(motions)
    return found


def score_motions(
    motions: Sequence[Motions | None],
    people: Sequence[Hashable],
    activities: Sequence[str],
    seed: int,
) -> tuple[dict[str, Any], list[dict[str, float | None]]]:
    """PA-MPJPE and MPJPE (mm) to the paired expert of every motion, and scores of each pair.

    `shuffled` is the correction against the expert of another learner of the activity. Tests are of
    the correction less each other motion, over the pairs that have both; negative is better.
    """
    errors: dict[str, dict[int, tuple[float, float]]] = {}
    rows = [i for i, found in enumerate(motions) if found is not None]
    order = derangement([activities[i] for i in rows], np.random.default_rng(seed))
    for place, row in enumerate(rows):
        mine = dict(motions[row] or {})
        other = motions[rows[order[place]]] or {}
        goal = mine.pop("goal")
        for name, joints in mine.items():
            errors.setdefault(name, {})[row] = _errors(joints, goal)
        if order[place] != place:
            errors.setdefault("shuffled", {})[row] = _errors(mine["correction"], other["goal"])
    values: dict[str, Any] = {"n": len(rows), "motions": {}, "tests": {}}
    for name, found in errors.items():
        who = [people[row] for row in found]
        table = np.array(list(found.values()))
        bounds = {
            key: bootstrap(table[:, c], who, seed=seed) for c, key in enumerate(MOTION_ERRORS)
        }
        values["motions"][name] = {
            "n": len(found),
            **{key: each.value for key, each in bounds.items()},
            "intervals": {key: [b.low, b.high] for key, b in bounds.items()},
        }
        if name not in ("correction", "codec", "shuffled"):
            ours = np.array([errors["correction"][row][0] for row in found])
            test = paired_bootstrap(ours, table[:, 0], who, seed=seed)
            values["tests"][f"pa_mpjpe, correction - {name}"] = asdict(test)
    samples: list[dict[str, float | None]] = [dict.fromkeys(MOTION_ERRORS) for _ in motions]
    for row in rows:
        samples[row].update(zip(MOTION_ERRORS, errors["correction"][row], strict=True))
    return values, samples


def _errors(joints: np.ndarray, goal: np.ndarray) -> tuple[float, float]:
    """PA-MPJPE of each frame, and MPJPE of both facing +x, means over the frames, mm."""
    aligned = float(pa_mpjpe(joints, goal).mean())
    plain = 1000 * np.linalg.norm(facing(joints) - facing(goal), axis=-1).mean()
    return aligned, float(plain)
