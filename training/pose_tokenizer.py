"""Train the 3D pose tokenizer (`assistant/pose/tokenizer.py`) on clean simulated frames.

Denoising: the encoder sees an augmented body plus joint noise, the decoder must return the body
without the noise. Codebook by exponential moving averages with restart of dead codes; a short
warm-up trains without codes. Steps are fixed, so one seed gives one result.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Final

import numpy as np
import torch
from torch import Tensor

from assistant.errors import PoiseError
from assistant.pose.alignment import pa_mpjpe
from assistant.pose.tokenizer import PoseTokenizer, PoseTokenizerConfig
from assistant.skeleton import (
    LEFT_ANKLE,
    LEFT_ELBOW,
    LEFT_HIP,
    LEFT_WRIST,
    N_JOINTS,
    RIGHT_ANKLE,
    RIGHT_ELBOW,
    RIGHT_HIP,
    RIGHT_WRIST,
)
from training.pose_augmentation import augment
from training.precision import autocast

# Mean length of a 3D normal vector of unit variance per axis: sqrt(8 / pi).
_MEAN_NORM: Final = (8 / np.pi) ** 0.5
# Distal joints are estimated worse; mean 1 over the joints.
_NOISE_PROFILE: Final = {LEFT_ELBOW: 1.1, LEFT_WRIST: 1.7, LEFT_ANKLE: 1.5}


@dataclass(frozen=True)
class PoseTokenizerSettings:
    """One run of training; the architecture is `config`. All faults are reported at once."""

    config: PoseTokenizerConfig = field(default_factory=PoseTokenizerConfig)
    steps: int = 3000
    batch_size: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warmup_share: float = 0.1  # of the steps, without quantisation
    ema_decay: float = 0.97
    restart_every: int = 20
    restart_until: float = 0.7  # of the steps
    commitment: float = 0.25
    noise_mm: float = 25.0  # each body draws its mean joint noise from 0 to this
    bone_spread: float = 0.1
    bend_degrees: float = 18.0
    yaw_degrees: float = 20.0
    tilt_degrees: float = 8.0
    keep: float = 0.4  # share of bodies that are only mirrored
    bf16: bool = True

    def __post_init__(self) -> None:
        faults = []
        for name in ("steps", "batch_size", "restart_every"):
            if getattr(self, name) < 1:
                faults.append(f"{name} {getattr(self, name)}, expected at least 1")
        for name in ("warmup_share", "ema_decay", "restart_until", "keep"):
            if not 0 <= getattr(self, name) <= 1:
                faults.append(f"{name} {getattr(self, name)}, expected 0 to 1")
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, float) and value < 0:
                faults.append(f"{item.name} {value}, expected at least 0")
        if faults:
            raise PoiseError("wrong pose tokenizer settings", got="; ".join(dict.fromkeys(faults)))


def train_pose_tokenizer(
    joints: np.ndarray,
    settings: PoseTokenizerSettings | None = None,
    *,
    seed: int = 0,
    progress: Callable[[int, int, dict[str, float]], None] | None = None,
) -> PoseTokenizer:
    """Train a tokenizer; deterministic for one seed, thread count and machine.

    Args:
        joints: [N, 17, 3] clean root-centred heading-normalised frames in metres.
        settings: architecture and run; the default is the mini's.
        seed: of weights, batches, augmentation and noise.
        progress: called about 50 times with step, steps and the means of `joint_mm`,
            `commitment` and the number of `restarted` codes since the last call.

    Returns:
        The tokenizer in eval mode.

    Raises:
        PoiseError: no frames, or frames of another shape.
    """
    settings = PoseTokenizerSettings() if settings is None else settings
    if joints.ndim != 3 or joints.shape[1:] != (N_JOINTS, 3) or not len(joints):
        raise PoiseError(
            "cannot train a pose tokenizer", got=f"{joints.shape}", expected="[N, 17, 3], N > 0"
        )
    bodies = torch.from_numpy(np.ascontiguousarray(joints, dtype=np.float32))
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = PoseTokenizer(settings.config)
    sample = _batch(bodies, settings, generator, count=min(4096, 4 * len(bodies)))[1]
    tokenizer.mean.copy_(sample.mean(dim=0))
    tokenizer.spread.copy_((sample - tokenizer.mean).pow(2).mean().sqrt().clamp_min(1e-3))
    _fit(tokenizer.train(), bodies, settings, generator, progress)
    return tokenizer.eval()


def _fit(
    tokenizer: PoseTokenizer,
    bodies: Tensor,
    settings: PoseTokenizerSettings,
    generator: torch.Generator,
    progress: Callable[[int, int, dict[str, float]], None] | None,
) -> None:
    optimiser = torch.optim.AdamW(
        tokenizer.parameters(),
        lr=settings.learning_rate,
        betas=(0.9, 0.98),
        weight_decay=settings.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda s: _rate(s, settings.steps))
    warmup = round(settings.warmup_share * settings.steps)
    report_every = max(settings.steps // 50, 1)
    seen: list[tuple[float, float, int]] = []
    for step in range(settings.steps):
        noisy, clean = _batch(bodies, settings, generator)
        with autocast(settings.bf16):
            embeddings = tokenizer.encode(noisy).float()  # [B, M, D]
        restarted = 0
        if step < warmup:
            vectors, commitment = embeddings, embeddings.new_zeros(())
        else:
            vectors, commitment, restarted = _quantise(
                tokenizer, embeddings, settings, generator, step, warmup
            )
        with autocast(settings.bf16):
            decoded = tokenizer.decode(vectors).float()
        error = (decoded - clean).pow(2).sum(dim=-1).add(1e-8).sqrt().mean()  # metres
        loss = error / tokenizer.spread + settings.commitment * commitment
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(tokenizer.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        seen.append((1000 * error.item(), commitment.item(), restarted))
        if progress is not None and ((step + 1) % report_every == 0 or step + 1 == settings.steps):
            joint_mm, commit, moved = (np.mean(column) for column in zip(*seen, strict=True))
            numbers = {"joint_mm": joint_mm, "commitment": commit, "restarted": moved * len(seen)}
            progress(step + 1, settings.steps, {k: float(v) for k, v in numbers.items()})
            seen.clear()


def _quantise(
    tokenizer: PoseTokenizer,
    embeddings: Tensor,
    settings: PoseTokenizerSettings,
    generator: torch.Generator,
    step: int,
    warmup: int,
) -> tuple[Tensor, Tensor, int]:
    """Straight-through vectors [B, M, D], commitment loss and restarted codes; moves the book."""
    book, flat = tokenizer.codebook, embeddings.detach().flatten(0, 1)
    if step == warmup:
        book.start(flat, generator)
    codes, vectors = tokenizer.quantise(embeddings)
    commitment = (embeddings - vectors).pow(2).mean()
    through = embeddings + (vectors - embeddings).detach()
    book.update(flat, codes.flatten(), settings.ema_decay)
    restarted = 0
    due = (step - warmup) % settings.restart_every == settings.restart_every - 1
    if due and step < settings.restart_until * settings.steps:
        restarted = book.restart_dead(flat, generator)
    return through, commitment, restarted


def _rate(step: int, steps: int) -> float:
    """Linear warm-up over 3 % of the steps, then a cosine to 0."""
    rise = max(round(0.03 * steps), 1)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + np.cos(np.pi * (step - rise) / max(steps - rise, 1)))


def noise_profile() -> np.ndarray:
    """Relative joint noise [17], mean 1: wrists and ankles are estimated worst."""
    profile = np.full(N_JOINTS, 0.8)
    profile[[LEFT_HIP, RIGHT_HIP]] = 0.8
    for left, value in _NOISE_PROFILE.items():
        profile[left] = value
    for left, right in (
        (LEFT_ELBOW, RIGHT_ELBOW),
        (LEFT_WRIST, RIGHT_WRIST),
        (LEFT_ANKLE, RIGHT_ANKLE),
    ):
        profile[right] = profile[left]
    return profile / profile.mean()


def _batch(
    bodies: Tensor,
    settings: PoseTokenizerSettings,
    generator: torch.Generator,
    count: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Noisy and clean augmented bodies, [B, 17, 3] each."""
    count = settings.batch_size if count is None else count
    rows = torch.randint(len(bodies), (count,), generator=generator)
    clean = augment(
        bodies[rows],
        generator,
        bone_spread=settings.bone_spread,
        bend_degrees=settings.bend_degrees,
        yaw_degrees=settings.yaw_degrees,
        tilt_degrees=settings.tilt_degrees,
        keep=settings.keep,
    )
    level = torch.rand(count, 1, 1, generator=generator) * (settings.noise_mm / 1000 / _MEAN_NORM)
    profile = torch.from_numpy(noise_profile()).float()[None, :, None]
    noisy = clean + torch.randn(clean.shape, generator=generator) * profile * level
    noisy = noisy - (noisy[:, [LEFT_HIP]] + noisy[:, [RIGHT_HIP]]) / 2
    return noisy, clean


