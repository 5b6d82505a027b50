"""The versioned test set of simulated drills, made by `poise data drills` where it is missing."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from assistant.clip import PoseSequence
from assistant.coach_result import CoachInput
from assistant.dataset import INFO_FILE, read_info, read_samples
from assistant.errors import PoiseError

# What the results and every target are for; the other conditions are printed beside.
STANDARD: Final = "standard"
# Clips with a rendered film each: what the video branch adds, and what shuffling it takes.
FILMED: Final = "filmed"
# Condition: the arguments of `poise data drills` that make it.
CONDITIONS: Final[Mapping[str, tuple[str, ...]]] = {
    STANDARD: ("--preset", "mini-test", "--noise", "15"),
    "clean": ("--preset", "mini-test", "--noise", "clean"),
    "single_view": ("--preset", "mini-test", "--noise", "fitted"),
    "single_view_twice": ("--preset", "mini-test", "--noise", "twice-fitted"),
    "shifted": ("--preset", "mini-test-shifted", "--noise", "15"),
    FILMED: (
        *("--performers", "18", "--clips", "4", "--seed", "7002", "--split", "test"),
        *("--noise", "15", "--render", "1"),
    ),
}
# Other performers, from whom the boosted trees learn.
TRAINING: Final = "trees"
TRAINING_SET: Final = (
    *("--performers", "240", "--clips", "16", "--seed", "7001", "--split", "train"),
    *("--noise", "15"),
)


# Performers on whom settings of coaching are fitted.
VALIDATION: Final = "validation"
VALIDATION_SET: Final = (
    *("--performers", "48", "--clips", "4", "--seed", "7003", "--split", "validation"),
    *("--noise", "15"),
)


@dataclass(frozen=True)
class InjectedFault:
    """One fault in one repetition, seconds."""

    name: str
    region: str
    severity: float
    start: float
    end: float


@dataclass(frozen=True)
class TestClip:
    """One clip of a known drill with its ground truth.

    Attributes:
        pose: what the model sees; clean: the same motion without pose noise; twin: the same
            performer without faults, frame by frame in step.
        views: films of the clip by view, where there are any; best_exo: the exo view that shows the
            skill best.
        summary: the gold answer in the output grammar, "" where the set has none.
    """

    __test__ = False  # not a test class, though pytest would think so

    sample_id: str
    performer: str
    activity: str
    level: int
    pose: PoseSequence
    clean: PoseSequence
    twin: PoseSequence
    faults: tuple[InjectedFault, ...]
    regions: dict[str, int]
    views: dict[str, Path] = field(default_factory=dict)
    summary: str = ""
    best_exo: str | None = None

    @property
    def given(self) -> CoachInput:
        """What coaching is given of it."""
        return CoachInput(self.sample_id, self.pose, self.views, best_exo=self.best_exo)

    @property
    def fault_spans(self) -> list[tuple[float, float]]:
        """When an injected fault shows, seconds."""
        return [(fault.start, fault.end) for fault in self.faults]


@dataclass(frozen=True)
class TestSet:
    """Clips of known drills, poses of everything else, and the set's own description."""

    __test__ = False

    clips: list[TestClip]
    distractors: list[PoseSequence]
    info: dict[str, Any]


def load(folder: Path, name: str, arguments: Sequence[str]) -> TestSet:
    """The set `name` in `folder`, made by `poise data drills` with `arguments` where missing."""
    part = folder / name
    if not (part / INFO_FILE).is_file():
        make(part, arguments)
    rows = read_samples(part)
    return TestSet(
        [_clip(row, part) for row in rows if row["level"] is not None],
        [row["pose"] for row in rows if row["level"] is None],
        read_info(part),
    )


def make(folder: Path, arguments: Sequence[str]) -> None:
    """Run `poise data drills` into `folder`.

    Raises:
        PoiseError: the command failed.
    """
    command = ["data", "drills", *arguments, "-o", str(folder)]
    print(f"making {folder}", file=sys.stderr)
    done = subprocess.run([sys.executable, "-m", "assistant.cli", *command], stdout=sys.stderr)
    if done.returncode != 0:
        raise PoiseError(
            f"cannot make {folder}",
            got=f"exit code {done.returncode}",
            remedy=f"run `poise {' '.join(command)}` and read its message",
        )


def balanced(clips: Sequence[TestClip], limit: int | None) -> list[TestClip]:
    """`limit` clips, dealt in turn from every (activity, level); all of them when None."""
    if limit is None or limit >= len(clips):
        return list(clips)
    piles: dict[tuple[str, int], list[TestClip]] = {}
    for clip in clips:
        piles.setdefault((clip.activity, clip.level), []).append(clip)
    dealt = [
        clip
        for turn in range(max(map(len, piles.values())))
        for pile in piles.values()
        for clip in pile[turn : turn + 1]
    ]
    return dealt[:limit]


def _clip(row: Mapping[str, Any], folder: Path) -> TestClip:
    return TestClip(
        sample_id=row["sample_id"],
        performer=row["participant_id"],
        activity=row["activity"],
        level=row["level"],
        pose=row["pose"],
        clean=row["pose_clean"],
        twin=row["twin"],
        faults=tuple(InjectedFault(**fault) for fault in row["faults"]),
        regions=row["regions"],
        views={name: folder / path for name, path in (row["views"] or {}).items()},
        summary=row["summary"] or "",
        best_exo=row["best_exo"],
    )
