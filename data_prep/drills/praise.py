"""What of a motion is worth praising, read from the performer's own (true) quantities."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from data_prep.drills.faults import GOOD_POINTS, specs
from data_prep.drills.take import Take
from prompts.vocabulary import CORRECT, NEEDS_IMPROVEMENT, NOT_MENTIONED, REGIONS

# Point -> quantity, from where on it is good, and where it is best (for the order of praise).
THRESHOLDS: Final[Mapping[str, tuple[str, float, float]]] = {
    "depth": ("shallow_depth", 117.0, 138.0),
    "upright_trunk": ("forward_lean", 31.0, 18.0),
    "head_up": ("head_drop", 5.0, -12.0),
    "knees_track": ("knee_out", 5.0, 10.0),
    "elbow_under": ("elbow_flare", 13.0, 2.0),
    "knee_bend": ("insufficient_knee_bend", 66.0, 88.0),
    "long_follow_through": ("short_follow_through", 1.05, 1.7),
    "balanced": ("off_balance", 3.5, 0.0),
    "wide_base": ("narrow_stance", 33.0, 46.0),
    "eyes_on_rim": ("head", -6.0, -14.0),
    "deep_lunge": ("shallow_lunge", 95.0, 108.0),
    "tall_trunk": ("forward_lean", 8.0, 0.0),
    "long_step": ("short_step", 74.0, 96.0),
    "level_head": ("head_drop", 5.0, -12.0),
    "full_lockout": ("soft_lockout", 170.0, 179.0),
    "still_legs": ("knee_drive", 7.0, 3.0),
    "braced_trunk": ("back_arch", 2.0, -6.0),
    "bar_over_shoulders": ("bar_forward", 1.0, -5.0),
    "neutral_head": ("head_back", 4.0, 20.0),
    "firm_plant": ("plant_behind", 4.0, -10.0),
    "full_backswing": ("short_backswing", 102.0, 120.0),
    "over_the_ball": ("lean_back", -2.0, -14.0),
    "eyes_on_ball": ("head_up", 42.0, 60.0),
    "balancing_arm": ("idle_arm", 80.0, 106.0),
    "straight_lead_arm": ("bent_lead_arm", 166.0, 179.0),
    "full_turn": ("restricted_turn", 93.0, 108.0),
    "centred_hips": ("hip_sway", 0.5, -5.0),
    "steady_head": ("head_up_early", 0.0, -13.0),
    "high_finish": ("low_finish", 17.0, 34.0),
}
STEADY: Final = ("steady_arms", "calm_arms")  # shown by the level alone
MOST: Final = 2  # remarks of praise in a clip; faultless clips earn one more


def good_points(
    activity: str, take: Take, faults: Mapping[str, object], level: int
) -> tuple[str, ...]:
    """Points in unfaulted regions that are clearly good, best first, one a region."""
    faulted = {s.region for s in specs(activity) if s.name in faults}
    scores: dict[str, float] = {}
    for name, region in GOOD_POINTS[activity].items():
        if region in faulted:
            continue
        scores[name] = _goodness(name, take, level)
    order = sorted((n for n in scores if scores[n] > 0), key=lambda n: -scores[n])
    kept: list[str] = []
    for name in order:
        if GOOD_POINTS[activity][name] not in {GOOD_POINTS[activity][k] for k in kept}:
            kept.append(name)
    return tuple(kept[: MOST + (not faults)])


def _goodness(name: str, take: Take, level: int) -> float:
    """0 or less where the point is not worth a word, 1 at its best."""
    reps = take.repetitions
    if name == "heels_down":
        depth = np.mean([r.values["shallow_depth"] for r in reps])
        return float((depth - 112.0) / 26.0)
    if name in STEADY:
        return 0.35 if level >= 2 else 0.0
    quantity, good, best = THRESHOLDS[name]
    mean = float(np.mean([r.values[quantity] for r in reps]))
    return (mean - good) / (best - good)


def region_polarities(
    activity: str, faults: Mapping[str, object], points: tuple[str, ...]
) -> dict[str, int]:
    """All six regions: 0 faulted, 1 praised, 2 not mentioned."""
    polarity = dict.fromkeys(REGIONS, NOT_MENTIONED)
    for point in points:
        polarity[GOOD_POINTS[activity][point]] = CORRECT
    for fault in specs(activity):
        if fault.name in faults:
            polarity[fault.region] = NEEDS_IMPROVEMENT
    return polarity
