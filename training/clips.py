"""Pool B as the language model meets it: noisy poses, out-of-fold scores, windows, codes, video."""

from collections.abc import Sequence

import numpy as np
import torch

from assistant.demos.library import Library
from assistant.model.modeling_poise import PoiseForConditionalGeneration
from data_prep.drills.commentary import compose_summary
from training.language_samples import PerceivedClip, perceive
from training.proficiency import Beside, ProficiencySettings, cross_fit_scores
from training.run import Run, learner_poses
from training.settings import build
from training.streams import pool_streams
from training.video_features import rendered_features


def perceived_clips(
    run: Run, library: Library, seed: int, *, video_share: float = 0.0
) -> list[PerceivedClip]:
    """Every clip of pool B, which no part of perception was trained on.

    Args:
        library: among its items each learner's demonstration is looked for.
        seed: of noise and texts; another seed sees the same clips with other errors.
        video_share: share of clips whose views are rendered and encoded.
    """
    drills, perception = run.pool("language"), run.perception()
    poses = learner_poses(drills, seed)
    settings = build(ProficiencySettings, run.recipe.proficiency)
    streams = pool_streams(
        run, "language", video_share=settings.video_share, gaze_share=settings.gaze_share
    )
    sources = Beside(streams=streams).sources(drills)
    assessments = cross_fit_scores(perception.assessor, drills, poses, sources=sources)
    answers = [
        compose_summary(d, np.random.default_rng([seed, 9, i])) for i, d in enumerate(drills)
    ]
    videos = None
    if video_share:
        videos = rendered_features(
            drills, poses, assessments, perception, video_share, seed, run.recipe.data.workers
        )
    return perceive(drills, poses, assessments, perception, answers, library=library, videos=videos)


def fit_inputs(model: PoiseForConditionalGeneration, clips: Sequence[PerceivedClip]) -> None:
    """Fit the input norms of the model from the clips that it will learn from."""
    rows = {}
    for modality in ("pose", "score", "regions", "stage1"):
        values = np.stack([getattr(clip.inputs, modality) for clip in clips])
        rows[modality] = torch.from_numpy(values.reshape(-1, values.shape[-1])).float()
    model.fit_inputs(rows)
