"""Which demonstrations may be shown: conditions that hold before anything is ranked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assistant.errors import PoiseError
from prompts.vocabulary import LEVELS, REGIONS

if TYPE_CHECKING:
    from assistant.demos.library import Demonstration


@dataclass(frozen=True)
class Choice:
    """Conditions on a demonstration; an empty one sets no condition.

    Attributes:
        activity: exactly this one.
        levels: one of these level names.
        regions: every one of these body regions is done correctly.
        licences: one of these licences, word for word.
    """

    activity: str | None = None
    levels: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_names("level", self.levels, LEVELS)
        check_names("region", self.regions, REGIONS)

    def allows(self, item: "Demonstration") -> bool:
        """Whether `item` meets every condition."""
        return (
            (self.activity is None or item.activity == self.activity)
            and (not self.levels or item.level in self.levels)
            and set(self.regions) <= set(item.correct_regions)
            and (not self.licences or item.licence in self.licences)
        )

    def sql(self) -> str | None:
        """The same conditions for the store; None where there is none."""
        parts = []
        if self.activity is not None:
            parts.append(f"activity = {listed([self.activity])}")
        if self.levels:
            parts.append(f"level IN ({listed(self.levels)})")
        if self.regions:
            parts.append(f"array_has_all(correct_regions, [{listed(self.regions)}])")
        if self.licences:
            parts.append(f"licence IN ({listed(self.licences)})")
        return " AND ".join(parts) or None


def check_names(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    """Raise PoiseError, listing the known names, for one that is not among them."""
    unknown = [name for name in given if name not in known]
    if unknown:
        raise PoiseError(f"unknown {what}", got=repr(unknown[0]), expected=", ".join(known))


def listed(names: Sequence[str]) -> str:
    """Names as SQL strings, joined by commas."""
    return ", ".join("'" + name.replace("'", "''") + "'" for name in names)
