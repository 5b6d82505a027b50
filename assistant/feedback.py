"""The output side of the domain: measurements, remarks and the feedback record of one clip.

`Feedback.to_json()` is what `poise coach --json` prints; `feedback.schema.json` beside this file
describes it and `validate` checks a record against it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from assistant.errors import PoiseError
from prompts.vocabulary import NEEDS_IMPROVEMENT, POLARITIES

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Measurement:
    """One measured quantity: value and error (one standard deviation) in `unit`, time in s."""

    quantity: str
    value: float
    unit: str
    error: float
    time: float | None


@dataclass(frozen=True)
class Evidence:
    """A measured quantity beside the experts' distribution of the same activity."""

    quantity: str
    value: float
    unit: str
    error: float
    expert_mean: float
    expert_std: float


@dataclass(frozen=True)
class Remark:
    """One remark of the generated commentary, times in seconds from the clip's start."""

    region: str
    polarity: str
    text: str
    start: float | None = None
    end: float | None = None
    evidence: Evidence | None = None
    supported: bool | None = None


@dataclass(frozen=True)
class Feedback:
    """All that Poise says about one clip; the fields are those of the JSON record."""

    clip: dict[str, Any]
    activity: dict[str, Any] | None
    judged: bool
    abstain_reason: str | None
    measurements: list[Measurement]
    provenance: dict[str, Any]
    proficiency: dict[str, Any] | None = None
    commentary: str | None = None
    focus: dict[str, Any] | None = None
    remarks: list[Remark] = field(default_factory=list)
    moments: list[dict[str, float]] = field(default_factory=list)
    demonstrations: list[dict[str, Any]] = field(default_factory=list)
    demonstration_reason: str | None = None
    correction: dict[str, Any] | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The record of one clip, with plain Python values only."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of `Feedback.to_json()`."""
    text = resources.files("assistant").joinpath("feedback.schema.json").read_text("utf-8")
    return json.loads(text)


def validate(record: Mapping[str, Any]) -> None:
    """Raise PoiseError naming the first place where `record` departs from the schema."""
    import jsonschema

    try:
        jsonschema.validate(record, schema())
    except jsonschema.ValidationError as fault:
        place = "/".join(str(part) for part in fault.absolute_path) or "the record"
        raise PoiseError(
            f"feedback does not match its schema at {place}", got=fault.message
        ) from None


def faulted_regions(regions: Mapping[str, int]) -> set[str]:
    """The regions that need improvement in a sample's `regions` column."""
    return {name for name, polarity in regions.items() if polarity == NEEDS_IMPROVEMENT}


def criticised_regions(record: Mapping[str, Any]) -> set[str]:
    """The regions that a feedback record says need improvement, each once."""
    wanted = POLARITIES[NEEDS_IMPROVEMENT]
    return {r["region"] for r in record["remarks"] if r["polarity"] == wanted}


@dataclass(frozen=True)
class RegionScores:
    """Micro-averaged counts over clips and regions."""

    true_positive: int
    false_positive: int
    false_negative: int

    @property
    def precision(self) -> float:
        found = self.true_positive + self.false_positive
        return self.true_positive / found if found else 0.0

    @property
    def recall(self) -> float:
        there = self.true_positive + self.false_negative
        return self.true_positive / there if there else 0.0

    @property
    def f1(self) -> float:
        total = 2 * self.true_positive + self.false_positive + self.false_negative
        return 2 * self.true_positive / total if total else 0.0


def region_polarity_f1(
    predicted: Iterable[Iterable[object]], expected: Iterable[Iterable[object]]
) -> RegionScores:
    """Micro-averaged scores over clips; every item of a clip's set counts once.

    An item is whatever must agree: a region name (faults in `mini-test`) or a (region, polarity)
    pair (commentary labelling).

    Raises:
        PoiseError: the two lists differ in length.
    """
    found, wanted = [set(p) for p in predicted], [set(e) for e in expected]
    if len(found) != len(wanted):
        raise PoiseError(
            "cannot score region polarities",
            got=f"{len(found)} predictions",
            expected=f"{len(wanted)}, one per reference",
        )
    pairs = list(zip(found, wanted, strict=True))
    return RegionScores(
        true_positive=sum(len(p & e) for p, e in pairs),
        false_positive=sum(len(p - e) for p, e in pairs),
        false_negative=sum(len(e - p) for p, e in pairs),
    )
