"""Stage 1: from pose features, and ego, exo and gaze streams where there are any, to level,
region polarities and activity.

Frame features [B, T, D] at `PERCEPTION_FPS` go through a dilated residual stack (receptive field
about 2.5 s). Every frame says whether it lies in a repetition and which activity it looks like;
six region poolings and one global pooling, softly restricted to frames inside repetitions, give
the polarities, the activity and the features that the language model reads. The frames are also
the pose sequence of Look Closer's aspect experts and router (`look_closer.py`), which give the
level; the fault heads add theirs to it (`Stage1Config.fault_evidence`).

Padded frames never reach a valid one: they are zeroed before every mixing in time and get no
attention, so a clip alone equals its row in any batch.
"""

from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assistant.errors import PoiseError
from assistant.levels import N_LEVELS
from assistant.proficiency.look_closer import (
    LookCloser,
    LookCloserConfig,
    LookCloserOutput,
    Streams,
)
from prompts.vocabulary import POLARITIES, REGIONS

N_POOLS: Final = len(REGIONS) + 1  # six regions and, last, the whole body
GLOBAL_POOL: Final = len(REGIONS)
# Outside repetitions attention is at most this much weaker (natural log): a soft restriction.
_ACTION_FLOOR: Final = -5.0


@dataclass(frozen=True)
class Stage1Config:
    """Architecture, saved with the weights.

    Attributes:
        features: columns of the frame features.
        activities: names the activity head knows, the drills that can be judged first.
        known: how many of them can be judged.
        faults: names of the faults of the auxiliary head, which is trained on drills.
        fault_evidence: a severity head beside it, and a level head that reads both.
        look_closer: aspect experts and router, whose sequence "pose" is this network's; None:
            the level comes from the poolings alone.
        width: channels; dilations: one residual block each, in frames of 1/15 s.
        mean_values, spread_values: numbers a pooling keeps of weighted mean and deviation.
    """

    features: int
    activities: tuple[str, ...]
    known: int
    faults: tuple[str, ...] = ()
    fault_evidence: bool = False
    width: int = 112
    dilations: tuple[int, ...] = (1, 2, 4, 8, 2)
    mean_values: int = 48
    spread_values: int = 16
    dropout: float = 0.1
    look_closer: LookCloserConfig | None = None

    def __post_init__(self) -> None:
        stored: Any = self.look_closer  # a mapping where it was read from a file
        if isinstance(stored, dict):
            object.__setattr__(self, "look_closer", LookCloserConfig(**stored))
        object.__setattr__(self, "activities", tuple(self.activities))
        object.__setattr__(self, "faults", tuple(self.faults))
        object.__setattr__(self, "dilations", tuple(self.dilations))
        wrong = []
        if not 1 <= self.known <= len(self.activities):
            wrong.append(f"known {self.known}, expected 1..{len(self.activities)}")
        if self.spread_values > self.mean_values:
            wrong.append(f"spread_values {self.spread_values} above mean_values")
        if min(self.features, self.width, *self.dilations) < 1:
            wrong.append("features, width and dilations must be at least 1")
        if self.look_closer is not None and (
            self.look_closer.sizes.get("pose") != self.width
            or "pose" not in self.look_closer.given
            or self.look_closer.activities != self.known
        ):
            wrong.append("look_closer without this network's pose sequence and known activities")
        if wrong:
            raise PoiseError("Stage 1 configuration", got="; ".join(wrong))

    @property
    def known_activities(self) -> tuple[str, ...]:
        """The activities that can be judged."""
        return self.activities[: self.known]

    @property
    def pooled(self) -> int:
        """Numbers per pooled feature."""
        return self.mean_values + self.spread_values


