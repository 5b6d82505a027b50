"""The prototype bank (Look Closer, section II-B), and margins of takes it has or has not seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from assistant.pose.normalise import PERCEPTION_FPS, NormalisedPose
from assistant.proficiency.assess import FrameEncoder, embed_frames
from assistant.proficiency.pdm import Bucket, PrototypeBank, action_dynamics
from assistant.proficiency.streams import Stream, Streams
from data_prep.drills.records import Drill
from training.proficiency.calibration import FOLDS, folds_by_participant


@dataclass(frozen=True)
class Windows:
    """Annotated action windows of several takes, one row each.

    Attributes:
        dynamics: [N, D] z; buckets, levels, participants: of each row;
            take: [N] its number.
    """

    dynamics: np.ndarray
    buckets: list[Bucket]
    levels: np.ndarray
    participants: list[str]
    take: np.ndarray

    def rows(self, keep: np.ndarray) -> "Windows":
        """The windows where `keep` [N] is true."""
        chosen = np.flatnonzero(keep)
        return Windows(
            self.dynamics[chosen],
            [self.buckets[i] for i in chosen],
            self.levels[chosen],
            [self.participants[i] for i in chosen],
            self.take[chosen],
        )


def action_windows(
    drills: Sequence[Drill], poses: Sequence[NormalisedPose], encoder: FrameEncoder
) -> Windows:
    """Windows of the pose, centred on each annotated step of each repetition of the drills with a
    level."""
    embedded = [
        Stream(embed_frames(encoder, pose), PERCEPTION_FPS) if drill.level is not None else None
        for drill, pose in zip(drills, poses, strict=True)
    ]
    return _windows(drills, embedded)


def video_windows(
    drills: Sequence[Drill], streams: Mapping[str, Streams], name: str
) -> Windows | None:
    """As `action_windows` for the ego or the exo stream of the drills that have one; None where
    none has."""
    filmed = [streams.get(drill.sample_id, {}).get(name) for drill in drills]
    return _windows(drills, filmed) if any(s is not None for s in filmed) else None


def _windows(drills: Sequence[Drill], streams: Sequence[Stream | None]) -> Windows:
    dynamics, buckets, levels, people, takes = [], [], [], [], []
    for take, (drill, stream) in enumerate(zip(drills, streams, strict=True)):
        if drill.level is None or stream is None:
            continue
        for when, name in action_times(drill):
            if not stream.start <= when < stream.end:
                continue  # a film covers the first seconds of a long take
            dynamics.append(action_dynamics(stream.values, stream.fps, when - stream.start))
            buckets.append((drill.activity, name))
            levels.append(drill.level)
            people.append(drill.participant_id)
            takes.append(take)
    return Windows(np.stack(dynamics), buckets, np.array(levels), people, np.array(takes))


def action_times(drill: Drill) -> list[tuple[float, str]]:
    """Middle (s) and name of every run of a step other than set-up and rest."""
    edges = np.flatnonzero(np.diff(drill.steps)) + 1
    starts, ends = [0, *edges], [*edges, len(drill.steps)]
    found = []
    for start, end in zip(starts, ends, strict=True):
        step = int(drill.steps[start])
        if 0 < step < len(drill.step_names) - 1:
            found.append(((start + end - 1) / 2 / drill.pose.fps, drill.step_names[step]))
    return found


def fit_bank(windows: Windows, fewest: int = 0) -> PrototypeBank:
    """High and low prototypes of every bucket; see `PrototypeBank.fit`."""
    return PrototypeBank.fit(windows.dynamics, windows.buckets, windows.levels, fewest=fewest)


def in_sample_margins(windows: Windows) -> dict[int, float]:
    """Annotated margin of each take under prototypes that it helped to make."""
    return _margins(fit_bank(windows), windows)


def out_of_fold_margins(windows: Windows) -> dict[int, float]:
    """Annotated margin of each take under prototypes of the other four fifths of the performers.

    A take whose buckets lack a side without its own fold is left out.
    """
    fold = folds_by_participant(windows.participants)
    found: dict[int, float] = {}
    for k in range(FOLDS):
        found |= _margins(fit_bank(windows.rows(fold != k)), windows.rows(fold == k))
    return found


def _margins(bank: PrototypeBank, windows: Windows) -> dict[int, float]:
    found = {}
    for take in np.unique(windows.take):
        own = windows.rows(windows.take == take)
        margin = bank.annotated(own.dynamics, own.buckets)
        if margin is not None:
            found[int(take)] = margin
    return found
