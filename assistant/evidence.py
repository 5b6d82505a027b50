"""Evidence for remarks: measured quantities beside those of the simulated experts.

The kinematic rules here fill `evidence` and `supported` only; what is said, and about which region,
comes from the language model alone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import PoiseError
from assistant.feedback import Evidence, Measurement
from prompts.vocabulary import NEEDS_IMPROVEMENT, POLARITIES

EXPERTS_FILE = "experts.json"
# A quantity counts as different from the experts' beyond this many standard deviations.
SUPPORT_Z = 1.5


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

    def evidence(
        self, activity: str, region: str, polarity: str, measurements: Sequence[Measurement]
    ) -> tuple[Evidence | None, bool | None]:
        """The quantity of the region that decides, and whether it supports the remark.

        Of several quantities the one farthest from the experts is taken: one fault is enough.
        Criticism is supported by a quantity at least `SUPPORT_Z` standard deviations (experts'
        spread and measurement error together) away, praise by none being so far.
        """
        known = self.table.get(activity, {})
        best: tuple[float, Evidence] | None = None
        for measured in measurements:
            expert = known.get(measured.quantity)
            if expert is None or expert.region != region:
                continue
            spread = (expert.std**2 + measured.error**2) ** 0.5
            distance = abs(measured.value - expert.mean) / max(spread, 1e-9)
            if best is None or distance > best[0]:
                best = (
                    distance,
                    Evidence(
                        measured.quantity,
                        measured.value,
                        measured.unit,
                        measured.error,
                        expert.mean,
                        expert.std,
                    ),
                )
        if best is None:
            return None, None
        different = best[0] >= SUPPORT_Z
        return best[1], different == (polarity == POLARITIES[NEEDS_IMPROVEMENT])
