"""Sparse Skill Extractor: high or low proficiency from weak labels, and the moments that decide.

Segments of any feature sequence (PCT embeddings per frame, video patch means) are pooled to one
token each; a transformer of two layers with a [cls] token drops tokens between them, equations (1)
to (6) of the paper, and a linear head on z_0 says the probability of high proficiency. The losses
are in `training/sparse_skill_losses.py`, training in `training/sparse_skill.py`; `skill_reading.py`
judges one clip, `moments.py` makes moments of it.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from assistant.errors import PoiseError
from assistant.proficiency.segments import SegmentPlan

# The model and the ablation rows of Table 2.
VARIANTS: Final = ("full", "non_sparse", "no_local", "no_contrastive", "late_fusion")
ROLLOUTS: Final = ("a2_a1", "a1_a2")
CONFIG_NAME: Final = "sparse_skill.json"
WEIGHTS_NAME: Final = "sparse_skill.safetensors"


@dataclass(frozen=True)
class SparseSkillConfig:
    """Architecture, saved with the weights.

    Attributes:
        features: columns of the feature sequence.
        variant: "full"; "non_sparse", every token is compared; "no_local", and no local loss;
            "no_contrastive", classification alone; "late_fusion", summed logits of the segments.
        width: d; heads: of both layers.
        dropout: in the layers, ours.
        rollout: "a2_a1", or "a1_a2" as the paper prints it.
        contrast_scale: factor on the products in (7) and (8); the paper has 1.
        plan: how clips are cut.
    """

    features: int
    variant: str = "full"
    width: int = 64
    heads: int = 4
    dropout: float = 0.1
    rollout: str = "a2_a1"
    contrast_scale: float = 0.125
    plan: SegmentPlan = field(default_factory=SegmentPlan)

    def __post_init__(self) -> None:
        wrong = []
        for name, known in (("variant", VARIANTS), ("rollout", ROLLOUTS)):
            if getattr(self, name) not in known:
                wrong.append(f"{name} {getattr(self, name)!r}, expected {', '.join(known)}")
        if min(self.features, self.width, self.heads) < 1 or self.width % (2 * self.heads):
            wrong.append("features, width, heads at least 1, width a multiple of twice the heads")
        if not 0 <= self.dropout < 1 or self.contrast_scale <= 0:
            wrong.append("dropout in 0..1 and contrast_scale above 0")
        if wrong:
            raise PoiseError("sparse skill configuration", got="; ".join(wrong))

    @classmethod
    def paper(cls, variant: str = "full") -> "SparseSkillConfig":
        """What the paper prints (section 3.4): V-JEPA ViT-L/16 tokens (1024), raw products, the
        printed order of the rollout. Heads, N, K and f are not printed; these are ours."""
        return cls(1024, variant, 1024, 16, 0.0, "a1_a2", 1.0, SegmentPlan(32, 16, 4))

    @property
    def sparse(self) -> bool:
        """Whether tokens are dropped."""
        return self.variant == "full"


@dataclass
class SkillOutput:
    """One forward pass over N segments; late fusion gives the logit alone (the rest is empty)."""

    logit: Tensor  # [B] of high proficiency
    z_global: Tensor  # z_0 [B, W]
    z_local: Tensor  # z_1..z_N [B, N, W]
    keep: Tensor  # [B, N], 1 kept, 0 dropped or padding
    importance: Tensor  # [B, N] attention rollout from [cls]


def masked_attention(scores: Tensor, keep: Tensor, valid: Tensor) -> Tensor:
    """Equations (5) and (6), rows that sum to 1.

    Args:
        scores: P of (4) [B, H, T, T], token 0 is [cls].
        keep: [B, T] the decision mask, 1 at [cls].
        valid: [B, T] bool, False at padding, which no token reads.
    """
    loop = torch.eye(scores.shape[-1], dtype=scores.dtype, device=scores.device)
    graph = loop + (1 - loop) * keep[:, None, None, :]  # (5)
    graph = graph * valid[:, None, None, :]
    largest = scores.masked_fill(~valid[:, None, None, :], float("-inf")).amax(-1, keepdim=True)
    # Padding is cleared before exp, so that no infinite number is multiplied by zero.
    weights = (scores - largest).masked_fill(~valid[:, None, None, :], 0).exp() * graph
    return weights / weights.sum(-1, keepdim=True).clamp_min(1e-12)  # (6)


def attention_rollout(first: Tensor, second: Tensor, order: str = "a2_a1") -> Tensor:
    """Importance of each segment [B, N] from both layers' attention [B, H, N + 1, N + 1].

    Heads are averaged; row 0 is what flows into [cls]. Layers act one after the other, so the flow
    is A2 A1; the paper prints A1 A2 (section 3.1), which `order` "a1_a2" gives.
    """
    a1, a2 = first.mean(dim=1), second.mean(dim=1)
    flow = a2 @ a1 if order == "a2_a1" else a1 @ a2
    return flow[:, 0, 1:]


class SegmentPooling(nn.Module):
    """Attentive pooling (section 3.4): one learned query over the frames, added back, an MLP, a
    LayerNorm."""

    def __init__(self, c: SparseSkillConfig) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(c.width) * 0.02)
        self.attention = nn.MultiheadAttention(
            c.width, c.heads, kdim=c.features, vdim=c.features, batch_first=True
        )
        self.mlp = _mlp(c.width, c.width, c.width)
        self.norm = nn.LayerNorm(c.width)

    def forward(self, frames: Tensor) -> Tensor:
        """[B, N, K, F] -> [B, N, W]."""
        flat = frames.flatten(0, 1)  # [B * N, K, F]
        query = self.query.expand(len(flat), 1, -1)
        read, _ = self.attention(query, flat, flat, need_weights=False)
        pooled = self.norm(self.mlp(query + read)).squeeze(1)
        return pooled.unflatten(0, frames.shape[:2])


class MaskedLayer(nn.Module):
    """A pre-norm transformer layer with the attention of (4) to (6)."""

    def __init__(self, c: SparseSkillConfig) -> None:
        super().__init__()
        self.heads = c.heads
        self.norm = nn.LayerNorm(c.width)
        self.qkv = nn.Linear(c.width, 3 * c.width)
        self.out = nn.Linear(c.width, c.width)
        self.mlp_norm = nn.LayerNorm(c.width)
        self.mlp = _mlp(c.width, 4 * c.width, c.width)
        self.dropout = nn.Dropout(c.dropout)

    def forward(self, x: Tensor, keep: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, T, W], keep and valid [B, T] -> x and A [B, H, T, T]."""
        heads = self.qkv(self.norm(x)).unflatten(-1, (3, self.heads, -1))  # [B, T, 3, H, W / H]
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        attention = masked_attention(q @ k.mT / k.shape[-1] ** 0.5, keep, valid)  # (4)
        x = x + self.dropout(self.out((attention @ v).transpose(1, 2).flatten(2)))
        return x + self.dropout(self.mlp(self.mlp_norm(x))), attention


