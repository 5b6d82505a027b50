"""Training examples for Stage 1: drills disturbed the way real recordings are.

Every example is one drill cut, stretched, tilted, made noisy and sometimes joined to another
motion, as frame features with the targets that still hold after that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.pose.normalise import (
    PERCEPTION_FPS,
    NormalisedPose,
    frame_features,
    normalise,
    rotate_yaw,
)
from assistant.proficiency.aspects import (
    ASPECT_REGIONS,
    ASPECTS,
    NOVICE_LIKE,
    UNKNOWN,
    aspect_labels,
)
from assistant.proficiency.streams import Stream, Streams, stage1_streams
from data_prep.drills.faults import FAULTS
from data_prep.drills.noise import add_pose_noise
from prompts.vocabulary import NEEDS_IMPROVEMENT, REGIONS
from training.proficiency.unnamed import UNNAMED, join, stretch, tilt

if TYPE_CHECKING:
    from data_prep.drills.simulate import Drill

IGNORE: Final = -100


@dataclass(frozen=True)
class Disturbance:
    """How strongly examples are disturbed; shares in 0..1.

    Attributes:
        whole_share: the whole clip; crop_share: some consecutive repetitions only; the rest is
            cut to all repetitions; margin: seconds left around them, at most.
        joined_share: another motion of 1.5 to 6 s stands before or after.
        tempo: largest relative change of speed; tilt: degrees of gravity error (3 sigma).
        turn: degrees of heading error (uniform).
        slow_noise: largest millimetres of slow noise; slow_share, view_share: how many clips get
            slow noise, or the noise of a single view (which has no path over the ground) of
            `view_noise` millimetres.
        contact_share: heights rebuilt from contact and no path although there is a world.
        confidence: lowest mean confidence that is drawn; it says nothing about the level.
    """

    whole_share: float = 0.25
    crop_share: float = 0.25
    margin: float = 1.0
    joined_share: float = 0.15
    tempo: float = 0.18
    tilt: float = 10.0
    turn: float = 12.0
    slow_noise: float = 25.0
    slow_share: float = 0.55
    view_share: float = 0.3
    view_noise: tuple[float, float] = (20.0, 100.0)
    contact_share: float = 0.15
    confidence: float = 0.6


@dataclass(frozen=True)
class Example:
    """One disturbed clip at `PERCEPTION_FPS`, T frames; IGNORE where a target does not hold.

    Attributes:
        features: [T, D]; action: [T] 0/1; frame_activity: [T].
        activity, level: one number; polarity: [6]; faults: [n_faults] 0/1 or IGNORE.
        severity: [n_faults] 0..1, 0 where the fault is not there.
        where: [6, T] True on frames of a fault of the region.
        aspects: [4] pseudo-labels of Look Closer's aspects.
        streams: ego, exo and gaze [F, D] at their own rates; those that the clip has.
    """

    features: np.ndarray
    action: np.ndarray
    frame_activity: np.ndarray
    activity: int
    level: int
    polarity: np.ndarray
    faults: np.ndarray
    severity: np.ndarray
    where: np.ndarray
    aspects: np.ndarray
    streams: Mapping[str, np.ndarray]


def fault_key(activity: str, name: str) -> str:
    """The auxiliary head's name of a fault."""
    return f"{activity}:{name}"


@dataclass(frozen=True)
class _Cut:
    """Part [start, end) seconds of a drill."""

    pose: PoseSequence
    start: float
    end: float


def make_example(
    drill: "Drill",
    rng: np.random.Generator,
    disturbance: Disturbance,
    activities: Sequence[str],
    faults: Sequence[str],
    others: Sequence["Drill"] = (),
    streams: Streams | None = None,
) -> Example:
    """One disturbed example.

    Args:
        activities, faults: the names of the heads, in order.
        others: distractor drills that may be joined before or after.
        streams: of the drill, in its seconds; an example joined to another motion loses them.
    """
    cut = _cut(drill, rng, disturbance)
    tempo = float(np.exp(rng.uniform(-1, 1) * np.log1p(disturbance.tempo)))
    pose = stretch(cut.pose, tempo)
    own = len(pose)
    if others and drill.level is not None and rng.random() < disturbance.joined_share:
        other = others[int(rng.integers(len(others)))].pose
        pose, before = join(pose, other, rng, ahead=bool(rng.random() < 0.7))
        streams = None
    else:
        before = 0
    beside = _cut_streams(streams or {}, (cut.start, cut.end), tempo)
    times = cut.start + (np.arange(len(pose)) - before) * tempo / PERCEPTION_FPS
    inside = (np.arange(len(pose)) >= before) & (np.arange(len(pose)) < before + own)
    features = frame_features(_disturb(pose, rng, disturbance))
    targets = (features, times, inside, (cut.start, cut.end), activities, faults)
    return replace(_targets(drill, *targets), streams=beside)


def _cut_streams(
    streams: Streams, span: tuple[float, float], tempo: float
) -> dict[str, np.ndarray]:
    """What Stage 1 reads of the part `span` of a drill that is played `tempo` times as fast."""
    found = {}
    for name, stream in streams.items():
        cut = stream.crop(span)
        if cut is not None:
            found[name] = Stream(cut.values, cut.fps * tempo)
    return stage1_streams(found, (0.0, float("inf")))


