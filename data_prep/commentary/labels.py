"""What a labelled comment is, and what every labelling back end gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from prompts.vocabulary import NOT_MENTIONED, REGIONS

Polarities = Mapping[str, int]


@dataclass(frozen=True)
class Comment:
    """One spoken comment.

    Attributes:
        name: sample_id, or the id in an evaluation file.
        text: as transcribed.
        activity: what is done, or None.
    """

    name: str
    text: str
    activity: str | None = None


@dataclass(frozen=True)
class Label:
    """A comment's one-sentence summary and the polarity 0, 1 or 2 of each of the six regions."""

    summary: str
    regions: dict[str, int]


@dataclass(frozen=True)
class Failure:
    """A comment that got no label, and why."""

    reason: str


Answer = Label | Failure


class Labeller(Protocol):
    """A back end: labels comments in order, a failure where there is no label."""

    name: str

    def label(
        self, comments: Sequence[Comment], progress: Callable[[int, int], None]
    ) -> list[Answer]: ...

    def describe(self) -> dict[str, Any]:
        """What was used, for results and dataset cards."""
        ...


NOTHING: Final[dict[str, int]] = dict.fromkeys(REGIONS, NOT_MENTIONED)


def mentioned(regions: Polarities) -> set[tuple[str, int]]:
    """(region, polarity) pairs that a label says something about."""
    return {(region, p) for region, p in regions.items() if p != NOT_MENTIONED}
