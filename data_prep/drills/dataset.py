"""Simulated clips as samples on disk, and the versioned presets of the test sets."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from assistant.errors import PoiseError
from data_prep.drills.actions import MOVEMENT, atomic_actions
from data_prep.drills.commentary import compose_dialogue, compose_spoken, compose_summary
from data_prep.drills.distractors import DISTRACTORS
from data_prep.drills.faults import DEFAULT_ACTIVITIES, KNOWN
from data_prep.drills.noise import add_pose_noise
from data_prep.drills.performer import sample_performer
from data_prep.drills.records import Drill
from data_prep.drills.simulate import simulate, simulate_performer

# Name of a noise condition: (millimetres, kind); None is the clean pose.
NOISE: Final[dict[str, tuple[float, str] | None]] = {
    "clean": None,
    "15": (15.0, "slow"),
    "fitted": (80.0, "single_view"),
    "twice-fitted": (160.0, "single_view"),
}


CALIBRATION_FOLDER: Final = "calibration"


@dataclass(frozen=True)
class Preset:
    """A test set that is the same on every machine.

    Attributes:
        version: raised whenever the set or the simulator changes what is in it.
        performers, clips: people and clips of each; performers * clips is a multiple of four
            times the activities, so that levels and activities are balanced.
        distractors: clips of each distractor, by further performers.
        seed, split: as for `simulate_many`.
        activities: the known drills in it.
    """

    version: str
    performers: int
    clips: int
    distractors: int
    seed: int
    split: str
    activities: tuple[str, ...] = DEFAULT_ACTIVITIES


PRESETS: Final = {
    "mini-test": Preset("v2", 72, 6, 3, 20_263, "test", KNOWN),
    "mini-test-shifted": Preset("v2", 36, 6, 2, 20_264, "shifted", KNOWN),
    # The first version, of two drills: its bytes stay as they were measured.
    "mini-test-2": Preset("v1", 80, 5, 4, 20_261, "test"),
    "mini-test-2-shifted": Preset("v1", 40, 5, 2, 20_262, "shifted"),
}
# What the sets of all drills were called while those of two were the default.
EARLIER_NAMES: Final = {"mini-test-6": "mini-test", "mini-test-6-shifted": "mini-test-shifted"}


@dataclass(frozen=True)
class Job:
    """Clips that are made together: those of one performer, or one clip of a distractor.

    Attributes:
        index: of the performer, or of the distractor clip.
        clips, seed, split, activities, distractor_share: as for `simulate_performer`.
        distractor: makes one clip of a distractor instead.
    """

    index: int
    clips: int
    seed: int
    split: str
    activities: tuple[str, ...]
    distractor_share: float
    distractor: bool = False


def preset(name: str) -> Preset:
    """A preset by name."""
    name = EARLIER_NAMES.get(name, name)
    if name not in PRESETS:
        raise PoiseError("unknown preset", got=repr(name), expected=", ".join(PRESETS))
    return PRESETS[name]


def noise_condition(name: str) -> tuple[float, str] | None:
    """Size and kind of a noise condition by name."""
    if name not in NOISE:
        raise PoiseError("unknown pose noise", got=repr(name), expected=", ".join(NOISE))
    return NOISE[name]


def preset_jobs(chosen: Preset) -> Iterator[Job]:
    """The jobs of a preset, in order; the known drills first."""
    common = (chosen.clips, chosen.seed, chosen.split, chosen.activities, 0.0)
    for index in range(chosen.performers):
        yield Job(index, *common)
    for number in range(chosen.distractors * len(DISTRACTORS)):
        yield Job(number, *common, distractor=True)


def run_job(job: Job) -> list[Drill]:
    """The clips of a job."""
    if not job.distractor:
        return simulate_performer(
            job.index, job.clips, job.seed, job.split, job.activities, job.distractor_share
        )
    rng = np.random.default_rng([job.seed, 7, job.index])
    name = f"{job.split}-{job.seed}-d{job.index:04d}"
    performer = sample_performer(rng, job.split, name)
    activity = DISTRACTORS[job.index % len(DISTRACTORS)]
    return [simulate(activity, None, performer, rng, sample_id=f"{name}-000")]


def preset_drills(chosen: Preset) -> Iterator[Drill]:
    """The clips of a preset, in order; the known drills first."""
    for job in preset_jobs(chosen):
        yield from run_job(job)


def to_sample(
    drill: Drill, noise: tuple[float, str] | None, origin: str, *, complete: bool = False
) -> dict[str, Any]:
    """A clip as a record of `assistant.dataset`, with its texts and its noisy pose.

    `complete` adds the fields that test set v1 lacks: take, action, atomic actions and the path
    of the calibration.
    """
    texts = np.random.default_rng([drill.seed, 21])
    pose = drill.pose
    if noise is not None:
        shake = np.random.default_rng([drill.seed, 22])
        pose = add_pose_noise(pose, shake, millimetres=noise[0], kind=noise[1])
    summary = compose_summary(drill, texts)
    spoken = compose_spoken(drill, texts)
    dialogue = compose_dialogue(drill, texts)
    added = _added(drill) if complete else {}
    return added | {
        "sample_id": drill.sample_id,
        "participant_id": drill.participant_id,
        "activity": drill.activity,
        "split": drill.split,
        "span": [0.0, drill.pose.duration],
        "pose": pose,
        "pose_clean": drill.pose,
        "twin": drill.twin,
        "gaze": drill.gaze,
        "level": drill.level,
        "rating": drill.rating,
        "commentary_raw": spoken or None,
        "summary": summary or None,
        "regions": drill.regions if drill.level is not None else None,
        "steps": drill.steps,
        "step_names": drill.step_names,
        "repetitions": [{"start": a, "end": b} for a, b in drill.repetitions],
        "faults": [
            {
                "name": f.name,
                "region": f.region,
                "severity": f.severity,
                "start": f.start,
                "end": f.end,
            }
            for f in drill.faults
        ],
        "correct_points": drill.correct_points,
        "moments": [{"start": a, "end": b} for a, b in drill.moments],
        "dialogues": [{"question": q, "answer": a} for q, a in dialogue] or None,
        "origin": origin,
    }


def _added(drill: Drill) -> dict[str, Any]:
    return {
        "take_id": drill.sample_id,
        "action": MOVEMENT.get(drill.activity, drill.activity),
        "atomic_actions": atomic_actions(
            drill.activity, drill.steps, drill.step_names, drill.pose.fps
        ),
        "calibration": f"{CALIBRATION_FOLDER}/{drill.sample_id}.json",
    }
