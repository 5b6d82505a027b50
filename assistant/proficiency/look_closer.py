"""Stage 1 of Look Closer (section II-A): temporal encoders, aspect experts, activity-aware router.

Every modality m is a sequence H^m of its own rate: a temporal Transformer for ego, exo and pose, a
GRU for gaze. An aspect a reads the sequences of its modalities one after the other:

    e_a = AttnPool(phi_a([H^m])),  p_a = softmax(W_a e_a)
    w = softmax(f_rtr([E(activity); c]) + log(pi + eps)),  p_base = softmax(W_o sum_a w_a e_a)

Any modality may be missing in any clip: its tokens get no attention, an aspect with none of its
modalities gets no weight. Without `aspects` each modality is a branch of its own, without `router`
the branches of a clip weigh the same: the rows of the paper's Table IV.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assistant.errors import PoiseError
from assistant.levels import N_LEVELS
from assistant.proficiency.aspects import ASPECTS, MODALITIES, branch_table

N_ASPECT_POLARITIES: Final = 3
PRIOR_EPSILON: Final = 1e-6
GAZE_SCALE: Final = 20.0  # degrees
PAPER_PARAMETERS: Final = 5_580_000  # "5.58M", section III-B

# What a clip brings: modality -> frame features [B, T, D] and which frames are there [B, T].
Streams = Mapping[str, tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class LookCloserConfig:
    """Architecture, saved with the weights.

    Attributes:
        sizes: columns of each modality's frame features; modalities that are not named are not
            read.
        activities: how many activities the router knows.
        given: modalities whose sequence comes encoded already (the pose, in the mini).
        width: of sequences and evidence; layers, heads, feedforward: of the Transformers.
        gaze_layers: of the GRU, which is bidirectional.
        router, aspects: see the module.
    """

    sizes: Mapping[str, int]
    activities: int
    given: tuple[str, ...] = ()
    width: int = 64
    layers: int = 1
    heads: int = 4
    feedforward: int = 128
    gaze_layers: int = 1
    router: bool = True
    aspects: bool = True
    dropout: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "given", tuple(self.given))
        wrong = [f"modality {m!r}" for m in (*self.sizes, *self.given) if m not in MODALITIES]
        if not self.sizes:
            wrong.append("no modality")
        if self.width % (2 * self.heads):
            wrong.append(f"width {self.width} with {self.heads} heads")
        if min(self.activities, self.layers, self.gaze_layers, *self.sizes.values(), 1) < 1:
            wrong.append("counts below 1")
        if wrong:
            raise PoiseError(
                "Look Closer configuration", got=", ".join(wrong),
                expected=f"modalities of {', '.join(MODALITIES)}, width a multiple of twice the"
                " heads",
            )  # fmt: skip

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that are read, in the fixed order."""
        return tuple(m for m in MODALITIES if m in self.sizes)

    @property
    def branches(self) -> dict[str, tuple[str, ...]]:
        """Name and modalities of every branch: the aspects with any modality, or the modalities."""
        if not self.aspects:
            return {m: (m,) for m in self.modalities}
        read = {a: tuple(m for m in mine if m in self.sizes) for a, mine in ASPECTS.items()}
        return {aspect: mine for aspect, mine in read.items() if mine}


@dataclass
class LookCloserOutput:
    """One forward pass; R branches."""

    level: Tensor  # [B, 4] logits
    polarity: Tensor  # [B, R, 3] logits: novice-like, unknown, expert-like
    router: Tensor  # [B, R] weights, sum 1 (all 0 where nothing is there)
    prior: Tensor  # [B, R] pi of the activity over the branches that are there, sum 1
    evidence: Tensor  # [B, W] router-weighted
    present: Tensor  # [B, R] bool


class TemporalTransformer(nn.Module):
    """Frame features of one modality -> H [B, T, W]."""

    def __init__(self, features: int, config: LookCloserConfig) -> None:
        super().__init__()
        self.inputs = nn.Sequential(nn.LayerNorm(features), nn.Linear(features, config.width))
        layer = nn.TransformerEncoderLayer(
            config.width, config.heads, config.feedforward, config.dropout, "gelu",
            batch_first=True, norm_first=True,
        )  # fmt: skip
        self.layers = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)

    def forward(self, features: Tensor, valid: Tensor) -> Tensor:
        """[B, T, D], [B, T] -> [B, T, W]; junk where `valid` is false."""
        x = self.inputs(features)
        x = x + time_code(x.shape[1], x.shape[2]).to(x)
        return self.layers(x, src_key_padding_mask=~attendable(valid))


