"""What supervises the video encoder in training: heads on its tokens, and their losses."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from assistant.levels import N_LEVELS
from assistant.skeleton import N_JOINTS
from prompts.vocabulary import POLARITIES, REGIONS
from training.video_windows import IGNORE, Windows

POSE_SCALE = 0.3  # metres; joints are predicted in this unit


class TrainingHeads(nn.Module):
    """What the encoder is supervised by; dropped afterwards."""

    def __init__(self, width: int, activities: int) -> None:
        super().__init__()
        self.activity = nn.Linear(width, activities)
        self.level = nn.Linear(width, N_LEVELS)
        self.regions = nn.Linear(width, len(REGIONS) * len(POLARITIES))
        self.rendered = nn.Linear(width, 1)
        self.places = nn.Linear(width, N_JOINTS)
        self.pose = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, N_JOINTS * 3)
        )

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        """Predictions from patch tokens [B, T, P, D]."""
        steps = tokens.mean(dim=2)  # [B, T, D]
        pooled = steps.mean(dim=1)  # [B, D]
        return {
            "activity": self.activity(pooled),
            "level": self.level(pooled),
            "regions": self.regions(pooled).unflatten(-1, (len(REGIONS), len(POLARITIES))),
            "rendered": self.rendered(pooled)[:, 0],
            "places": self.places(tokens),  # [B, T, P, 17], which patch holds a joint
            "pose": self.pose(steps).unflatten(-1, (N_JOINTS, 3)),
        }

    def losses(self, tokens: Tensor, batch: Windows, foreign: int) -> dict[str, Tensor]:
        """One loss a head, from patch tokens [B, T, P, D]; the first `foreign` rows are no
        renderings and teach only that."""
        said = self(tokens)
        rendered = (torch.arange(len(batch)) >= foreign).float()
        own = slice(foreign, None)
        level, polarity, activity, joints, places = (
            torch.from_numpy(value[own])
            for value in (batch.level, batch.polarity, batch.activity, batch.joints, batch.places)
        )
        patches = patch_of(places, tokens.shape[2])
        return {
            "activity": functional.cross_entropy(said["activity"][own], activity),
            "level": masked_cross_entropy(said["level"][own], level),
            "regions": masked_cross_entropy(said["regions"][own].flatten(0, 1), polarity.flatten()),
            "places": masked_cross_entropy(
                said["places"][own].transpose(2, 3).flatten(0, 2), patches.flatten()
            ),
            "pose": functional.smooth_l1_loss(said["pose"][own], joints / POSE_SCALE),
            "rendered": functional.binary_cross_entropy_with_logits(said["rendered"], rendered),
        }


def masked_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over the targets that are not IGNORE; 0 where there are none."""
    total = functional.cross_entropy(logits, target, ignore_index=IGNORE, reduction="sum")
    return total / (target != IGNORE).sum().clamp(min=1)


def patch_of(places: Tensor, patches: int) -> Tensor:
    """The patch that holds each joint, row by row: places [..., 2] in 0..1 -> [...] int64, IGNORE
    outside the picture."""
    side = math.isqrt(patches)
    cell = torch.floor(places * side).long()
    inside = ((cell >= 0) & (cell < side)).all(dim=-1)
    return torch.where(inside, cell[..., 1] * side + cell[..., 0], IGNORE)
