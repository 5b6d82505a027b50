"""What was found amiss, by name: nothing is left out silently, and too much of it stops the run."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from assistant.errors import PoiseError

# Some broken files are normal in a download of this size; a tenth of them is a broken download.
_TOLERATED: Final = 20
_TOLERATED_SHARE: Final = 0.1


@dataclass
class Findings:
    """Names by problem, and counts of what has no name worth listing.

    Attributes:
        names: problem to the takes, files or participants that have it.
        counts: reason to how many comments or descriptions were left out for it.
    """

    names: dict[str, list[str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    _read: Counter[str] = field(default_factory=Counter)

    def add(self, problem: str, name: str) -> None:
        """Note one name under a problem."""
        self.names.setdefault(problem, []).append(name)

    def read(self, kind: str, fault: PoiseError | None) -> None:
        """Count a per-take file of this kind as read, or name it as unreadable.

        Raises:
            PoiseError: more than a tenth of the files of this kind cannot be read.
        """
        self._read[kind] += 1
        if fault is None:
            return
        self.add(f"{kind}_unreadable", str(fault))
        broken = len(self.names[f"{kind}_unreadable"])
        if broken > max(_TOLERATED, _TOLERATED_SHARE * self._read[kind]):
            raise PoiseError(
                f"too many unreadable files ({kind})",
                got=f"{broken} of the first {self._read[kind]}, the last: {fault}",
                expected=f"at most one in {round(1 / _TOLERATED_SHARE)}",
                remedy="download them again; `poise data doctor ROOT` lists all",
            )

    def report(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            "names": dict(sorted(self.names.items())),
            "counts": dict(sorted(self.counts.items())),
        }
