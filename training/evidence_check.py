"""How well evidence tells true criticism from false, on simulated validation performers.

    python -m training.evidence_check [EXPERTS_FOLDER]

Prints, for each threshold and drill, the share of faults that count as supported where they were
injected and where not: the table of docs/proficiency/evidence.md. Without a folder the experts are
simulated too.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from assistant.evidence import Experts, distance_of
from assistant.markdown import markdown
from assistant.pose.kinematics import measure_repetitions
from assistant.remark_topics import TOPICS
from data_prep.drills.faults import KNOWN
from data_prep.drills.noise import add_pose_noise
from data_prep.drills.records import Drill
from data_prep.drills.simulate import simulate_many
from training.experts import experts

THRESHOLDS: Final = (1.5, 1.75, 2.0, 2.25, 2.5)
TRAIN: Final = (45, 12, 31)  # performers, clips of each, seed
VALIDATION: Final = (30, 12, 32)


def fault_distances(drills: Sequence[Drill], table: Experts) -> dict[str, np.ndarray]:
    """Per activity [N, 2]: was a fault injected (0 or 1), and how far its quantity lies from the
    experts to its side; one row a clip and fault that could be measured."""
    rng = np.random.default_rng(0)
    rows: dict[str, list[tuple[float, float]]] = {}
    for drill in drills:
        pose = add_pose_noise(drill.pose, rng)
        span = (drill.repetitions[0][0], drill.repetitions[-1][1])
        faults = [topic for topic in TOPICS[drill.activity] if topic.fault]
        names = tuple(topic.quantity for topic in faults)
        found = measure_repetitions(pose, drill.activity, span, quantities=names)
        injected = {fault.name for fault in drill.faults}
        for topic in faults:
            expert = table.table.get(drill.activity, {}).get(topic.quantity)
            measured = [m for m in found if m.quantity == topic.quantity]
            if expert is None or not measured:
                continue
            far = max(distance_of(m, expert, topic.side) for m in measured)
            rows.setdefault(drill.activity, []).append((float(topic.name in injected), far))
    return {activity: np.array(values) for activity, values in rows.items()}


def shares_table(distances: dict[str, np.ndarray]) -> str:
    """One row a threshold: share supported where injected / where not."""
    groups = {"all": np.concatenate(list(distances.values())), **distances}
    rows = []
    for z in THRESHOLDS:
        cells = [
            " / ".join(f"{(d[d[:, 0] == kind, 1] >= z).mean():.3f}" for kind in (1, 0))
            for d in groups.values()
        ]
        rows.append([f"{z:g}", *cells])
    return markdown(["z", *groups], rows)


def main() -> None:
    """Simulate, measure and print."""
    people, clips, seed = VALIDATION
    drills = simulate_many(people, clips, seed, split="validation", activities=KNOWN)
    if len(sys.argv) > 1:
        table = Experts.load(Path(sys.argv[1]))
    else:
        people, clips, seed = TRAIN
        table = experts(simulate_many(people, clips, seed, split="train", activities=KNOWN))
    print(shares_table(fault_distances(drills, table)))


if __name__ == "__main__":
    main()
