"""Pool B as the language model meets it: noisy poses, out-of-fold scores, windows, codes, video.

Perceiving takes minutes, telling seconds: every stage reads the same features of the same noisy
poses, kept in the run's `work/` (`training.clip_store`), and tells each clip in words of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from assistant.demos.library import Library
from assistant.model.modeling_poise import PoiseForConditionalGeneration
from assistant.perception import (
    POSE_TOKENIZER_FOLDER,
    PROFICIENCY_FOLDER,
    SPARSE_SKILL_FOLDER,
    VIDEO_ENCODER_FOLDER,
    Perception,
)
from assistant.proficiency.streams import Streams
from data_prep.drills.commentary import compose_summary
from data_prep.drills.records import Drill
from training.clip_store import (
    arrays_sha,
    clip_arrays,
    clips_of,
    code_sha,
    files_sha,
    kept,
    sha_of,
    video_arrays,
    videos_of,
)
from training.language_samples import PerceivedClip, ToldClip, library_frames, perceive
from training.proficiency import Beside, ProficiencySettings, cross_fit_scores
from training.progress import Progress
from training.run import WORK, Run, learner_poses
from training.settings import build
from training.streams import pool_streams
from training.video_features import drawn_views, masked, rendered_features

CLIPS_FILE, VIDEO_FILE = "clips.npz", "clips_video.npz"
# Added to the recipe's seed: of the noise that all stages see.
NOISE_SEED = 20
# Of the words in which the stage `language` tells each clip.
TELLING_SEED = 21
NO_TWIN = np.zeros(0)
PERCEPTION_FOLDERS = (
    POSE_TOKENIZER_FOLDER,
    VIDEO_ENCODER_FOLDER,
    PROFICIENCY_FOLDER,
    SPARSE_SKILL_FOLDER,
)


def perceived_clips(
    run: Run, library: Library, telling: int, *, video_share: float = 0.0
) -> list[PerceivedClip]:
    """Every clip of pool B, which no part of perception was trained on.

    Args:
        library: among its items each learner's demonstration is looked for.
        telling: seed of the texts; another one tells the same clips in other words.
        video_share: share of clips whose views are rendered and encoded.
    """
    drills, perception = run.pool("language"), run.perception()
    seed, progress = run.recipe.seed + NOISE_SEED, Progress("clips")
    identity = _identity(run, drills, library, seed)
    work = run.folder / WORK
    arrays = kept(
        work / CLIPS_FILE, identity, lambda: _see(run, drills, perception, library, seed), progress
    )
    videos: Sequence[np.ndarray | None] = [None] * len(drills)
    if video_share and perception.video_encoder is not None:
        starts, workers = arrays["start"], run.recipe.data.workers
        filmed = drawn_views(len(drills), video_share, run.recipe.language.rig, seed)
        stored = kept(
            work / VIDEO_FILE,
            sha_of(identity, str(filmed)),
            lambda: video_arrays(
                rendered_features(
                    [drill.pose for drill in drills], starts, perception, filmed, seed, workers
                )
            ),
            progress,
        )
        videos = [
            masked(features, names, perception.views)
            for features, names in zip(videos_of(stored), filmed, strict=True)
        ]
    clips = clips_of(drills, arrays, videos, perception.numbers, perception.pose_form)
    given = (replace(clip, inputs=clip.inputs.given(perception.inputs)) for clip in clips)
    return [told(run, clip, telling, i) for i, clip in enumerate(given)]


def told(run: Run, clip: PerceivedClip, telling: int, place: int) -> PerceivedClip:
    """The clip with its answer, in words drawn by `telling` and its place."""
    rng, form = np.random.default_rng([telling, 9, place]), run.recipe.language.answer_form
    return replace(clip, answer=compose_summary(clip.drill, rng, form, order=clip.order))


def _see(
    run: Run, drills: Sequence[Drill], perception: Perception, library: Library, seed: int
) -> Mapping[str, np.ndarray]:
    """What costs time: noise, streams, scores, windows, codes and the nearest demonstration."""
    poses, settings = learner_poses(drills, seed), _proficiency(run)
    streams = pool_streams(
        run, "language", video_share=settings.video_share, gaze_share=settings.gaze_share
    )
    sources = Beside(streams=shown_streams(streams, perception.views)).sources(drills)
    assessments = cross_fit_scores(perception.assessor, drills, poses, sources=sources)
    # All features are kept, whatever the model is given of them.
    whole = replace(perception, inputs="all")
    return clip_arrays(perceive(drills, poses, assessments, whole, library=library))


def shown_streams(streams: Mapping[str, Streams], views: Sequence[str]) -> dict[str, Streams]:
    """The streams of clips without those of views that are not looked at."""
    hidden = set() if "ego" in views else {"ego"}
    hidden |= set() if any(view != "ego" for view in views) else {"exo"}
    shown = {
        clip: {name: stream for name, stream in mine.items() if name not in hidden}
        for clip, mine in streams.items()
    }
    return {clip: mine for clip, mine in shown.items() if mine}


def _proficiency(run: Run) -> ProficiencySettings:
    settings: ProficiencySettings = build(ProficiencySettings, run.recipe.proficiency)
    return settings


def _identity(run: Run, drills: Sequence[Drill], library: Library, seed: int) -> str:
    """What the stored features depend on; not the library's likelihoods, written later."""
    seen = (
        array
        for drill in drills
        for array in (drill.pose.joints, drill.gaze, drill.twin.joints if drill.twin else NO_TWIN)
    )
    shown = [library_frames(library.items)] if len(library) else []
    settings = _proficiency(run)
    return sha_of(
        code_sha(),
        *(files_sha(run.folder / part) for part in PERCEPTION_FOLDERS),
        f"{settings.video_share} {settings.gaze_share} {' '.join(run.recipe.language.views)}",
        *(f"{drill.participant_id} {drill.activity} {drill.level}" for drill in drills),
        arrays_sha(seen),
        *(item.activity for item in library.items),
        arrays_sha(shown),
        str(seed),
    )


def fit_inputs(model: PoiseForConditionalGeneration, clips: Sequence[ToldClip]) -> None:
    """Fit the input norms of the model from the clips that it will learn from."""
    rows = {}
    for modality in ("pose", "score", "regions", "stage1"):
        given = [v for clip in clips if (v := getattr(clip.inputs, modality)) is not None]
        if not given:  # the model is not given them at all
            continue
        values = np.stack(given)
        rows[modality] = torch.from_numpy(values.reshape(-1, values.shape[-1])).float()
    model.fit_inputs(rows)
