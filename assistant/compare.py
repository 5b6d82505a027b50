"""Two clips of one activity compared in measured quantities, each with its error bar.

For every thing that the commentary can criticise (`assistant.remark_topics`) its quantity is taken
from both clips. A change counts where it is larger than twice its standard error; it is better
where it brings the learner nearer to the simulated experts on the side of the fault.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from assistant.evidence import ExpertQuantity, distance_of
from assistant.feedback import Measurement
from assistant.remark_topics import TOPICS, Topic
from prompts.earlier import BETTER, SAME, WORSE
from prompts.vocabulary import REGIONS

CLEAR: Final = 2.0  # standard errors of the difference


@dataclass(frozen=True)
class Change:
    """One quantity in the earlier and in the newer clip; errors are one standard deviation.

    Attributes:
        change, change_error: newer minus earlier, in `unit`.
        verdict: BETTER, WORSE or SAME, of the body region's movement.
    """

    region: str
    quantity: str
    unit: str
    before: float
    before_error: float
    now: float
    now_error: float
    change: float
    change_error: float
    verdict: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def compare_measurements(
    activity: str,
    before: Sequence[Measurement],
    now: Sequence[Measurement],
    experts: Mapping[str, ExpertQuantity],
) -> list[Change]:
    """What was measured in both clips, the largest changes (in standard errors) first.

    Args:
        before, now: any number of each quantity; the worst of them counts.
        experts: of the activity, by quantity.
    """
    found = []
    for topic in TOPICS.get(activity, ()):
        expert = experts.get(topic.quantity)
        old, new = (_worst(topic, some, expert) for some in (before, now))
        if expert is not None and old is not None and new is not None:
            found.append(_change(topic, old, new, expert))
    return sorted(found, key=lambda c: -abs(c.change) / max(c.change_error, 1e-9))


def _worst(
    topic: Topic, measured: Sequence[Measurement], expert: ExpertQuantity | None
) -> Measurement | None:
    mine = [m for m in measured if m.quantity == topic.quantity]
    if expert is None or not mine:
        return None
    return max(mine, key=lambda m: distance_of(m, expert, topic.side))


def _change(topic: Topic, old: Measurement, new: Measurement, expert: ExpertQuantity) -> Change:
    change = new.value - old.value
    error = (old.error**2 + new.error**2) ** 0.5
    # Beyond the experts' mean on the good side nothing is left to gain.
    away = [max(0.0, distance_of(m, expert, topic.side)) for m in (old, new)]
    clear = abs(change) > CLEAR * error and away[0] != away[1]
    verdict = SAME if not clear else BETTER if away[1] < away[0] else WORSE
    return Change(
        topic.region,
        topic.quantity,
        old.unit,
        old.value,
        old.error,
        new.value,
        new.error,
        change,
        error,
        verdict,
    )


def region_changes(changes: Sequence[Change]) -> dict[str, str]:
    """Region to the verdict of its clearest change, for the regions that were measured twice."""
    verdicts: dict[str, str] = {}
    for change in changes:
        if verdicts.get(change.region, SAME) == SAME:
            verdicts[change.region] = change.verdict
    return {region: verdicts[region] for region in REGIONS if region in verdicts}
