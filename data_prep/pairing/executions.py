"""Who needs improvement on which region, who does it correctly, and when that was said.

A learner's execution is one clip of a Novice or Early Expert and one region that needs improvement;
an expert's is one clip of an Intermediate or Late Expert, one region done correctly, and one time.
All times are seconds of the take.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from prompts.vocabulary import CORRECT, NEEDS_IMPROVEMENT, REGIONS

LEARNER_LEVELS: Final = (0, 1)
EXPERT_LEVELS: Final = (2, 3)
# Columns that are read of every row; poses are read later, and only those that are needed.
COLUMNS: Final = (
    "sample_id",
    "take_id",
    "participant_id",
    "activity",
    "action",
    "split",
    "span",
    "level",
    "regions",
    "faults",
    "moments",
    "repetitions",
)


@dataclass(frozen=True)
class Execution:
    """One region of one clip, done well or not, at a time.

    Attributes:
        sample_id, take_id, participant_id, split: of the record; one without a take is its own.
        activity: of the record, with its action where it has one (basketball, reverse layup).
        region: body region.
        time: when the comment was made or what it is about happened, seconds of the take.
        row: which row of the dataset holds the longest motion around that time.
        begins: seconds of the take at which that motion begins.
    """

    sample_id: str
    take_id: str
    participant_id: str
    split: str
    activity: str
    region: str
    time: float
    row: int
    begins: float

    @property
    def group(self) -> tuple[str, str, str]:
        """Only executions of one group are compared."""
        return self.split, self.activity, self.region


@dataclass
class Executions:
    """All executions of a dataset, in the order of its rows."""

    learners: list[Execution] = field(default_factory=list)
    experts: list[Execution] = field(default_factory=list)


def find_executions(rows: Sequence[Mapping[str, Any]]) -> Executions:
    """Learners and experts among records (`COLUMNS` of each, in the dataset's order).

    Records without level, activity or region labels take part in nothing.
    """
    found = Executions()
    spans = _Spans(rows)
    for number, row in enumerate(rows):
        if row["level"] is None or row["activity"] is None or row["regions"] is None:
            continue
        for region in REGIONS:
            polarity = row["regions"].get(region)
            if row["level"] in LEARNER_LEVELS and polarity == NEEDS_IMPROVEMENT:
                time = _fault_time(row, region)
                found.learners.append(_execution(row, number, region, time, spans))
            elif row["level"] in EXPERT_LEVELS and polarity == CORRECT:
                found.experts += [
                    _execution(row, number, region, time, spans) for time in _praised_times(row)
                ]
    return found


def take_of(row: Mapping[str, Any]) -> str:
    """The take's name; the clip's own where it is not part of one."""
    return str(row["take_id"] or row["sample_id"])


class _Spans:
    """Which row has the longest motion around a time of a take.

    A comment's clip ends at the expert's pause; the window around the pause is cut from the row of
    the whole take where there is one.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._of: dict[str, list[tuple[float, float, int]]] = {}
        for number, row in enumerate(rows):
            start, end = row["span"] or (0.0, 0.0)
            self._of.setdefault(take_of(row), []).append((float(start), float(end), number))

    def longest(self, take: str, time: float, own: int) -> tuple[int, float]:
        """Row number and the second of the take at which it begins; `own` where none holds it."""
        spans = self._of[take]
        holding = [span for span in spans if span[0] <= time <= span[1]]
        mine = [span for span in spans if span[2] == own]
        start, _, number = max(holding or mine, key=lambda span: span[1] - span[0])
        return number, start


def _execution(
    row: Mapping[str, Any], own: int, region: str, time: float, spans: _Spans
) -> Execution:
    take = take_of(row)
    number, begins = spans.longest(take, time, own)
    return Execution(
        sample_id=row["sample_id"],
        take_id=take,
        participant_id=str(row["participant_id"]),
        split=str(row["split"]),
        activity=", ".join(filter(None, (row["activity"], row["action"]))),
        region=region,
        time=time,
        row=number,
        begins=begins,
    )


def _fault_time(row: Mapping[str, Any], region: str) -> float:
    """Middle of the region's most severe fault; of a spoken comment the time it was made."""
    start = (row["span"] or (0.0, 0.0))[0]
    faults = [fault for fault in row["faults"] or () if fault["region"] == region]
    if faults:
        worst = max(faults, key=lambda fault: fault["severity"])  # the first of equals
        return float(start + (worst["start"] + worst["end"]) / 2)
    return _comment_time(row)


def _praised_times(row: Mapping[str, Any]) -> Iterator[float]:
    """When a region was done well.

    Simulated clips say so of every repetition: the key phases where nothing went wrong, else the
    middles of the repetitions. A spoken comment has its one time.
    """
    start = (row["span"] or (0.0, 0.0))[0]
    spans = row["repetitions"] if row["faults"] else row["moments"]
    if row["repetitions"] and spans:
        yield from (float(start + (span["start"] + span["end"]) / 2) for span in spans)
    else:
        yield _comment_time(row)


def _comment_time(row: Mapping[str, Any]) -> float:
    """The expert's pause: the end of the moment that the comment is about."""
    start, end = row["span"] or (0.0, 0.0)
    return float(start + row["moments"][-1]["end"] if row["moments"] else (start + end) / 2)
