"""Losses of the Sparse Skill Extractor, equations (7) to (11).

(7) and (8) are printed without their minus sign; these are the negatives, to be minimised.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from assistant.proficiency.sparse_skill import SkillOutput, SparseSkillConfig

TARGET_RATIO = 0.5  # mu, section 3.4


def pair_loss(product: Tensor, same: Tensor) -> Tensor:
    """-log sigma(p) where the labels agree, else -log(1 - sigma(p)); any shape."""
    return -torch.where(same, F.logsigmoid(product), F.logsigmoid(-product))


def global_loss(z: Tensor, other: Tensor, same: Tensor, scale: float = 1.0) -> Tensor:
    """(7): z_0 and z'_0 [B, W], same [B] bool -> mean over the batch."""
    return pair_loss(scale * (z * other).sum(-1), same).mean()


def local_loss(z: Tensor, other: Tensor, keep: Tensor, same: Tensor, scale: float = 1.0) -> Tensor:
    """(8): z_i and z'_i [B, N, W], the query's D [B, N]; a clip that keeps nothing adds 0."""
    each = pair_loss(scale * (z * other).sum(-1), same.unsqueeze(1))  # [B, N]
    return ((each * keep).sum(1) / keep.sum(1).clamp_min(1)).mean()


def ratio_loss(keep: Tensor, valid: Tensor, target: float = TARGET_RATIO) -> Tensor:
    """(9): squared distance of the kept share from mu; padding is no token."""
    share = keep.sum(1) / valid.sum(1).clamp_min(1)
    return (target - share).square().mean()


def class_loss(logit: Tensor, label: Tensor) -> Tensor:
    """(10): binary cross-entropy; logit and label [B]."""
    return F.binary_cross_entropy_with_logits(logit, label.to(logit.dtype))


def skill_losses(
    config: SparseSkillConfig,
    query: SkillOutput,
    other: SkillOutput,
    valid: Tensor,
    label: Tensor,
    other_label: Tensor,
    target: float = TARGET_RATIO,
) -> dict[str, Tensor]:
    """The summands of (11) that the variant has; padding [B, N] is False in `valid`."""
    losses = {"class": class_loss(query.logit, label)}
    if config.variant in ("no_contrastive", "late_fusion"):
        return losses
    same, scale = label == other_label, config.contrast_scale
    losses["global"] = global_loss(query.z_global, other.z_global, same, scale)
    if config.variant != "no_local":
        losses["local"] = local_loss(query.z_local, other.z_local, query.keep, same, scale)
    if config.sparse:
        losses["ratio"] = ratio_loss(query.keep, valid, target)
    return losses