def _cut(drill: "Drill", rng: np.random.Generator, disturbance: Disturbance) -> _Cut:
    """Some consecutive repetitions with margins, or all of the clip with a jittered start."""
    pose = drill.pose
    start, end = 0.0, pose.duration
    draw, count = rng.random(), len(drill.repetitions)
    if count and draw < disturbance.whole_share:
        start = min(rng.uniform(0, 0.5), drill.repetitions[0][0])
        end = max(pose.duration - rng.uniform(0, 0.5), drill.repetitions[-1][1])
    elif count:
        some = draw < disturbance.whole_share + disturbance.crop_share
        first = int(rng.integers(count)) if some else 0
        last = int(rng.integers(first, count)) if some else count - 1
        start = drill.repetitions[first][0] - rng.uniform(0, disturbance.margin)
        end = drill.repetitions[last][1] + rng.uniform(0, disturbance.margin)
    elif drill.activity != UNNAMED:
        start = float(rng.uniform(0, max(pose.duration - 2.0, 0.0)) * (rng.random() < 0.5))
        end = start + max(rng.uniform(1.5, pose.duration), 1.5)
    start, end = max(start, 0.0), min(end, pose.duration)
    begin = round(start * pose.fps) / pose.fps
    return _Cut(pose.crop(start, end), begin, end)


def _disturb(
    pose: PoseSequence, rng: np.random.Generator, disturbance: Disturbance
) -> NormalisedPose:
    """Tilt, noise and heading error, normalised."""
    angle = np.clip(rng.normal(0, disturbance.tilt / 3), -disturbance.tilt, disturbance.tilt)
    tilted = tilt(pose, float(np.deg2rad(angle)), float(rng.uniform(0, 2 * np.pi)))
    draw = rng.random()
    if draw < disturbance.view_share:
        amount = float(rng.uniform(*disturbance.view_noise))
        tilted = add_pose_noise(tilted, rng, kind="single_view", millimetres=amount)
    elif draw < disturbance.view_share + disturbance.slow_share:
        amount = float(rng.uniform(0, disturbance.slow_noise))
        tilted = add_pose_noise(tilted, rng, millimetres=amount)
    seen = rng.uniform(disturbance.confidence, 1.0) if rng.random() < 0.6 else 1.0
    tilted = replace(tilted, confidence=tilted.confidence * np.float32(seen))
    flat = normalise(tilted, contact_heights=bool(rng.random() < disturbance.contact_share))
    turn = np.deg2rad(rng.uniform(-disturbance.turn, disturbance.turn))
    path = flat.root_path
    if path is not None:
        path = rotate_yaw(np.column_stack([path, np.zeros(len(path))]), turn)[:, :2]
    joints = rotate_yaw(flat.joints, turn).astype(np.float32)
    return replace(flat, joints=joints, root_path=path)


def _targets(
    drill: "Drill",
    features: np.ndarray,
    times: np.ndarray,
    inside: np.ndarray,
    kept: tuple[float, float],
    activities: Sequence[str],
    faults: Sequence[str],
) -> Example:
    """What still holds for the part [kept) seconds of the drill; times [T] of each frame."""
    frames, index = len(features), list(activities).index(drill.activity)
    action = np.zeros(frames, dtype=np.int64)
    for start, end in drill.repetitions:
        action[inside & (times >= start) & (times <= end)] = 1
    known = drill.level is not None
    level: int = IGNORE
    frame_activity = np.full(frames, index)
    if known or drill.activity == UNNAMED:
        frame_activity[action == 0] = IGNORE
    polarity = np.full(len(REGIONS), IGNORE)
    present = np.full(len(faults), IGNORE)
    severity = np.zeros(len(faults), dtype=np.float32)
    where = np.zeros((len(REGIONS), frames), dtype=bool)
    aspects = np.full(len(ASPECTS), IGNORE)
    if known:
        seen = [f for f in drill.faults if f.start >= kept[0] - 0.1 and f.end <= kept[1] + 0.1]
        gone = {f.region for f in drill.faults} - {f.region for f in seen}
        complete = {f.name for f in drill.faults} == {f.name for f in seen}
        level = drill.level if complete and drill.level is not None else IGNORE
        for row, region in enumerate(REGIONS):
            polarity[row] = IGNORE if region in gone else drill.regions[region]
        aspects = _aspects(drill, {f.name for f in seen}, gone)
        present[:] = 0
        for fault in seen:
            column = list(faults).index(fault_key(drill.activity, fault.name))
            present[column], severity[column] = 1, fault.severity
            polarity[REGIONS.index(fault.region)] = NEEDS_IMPROVEMENT
            where[REGIONS.index(fault.region)] |= (
                inside & (times >= fault.start) & (times <= fault.end)
            )
    return Example(
        features, action, frame_activity, index, level,
        polarity, present, severity, where, aspects, {},
    )  # fmt: skip


def timing_faults(activity: str) -> frozenset[str]:
    """Names of the activity's faults that are measured in seconds."""
    return frozenset(spec.name for spec in FAULTS.get(activity, ()) if spec.unit == "s")


def _aspects(drill: "Drill", seen: set[str], gone: set[str]) -> np.ndarray:
    """Pseudo-labels [4] of what is left of a drill; IGNORE where a region's faults were cut away.

    Args:
        seen: names of the faults inside the cut; gone: regions that lost one.
    """
    slow = timing_faults(drill.activity)
    labels = aspect_labels(drill.regions, timing=NOVICE_LIKE if seen & slow else UNKNOWN)
    for row, regions in enumerate(ASPECT_REGIONS.values()):
        if gone & set(regions):
            labels[row] = IGNORE
    cut = {f.name for f in drill.faults} - seen
    if cut & slow:
        labels[list(ASPECTS).index("timing")] = IGNORE
    return labels
