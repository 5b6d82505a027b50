"""Simulated clips as samples on disk, and the versioned presets of the test sets."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from assistant.errors import PoiseError
from data_prep.drills.commentary import compose_dialogue, compose_spoken, compose_summary
from data_prep.drills.distractors import DISTRACTORS
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


@dataclass(frozen=True)
class Preset:
    """A test set that is the same on every machine.

    Attributes:
        version: raised whenever the set or the simulator changes what is in it.
        performers, clips: people and clips of each; performers * clips is a multiple of 8, so
            that levels and activities are balanced.
        distractors: clips of each distractor, by further performers.
        seed, split: as for `simulate_many`.
    """

    version: str
    performers: int
    clips: int
    distractors: int
    seed: int
    split: str


PRESETS: Final = {
    "mini-test": Preset("v1", 80, 5, 4, 20_261, "test"),
    "mini-test-shifted": Preset("v1", 40, 5, 2, 20_262, "shifted"),
}


def preset(name: str) -> Preset:
    """A preset by name."""
    if name not in PRESETS:
        raise PoiseError("unknown preset", got=repr(name), expected=", ".join(PRESETS))
    return PRESETS[name]


def noise_condition(name: str) -> tuple[float, str] | None:
    """Size and kind of a noise condition by name."""
    if name not in NOISE:
        raise PoiseError("unknown pose noise", got=repr(name), expected=", ".join(NOISE))
    return NOISE[name]


def preset_drills(chosen: Preset) -> Iterator[Drill]:
    """The clips of a preset, in order; the known drills first."""
    from data_prep.drills.faults import DEFAULT_ACTIVITIES

    for index in range(chosen.performers):
        yield from simulate_performer(index, chosen.clips, chosen.seed, chosen.split, DEFAULT_ACTIVITIES, 0.0)
    for number in range(chosen.distractors * len(DISTRACTORS)):
        rng = np.random.default_rng([chosen.seed, 7, number])
        name = f"{chosen.split}-{chosen.seed}-d{number:04d}"
        performer = sample_performer(rng, chosen.split, name)
        activity = DISTRACTORS[number % len(DISTRACTORS)]
        yield simulate(activity, None, performer, rng, sample_id=f"{name}-000")


def to_sample(drill: Drill, noise: tuple[float, str] | None, origin: str) -> dict[str, Any]:
    """A clip as a record of `assistant.dataset`, with its texts and its noisy pose."""
    texts = np.random.default_rng([drill.seed, 21])
    pose = drill.pose
    if noise is not None:
        shake = np.random.default_rng([drill.seed, 22])
        pose = add_pose_noise(pose, shake, millimetres=noise[0], kind=noise[1])
    summary = compose_summary(drill, texts)
    spoken = compose_spoken(drill, texts)
    dialogue = compose_dialogue(drill, texts)
    return {
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
