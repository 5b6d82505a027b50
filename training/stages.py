"""The stages of a recipe, in order; each writes its part of the checkpoint into the run folder.

    pose_tokenizer -> video_encoder -> sparse_skill -> proficiency -> correction_estimator
    -> library -> pretrain -> language

`labelling`, `contrastive` and `look_closer` run only when they are named (see the modules of these
names).

The simulated pools are made again from the seed whenever a stage needs them. `work/` inside the run
folder holds what is not shipped (the pretrained model, metrics, what perception saw of pool B).
"""

from collections.abc import Callable

import numpy as np

from assistant.checkpoint import LIBRARY_FOLDER
from assistant.errors import PoiseError
from assistant.perception import (
    POSE_TOKENIZER_FOLDER,
    PROFICIENCY_FOLDER,
    SPARSE_SKILL_FOLDER,
    VIDEO_ENCODER_FOLDER,
)
from assistant.pose.normalise import normalise
from assistant.pose.tokenizer import PoseTokenizer
from assistant.proficiency.sparse_skill import SparseSkillExtractor
from assistant.proficiency.streams import Streams
from assistant.video.encoder import VideoEncoder
from training.contrastive import contrastive_stage
from training.correction_estimator import correction_estimator_stage
from training.dataset_pairs import expert_library
from training.experts import experts
from training.labelling import labelling_stage
from training.language_stage import language_stage
from training.library import build_library
from training.look_closer_stage import look_closer_stage
from training.pose_tokenizer import PoseTokenizerSettings, train_pose_tokenizer
from training.pretraining import pretrain_stage
from training.proficiency import Beside, ProficiencySettings, train_proficiency
from training.progress import Progress
from training.recipe import PretrainedVideoEncoder, Recipe
from training.run import Run
from training.settings import build
from training.sparse_skill import sparse_skill_stage, validation_moments
from training.streams import pool_streams
from training.video_encoder import VideoEncoderSettings, train_video_encoder


def train_pose_tokenizer_stage(run: Run) -> None:
    """3D PCT on frames of pool A."""
    frames = [normalise(d.pose).resample(3.0).joints for d in run.pool("perception")]
    progress = Progress("pose_tokenizer")
    tokenizer = train_pose_tokenizer(
        np.concatenate(frames),
        build(PoseTokenizerSettings, run.recipe.pose_tokenizer),
        seed=run.recipe.seed,
        progress=lambda step, steps, means: progress.advance(step, steps, _numbers(means)),
    )
    tokenizer.save_pretrained(run.folder / POSE_TOKENIZER_FOLDER)


def train_video_encoder_stage(run: Run) -> None:
    """A published encoder by name, frozen, or the small TimeSformer on rendered views of pool A."""
    chosen = dict(run.recipe.video_encoder)
    if "pretrained" in chosen:
        wanted = build(PretrainedVideoEncoder, chosen)
        encoder = VideoEncoder.from_backbone(wanted.name, wanted.pretrained)
        check_input(encoder, wanted)
        encoder.save_pretrained(run.folder / VIDEO_ENCODER_FOLDER)
        return
    settings = build(VideoEncoderSettings, chosen)
    progress = Progress("video_encoder")
    encoder, report = train_video_encoder(
        run.pool("perception"), settings, seed=run.recipe.seed, progress=progress.advance
    )
    encoder.save_pretrained(run.folder / VIDEO_ENCODER_FOLDER)
    run.write_metrics("video_encoder", report)


def check_input(encoder: VideoEncoder, wanted: PretrainedVideoEncoder) -> None:
    """Raise PoiseError unless the encoder's input is what the recipe says."""
    has = {
        "frames": encoder.frames,
        "size": encoder.size,
        "mean": encoder.family.mean,
        "std": encoder.family.std,
    }
    other = [
        f"{name} {value} instead of {getattr(wanted, name)}"
        for name, value in has.items()
        if getattr(wanted, name) and getattr(wanted, name) != value
    ]
    if other:
        raise PoiseError(
            f"{wanted.pretrained} does not read what the recipe says", got="; ".join(other)
        )


