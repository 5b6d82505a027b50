"""From the features of the perception models to rows that the language model reads.

One row per view for video (`AttentiveGatedProjector` or `MlpProjector`, ProfVLM section 3.3), one
per frame for pose, one per pooled feature for Stage 1.
"""

import torch
from torch import nn

from assistant.model.configuration_poise import PoiseConfig

# Added to every spread: a feature that never changes stays small instead of growing without bound.
SMALLEST_SPREAD = 1e-3


class AdaptiveNorm(nn.Module):
    """Zero mean and unit variance over features, then a learned scale and shift.

    This is the statistical alignment to the embedding space of ProfVLM section 3.3; scale starts at
    the spread of the language model's embeddings.
    """

    def __init__(self, size: int, scale: float = 0.02) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((size,), scale))
        self.shift = nn.Parameter(torch.zeros(size))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        centred = rows - rows.mean(-1, keepdim=True)
        return (
            centred * torch.rsqrt(rows.var(-1, keepdim=True, unbiased=False) + 1e-6) * (self.scale)
            + self.shift
        )


class InputNorm(nn.Module):
    """Features in units of their spread over the training clips; mean 0 and spread 1 until fitted.

    What tells clips apart is a small part of a raw feature: without this, rows of different clips
    look alike to the language model, which then learns to read them late (docs/decisions.md).
    """

    mean: torch.Tensor
    spread: torch.Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("spread", torch.ones(size))

    @torch.no_grad()
    def fit(self, rows: torch.Tensor) -> None:
        """Take mean and spread of rows [N, size]."""
        self.mean.copy_(rows.mean(0))
        self.spread.copy_(rows.std(0) + SMALLEST_SPREAD)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """[..., size] -> [..., size]."""
        return (rows - self.mean) / self.spread


class AttentiveGatedProjector(nn.Module):
    """AGP: per-view norm, cross-view attention, gated feed-forward, projection, alignment.

    ProfVLM section 3.3; with width 768, hidden 1024 and language width 576 it has 3.74 M parameters
    without and 4.79 M with the gate. Views that are absent are masked out of the attention, so that
    any non-empty subset of views works.
    """

    def __init__(self, config: PoiseConfig) -> None:
        super().__init__()
        width, hidden = config.video_size, config.projector_hidden
        out = config.text_config.hidden_size
        self.fused = config.projector_fused
        self.view_norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, config.projector_heads, batch_first=True)
        self.hidden = nn.Linear(width, hidden)
        self.gate = nn.Linear(hidden, hidden) if config.projector_gating else None
        self.project = nn.Linear(hidden, out)
        self.align = AdaptiveNorm(out) if config.projector_norm else None

    def forward(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """[B, V, width] and a view mask [B, V] -> rows [B, V, out] ([B, 1, out] when fused).

        Rows of absent views are meaningless and must be dropped by the caller.
        """
        views = self.view_norm(features)  # [B, V, width]
        # A sample without any view still needs one key, or the softmax would be over nothing.
        hidden_views = ~mask & mask.any(1, keepdim=True)
        mixed, _ = self.attention(
            views, views, views, key_padding_mask=hidden_views, need_weights=False
        )
        mixed = mixed + views
        if self.fused:
            weight = mask.to(mixed.dtype).unsqueeze(-1)
            mixed = (mixed * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
        inner = nn.functional.gelu(self.hidden(mixed))  # [B, V, hidden]
        if self.gate is not None:
            inner = inner * torch.sigmoid(self.gate(inner))
        rows = self.project(inner)
        return rows if self.align is None else self.align(rows)


class MlpProjector(nn.Module):
    """The plain variant: each view through two linear layers of the language model's width."""

    def __init__(self, config: PoiseConfig) -> None:
        super().__init__()
        out = config.text_config.hidden_size
        self.fused = config.projector_fused
        self.layers = nn.Sequential(
            nn.Linear(config.video_size, out), nn.GELU(), nn.Linear(out, out)
        )

    def forward(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """[B, V, width] and a view mask [B, V] -> rows [B, V, out] ([B, 1, out] when fused)."""
        if self.fused:
            weight = mask.to(features.dtype).unsqueeze(-1)
            features = (features * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(
                min=1
            )
        return self.layers(features)


def build_projector(config: PoiseConfig) -> nn.Module:
    """The video projector that the configuration names."""
    return {"agp": AttentiveGatedProjector, "mlp": MlpProjector}[config.projector](config)


class FeatureMapper(nn.Module):
    """A two-layer MLP from one feature row to one embedding row, aligned like AGP's output.

    Maps pose frames (ExpertAF's pose mapper), pooled Stage-1 features and, in `numeric_token`, the
    score vectors.
    """

    def __init__(self, size: int, hidden: int, out: int) -> None:
        super().__init__()
        self.inputs = InputNorm(size)
        self.layers = nn.Sequential(
            nn.LayerNorm(size), nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, out)
        )
        self.align = AdaptiveNorm(out)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """[..., size] -> [..., out]."""
        return self.align(self.layers(self.inputs(rows)))
