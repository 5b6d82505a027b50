"""Evidence for remarks: measured quantities beside those of the simulated experts.

The kinematic rules here fill `evidence` and `supported` only; what is said, and about which region,
comes from the language model alone. Which quantity a remark is about is read from its words
(`assistant.remark_topics`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import PoiseError
from assistant.feedback import Evidence, Measurement
from assistant.pose.kinematics import QUANTITIES, measure_repetitions
from assistant.pose.normalise import NormalisedPose
from assistant.remark_topics import EITHER, region_topics, topics_of
from prompts.parse import ParsedRemark
from prompts.vocabulary import NEEDS_IMPROVEMENT, POLARITIES

EXPERTS_FILE = "experts.json"
# A quantity counts as different from the experts' beyond this many standard deviations; chosen on
# simulated validation performers (docs/proficiency/evidence.md).
SUPPORT_Z = 2.0


@dataclass(frozen=True)
class ExpertQuantity:
    """Distribution of one quantity over fault-free simulated experts of one activity."""

    region: str
    unit: str
    mean: float
    std: float
    n: int


class Experts:
    """Per activity the quantities that were measured on experts."""

    def __init__(self, table: Mapping[str, Mapping[str, ExpertQuantity]]) -> None:
        self.table = {activity: dict(rows) for activity, rows in table.items()}

    def save(self, folder: Path) -> None:
        """Write the table as JSON."""
        rows = {a: {q: vars(row) for q, row in t.items()} for a, t in self.table.items()}
        text = json.dumps(rows, indent=1, sort_keys=True)
        (folder / EXPERTS_FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Experts":
        """Read what `save` wrote."""
        path = folder / EXPERTS_FILE
        if not path.is_file():
            raise PoiseError(f"no expert measurements in {folder}", got=f"no {EXPERTS_FILE}")
        rows = json.loads(path.read_text("utf-8"))
        return cls({a: {q: ExpertQuantity(**r) for q, r in t.items()} for a, t in rows.items()})

    def judge(
        self,
        pose: NormalisedPose,
        activity: str,
        span: tuple[float, float],
        remarks: Sequence[ParsedRemark],
    ) -> list[tuple[Evidence | None, bool | None]]:
        """`evidence` of every remark, from what they are about, measured on each repetition.

        Args:
            pose: the whole clip; span: seconds of it that were judged.
        """
        known = self.table.get(activity, {})
        about = {n for r in remarks for n in self._sides(activity, r.region, r.text) if n in known}
        names = tuple(name for name in QUANTITIES if name in about)
        found = measure_repetitions(pose, activity, span, quantities=names) if names else []
        return [self.evidence(activity, r.region, r.polarity, r.text, found) for r in remarks]

    def evidence(
        self,
        activity: str,
        region: str,
        polarity: str,
        text: str,
        measurements: Sequence[Measurement],
    ) -> tuple[Evidence | None, bool | None]:
        """The quantity that decides about a remark, and whether it supports the remark.

        What the text names decides; if it names several things, all of them must hold and the
        least supported is shown. Where it names nothing, the faults of its region are looked at,
        or all quantities of a region that has none, and the one farthest from the experts decides:
        one fault is enough. Criticism is supported by a quantity at least `SUPPORT_Z` standard
        deviations away (experts' spread and measurement error together) on the side of the fault,
        praise by none being so far.

        Args:
            measurements: any number of each quantity, one a repetition; the worst of them counts.

        Returns:
            (None, None) where nothing that the remark is about was measured on the learner and on
            experts.
        """
        criticism = polarity == POLARITIES[NEEDS_IMPROVEMENT]
        sides = self._sides(activity, region, text)
        worst = {name: self._worst(activity, name, sides[name], measurements) for name in sides}
        known = [found for found in worst.values() if found is not None]
        if not known:
            return None, None
        choose = min if criticism and topics_of(activity, region, text) else max
        distance, evidence = choose(known, key=lambda found: found[0])
        return evidence, (distance >= SUPPORT_Z) == criticism

    def _sides(self, activity: str, region: str, text: str) -> dict[str, int]:
        """The quantities that a remark is about, and the side on which their faults lie."""
        topics = topics_of(activity, region, text) or region_topics(activity, region)
        if topics:
            return {topic.quantity: topic.side for topic in topics}
        rows = self.table.get(activity, {})
        return {name: EITHER for name, row in rows.items() if row.region == region}

    def _worst(
        self, activity: str, quantity: str, side: int, measurements: Sequence[Measurement]
    ) -> tuple[float, Evidence] | None:
        """Of a quantity's measurements the one farthest to the side of the fault, and how far."""
        expert = self.table.get(activity, {}).get(quantity)
        found = [m for m in measurements if m.quantity == quantity]
        if expert is None or not found:
            return None

        far = max(found, key=lambda measured: distance_of(measured, expert, side))
        return distance_of(far, expert, side), Evidence(
            quantity, far.value, far.unit, far.error, expert.mean, expert.std
        )


def distance_of(measured: Measurement, expert: ExpertQuantity, side: int) -> float:
    """How many standard deviations, spread and measurement error together, a measurement lies from
    the experts on the side of the fault; negative on the other side, unless it may be EITHER."""
    spread = (expert.std**2 + measured.error**2) ** 0.5
    away = (measured.value - expert.mean) / max(spread, 1e-9)
    return abs(away) if side == EITHER else side * away
