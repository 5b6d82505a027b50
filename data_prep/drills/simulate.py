"""Simulated clips: `simulate_many` draws performers and clips from one seed.

The motion is written as a score (`squat`, `free_throw`, `distractors`), given the performer's
random unsteadiness, turned into joints (`body`) and put somewhere in the world. The twin is the
same score without faults under the same unsteadiness; no fault moves a step boundary, so its
frames are those of the learner.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter1d

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.levels import N_LEVELS
from assistant.processes import spread
from data_prep.drills import (
    distractors,
    free_throw,
    golf_swing,
    lunge,
    overhead_press,
    penalty_kick,
    squat,
)
from data_prep.drills.body import assemble
from data_prep.drills.faults import DEFAULT_ACTIVITIES, KNOWN, spec, specs
from data_prep.drills.gaze import gaze_path
from data_prep.drills.levels import VARIABILITY, draw_faults, rating
from data_prep.drills.performer import Performer, check_split, sample_performer
from data_prep.drills.praise import good_points, region_polarities
from data_prep.drills.records import Drill, Fault
from data_prep.drills.take import Take
from data_prep.drills.tracks import FPS, wobble
from prompts.vocabulary import NOT_MENTIONED, REGIONS

WRITERS: Final = {
    module.ACTIVITY: module.perform
    for module in (squat, free_throw, lunge, overhead_press, penalty_kick, golf_swing)
}
REPETITIONS: Final = ((1, 2, 3, 4, 5, 6), (0.30, 0.26, 0.20, 0.12, 0.07, 0.05))
# Between two kicks the kicker walks back, so that few of them fill as long a clip.
FEWER: Final = {penalty_kick.ACTIVITY: (0.48, 0.30, 0.14, 0.05, 0.02, 0.01)}

# Unsteadiness of controls at variability 1: standard deviation, in the control's unit.
UNSTEADY: Final = {
    "yaw": 0.9,
    "lean": 0.7,
    "side": 0.7,
    "twist": 0.9,
    "list": 0.5,
    "com_x": 0.006,
    "com_y": 0.006,
    "head_pitch": 1.4,
    "head_yaw": 2.0,
    "hand_x": 0.016,
    "hand_y": 0.016,
    "hand_z": 0.012,
    "elbow": 2.0,
}

BAR_STEADIES: Final = 0.75

Faults = Mapping[str, tuple[float, frozenset[int]]]


def simulate(
    activity: str,
    level: int | None,
    performer: Performer,
    rng: np.random.Generator,
    *,
    repetitions: int | None = None,
    faults: Faults | None = None,
    sample_id: str | None = None,
) -> Drill:
    """One clip.

    Args:
        activity: a known drill or a distractor.
        level: 0..3; None for a distractor.
        performer: who.
        rng: source of all draws of this clip.
        repetitions: 1..6; drawn when None.
        faults: fault name -> severity and repetitions; drawn from the level when None.
        sample_id: name; drawn when None.

    Raises:
        PoiseError: unknown activity, or a level that does not fit it.
    """
    known = activity in WRITERS
    if not known and activity not in distractors.DISTRACTORS:
        names = ", ".join((*KNOWN, *distractors.DISTRACTORS))
        raise PoiseError("unknown activity", got=repr(activity), expected=names)
    if known and level not in range(N_LEVELS):
        raise PoiseError("unknown level of a drill", got=repr(level), expected="0, 1, 2 or 3")
    seed = int(rng.integers(2**62))
    name = sample_id or f"{performer.participant_id}-{seed % 10**8:08d}"
    if not known:
        return _distractor(activity, performer, seed, name)
    assert level is not None
    count = int(rng.choice(REPETITIONS[0], p=FEWER.get(activity, REPETITIONS[1])))
    count = count if repetitions is None else repetitions
    drawn = draw_faults(rng, activity, level, count, performer.split == "shifted")
    shown = dict(drawn if faults is None else faults)
    for fault in shown:
        spec(activity, fault)
    return _known(activity, level, performer, seed, name, count, shown)


def _known(
    activity: str,
    level: int,
    performer: Performer,
    seed: int,
    name: str,
    repetitions: int,
    faults: Faults,
) -> Drill:
    write = WRITERS[activity]
    variability = VARIABILITY[level]
    take = write(performer, seed, variability, repetitions, faults)
    motion = _realise(take, performer, seed, variability)
    twin = motion
    if faults:
        clean = write(performer, seed, variability, repetitions, {})
        twin = _realise(clean, performer, seed, variability)
    regions_of = {s.name: s.region for s in specs(activity)}
    shown = tuple(
        Fault(f, regions_of[f], faults[f][0], float(a), float(min(b, take.end)))
        for f, a, b in take.spans
    )
    points = good_points(activity, take, faults, level)
    repeats = tuple((float(r.start), float(r.end)) for r in take.repetitions)
    keys = tuple((max(r.key - 0.4, r.start), min(r.key + 0.4, r.end)) for r in take.repetitions)
    side = np.random.default_rng([seed, 9])
    return Drill(
        sample_id=name,
        participant_id=performer.participant_id,
        activity=activity,
        level=level,
        rating=rating(side, level, [s for s, _ in faults.values()]),
        pose=_pose(motion),
        twin=_pose(twin),
        steps=take.labels(),
        step_names=take.step_names,
        faults=shown,
        moments=_merge([(f.start, f.end) for f in shown]) or keys,
        regions=region_polarities(activity, faults, points),
        repetitions=repeats,
        gaze=gaze_path(side, activity, variability, take),
        correct_points=points,
        seed=seed,
        split=performer.split,
    )


def _distractor(activity: str, performer: Performer, seed: int, name: str) -> Drill:
    take = distractors.perform(performer, seed, activity)
    motion = _realise(take, performer, seed, 0.8)
    return Drill(
        sample_id=name,
        participant_id=performer.participant_id,
        activity=activity,
        level=None,
        rating=None,
        pose=_pose(motion),
        twin=None,
        steps=take.labels(),
        step_names=take.step_names,
        faults=(),
        moments=(),
        regions=dict.fromkeys(REGIONS, NOT_MENTIONED),
        repetitions=(),
        gaze=gaze_path(np.random.default_rng([seed, 9]), activity, 0.8, take),
        correct_points=(),
        seed=seed,
        split=performer.split,
    )


def _realise(take: Take, performer: Performer, seed: int, variability: float) -> np.ndarray:
    """Joints [F, 17, 3] in the world; the same seed gives twin and learner the same wobble."""
    rng = np.random.default_rng([seed, 5])
    frames = take.frames
    curves, feet, grounded = take.score.sample(frames)
    for name, size in UNSTEADY.items():
        # Two hands on one bar steady each other.
        held = 1 - BAR_STEADIES * curves["bar"] if name.startswith("hand") else 1.0
        for full in [name] if name in curves else [f"{name}_l", f"{name}_r"]:
            curves[full] = curves[full] + size * variability * wobble(rng, frames) * held
    for name in curves:
        if name.startswith(("hand", "elbow", "follow", "lean", "side", "twist", "head")):
            curves[name] = gaussian_filter1d(curves[name], 0.8, mode="nearest")
    joints = assemble(performer, curves, feet, grounded, take.score.meetings)
    heading = rng.uniform(-np.pi, np.pi)
    cos, sin = np.cos(heading), np.sin(heading)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    return joints @ turn.T + np.append(rng.normal(0, 1.5, 2), 0.0)


def _pose(joints: np.ndarray) -> PoseSequence:
    return PoseSequence(
        joints=joints.astype(np.float32),
        confidence=np.ones(joints.shape[:2], np.float32),
        fps=FPS,
        source="simulated",
    )


def _merge(spans: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Union of overlapping spans, in order of time."""
    merged: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)