class TokenSparsifier(nn.Module):
    """Which tokens stay: equations (1) to (3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = _mlp(width, width, width // 2)
        self.decide = _mlp(2 * (width // 2), width, 2)

    def probabilities(self, tokens: Tensor, valid: Tensor) -> Tensor:
        """Tokens [B, N, W] without [cls], valid [B, N] -> pi [B, N, 2]; index 1 is "keep"."""
        local = self.embed(tokens)
        weight = valid.to(local.dtype).unsqueeze(-1)
        mean = (local * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp_min(1)
        u = torch.cat([local, mean.expand_as(local)], dim=-1)  # (1)
        return self.decide(u).softmax(-1)  # (2)

    def forward(self, tokens: Tensor, valid: Tensor) -> Tensor:
        """D [B, N] of 0 and 1: drawn in training, straight-through (3); the likelier otherwise."""
        pi = self.probabilities(tokens, valid)
        if self.training:
            keep = F.gumbel_softmax(pi.clamp_min(1e-9).log(), hard=True)[..., 1]  # (3)
        else:
            keep = (pi[..., 1] >= pi[..., 0]).to(pi.dtype)
        return keep * valid


class SparseSkillExtractor(nn.Module):
    """The model of one `SparseSkillConfig`, late fusion included."""

    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self, config: SparseSkillConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.register_buffer("feature_mean", torch.zeros(config.features))
        self.register_buffer("feature_std", torch.ones(config.features))
        self.pooling = SegmentPooling(config)
        if config.variant != "late_fusion":
            self.cls = nn.Parameter(torch.randn(width) * 0.02)
            self.first, self.second = MaskedLayer(config), MaskedLayer(config)
            self.z = _mlp(width, width, width)
        if config.sparse:
            self.sparsifier = TokenSparsifier(width)
        self.head = nn.Linear(width, 1)

    def forward(self, segments: Tensor, valid: Tensor) -> SkillOutput:
        """Segments [B, N, K, F]; valid [B, N] bool, False at padding.

        Raises:
            PoiseError: features of another width.
        """
        if segments.shape[-1] != self.config.features:
            raise PoiseError(
                "features of another kind than the skill model was trained on",
                got=f"{segments.shape[-1]} columns",
                expected=str(self.config.features),
            )
        segments = (segments - self.feature_mean) / self.feature_std
        x = self.pooling(segments.masked_fill(~valid[..., None, None], 0))  # [B, N, W]
        if self.config.variant == "late_fusion":
            logit = (self.head(x).squeeze(-1) * valid).sum(1)
            nothing = x.new_zeros(0)
            return SkillOutput(logit, nothing, nothing, nothing, nothing)
        return self._transform(x, valid)

    def _transform(self, x: Tensor, valid: Tensor) -> SkillOutput:
        """Two layers with [cls], tokens dropped between them."""
        x = x + _positions(valid, x.shape[-1]).to(x.dtype)
        x = torch.cat([self.cls.expand(len(x), 1, -1), x], dim=1)  # [B, 1 + N, W]
        present = F.pad(valid, (1, 0), value=True)
        everything = present.to(x.dtype)
        w1, a1 = self.first(x, everything, present)
        keep = self.sparsifier(w1[:, 1:], valid) if self.config.sparse else everything[:, 1:]
        w2, a2 = self.second(w1, F.pad(keep, (1, 0), value=1.0), present)
        z_global = self.z(w2[:, 0])
        # The label alone must not shape z_0 where the contrast does.
        alone = self.config.variant == "no_contrastive"
        logit = self.head(z_global if alone else z_global.detach()).squeeze(-1)
        rollout = attention_rollout(a1, a2, self.config.rollout)
        return SkillOutput(logit, z_global, w2[:, 1:], keep, rollout)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write configuration and weights into `folder` (made when missing)."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self.config), indent=2) + "\n"
        (folder / CONFIG_NAME).write_text(text, "utf-8")
        save_file({k: v.contiguous() for k, v in self.state_dict().items()}, folder / WEIGHTS_NAME)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "SparseSkillExtractor":
        """Read what `save_pretrained` wrote; in eval mode.

        Raises:
            PoiseError: a file is missing, or configuration and weights do not fit.
        """
        folder = Path(folder)
        if not all((folder / name).is_file() for name in (CONFIG_NAME, WEIGHTS_NAME)):
            raise PoiseError(
                f"no skill model in {folder}",
                expected=f"{CONFIG_NAME} and {WEIGHTS_NAME}",
                remedy="train one with `poise train mini --stage sparse_skill`",
            )
        try:
            raw: dict[str, Any] = json.loads((folder / CONFIG_NAME).read_text("utf-8"))
            model = cls(SparseSkillConfig(**raw | {"plan": SegmentPlan(**raw["plan"])}))
            model.load_state_dict(load_file(folder / WEIGHTS_NAME))
        except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as fault:
            raise PoiseError(f"the skill model in {folder} is broken", got=str(fault)) from fault
        return model.eval()


def _positions(valid: Tensor, width: int) -> Tensor:
    """Sines of the segments' share of the clip [B, N, W]: the pairing maps shares, so do these."""
    count = valid.sum(1, keepdim=True).clamp_min(1)
    share = (torch.arange(valid.shape[1], device=valid.device) + 0.5) / count  # [B, N]
    waves = 2.0 ** torch.linspace(-1, 5, width // 2, device=valid.device) * torch.pi
    angles = share.unsqueeze(-1) * waves
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def _mlp(width: int, inner: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, out))