class GazeEncoder(nn.Module):
    """Gaze in degrees -> H [B, T, W] by a bidirectional GRU over angles and their speeds."""

    def __init__(self, features: int, config: LookCloserConfig) -> None:
        super().__init__()
        self.inputs = nn.Linear(2 * features, config.width)
        self.gru = nn.GRU(
            config.width, config.width // 2, config.gaze_layers, batch_first=True,
            bidirectional=True,
        )  # fmt: skip

    def forward(self, features: Tensor, valid: Tensor) -> Tensor:
        """[B, T, D], [B, T] (valid frames first) -> [B, T, W]."""
        features = features / GAZE_SCALE
        speed = F.pad(features[:, 1:] - features[:, :-1], (0, 0, 1, 0))
        x = F.gelu(self.inputs(torch.cat([features, speed], dim=-1)))
        lengths = valid.sum(dim=1).clamp_min(1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(
            x, lengths, batch_first=True, enforce_sorted=False
        )
        out, _ = nn.utils.rnn.pad_packed_sequence(
            self.gru(packed)[0], batch_first=True, total_length=x.shape[1]
        )
        return out


class AspectExpert(nn.Module):
    """One branch: phi_a, attention pooling and the polarity head."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.phi = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout),
            nn.Linear(width, width),
        )  # fmt: skip
        self.query = nn.Linear(width, 1)
        self.polarity = nn.Linear(width, N_ASPECT_POLARITIES)

    def forward(self, tokens: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [B, N, W], [B, N] -> e_a [B, W] (0 without any token), logits [B, 3]."""
        inner = self.phi(tokens)
        evidence = attention_pool(inner, self.query(inner).squeeze(-1), valid)
        return evidence, self.polarity(evidence)


class LookCloser(nn.Module):
    """The network; the prior is a buffer, set from the training commentary."""

    prior: Tensor

    def __init__(self, config: LookCloserConfig) -> None:
        super().__init__()
        self.config = config
        width, branches = config.width, config.branches
        self.encoders = nn.ModuleDict()
        for modality in config.modalities:
            size = config.sizes[modality]
            if modality in config.given:
                self.encoders[modality] = nn.Linear(size, width)
            elif modality == "gaze":
                self.encoders[modality] = GazeEncoder(size, config)
            else:
                self.encoders[modality] = TemporalTransformer(size, config)
        self.kind = nn.Parameter(torch.zeros(len(config.modalities), width))
        self.experts = nn.ModuleDict({a: AspectExpert(width, config.dropout) for a in branches})
        if config.router:
            self.activity = nn.Embedding(config.activities, width)
            self.gate = nn.Sequential(
                nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, len(branches))
            )
        self.out = nn.Linear(width, N_LEVELS)
        equal = torch.full((config.activities, len(branches)), 1 / len(branches))
        self.register_buffer("prior", equal)

    @property
    def n_parameters(self) -> int:
        """Numbers that are learned."""
        return sum(p.numel() for p in self.parameters())

    def set_prior(self, prior: np.ndarray) -> None:
        """Fix pi [activities, branches] (`aspects.activity_prior`); rows are made to sum to 1."""
        rows = torch.from_numpy(np.asarray(prior)).to(self.prior)
        if rows.shape != self.prior.shape:
            raise PoiseError(
                "router prior", got=str(tuple(rows.shape)), expected=str(tuple(self.prior.shape))
            )
        self.prior.copy_(rows / rows.sum(dim=1, keepdim=True))

    def forward(self, streams: Streams, activity: Tensor) -> LookCloserOutput:
        """What the clips bring, and the activity [B] of each.

        A modality that no clip of the batch has may be left out of `streams`.
        """
        mine = [m for m in self.config.modalities if m in streams]
        encoded, valid = {}, {}
        for i, modality in enumerate(self.config.modalities):
            if modality not in mine:
                continue
            features, there = streams[modality]
            features = features.masked_fill(~there.unsqueeze(-1), 0.0)
            encoder = self.encoders[modality]
            known = modality in self.config.given
            hidden = encoder(features) if known else encoder(features, there)
            encoded[modality] = hidden + self.kind[i]  # [B, T, W]
            valid[modality] = there
        batch = len(activity)
        evidence, polarity = [], []
        for name, modalities in self.config.branches.items():
            read = [m for m in modalities if m in encoded]
            if not read:
                evidence.append(self.kind.new_zeros(batch, self.config.width))
                polarity.append(self.kind.new_zeros(batch, N_ASPECT_POLARITIES))
                continue
            tokens = torch.cat([encoded[m] for m in read], dim=1)
            e, p = self.experts[name](tokens, torch.cat([valid[m] for m in read], dim=1))
            evidence.append(e)
            polarity.append(p)
        stacked = torch.stack(evidence, dim=1)  # [B, R, W]
        present = self._present(valid, batch)
        prior = renormalised(self.prior[activity], present)
        weights = self._route(encoded, valid, activity, present)
        fused = (weights.unsqueeze(-1) * stacked).sum(dim=1)
        level = self.out(fused).float()
        return LookCloserOutput(
            level, torch.stack(polarity, dim=1).float(), weights, prior, fused, present
        )

    def _present(self, valid: Mapping[str, Tensor], batch: int) -> Tensor:
        """[B, R]: any modality of the branch has a frame."""
        none = torch.zeros(batch, dtype=torch.bool, device=self.kind.device)
        has = [valid[m].any(dim=1) if m in valid else none for m in self.config.modalities]
        table = torch.from_numpy(branch_table(self.config.branches, self.config.modalities))
        there = torch.stack(has, dim=1)  # [B, M]
        return (there.unsqueeze(1) & table.to(there.device)).any(dim=2)

    def _route(
        self,
        encoded: Mapping[str, Tensor],
        valid: Mapping[str, Tensor],
        activity: Tensor,
        present: Tensor,
    ) -> Tensor:
        """w [B, R], 0 for absent branches."""
        if not self.config.router:
            return renormalised(torch.ones_like(present, dtype=torch.float32), present)
        context = pooled_context(encoded, valid)  # c [B, W]
        gate = self.gate(torch.cat([self.activity(activity), context], dim=-1)).float()
        logits = gate + (self.prior[activity] + PRIOR_EPSILON).log()
        # A large finite number: a row without any branch must not become NaN.
        weights = logits.masked_fill(~present, -1e9).softmax(dim=-1)
        return weights * present


