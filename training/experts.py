"""What simulated experts measure, repetition by repetition: the reference of evidence."""

from collections.abc import Sequence

import numpy as np

from assistant.evidence import ExpertQuantity, Experts
from assistant.levels import N_LEVELS
from assistant.pose.kinematics import QUANTITIES, measure_repetitions
from data_prep.drills.records import Drill


def experts(drills: Sequence[Drill]) -> Experts:
    """Measured quantities of the fault-free clips of Late Experts, per activity.

    Every repetition counts as one measurement, as on a learner.
    """
    values: dict[str, dict[str, list[float]]] = {}
    units: dict[str, str] = {}
    for drill in drills:
        if drill.level != N_LEVELS - 1 or drill.faults:
            continue
        span = (drill.repetitions[0][0], drill.repetitions[-1][1])
        for found in measure_repetitions(drill.pose, drill.activity, span):
            values.setdefault(drill.activity, {}).setdefault(found.quantity, []).append(found.value)
            units[found.quantity] = found.unit
    return Experts(
        {
            activity: {
                name: ExpertQuantity(
                    QUANTITIES[name].region,
                    units[name],
                    float(np.mean(v)),
                    float(np.std(v)),
                    len(v),
                )
                for name, v in rows.items()
            }
            for activity, rows in values.items()
        }
    )
