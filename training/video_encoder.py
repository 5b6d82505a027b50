"""Train the mini video encoder from scratch on rendered drills.

    encoder, report = train_video_encoder(drills, VideoEncoderSettings(), seed=0)

A small TimeSformer learns activity, level, region polarities, the body's pose frame by frame and
whether a film is a rendering at all. The heads are dropped afterwards, the encoder is frozen, and
its in-distribution test is fitted on performers that it has not seen. Pose, and the patches that
hold the joints, are what makes this work in minutes: clip labels say too little of where to look.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from assistant.errors import PoiseError
from assistant.video.encoder import VideoEncoder
from data_prep.drills.records import Drill
from training.precision import autocast
from training.video_heads import TrainingHeads
from training.video_report import fit_and_report
from training.video_windows import Windows, foreign_films, render_windows


@dataclass(frozen=True)
class VideoEncoderSettings:
    """One run of training and the shape of the encoder. All faults are reported at once.

    Attributes:
        frames, image_size, patch_size: of the films.
        hidden_size, layers, heads, intermediate_size: of the TimeSformer. Patches of 16 cost a
            quarter of patches of 8, and in minutes the number of films seen decides.
        clips: at most so many drills are rendered, two views each.
        held_out_share: performers kept for the report and the in-distribution test.
        foreign_share: share of a batch replaced by films that are no renderings.
        pose_weight, place_weight, region_weight, foreign_weight: of the auxiliary losses.
        workers: rendering processes.
    """

    frames: int = 8
    image_size: int = 64
    patch_size: int = 16
    hidden_size: int = 96
    layers: int = 3
    heads: int = 3
    intermediate_size: int = 192
    clips: int = 2000
    steps: int = 1600
    batch_size: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    warmup_share: float = 0.1
    held_out_share: float = 0.12
    foreign_share: float = 0.15
    pose_weight: float = 2.0
    place_weight: float = 2.0
    region_weight: float = 1.0
    foreign_weight: float = 0.5
    bf16: bool = True
    workers: int = 1

    def __post_init__(self) -> None:
        faults = []
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, bool):
                continue
            if isinstance(value, int) and value < 1:
                faults.append(f"{item.name} {value}, expected at least 1")
            if isinstance(value, float) and value < 0:
                faults.append(f"{item.name} {value}, expected at least 0")
        if not 0 < self.held_out_share < 1:
            faults.append(f"held_out_share {self.held_out_share}, expected between 0 and 1")
        if not 0 <= self.foreign_share < 1:
            faults.append(f"foreign_share {self.foreign_share}, expected 0 to below 1")
        if self.heads >= 1 and self.hidden_size % self.heads:
            faults.append(f"hidden_size {self.hidden_size}, expected a multiple of {self.heads}")
        if self.patch_size >= 1 and self.image_size % self.patch_size:
            faults.append(f"image_size {self.image_size}, expected a multiple of patch_size")
        if faults:
            raise PoiseError("wrong video encoder settings", got="; ".join(faults))


def train_video_encoder(
    drills: Sequence[Drill],
    settings: VideoEncoderSettings | None = None,
    *,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[VideoEncoder, dict[str, float]]:
    """Render, train for fixed steps, fit the in-distribution test, report on unseen performers.

    Args:
        drills: known drills and distractors of at least a few performers.
        settings: shape and run.
        seed: decides everything: the windows, the weights, the batches.
        progress: called with (done, total, text).

    Returns:
        the frozen encoder, and the report: for each view accuracy of activity and level on
        held-out performers beside majority, the share of renderings, and of foreign films, that
        pass the in-distribution test.
    """
    settings = settings if settings is not None else VideoEncoderSettings()
    tell = progress if progress is not None else _silent
    activities = sorted({drill.activity for drill in drills})
    train, held_out = _windows(drills, activities, settings, seed, tell)
    torch.manual_seed(seed)
    encoder = build_encoder(settings)
    initialise(encoder)
    heads = TrainingHeads(encoder.width, len(activities))
    _optimise(encoder, heads, train, settings, seed, tell)
    encoder.freeze()
    heads.eval()
    report = fit_and_report(encoder, heads, train, held_out, seed)
    return encoder, report


def build_encoder(settings: VideoEncoderSettings) -> VideoEncoder:
    """The untrained TimeSformer of the settings."""
    return VideoEncoder.from_config(
        "timesformer",
        image_size=settings.image_size,
        patch_size=settings.patch_size,
        num_frames=settings.frames,
        hidden_size=settings.hidden_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.intermediate_size,
    )


def initialise(encoder: VideoEncoder) -> None:
    """Weights for learning in a few hundred steps.

    The library's 0.02 everywhere suits width 768 and long training; at width 128 it leaves every
    branch and the position embeddings too weak to matter for the first thousands of steps. Here
    branches keep the variance of their input, and positions are as strong as patches.
    """
    for module in encoder.backbone.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
    embeddings: Any = encoder.backbone.embeddings
    nn.init.normal_(embeddings.position_embeddings, std=0.5)
    nn.init.normal_(embeddings.time_embeddings, std=0.5)


def _silent(done: int, total: int, text: str) -> None:
    """No progress wanted."""


def _windows(
    drills: Sequence[Drill],
    activities: Sequence[str],
    settings: VideoEncoderSettings,
    seed: int,
    tell: Callable[[int, int, str], None],
) -> tuple[Windows, Windows]:
    """Rendered windows of training and of held-out performers."""
    rng = np.random.default_rng([seed, 1])
    chosen = np.sort(rng.permutation(len(drills))[: settings.clips])
    windows = render_windows(
        [drills[i] for i in chosen],
        activities,
        frames=settings.frames,
        size=settings.image_size,
        seed=seed,
        workers=settings.workers,
        progress=lambda done, total: tell(done, total, "clips rendered"),
    )
    performers = rng.permutation(np.unique(windows.participant))
    count = max(round(settings.held_out_share * len(performers)), 1)
    if count >= len(performers):
        raise PoiseError(
            "too few performers", got=str(len(performers)), expected="at least 2 to hold one out"
        )
    kept_out = np.isin(windows.participant, performers[:count])
    return windows.select(np.flatnonzero(~kept_out)), windows.select(np.flatnonzero(kept_out))


def _optimise(
    encoder: VideoEncoder,
    heads: TrainingHeads,
    train: Windows,
    settings: VideoEncoderSettings,
    seed: int,
    tell: Callable[[int, int, str], None],
) -> None:
    """Fixed steps of AdamW, warm-up then cosine."""
    rng = np.random.default_rng([seed, 2])
    parameters = [*encoder.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(
        parameters, settings.learning_rate, weight_decay=settings.weight_decay
    )
    warmup = max(round(settings.warmup_share * settings.steps), 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: (
            min((step + 1) / warmup, 1) * 0.5 * (1 + math.cos(math.pi * step / settings.steps))
        ),
    )
    encoder.train()
    order = np.zeros(0, np.int64)
    for step in range(settings.steps):
        while len(order) < settings.batch_size:
            order = np.concatenate([order, rng.permutation(len(train))])
        rows, order = order[: settings.batch_size], order[settings.batch_size :]
        loss = _loss(encoder, heads, train.select(rows), settings, rng)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        tell(step + 1, settings.steps, f"steps, loss {loss.item():.3f}")


def _loss(
    encoder: VideoEncoder,
    heads: TrainingHeads,
    batch: Windows,
    settings: VideoEncoderSettings,
    rng: np.random.Generator,
) -> Tensor:
    """The weighted sum of all heads' losses on a batch, its first rows made foreign."""
    foreign = round(settings.foreign_share * len(batch))
    films = batch.frames.copy()
    films[:foreign] = foreign_films(films[:foreign], rng)
    pixels = torch.from_numpy(films).permute(0, 1, 4, 2, 3).float() / 255  # [B, T, 3, S, S]
    pixels = encoder.normalise(vary_colours(pixels, rng))
    with autocast(settings.bf16):
        tokens = encoder.tokens(pixels)
    losses = heads.losses(tokens.float(), batch, foreign)
    weights = {
        "regions": settings.region_weight,
        "places": settings.place_weight,
        "pose": settings.pose_weight,
        "rendered": settings.foreign_weight,
    }
    return torch.stack([weights.get(name, 1.0) * loss for name, loss in losses.items()]).sum()


def vary_colours(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Brightness, contrast and tint per film, [B, T, 3, S, S] in 0..1."""
    shape = (len(pixels), 1, 3, 1, 1)
    tint = torch.from_numpy(rng.uniform(0.9, 1.1, shape).astype(np.float32))
    contrast = torch.from_numpy(rng.uniform(0.8, 1.2, (len(pixels), 1, 1, 1, 1)).astype(np.float32))
    light = torch.from_numpy(rng.uniform(-0.08, 0.08, (len(pixels), 1, 1, 1, 1)).astype(np.float32))
    return ((pixels * tint - 0.5) * contrast + 0.5 + light).clamp(0, 1)
