"""One clip judged by the Sparse Skill Extractor: probability of high proficiency and importance.

reading = read_skill(SparseSkillExtractor.from_pretrained(folder), features)
reading.probability, key_moments(reading.importance, seconds)
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from assistant.proficiency.segments import segment_frames, segment_starts
from assistant.proficiency.sparse_skill import SparseSkillExtractor

DRAWS: Final = 10  # pairs of one clip at inference (section 2.2)


@dataclass(frozen=True)
class SkillReading:
    """What the model says of one clip, averaged over its draws.

    Attributes:
        probability: of high proficiency.
        z_global: [draws, W].
        importance: [n] of each partition; empty for late fusion, which cannot say.
        frames: [draws, n, K] that were read.
        weights: [draws, n] importance of each draw.
    """

    probability: float
    z_global: np.ndarray
    importance: np.ndarray
    frames: np.ndarray
    weights: np.ndarray


@torch.no_grad()
def read_skill(
    model: SparseSkillExtractor, features: np.ndarray, *, draws: int = DRAWS, seed: int = 0
) -> SkillReading:
    """Judge one clip of features [T, F]; the same for the same seed.

    z_0 depends on the clip's own segments alone, so what the paper's 10 comparison videos average
    is 10 draws of the segments.
    """
    plan, rng = model.config.plan, np.random.default_rng(seed)
    starts = [segment_starts(len(features), plan, rng) for _ in range(draws)]
    frames = np.stack([segment_frames(s, len(features), plan) for s in starts])
    segments = torch.from_numpy(features[frames]).to(model.feature_mean)  # [draws, n, K, F]
    out = model(segments, torch.ones(frames.shape[:2], dtype=torch.bool))
    weights = out.importance.double().numpy()
    return SkillReading(
        probability=float(out.logit.sigmoid().mean()),
        z_global=out.z_global.double().numpy(),
        importance=weights.mean(axis=0) if weights.size else weights,
        frames=frames,
        weights=weights,
    )


def comparison_probability(
    z: np.ndarray, others: np.ndarray, labels: np.ndarray, scale: float = 1.0
) -> float:
    """Probability of high proficiency by the comparison of (7) instead of the linear head.

    Args:
        z: z_0 [W]; others: z'_0 [M, W] of clips of the same task; labels: their labels [M], 0 or 1.
        scale: the model's `contrast_scale`.
    """
    alike = 1 / (1 + np.exp(-np.clip(scale * (others @ z), -60, 60)))
    return float(np.where(labels == 1, alike, 1 - alike).mean())
