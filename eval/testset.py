"""The versioned test set of simulated drills: made by `poise data drills` when it is missing."""

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.errors import PoiseError

# What the results and every target are for; the other conditions are printed beside.
STANDARD: Final = "standard"
TRAINING: Final = "train"
PRESET: Final = "mini-test"


@dataclass(frozen=True)
class InjectedFault:
    """One fault in one repetition."""

    name: str
    region: str
    severity: float
    start: float
    end: float


@dataclass(frozen=True)
class TestClip:
    """One clip with its ground truth.

    Attributes:
        pose: what the model sees; clean: the same motion without pose noise; twin: the same
            performer without faults, frame by frame in step.
        views: films of the clip by view, where they were rendered.
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

    @property
    def fault_spans(self) -> list[tuple[float, float]]:
        """When an injected fault shows, seconds."""
        return [(fault.start, fault.end) for fault in self.faults]


def ensure(folder: Path, preset: str) -> None:
    """Make the set by `poise data drills --preset` unless it lies in `folder`.

    Raises:
        PoiseError: the command failed.
    """
    if folder.is_dir() and any(folder.iterdir()):
        return
    command = [sys.executable, "-m", "assistant.cli", "data", "drills"]
    arguments = ["--preset", preset, "-o", str(folder)]
    print(f"making the set {preset} in {folder}", file=sys.stderr)
    done = subprocess.run([*command, *arguments], stdout=sys.stderr)
    if done.returncode != 0:
        raise PoiseError(
            f"cannot make the set {preset}",
            got=f"exit code {done.returncode}",
            remedy=f"run `poise data drills {' '.join(arguments)}` and read its message",
        )


def fingerprint(clips: Sequence[TestClip]) -> str:
    """sha256 over the clips' names, levels, faults and poses (rounded to 0.1 mm)."""
    digest = hashlib.sha256()
    for clip in sorted(clips, key=lambda c: c.sample_id):
        digest.update(repr((clip.sample_id, clip.performer, clip.activity, clip.level)).encode())
        for fault in clip.faults:
            digest.update(f"{fault.name} {fault.severity:.4f} {fault.start:.4f}".encode())
        for pose in (clip.pose, clip.clean, clip.twin):
            digest.update(np.round(pose.joints * 1e4).astype(np.int32).tobytes())
    return digest.hexdigest()


def balanced(clips: Sequence[TestClip], limit: int | None) -> list[TestClip]:
    """The first `limit` clips, dealt in turn from every (activity, level)."""
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