@torch.no_grad()
def reconstruction_errors(
    tokenizer: PoseTokenizer, noisy: np.ndarray, clean: np.ndarray, *, batch_size: int = 8192
) -> dict[str, float]:
    """How far bodies come back from their codes, millimetres, means over frames and joints.

    Args:
        tokenizer: in eval mode.
        noisy: [N, 17, 3] what the encoder sees, root-centred metres.
        clean: [N, 17, 3] the truth.

    Returns:
        `mpjpe_mm` after centring both on the pelvis, `pa_mpjpe_mm` after a similarity per frame,
        the same of the input itself (`input_mpjpe_mm`, `input_pa_mpjpe_mm`) and the number of
        codes in use (`codes_used`).
    """
    parts, used = [], set()
    for rows in torch.from_numpy(np.ascontiguousarray(noisy, np.float32)).split(batch_size):
        codes = tokenizer.tokenise(rows)
        parts.append(tokenizer.decode_codes(codes).numpy())
        used.update(codes.unique().tolist())
    decoded = np.concatenate(parts)
    return {
        "mpjpe_mm": _mpjpe_mm(decoded, clean),
        "pa_mpjpe_mm": float(pa_mpjpe(decoded, clean).mean()),
        "input_mpjpe_mm": _mpjpe_mm(noisy, clean),
        "input_pa_mpjpe_mm": float(pa_mpjpe(noisy, clean).mean()),
        "codes_used": float(len(used)),
    }


def _mpjpe_mm(a: np.ndarray, b: np.ndarray) -> float:
    hips = [LEFT_HIP, RIGHT_HIP]
    difference = (a - a[:, hips].mean(1, keepdims=True)) - (b - b[:, hips].mean(1, keepdims=True))
    return float(np.linalg.norm(difference, axis=-1).mean() * 1000)
