"""How well evidence tells true criticism from false, on simulated validation performers.

    python -m training.evidence_check [EXPERTS_FOLDER] [-o docs/results/evidence.json]

Prints, for each threshold and drill, the share of faults that count as supported where they were
injected and where not: the table of docs/proficiency/evidence.md. Without a folder the experts are
simulated too.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from assistant import __version__
from assistant.evidence import SUPPORT_Z, Experts, distance_of
from assistant.files import check_writable
from assistant.markdown import markdown
from assistant.pose.kinematics import measure_repetitions
from assistant.remark_topics import TOPICS
from data_prep.drills.faults import KNOWN
from data_prep.drills.noise import add_pose_noise
from data_prep.drills.records import Drill
from data_prep.drills.simulate import simulate_many
from training.atomic import write_json
from training.experts import experts

THRESHOLDS: Final = (1.5, 1.75, 2.0, 2.25, 2.5)
TRAIN: Final = (45, 12, 31)  # performers, clips of each, seed
VALIDATION: Final = (30, 12, 32)
NOISE_MM: Final = 15.0
ALL: Final = "all"


class Held(NamedTuple):
    """Criticism of one fault held against one clip.

    Attributes:
        injected: whether the clip has the fault.
        distance: how far its quantity lies from the experts to the fault's side, in standard
            deviations; the worst repetition.
    """

    activity: str
    quantity: str
    injected: bool
    distance: float


def held_faults(drills: Sequence[Drill], table: Experts) -> list[Held]:
    """Every fault of a drill held against each of its clips, where it could be measured."""
    rng = np.random.default_rng(0)
    rows = []
    for drill in drills:
        pose = add_pose_noise(drill.pose, rng, millimetres=NOISE_MM)
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
            rows.append(Held(drill.activity, topic.quantity, topic.name in injected, far))
    return rows


def evaluate(drills: Sequence[Drill], table: Experts) -> dict[str, Any]:
    """Shares supported where a fault was injected and where not, by threshold and activity, and at
    SUPPORT_Z by quantity; each with both numbers of cases."""
    rows = held_faults(drills, table)
    parts = {ALL: rows} | {a: [r for r in rows if r.activity == a] for a in KNOWN}
    kinds = sorted({(row.activity, row.quantity) for row in rows})
    measured = [q.n for known in table.table.values() for q in known.values()]
    return {
        "clips": len(drills),
        "performers": len({drill.participant_id for drill in drills}),
        "noise_mm": NOISE_MM,
        "expert_repetitions": [min(measured), max(measured)],
        "support_z": SUPPORT_Z,
        "shares": {
            f"{z:g}": {name: shares(part, z) for name, part in parts.items()} for z in THRESHOLDS
        },
        "quantities": {
            f"{activity}.{name}": shares(
                [row for row in rows if (row.activity, row.quantity) == (activity, name)], SUPPORT_Z
            )
            for activity, name in kinds
        },
        "provenance": {"poise_version": __version__, "train": TRAIN, "validation": VALIDATION},
    }


def shares(rows: Sequence[Held], z: float) -> dict[str, Any]:
    """The shares at a threshold of `injected` and `other` cases, and how many there are."""
    found: dict[str, Any] = {}
    for name, kind in (("injected", True), ("other", False)):
        far = [row.distance >= z for row in rows if row.injected == kind]
        found[name] = sum(far) / len(far) if far else None
        found[f"n_{name}"] = len(far)
    return found


def summary(result: Mapping[str, Any]) -> str:
    """The tables, as printed and as the blocks of docs/proficiency/evidence.md have them."""
    first = next(iter(result["shares"].values()))
    names = [ALL, *(name for name in KNOWN if name in first)]
    counted = [f"{first[n]['n_injected']} / {first[n]['n_other']}" for n in names]
    rows = [["n", *counted]] + [
        [f"{z:g}", *(_cell(result["shares"][f"{z:g}"][name]) for name in names)] for z in THRESHOLDS
    ]
    known = {n: row for n, row in result["quantities"].items() if row["n_injected"]}
    weakest = sorted(known.items(), key=lambda item: item[1]["injected"])[:3]
    least, most = result["expert_repetitions"]
    return "\n\n".join(
        (
            f"{result['clips']} clips of {result['performers']} simulated validation performers,\n"
            f"{result['noise_mm']:g} mm of slow noise, the true span; experts of {least} to {most} "
            "repetitions a quantity.\nShare supported where the fault was injected / where it was "
            "not:",
            markdown(["z", *(name.replace("_", " ") for name in names)], rows),
            f"The weakest quantities at {result['support_z']:g}:",
            markdown(
                ["quantity", "supported", "n"],
                [
                    [f"`{name}`", _cell(row), f"{row['n_injected']} / {row['n_other']}"]
                    for name, row in weakest
                ],
            ),
        )
    )


def _cell(row: Mapping[str, Any]) -> str:
    return " / ".join("-" if row[k] is None else f"{row[k]:.3f}" for k in ("injected", "other"))


def main() -> None:
    """Simulate, measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experts", type=Path, nargs="?", help="folder of an experts.json")
    parser.add_argument("-o", "--output", type=Path, help="also write the JSON here")
    options = parser.parse_args()
    check_writable(options.output)
    people, clips, seed = VALIDATION
    drills = simulate_many(people, clips, seed, split="validation", activities=KNOWN)
    if options.experts is not None:
        table = Experts.load(options.experts)
    else:
        people, clips, seed = TRAIN
        table = experts(simulate_many(people, clips, seed, split="train", activities=KNOWN))
    result = evaluate(drills, table)
    if options.output is not None:
        write_json(options.output, result)
    print(summary(result))


if __name__ == "__main__":
    main()
