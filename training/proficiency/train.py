"""Train Stage 1, the open-set score, the prototypes and the ordinal calibration.

Who sees whom: Stage 1 and the prototypes are fitted on the performers of pool A only;
temperature, CDFs and CORAL on those of pool B; the open-set score on validation performers.
`calibration.cross_fit_scores` gives the language model's training clips (pool B) scores that were
fitted without their own performer.

    poise train mini --stage proficiency
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from assistant.errors import PoiseError
from assistant.pose.normalise import FEATURE_DIM
from assistant.proficiency.activity import OpenSet
from assistant.proficiency.assess import Assessor, FrameEncoder, StreamSource
from assistant.proficiency.coral import Calibration, OrdinalHead
from assistant.proficiency.look_closer import LookCloserConfig
from assistant.proficiency.moments import MomentSettings
from assistant.proficiency.sparse_skill import SparseSkillExtractor
from assistant.proficiency.stage1 import Stage1, Stage1Config
from assistant.proficiency.streams import Streams
from data_prep.drills.records import Drill
from training.proficiency.calibration import calibrate
from training.proficiency.examples import fault_key
from training.proficiency.metrics import evaluate_proficiency, with_streams
from training.proficiency.open_set import OPEN_SET_CLIPS, fit_known_features, fit_open_set
from training.proficiency.poses import mixed_poses, noisy_poses
from training.proficiency.prototypes import action_windows, fit_bank, video_windows
from training.proficiency.settings import ProficiencySettings
from training.proficiency.stage1 import Progress, make_examples, train_stage1
from training.proficiency.unnamed import make_unnamed


@dataclass(frozen=True)
class Beside:
    """What training knows of clips beside their poses.

    Attributes:
        filmed: drills of performers that neither the video encoder nor any other pool has seen,
            all of them with films and gaze; they join pool A.
        streams: ego, exo and gaze by sample id, of any pool.
    """

    filmed: Sequence[Drill] = ()
    streams: Mapping[str, Streams] = field(default_factory=dict)

    def sources(self, drills: Sequence[Drill]) -> list[StreamSource | None]:
        """What the assessor asks for the streams of each drill."""
        found = [self.streams.get(drill.sample_id) for drill in drills]
        return [None if streams is None else _always(streams) for streams in found]


def _always(streams: Streams) -> StreamSource:
    return lambda span: streams


def train_proficiency(
    pool_a: Sequence[Drill],
    pool_b: Sequence[Drill],
    validation: Sequence[Drill],
    pose_tokenizer: FrameEncoder | None,
    settings: ProficiencySettings,
    seed: int,
    folder: str | Path | None,
    progress: Progress = print,
    known: Sequence[str] | None = None,
    beside: Beside | None = None,
    moment_model: SparseSkillExtractor | None = None,
) -> tuple[Assessor, dict[str, Any]]:
    """Train all parts from a seed and write them to `folder` (unless None).

    Args:
        pool_a, pool_b, validation: drills with distractors among them; no shared performers.
        pose_tokenizer: embeds frames for the margin of the "pose" stream; None leaves it out.
        known: order of the activities that can be judged; None sorts those with a level.
        beside: films and gaze; None trains on poses alone.
        moment_model: chooses the moments when the settings ask for it.
    Returns:
        The assessor, and metrics on the validation clips.
    Raises:
        PoiseError: when the pools share a performer.
    """
    beside = beside or Beside()
    _check_pools(pool_a, pool_b, validation, beside.filmed)
    started = time.monotonic()

    def say(text: str) -> None:
        progress(f"{text}, {time.monotonic() - started:.0f} s")

    assessor = fit_open_set_model(pool_a, validation, settings, seed, say, known, beside)
    if pose_tokenizer is not None:
        assessor.frame_encoder = pose_tokenizer
        noisy_a = noisy_poses(pool_a, settings.calibration_noise, seed + 1)
        windows = action_windows(pool_a, noisy_a, pose_tokenizer)
        assessor.banks = {"pose": fit_bank(windows, settings.fewest_windows)}
        say(assessor.banks["pose"].describe())
    for name in ("ego", "exo"):
        films = video_windows(beside.filmed, beside.streams, name)
        if films is not None:
            assessor.banks[name] = fit_bank(films, settings.fewest_windows)
            say(f"{name}: {assessor.banks[name].describe()}")
    assessor.moment_model = moment_model
    assessor.moment_settings = MomentSettings(settings.moments, settings.proposals)
    scored = [d for d in pool_b if d.level is not None]
    noisy_b = noisy_poses(scored, settings.calibration_noise, seed + 3)
    calibrate(assessor, scored, noisy_b, settings, beside.sources(scored))
    say("calibrated")
    clips = with_unnamed(validation, settings, seed + 11)
    noisy_v = noisy_poses(clips, settings.calibration_noise, seed + 2)
    metrics = evaluate_proficiency(assessor, clips, noisy_v)
    if beside.streams:
        metrics["with_streams"] = with_streams(assessor, clips, noisy_v, beside.sources(clips))
    metrics["train_seconds"] = time.monotonic() - started
    if folder is not None:
        assessor.save_pretrained(folder)
    return assessor, metrics


def fit_open_set_model(
    pool_a: Sequence[Drill],
    validation: Sequence[Drill],
    settings: ProficiencySettings,
    seed: int,
    progress: Progress = print,
    known: Sequence[str] | None = None,
    beside: Beside | None = None,
) -> Assessor:
    """Stage 1 on pool A and the open-set score on validation; prototypes and CORAL are missing."""
    beside = beside or Beside()
    known = known or sorted({d.activity for d in pool_a if d.level is not None})
    clips = with_unnamed(pool_a, settings, seed + 10)
    others = sorted({d.activity for d in clips} - set(known))
    config = Stage1Config(
        features=FEATURE_DIM,
        activities=(*known, *others),
        known=len(known),
        faults=tuple(sorted({fault_key(d.activity, f.name) for d in pool_a for f in d.faults})),
        fault_evidence=settings.fault_evidence,
        width=settings.width,
        dilations=settings.dilations,
        dropout=settings.dropout,
        look_closer=_look_closer(beside.streams, len(known), settings),
    )
    examples = make_examples(clips, config, settings, seed, beside.streams)
    if beside.filmed:
        examples += make_examples(beside.filmed, config, settings, seed + 5, beside.streams)
    progress(f"{len(examples)} examples")
    assessor = _untuned(train_stage1(examples, config, settings, seed, progress))
    known_a = [d for d in pool_a if d.level is not None][:OPEN_SET_CLIPS]
    gaussians = fit_known_features(
        assessor, known_a, noisy_poses(known_a, settings.calibration_noise, seed + 1)
    )
    odd = with_unnamed(validation, settings, seed + 11)
    assessor.open_set = fit_open_set(assessor, gaussians, odd, mixed_poses(odd, settings, seed + 4))
    return assessor


def _look_closer(
    streams: Mapping[str, Streams], known: int, settings: ProficiencySettings
) -> LookCloserConfig | None:
    """Aspect experts over the pose and whatever else any clip has."""
    if not settings.aspect_width:
        return None
    sizes = {"pose": settings.width}
    for clip in streams.values():
        sizes |= {name: stream.values.shape[1] for name, stream in clip.items()}
    return LookCloserConfig(
        sizes=sizes,
        activities=known,
        given=("pose",),
        width=settings.aspect_width,
        feedforward=2 * settings.aspect_width,
        dropout=settings.dropout,
    )


def with_unnamed(drills: Sequence[Drill], settings: ProficiencySettings, seed: int) -> list[Drill]:
    """The drills and, last, `unnamed_share` of nameless motions made from them."""
    count = round(settings.unnamed_share * len(drills))
    return [*drills, *make_unnamed(drills, count, seed)] if count else list(drills)


def _check_pools(*pools: Sequence[Drill]) -> None:
    seen: set[str] = set()
    for pool in pools:
        people = {drill.participant_id for drill in pool}
        if seen & people:
            raise PoiseError(
                "pools share performers", got=", ".join(sorted(seen & people)[:3]),
                expected="each performer in one pool, or scores would not be out-of-sample",
            )  # fmt: skip
        seen |= people


def _untuned(stage1: Stage1) -> Assessor:
    """An assessor whose open set accepts all and whose calibration says nothing."""
    known, pooled = stage1.config.known, stage1.config.pooled
    eye = np.tile(np.eye(pooled), (known, 1, 1))
    open_set = OpenSet(np.zeros((known, pooled)), eye, np.zeros(2), 0.0, 0.0)
    head = OrdinalHead(np.zeros((3, 7)), np.zeros(3))
    return Assessor(stage1, open_set, {}, Calibration({}, head))