def simulate_performer(
    index: int,
    clips: int,
    seed: int,
    split: str,
    activities: Sequence[str],
    distractor_share: float,
) -> list[Drill]:
    """All clips of performer `index`; depends on nothing but its arguments."""
    origin = [seed, zlib.crc32(split.encode()), index]
    person = np.random.default_rng(origin)
    performer = sample_performer(person, split, f"{split}-{seed}-{index:05d}")
    drills = []
    for clip in range(clips):
        rng = np.random.default_rng([*origin, clip])
        number = index * clips + clip
        level: int | None = number % N_LEVELS
        activity = activities[(number // N_LEVELS) % len(activities)]
        if rng.random() < distractor_share:
            activity, level = str(rng.choice(distractors.DISTRACTORS)), None
        sample_id = f"{performer.participant_id}-{clip:03d}"
        drills.append(simulate(activity, level, performer, rng, sample_id=sample_id))
    return drills


def simulate_many(
    n_performers: int,
    clips_per_performer: int,
    seed: int,
    *,
    split: str = "train",
    activities: Sequence[str] = DEFAULT_ACTIVITIES,
    distractor_share: float = 0.0,
    workers: int = 1,
    first_performer: int = 0,
) -> list[Drill]:
    """Performers with their clips, the same for a seed whatever `workers` is.

    Levels are balanced over the known clips; a share of clips are distractors. Different splits
    or seeds never share a participant.

    Args:
        n_performers: people.
        clips_per_performer: clips of each.
        seed: source of everything.
        split: "train", "validation", "test" or "shifted".
        activities: known drills to draw from.
        distractor_share: 0..1.
        workers: processes.
        first_performer: index of the first performer, to make a set in parts.
    """
    check_split(split)
    unknown = [a for a in activities if a not in WRITERS]
    if unknown:
        raise PoiseError("unknown activity", got=repr(unknown[0]), expected=", ".join(KNOWN))
    jobs = [
        (i, clips_per_performer, seed, split, tuple(activities), distractor_share)
        for i in range(first_performer, first_performer + n_performers)
    ]
    return [drill for part in spread(_clips_of, jobs, workers, chunk=4) for drill in part]


def _clips_of(job: tuple[int, int, int, str, Sequence[str], float]) -> list[Drill]:
    return simulate_performer(*job)