@dataclass
class Stage1Output:
    """What one forward pass says; T frames, A activities, `N_POOLS` poolings (global last)."""

    level: Tensor  # [B, 4] logits
    activity: Tensor  # [B, A] logits
    polarity: Tensor  # [B, 6, 3] logits
    features: Tensor  # [B, 7, pooled]
    action: Tensor  # [B, T] logit: the frame lies in a repetition
    frame_activity: Tensor  # [B, T, A] logits
    attention: Tensor  # [B, 7, T], sums to 1 over valid frames
    faults: Tensor  # [B, n_faults] logits
    severity: Tensor  # [B, n_faults] of a fault if it is there, about 0..1
    look_closer: LookCloserOutput | None = None

    def row(self, index: int, frames: int) -> "Stage1Output":
        """One clip of the batch as a batch of one, without its padding."""
        one = slice(index, index + 1)
        kept: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                kept[name] = value[one]
            elif value is not None:
                kept[name] = LookCloserOutput(**{k: v[one] for k, v in vars(value).items()})
        for name in ("action", "frame_activity"):
            kept[name] = kept[name][:, :frames]
        kept["attention"] = kept["attention"][:, :, :frames]
        return Stage1Output(**kept)


class DilatedBlock(nn.Module):
    """Residual block that mixes frames t - d, t, t + d."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.dilation = dilation
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Linear(3 * width, width)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """x [B, T, W], valid [B, T, 1] 0/1 -> [B, T, W]."""
        frames, d = x.shape[1], self.dilation
        h = self.norm(x) * valid
        wide = F.pad(h, (0, 0, d, d))  # [B, T + 2d, W]
        h = torch.cat([wide[:, :frames], h, wide[:, 2 * d :]], dim=-1)  # [B, T, 3W]
        return x + self.dropout(self.out(F.gelu(self.mix(h))))


class Stage1(nn.Module):
    """The network; standardisation of its input is stored beside the weights."""

    feature_mean: Tensor
    feature_std: Tensor

    def __init__(self, config: Stage1Config) -> None:
        super().__init__()
        self.config = config
        width, pooled = config.width, config.pooled
        self.register_buffer("feature_mean", torch.zeros(config.features))
        self.register_buffer("feature_std", torch.ones(config.features))
        self.stem = nn.Linear(config.features, width)
        self.blocks = nn.ModuleList(
            DilatedBlock(width, dilation, config.dropout) for dilation in config.dilations
        )
        self.norm = nn.LayerNorm(width)
        self.action = nn.Linear(width, 1)
        self.frame_activity = nn.Linear(width, len(config.activities))
        self.attention = nn.Linear(width, N_POOLS)
        self.value = nn.Linear(width, N_POOLS * config.mean_values)
        self.dropout = nn.Dropout(config.dropout)
        self.polarity = nn.ModuleList(nn.Linear(pooled, len(POLARITIES)) for _ in REGIONS)
        self.activity = nn.Linear(pooled, len(config.activities))
        names, flat = len(config.faults), N_POOLS * pooled
        self.faults = nn.Linear(flat, max(names, 1))
        # The level is, above all, how many faults there are and how severe they are.
        read = flat + 2 * names if config.fault_evidence else flat
        if config.fault_evidence:
            self.severity = nn.Linear(flat, max(names, 1))
        if config.fault_evidence or config.look_closer is None:
            self.level = nn.Sequential(
                nn.Linear(read, width), nn.GELU(), nn.Linear(width, N_LEVELS)
            )
        if config.look_closer is not None:
            self.look_closer = LookCloser(config.look_closer)

    def standardise(self, mean: Tensor, std: Tensor) -> None:
        """Set the input statistics [D], [D] of the training frames."""
        self.feature_mean.copy_(mean)
        self.feature_std.copy_(std.clamp_min(1e-3))

    def forward(
        self,
        features: Tensor,
        valid: Tensor,
        streams: Streams | None = None,
        known_activity: Tensor | None = None,
    ) -> Stage1Output:
        """One batch.

        Args:
            features: [B, T, D] of the pose; valid: [B, T] bool with at least one True a row.
            streams: ego, exo and gaze of the clips that have them.
            known_activity: [B] which known activity routes; None takes the most probable one.
        """
        keep = valid.unsqueeze(-1).to(features.dtype)  # [B, T, 1]
        x = (features - self.feature_mean) / self.feature_std * keep
        h = self.stem(x)
        for block in self.blocks:
            h = block(h, keep)
        h = self.norm(h)  # [B, T, W]
        action = self.action(h).squeeze(-1).float()  # [B, T]
        attention = self._attend(h, action, valid)  # [B, 7, T]
        pooled = self._pool(h, attention)  # [B, 7, P]
        flat = self.dropout(pooled.flatten(1))
        regions = [head(pooled[:, i]) for i, head in enumerate(self.polarity)]
        faults, severity, evidence = self._evidence(flat)
        activity = self.activity(pooled[:, GLOBAL_POOL]).float()
        if known_activity is None:
            known_activity = activity[:, : self.config.known].argmax(dim=1)
        looked = self._look_closer(h, valid, streams or {}, known_activity)
        return Stage1Output(
            level=self._level(evidence, looked),
            activity=activity,
            polarity=torch.stack(regions, dim=1).float(),
            features=pooled,
            action=action,
            frame_activity=self.frame_activity(h).float(),
            attention=attention,
            faults=faults,
            severity=severity,
            look_closer=looked,
        )

    def _look_closer(
        self, h: Tensor, valid: Tensor, streams: Streams, known_activity: Tensor
    ) -> LookCloserOutput | None:
        if self.config.look_closer is None:
            return None
        everything: dict[str, tuple[Tensor, Tensor]] = {**streams, "pose": (h, valid)}
        return self.look_closer(everything, known_activity)

    def _level(self, evidence: Tensor, looked: LookCloserOutput | None) -> Tensor:
        """W_o e_bar of Look Closer and, ours, what faults and their severities add: [B, 4]."""
        if looked is None:
            return self.level(evidence).float()
        if not self.config.fault_evidence:
            return looked.level
        return looked.level + self.level(evidence).float()

    def _evidence(self, flat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Fault logits [B, n], severities [B, n] (0 without that head), the level's input."""
        names = len(self.config.faults)
        faults = self.faults(flat).float()[:, :names]
        if not self.config.fault_evidence:
            return faults, torch.zeros_like(faults), flat
        severity, present = self.severity(flat).float()[:, :names], faults.sigmoid()
        return faults, severity, torch.cat([flat, present, present * severity], dim=-1)

    def _attend(self, h: Tensor, action: Tensor, valid: Tensor) -> Tensor:
        """Softmax over valid frames, weaker where the frame is in no repetition: [B, 7, T]."""
        inside = F.logsigmoid(action.detach()).clamp_min(_ACTION_FLOOR)  # [B, T]
        scores = self.attention(h).float() + inside.unsqueeze(-1)  # [B, T, 7]
        scores = scores.masked_fill(~valid.unsqueeze(-1), float("-inf"))
        return scores.softmax(dim=1).transpose(1, 2)

    def _pool(self, h: Tensor, attention: Tensor) -> Tensor:
        """Weighted mean of all values and weighted deviation of the first few: [B, 7, P]."""
        batch, frames, _ = h.shape
        values = F.gelu(self.value(h)).float().view(batch, frames, N_POOLS, -1)  # [B, T, 7, M]
        mean = torch.einsum("bpt,btpm->bpm", attention, values)
        some = values[..., : self.config.spread_values]
        square = torch.einsum("bpt,btpm->bpm", attention, some.square())
        spread = (square - mean[..., : self.config.spread_values].square()).clamp_min(0)
        return torch.cat([mean, (spread + 1e-4).sqrt()], dim=-1)


def heaviest_windows(
    attention: Tensor, fps: float, *, seconds: float = 2.0, count: int = 1
) -> list[tuple[float, float, float]]:
    """Non-overlapping windows with most attention, heaviest first.

    Args:
        attention: [T] weights of one clip without padding, sum 1.
        fps: their rate; seconds: length of a window (the whole clip when that is shorter).
    Returns:
        Up to `count` of (start s, end s, weight in 0..1).
    """
    weights = attention.detach().double().clone()
    size = min(max(round(seconds * fps), 1), len(weights))
    free = torch.ones(len(weights) - size + 1, dtype=torch.bool)
    windows = weights.unfold(0, size, 1).sum(dim=1)  # [T - size + 1]
    found: list[tuple[float, float, float]] = []
    while len(found) < count and free.any():
        first = int(torch.where(free, windows, windows.new_tensor(-1.0)).argmax())
        found.append((first / fps, (first + size) / fps, min(float(windows[first]), 1.0)))
        free[max(first - size + 1, 0) : first + size] = False
    return found