def train_proficiency_stage(run: Run) -> None:
    """Stage 1 and prototypes on pool A and the pool `stage1`, with films and gaze of the pool
    `stream`; calibration on pool B; thresholds on validation."""
    tokenizer = PoseTokenizer.from_pretrained(run.folder / POSE_TOKENIZER_FOLDER)
    skill = run.folder / SPARSE_SKILL_FOLDER
    moment_model = SparseSkillExtractor.from_pretrained(skill) if skill.is_dir() else None
    progress = Progress("proficiency")
    settings = build(ProficiencySettings, run.recipe.proficiency)
    beside = Beside(run.pool("stream"), proficiency_streams(run, settings))
    progress.say(f"{len(beside.streams)} clips with films or gaze")
    assessor, metrics = train_proficiency(
        [*run.pool("perception"), *run.pool("stage1")],
        run.pool("language"),
        run.pool("validation"),
        tokenizer,
        settings,
        run.recipe.seed,
        run.folder / PROFICIENCY_FOLDER,
        progress.say,
        known=run.recipe.activities,
        beside=beside,
        moment_model=moment_model,
    )
    if moment_model is not None:
        metrics["moments"] = validation_moments(run, assessor, moment_model)
    run.write_metrics("proficiency", metrics)
    progress.say(_numbers({k: v for k, v in metrics.items() if isinstance(v, float)}))
    experts(run.pool("perception")).save(run.folder)


def proficiency_streams(run: Run, settings: ProficiencySettings) -> dict[str, Streams]:
    """Films and gaze of the pool `stream`, gaze of pool A and `stage1`, a share of the others."""
    share = {"video_share": settings.video_share, "gaze_share": settings.gaze_share}
    found = pool_streams(run, "stream", video_share=1.0, gaze_share=1.0)
    for pool in ("perception", "stage1"):
        found |= pool_streams(run, pool, video_share=0.0, gaze_share=1.0)
    found |= pool_streams(run, "language", **share)
    return found | pool_streams(run, "validation", **share)


def _numbers(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in values.items())


def library_stage(run: Run) -> None:
    """Windows of fault-free Late Experts that no learned part has seen; or the experts of pairs."""
    if run.recipe.language.pairs:
        expert_library(run).save(run.folder / LIBRARY_FOLDER)
        return
    library = build_library(run.pool("library"), run.perception())
    library.save(run.folder / LIBRARY_FOLDER)
    Progress("library").say(f"{len(library)} demonstrations")


def stages_of(recipe: Recipe) -> dict[str, Callable[[Run], None]]:
    """The stages of a whole run; the skill model's only where moments or margins read it, the
    estimator's only where the recipe names it."""
    settings = build(ProficiencySettings, recipe.proficiency)
    left_out = set()
    if settings.moments != "sparse_skill" and settings.proposals == "uniform":
        left_out.add("sparse_skill")
    if not recipe.correction_estimator:
        left_out.add("correction_estimator")
    return {name: stage for name, stage in STAGES.items() if name not in left_out}


# All processes of `accelerate launch` run these; the others are for the first one alone.
TOGETHER = frozenset(("pretrain", "language", "labelling"))
STAGES: dict[str, Callable[[Run], None]] = {
    "pose_tokenizer": train_pose_tokenizer_stage,
    "video_encoder": train_video_encoder_stage,
    "sparse_skill": sparse_skill_stage,
    "proficiency": train_proficiency_stage,
    "correction_estimator": correction_estimator_stage,
    "library": library_stage,
    "pretrain": pretrain_stage,
    "language": language_stage,
}
# Stages that run only when they are named.
EXTRA_STAGES: dict[str, Callable[[Run], None]] = {
    "labelling": labelling_stage,
    "contrastive": contrastive_stage,
    "look_closer": look_closer_stage,
}
