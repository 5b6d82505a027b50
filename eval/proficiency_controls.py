"""The tables of Look Closer and of the Sparse Skill Extractor on simulated drills, with floors.

    poise eval proficiency-controls --runs runs/controls -o docs/results/proficiency_controls.json

Every row is one head over one trained Stage 1; `poise train ablation --stage look_closer` wrote
what it says of each test take. Figures are means over seeds; intervals draw performers; a row is
tested against the one above it on the same takes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from scipy.stats import rankdata

from assistant.errors import PoiseError
from assistant.levels import N_LEVELS
from eval.statistics import bootstrap, paired_bootstrap, resampled_rows
from prompts.vocabulary import LEVELS

DRAWS: Final = 500
CHANCE_DRAWS: Final = 50
OVERALL: Final = "overall"


@dataclass(frozen=True)
class Row:
    """One row of a table: a head of a trained variant, and the row it is tested against."""

    name: str
    variant: str
    head: str
    against: str | None = None


FULL: Final = "6 + PDM + CORAL (full)"
BASELINE: Final = "4 + aspect experts"
LADDER: Final = (
    Row("1 video only", "video", "base"),
    Row("2 + gaze", "gaze", "base", "1 video only"),
    Row("3 + activity router", "router", "base", "2 + gaze"),
    Row(BASELINE, "full", "base", "3 + activity router"),
    Row("5 + PDM, without CORAL", "full", "multinomial", BASELINE),
    Row(FULL, "full", "coral/annotated", "5 + PDM, without CORAL"),
    Row("full without gaze", "without_gaze", "coral/annotated", FULL),
    Row("full with pose (ours)", "with_pose", "coral/annotated", FULL),
)
LEAVE_ONE_OUT: Final = (
    Row("full", "full", "coral/annotated"),
    Row("without gaze", "without_gaze", "coral/annotated", "full"),
    Row("without PDM", "full", "coral/no_margin", "full"),
    Row("without CORAL", "full", "multinomial", "full"),
    Row("without router", "without_router", "coral/annotated", "full"),
    Row("without aspect experts", "router", "coral/annotated", "full"),
)
MAIN: Final = "main baseline (row 4)"
CONTROLS: Final = (
    Row(MAIN, "full", "base"),
    Row("with action timestamps", "full", "coral/annotated", MAIN),
    Row("without action timestamps", "full", "coral/proposals", MAIN),
    Row("shuffled proficiency labels", "full", "coral/shuffled_labels", MAIN),
    Row("random prototypes", "full", "coral/random_prototypes", MAIN),
    Row("activity-average score", "full", "coral/activity_average", MAIN),
    Row("CORAL without any margin", "full", "coral/no_margin", MAIN),
    Row("CORAL with one weight vector", "full", "coral_shared", MAIN),
    Row("CORAL with C = 1", "full", "coral_c1", MAIN),
    Row("with pose: base", "with_pose", "base", MAIN),
    Row("with pose: timestamps", "with_pose", "coral/annotated", "with pose: base"),
    Row("with pose: no timestamps", "with_pose", "coral/proposals", "with pose: base"),
    Row("with pose: C = 1", "with_pose", "coral_c1", "with pose: base"),
)
FLOORS: Final = (
    Row("inputs of other takes", "full", "exchanged_inputs"),
    Row("nearest neighbour", "full", "nearest_neighbour"),
    Row("nearest neighbour with pose", "with_pose", "nearest_neighbour"),
)
VARIANTS: Final = tuple(
    dict.fromkeys(row.variant for row in (*LADDER, *LEAVE_ONE_OUT, *CONTROLS, *FLOORS))
)


def figures(p: np.ndarray, levels: np.ndarray) -> dict[str, float]:
    """Accuracy, macro-F1, MAE of the most probable level, and rank correlation of sum k p_k.

    Args:
        p: [N, 4]; levels: [N].
    Levels that are neither there nor said count as F1 0. The correlation of a constant is 0.
    """
    table = confusion(p, levels)
    away = np.abs(np.subtract.outer(np.arange(N_LEVELS), np.arange(N_LEVELS)))
    return {
        "accuracy": float(np.trace(table) / table.sum()),
        "macro_f1": float(np.mean([f1 for f1, _ in per_level(table)])),
        "mae": float((table * away).sum() / table.sum()),
        "spearman": _rank_correlation(p @ np.arange(N_LEVELS), levels),
    }


def confusion(p: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """[4, 4] takes by true and by most probable level."""
    cells = levels * N_LEVELS + p.argmax(axis=1)
    return np.bincount(cells, minlength=N_LEVELS**2).reshape(N_LEVELS, N_LEVELS)


def per_level(table: np.ndarray) -> list[tuple[float, float]]:
    """F1 and precision of every level of a confusion table; 0 where never said."""
    found = []
    for level in range(N_LEVELS):
        hit, said, true = table[level, level], table[:, level].sum(), table[level].sum()
        found.append((float(2 * hit / max(said + true, 1)), float(hit / max(said, 1))))
    return found


def _rank_correlation(score: np.ndarray, levels: np.ndarray) -> float:
    a, b = (x - x.mean() for x in (rankdata(np.round(score, 6)), rankdata(levels)))
    size = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / size) if size > 0 else 0.0


KEYS: Final = ("accuracy", "macro_f1", "mae", "spearman")


@dataclass(frozen=True)
class Takes:
    """Test takes and what every head of every variant says of them.

    Attributes:
        levels: [N]; performers, activities: N; said: (variant, head) -> [seeds, N, 4].
        about: settings, data and sizes, the same for all runs; parameters: of each variant.
    """

    levels: np.ndarray
    performers: list[str]
    activities: list[str]
    said: Mapping[tuple[str, str], np.ndarray]
    about: Mapping[str, Any]
    parameters: Mapping[str, int]


def read_runs(folder: Path) -> Takes:
    """All results in a run folder's `work/look_closer`.

    Raises:
        PoiseError: no result, results of different settings, or variants with different seeds.
    """
    runs = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*_*.json"))]
    if not runs:
        raise PoiseError(f"no results in {folder}", remedy="train with `poise train ablation`")
    first = runs[0]
    if any(run["about"] != first["about"] or run["takes"] != first["takes"] for run in runs):
        raise PoiseError(f"results in {folder} are of different settings or takes")
    seeds: dict[str, list[int]] = {}
    for run in runs:
        seeds.setdefault(run["variant"], []).append(run["seed"])
    if len({tuple(sorted(some)) for some in seeds.values()}) > 1:
        raise PoiseError(f"variants in {folder} have different seeds", got=str(seeds),
                         remedy="run the command again: it goes on where it stopped")  # fmt: skip
    said: dict[tuple[str, str], list[np.ndarray]] = {}
    for run in sorted(runs, key=lambda run: run["seed"]):
        for head, p in run["probabilities"].items():
            said.setdefault((run["variant"], head), []).append(np.array(p))
    takes = first["takes"]
    return Takes(
        np.array([take["level"] for take in takes]),
        [take["performer"] for take in takes],
        [take["activity"] for take in takes],
        {key: np.stack(values) for key, values in said.items()},
        first["about"] | {"seeds": sorted(next(iter(seeds.values())))},
        {run["variant"]: run["parameters"] for run in runs},
    )


def evaluate(takes: Takes, *, draws: int = DRAWS) -> dict[str, Any]:
    """Every table; a row whose variant was not trained is None.

    Args:
        draws: of performers, for the intervals.
    """
    tables = {"ladder": LADDER, "leave_one_out": LEAVE_ONE_OUT, "controls": CONTROLS}
    # Some heads stand in several tables.
    asked = {(row.variant, row.head) for row in (*LADDER, *LEAVE_ONE_OUT, *CONTROLS, *FLOORS)}
    scored = {
        key: _with_intervals(said, takes.levels, takes.performers, draws)
        for key, said in takes.said.items()
        if key in asked
    }
    found: dict[str, Any] = {
        name: {row.name: _row(takes, scored, row, rows) for row in rows}
        for name, rows in tables.items()
    }
    found["floors"] = _constant_floors(takes) | {
        row.name: _row(takes, scored, row, FLOORS) for row in FLOORS
    }
    found["per_activity"] = {row.name: _per_activity(takes, row, draws) for row in LEAVE_ONE_OUT}
    levels = {"baseline": CONTROLS[0], "full": LEAVE_ONE_OUT[0]}
    found["per_level"] = {name: _per_level(takes, row) for name, row in levels.items()}
    return found | {
        "about": takes.about,
        "parameters": dict(takes.parameters),
        "n": len(takes.levels),
        "performers": len(set(takes.performers)),
        "seeds": takes.about["seeds"],
        "draws": draws,
    }


def _row(
    takes: Takes,
    scored: Mapping[tuple[str, str], dict[str, Any]],
    row: Row,
    table: Sequence[Row],
) -> dict[str, Any] | None:
    said = takes.said.get((row.variant, row.head))
    if said is None:
        return None
    found = dict(scored[row.variant, row.head])
    above = next((other for other in table if other.name == row.against), None)
    other = None if above is None else takes.said.get((above.variant, above.head))
    if other is not None and above is not None:
        tests = {"accuracy": _right, "mae": _away}
        found["against"] = {"row": above.name} | {
            key: asdict(paired_bootstrap(per_take(said, takes.levels),
                                         per_take(other, takes.levels), takes.performers))
            for key, per_take in tests.items()
        }  # fmt: skip
    return found


def _with_intervals(
    said: np.ndarray, levels: np.ndarray, performers: Sequence[str], draws: int
) -> dict[str, Any]:
    """Means over seeds with 95% intervals over performers; said [S, N, 4]."""

    def means(rows: np.ndarray) -> list[float]:
        each = [figures(p[rows], levels[rows]) for p in said]
        return [float(np.mean([f[key] for f in each])) for key in KEYS]

    drawn = np.array([means(rows) for rows in resampled_rows(performers, draws=draws)])
    bounds = np.quantile(drawn, [0.025, 0.975], axis=0)
    by_seed = [figures(p, levels) for p in said]
    return {
        key: {
            "value": value,
            "low": float(low),
            "high": float(high),
            "by_seed": [f[key] for f in by_seed],
        }
        for key, value, low, high in zip(KEYS, means(np.arange(len(levels))), *bounds, strict=True)
    }


def _right(said: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """[N] share of seeds that are right."""
    return (said.argmax(axis=2) == levels).mean(axis=0)


def _away(said: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """[N] mean distance in levels."""
    return np.abs(said.argmax(axis=2) - levels).mean(axis=0)


def _constant_floors(takes: Takes) -> dict[str, Any]:
    """A level at random, and always the most frequent one of these very takes."""
    count, rng = len(takes.levels), np.random.default_rng(0)
    drawn = np.eye(N_LEVELS)[rng.integers(N_LEVELS, size=(CHANCE_DRAWS, count))]
    chance = [figures(p, takes.levels) for p in drawn]
    most = np.bincount(takes.levels, minlength=N_LEVELS).argmax()
    always = figures(np.tile(np.eye(N_LEVELS)[most], (count, 1)), takes.levels)
    return {
        "chance": {key: {"value": float(np.mean([c[key] for c in chance]))} for key in KEYS},
        "majority": {key: {"value": always[key]} for key in KEYS},
    }


def _per_activity(takes: Takes, row: Row, draws: int) -> dict[str, Any] | None:
    said = takes.said.get((row.variant, row.head))
    if said is None:
        return None
    names = np.array(takes.activities)
    right = _right(said, takes.levels)
    found = {}
    for name in [*sorted(set(takes.activities)), OVERALL]:
        mine = np.ones(len(names), bool) if name == OVERALL else names == name
        people = [takes.performers[i] for i in np.flatnonzero(mine)]
        interval = asdict(bootstrap(right[mine], people, draws=draws))
        found[name] = interval | {"n": int(mine.sum())}
    return found


def _per_level(takes: Takes, row: Row) -> dict[str, Any] | None:
    said = takes.said.get((row.variant, row.head))
    if said is None:
        return None
    each = np.array([per_level(confusion(p, takes.levels)) for p in said]).mean(axis=0)  # [4, 2]
    counts = np.bincount(takes.levels, minlength=N_LEVELS)
    return {
        name: {"f1": float(f1), "precision": float(precision), "n": int(n)}
        for name, (f1, precision), n in zip(LEVELS, each, counts, strict=True)
    }
