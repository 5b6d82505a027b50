"""How a level shows: number and severity of faults, variability; and the oracle that reads them.

Novice 3-4 faults, Early 2, Intermediate 1, Late 0, each with a leak into its neighbours; severity
floors and variability fall with the level.
"""

from typing import Final

import numpy as np

from data_prep.drills.faults import RESERVED, specs
from data_prep.drills.records import Drill

# P(number of faults 0..4 | level).
COUNTS: Final = np.array(
    [
        [0.00, 0.00, 0.08, 0.52, 0.40],
        [0.00, 0.06, 0.87, 0.07, 0.00],
        [0.06, 0.87, 0.07, 0.00, 0.00],
        [0.92, 0.08, 0.00, 0.00, 0.00],
    ]
)
SEVERITY_FLOOR: Final = (0.55, 0.45, 0.35, 0.30)
SEVERITY_SPAN: Final = (0.45, 0.45, 0.45, 0.25)
VARIABILITY: Final = (1.4, 0.85, 0.5, 0.2)


def draw_faults(
    rng: np.random.Generator, activity: str, level: int, repetitions: int, shifted: bool
) -> dict[str, tuple[float, frozenset[int]]]:
    """Fault name -> severity and the repetitions that show it."""
    count = int(rng.choice(5, p=COUNTS[level]))
    names = [s.name for s in specs(activity)]
    order = [str(n) for n in rng.permutation(names)]
    pair = RESERVED[activity]
    if shifted and count >= 2:
        order = [*pair, *(n for n in order if n not in pair)]
    elif not shifted:
        # Of the reserved pair only the one drawn first may appear.
        later = max(pair, key=order.index)
        order.remove(later)
    faults = {}
    for name in order[:count]:
        severity = SEVERITY_FLOOR[level] + SEVERITY_SPAN[level] * rng.random()
        share = rng.uniform(0.4, 1.0)
        shown = min(max(round(share * repetitions), 1), repetitions)
        where = rng.choice(repetitions, size=shown, replace=False)
        faults[name] = (float(severity), frozenset(int(r) for r in where))
    return faults


def rating(rng: np.random.Generator, level: int, severities: list[float]) -> int:
    """A 1-10 rating as a rater might give: the level, less for severe faults, and noise."""
    value = 2.4 + 2.2 * level - 0.8 * sum(severities) / 2 + rng.normal(0, 0.6)
    return int(np.clip(round(value), 1, 10))


def oracle_level(drill: Drill) -> int:
    """The most probable level given the injected faults and their severities (not the motion).

    Its accuracy is the ceiling of every level number on drills; levels are taken as equally
    frequent.
    """
    faults = drill.distinct_faults
    best, choice = -1.0, 0
    for level in range(4):
        likelihood = COUNTS[level][min(len(faults), 4)]
        for fault in faults:
            above = (fault.severity - SEVERITY_FLOOR[level]) / SEVERITY_SPAN[level]
            likelihood *= (1 / SEVERITY_SPAN[level]) if 0 <= above <= 1 else 0.0
        if likelihood > best:
            best, choice = likelihood, level
    return choice
