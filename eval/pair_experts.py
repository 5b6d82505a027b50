"""The paired experts' two seconds as demonstrations: what `poise eval expertaf` ranks, and what a
model that learned pairs ranks when it coaches."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from assistant.demos.cut import cut_demonstrations
from assistant.demos.library import SIMULATED_LICENCE, Demonstration
from assistant.tasks.window import WINDOW_SECONDS
from prompts.vocabulary import LEVELS, REGIONS

if TYPE_CHECKING:
    from assistant.perception import Perception
    from eval.pairs import LearnerPair, PairTable


def paired_experts(
    perception: "Perception", table: "PairTable", pairs: Sequence["LearnerPair"]
) -> list[Demonstration]:
    """Each expert's window once, by its name (`Stretch.name`), in the order of the names.

    Its `start` and `end` are seconds of the take. The activity is the one that Stage 1 knows, where
    it does; else as it was paired, with its action. Likelihoods are 0 until `with_unconditional`.
    """
    known = perception.assessor.activities
    windows: dict[str, list[LearnerPair]] = {}
    for pair in pairs:
        windows.setdefault(pair.expert.name, []).append(pair)
    found = []
    for name, mine in sorted(windows.items()):
        pair, motion = mine[0], table.motion(mine[0].expert)
        correct = {region for each in mine for region in (each.region, *each.expert_correct)}
        [item] = cut_demonstrations(
            perception,
            motion,
            (0.0, WINDOW_SECONDS),
            [0.0],
            name,
            activity=pair.sport if pair.sport in known else pair.activity,
            level=None if pair.expert_level is None else LEVELS[pair.expert_level],
            correct_regions=tuple(region for region in REGIONS if region in correct),
            licence=SIMULATED_LICENCE if motion.source == "simulated" else None,
            source=motion.source,
            origin=pair.expert.take,
        )
        begins = pair.expert.start
        found.append(
            replace(item, demonstration_id=name, start=begins, end=begins + WINDOW_SECONDS)
        )
    return found