def attention_pool(values: Tensor, scores: Tensor, valid: Tensor) -> Tensor:
    """Softmax-weighted mean of [B, N, W] over the valid of N; 0 where none is valid."""
    weights = scores.float().masked_fill(~valid, -1e9).softmax(dim=1) * valid
    return torch.einsum("bn,bnw->bw", weights.to(values), values)


def pooled_context(encoded: Mapping[str, Tensor], valid: Mapping[str, Tensor]) -> Tensor:
    """The global context c [B, W]: mean over frames, then over the modalities that are there."""
    total, count = torch.zeros(()), torch.zeros(())
    for modality, hidden in encoded.items():
        there = valid[modality].unsqueeze(-1).to(hidden)
        mean = (hidden * there).sum(dim=1) / there.sum(dim=1).clamp_min(1)
        total, count = total + mean, count + there.amax(dim=1)
    return total / count.clamp_min(1)


def renormalised(weights: Tensor, present: Tensor) -> Tensor:
    """[B, R] over what is there, rows sum to 1 (or are all 0)."""
    kept = weights * present
    return kept / kept.sum(dim=1, keepdim=True).clamp_min(PRIOR_EPSILON)


def attendable(valid: Tensor) -> Tensor:
    """`valid` [B, T] with the first frame of empty rows let in: a softmax needs one key."""
    first = torch.zeros_like(valid)
    first[:, 0] = ~valid.any(dim=1)
    return valid | first


def time_code(frames: int, width: int) -> Tensor:
    """Sinusoids [T, W] of the frame's number."""
    place = torch.arange(frames, dtype=torch.float32).unsqueeze(1)
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-np.log(1e4) / width))
    return torch.cat([(place * rate).sin(), (place * rate).cos()], dim=1)
