"""The losses of Look Closer's Stage 1 (section II-A, L_mul.CE) and its training on cached streams.

L = L_cls + lambda_asp L_asp + lambda_rtr L_rtr + lambda_con L_con
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from assistant.errors import PoiseError
from assistant.proficiency.aspects import ASPECTS, EXPERT_LIKE, NOVICE_LIKE, activity_prior
from assistant.proficiency.look_closer import LookCloser, LookCloserConfig, LookCloserOutput
from assistant.proficiency.pdm import LOWEST_HIGH_LEVEL
from training.precision import autocast

IGNORE: Final = -100
# section III-A
PAPER_WEIGHTS: Final = {"aspect": 0.5, "router": 0.01, "consistency": 0.1}


@dataclass(frozen=True)
class LookCloserSettings:
    """How Stage 1 is trained; the defaults are the paper's (section III-A).

    Attributes:
        epochs: passes over the clips (not printed in the paper).
        learning_rate, weight_decay: of AdamW; clip: largest gradient norm.
        aspect, router, consistency: lambda_asp, lambda_rtr, lambda_con.
        modality_dropout: share of the modalities of a clip that a step leaves out, never all.
        bf16: mixed precision.
    """

    epochs: int = 20
    batch_size: int = 8
    learning_rate: float = 2e-4
    weight_decay: float = 1e-4
    clip: float = 1.0
    aspect: float = PAPER_WEIGHTS["aspect"]
    router: float = PAPER_WEIGHTS["router"]
    consistency: float = PAPER_WEIGHTS["consistency"]
    modality_dropout: float = 0.0
    bf16: bool = True


@dataclass(frozen=True)
class StreamClip:
    """One clip as cached streams.

    Attributes:
        streams: modality -> frame features [T, D]; absent ones are not there.
        activity: index; level: 0..3; aspects: [4] pseudo-labels or IGNORE.
        participant: who performs.
    """

    streams: Mapping[str, np.ndarray]
    activity: int
    level: int
    participant: str
    aspects: np.ndarray = field(default_factory=lambda: np.full(len(ASPECTS), IGNORE))


def collate(
    clips: Sequence[StreamClip], modalities: Sequence[str]
) -> tuple[dict[str, tuple[Tensor, Tensor]], Tensor]:
    """Zero-padded streams with their masks, and the activities [B]."""
    streams = {}
    for modality in modalities:
        having = [clip.streams[modality] for clip in clips if modality in clip.streams]
        if not having:
            continue
        longest = max(len(x) for x in having)
        values = torch.zeros(len(clips), longest, having[0].shape[1])
        valid = torch.zeros(len(clips), longest, dtype=torch.bool)
        for row, clip in enumerate(clips):
            if modality in clip.streams:
                x = clip.streams[modality]
                values[row, : len(x)] = torch.from_numpy(np.asarray(x, dtype=np.float32))
                valid[row, : len(x)] = True
        streams[modality] = (values, valid)
    return streams, torch.tensor([clip.activity for clip in clips])


def aspect_loss(out: LookCloserOutput, labels: Tensor) -> Tensor:
    """L_asp: cross-entropy of the polarities [B, R, 3] where a pseudo-label [B, R] holds and the
    branch is there."""
    keep = (labels != IGNORE) & out.present
    if not keep.any():
        return out.polarity.sum() * 0.0
    return F.cross_entropy(out.polarity[keep], labels[keep])


def router_loss(out: LookCloserOutput, activity: Tensor) -> Tensor:
    """L_rtr: KL(mean router weight || pi), activity by activity, weighted by its clips."""
    total = out.router.sum() * 0.0
    for index in activity.unique():
        mine = (activity == index) & out.present.any(dim=1)
        if not mine.any():
            continue
        mean, prior = out.router[mine].mean(dim=0), out.prior[mine].mean(dim=0)
        used = mean > 0
        divergence = (mean[used] * (mean[used].log() - prior[used].clamp_min(1e-12).log())).sum()
        total = total + divergence * mine.sum() / len(activity)
    return total


def consistency_loss(out: LookCloserOutput, level: Tensor) -> Tensor:
    """L_con: cross-entropy of the router-weighted (expert-like - novice-like) polarity, from -1..1
    to a probability, against 1{y >= 2}."""
    keep = (level != IGNORE) & out.present.any(dim=1)
    if not keep.any():
        return out.polarity.sum() * 0.0
    p = out.polarity.softmax(dim=-1)
    margin = (out.router * (p[..., EXPERT_LIKE] - p[..., NOVICE_LIKE])).sum(dim=1)  # [B]
    chance = ((1 + margin) / 2).clamp(1e-4, 1 - 1e-4)
    high = (level >= LOWEST_HIGH_LEVEL).to(chance)
    return F.binary_cross_entropy(chance[keep], high[keep])


def look_closer_losses(
    out: LookCloserOutput, activity: Tensor, level: Tensor, aspects: Tensor
) -> dict[str, Tensor]:
    """All four terms, unweighted; without aspect experts only the class's and the router's."""
    keep = level != IGNORE
    level_loss = (
        F.cross_entropy(out.level[keep], level[keep]) if keep.any() else out.level.sum() * 0
    )
    losses = {"class": level_loss, "router": router_loss(out, activity)}
    if aspects.shape[1] == out.polarity.shape[1]:
        losses["aspect"] = aspect_loss(out, aspects)
        losses["consistency"] = consistency_loss(out, level)
    return losses


def train_look_closer(
    clips: Sequence[StreamClip],
    config: LookCloserConfig,
    settings: LookCloserSettings,
    seed: int,
    progress: Callable[[str], None],
) -> LookCloser:
    """A fixed number of epochs from a seed; in eval mode.

    Raises:
        PoiseError: clips without any modality that the network reads.
    """
    empty = sum(not any(m in c.streams for m in config.modalities) for c in clips)
    if empty or not clips:
        raise PoiseError(
            "Stage 1 of Look Closer", got=f"{empty} of {len(clips)} clips without its modalities",
            expected=f"at least one of {', '.join(config.modalities)} in each",
        )  # fmt: skip
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = LookCloser(config)
    if config.aspects:
        net.set_prior(aspect_prior(clips, config))
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    net.train()
    for epoch in range(settings.epochs):
        sums: dict[str, float] = {}
        batches = list(_batches(len(clips), settings.batch_size, rng))
        for rows in batches:
            batch = [_dropped(clips[i], config, settings, rng) for i in rows]
            for name, value in _step(net, optimiser, batch, settings).items():
                sums[name] = sums.get(name, 0.0) + value / len(batches)
        progress(f"epoch {epoch + 1} " + " ".join(f"{k} {v:.3f}" for k, v in sums.items()))
    return net.eval()


def aspect_prior(clips: Sequence[StreamClip], config: LookCloserConfig) -> np.ndarray:
    """pi [activities, branches] of the training clips that have pseudo-labels."""
    labelled = [c for c in clips if (c.aspects != IGNORE).all()]
    places = [list(ASPECTS).index(a) for a in config.branches]
    labels = np.array([c.aspects for c in labelled], dtype=int).reshape(-1, len(ASPECTS))
    return activity_prior(labels[:, places], [c.activity for c in labelled], config.activities)


def _step(
    net: LookCloser,
    optimiser: torch.optim.Optimizer,
    batch: Sequence[StreamClip],
    settings: LookCloserSettings,
) -> dict[str, float]:
    streams, activity = collate(batch, net.config.modalities)
    level = torch.tensor([clip.level for clip in batch])
    places = [list(ASPECTS).index(a) for a in net.config.branches] if net.config.aspects else []
    aspects = torch.from_numpy(np.stack([clip.aspects[places] for clip in batch])).long()
    with autocast(settings.bf16):
        out = net(streams, activity)
    losses = look_closer_losses(out, activity, level, aspects)
    total = losses["class"] + settings.router * losses["router"]
    if "aspect" in losses:
        total = total + settings.aspect * losses["aspect"]
        total = total + settings.consistency * losses["consistency"]
    optimiser.zero_grad(set_to_none=True)
    total.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), settings.clip)
    optimiser.step()
    return {name: float(value.detach()) for name, value in losses.items()}


def _batches(count: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    order = rng.permutation(count)
    for start in range(0, count, size):
        yield order[start : start + size]


def _dropped(
    clip: StreamClip, config: LookCloserConfig, settings: LookCloserSettings,
    rng: np.random.Generator,
) -> StreamClip:  # fmt: skip
    """The clip without a random part of its modalities; one always stays."""
    mine = [m for m in config.modalities if m in clip.streams]
    if settings.modality_dropout <= 0 or len(mine) < 2:
        return clip
    keep = [m for m in mine if rng.random() >= settings.modality_dropout]
    keep = keep or [mine[int(rng.integers(len(mine)))]]
    return replace(clip, streams={m: clip.streams[m] for m in keep})


@torch.inference_mode()
def predict(net: LookCloser, clips: Sequence[StreamClip], batch_size: int = 64) -> np.ndarray:
    """p_base [N, 4] of clips."""
    rows = []
    for start in range(0, len(clips), batch_size):
        out = net(*collate(clips[start : start + batch_size], net.config.modalities))
        rows.append(out.level.double().softmax(dim=-1))
    return torch.cat(rows).numpy()
