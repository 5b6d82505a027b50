"""Train Stage 1 on disturbed examples: batches, losses, averaged weights."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from assistant.pose.normalise import FEATURE_DIM, ROOT_PRESENT_COLUMN, ROOT_VELOCITY_SLICE
from assistant.proficiency.aspects import ASPECTS, activity_prior
from assistant.proficiency.look_closer import LookCloserOutput
from assistant.proficiency.stage1 import GLOBAL_POOL, Stage1, Stage1Config, Stage1Output
from assistant.proficiency.stage1_run import StreamArrays, pad_streams
from assistant.proficiency.streams import Streams
from data_prep.drills.records import Drill
from prompts.vocabulary import REGIONS
from training.precision import autocast
from training.proficiency.examples import IGNORE, Example, make_example
from training.proficiency.look_closer import aspect_loss, consistency_loss, router_loss
from training.proficiency.settings import ProficiencySettings
from training.proficiency.unnamed import UNNAMED

Progress = Callable[[str], None]


def make_examples(
    drills: Sequence[Drill],
    config: Stage1Config,
    settings: ProficiencySettings,
    seed: int,
    streams: Mapping[str, Streams] | None = None,
) -> list[Example]:
    """`copies` disturbed examples of every drill, in a fixed order.

    Args:
        streams: by sample id what there is beside the pose.
    """
    streams = streams or {}
    others = [d for d in drills if d.level is None and d.activity != UNNAMED]
    return [
        make_example(
            drill, np.random.default_rng([seed, copy, i]), settings.disturbance,
            config.activities, config.faults, others, streams.get(drill.sample_id),
        )
        for copy in range(settings.copies)
        for i, drill in enumerate(drills)
    ]  # fmt: skip


def train_stage1(
    examples: Sequence[Example],
    config: Stage1Config,
    settings: ProficiencySettings,
    seed: int,
    progress: Progress,
) -> Stage1:
    """A fixed number of steps; the exponential average of the weights, in eval mode."""
    torch.manual_seed(seed)
    net = Stage1(config)
    frames = torch.from_numpy(np.concatenate([e.features for e in examples]))
    net.standardise(*_statistics(frames))
    if config.look_closer is not None:
        net.look_closer.set_prior(_prior(examples, config))
    averaged = {k: v.detach().clone() for k, v in net.state_dict().items()}
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.steps, pct_start=0.1
    )
    batches = _batches(examples, settings, np.random.default_rng(seed))
    net.train()
    for step in range(settings.steps):
        loss, parts = _loss(net, next(batches), settings)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        _average(averaged, net, min(settings.ema, (1 + step) / (10 + step)))
        if step % 200 == 0 or step == settings.steps - 1:
            text = " ".join(f"{k} {v:.3f}" for k, v in parts.items())
            progress(f"step {step} loss {float(loss.detach()):.3f} ({text})")
    net.load_state_dict(averaged)
    return net.eval()


def _statistics(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of [N, D]; the path's columns over the frames that have one."""
    mean, std = frames.mean(dim=0), frames.std(dim=0)
    columns = slice(ROOT_PRESENT_COLUMN + 1, ROOT_VELOCITY_SLICE.stop)
    placed = frames[frames[:, ROOT_PRESENT_COLUMN] > 0, columns]
    if len(placed) > 1:
        mean[columns], std[columns] = 0.0, placed.std(dim=0)
    return mean, std


def _prior(examples: Sequence[Example], config: Stage1Config) -> np.ndarray:
    """pi [known, branches] from the pseudo-labels that hold whole."""
    assert config.look_closer is not None
    labelled = [e for e in examples if (e.aspects != IGNORE).all()]
    places = [list(ASPECTS).index(a) for a in config.look_closer.branches]
    labels = np.array([e.aspects[places] for e in labelled])
    return activity_prior(labels, [e.activity for e in labelled], config.known)


@torch.no_grad()
def _average(averaged: dict[str, Tensor], net: Stage1, decay: float) -> None:
    for key, value in net.state_dict().items():
        averaged[key].lerp_(value, 1 - decay)


@dataclass
class _Batch:
    features: Tensor
    valid: Tensor
    action: Tensor
    frame_activity: Tensor
    activity: Tensor
    level: Tensor
    polarity: Tensor
    faults: Tensor
    severity: Tensor
    aspects: Tensor
    where: Tensor
    streams: dict[str, tuple[Tensor, Tensor]]


def _batches(
    examples: Sequence[Example], settings: ProficiencySettings, rng: np.random.Generator
) -> Iterator[_Batch]:
    """Endless batches of similar length, shuffled anew in every pass."""
    lengths = np.array([len(e.features) for e in examples])
    while True:
        order = np.argsort(lengths * rng.uniform(0.85, 1.15, len(lengths)))
        groups: list[list[int]] = []
        group: list[int] = []
        longest = 0
        for i in order:
            longest = max(longest, lengths[i])
            if group and longest * (len(group) + 1) > settings.frames_per_batch:
                groups.append(group)
                group, longest = [], lengths[i]
            group.append(i)
        groups.append(group)
        for index in rng.permutation(len(groups)):
            yield _collate([examples[i] for i in groups[index]], settings, rng)


def _collate(
    examples: Sequence[Example], settings: ProficiencySettings, rng: np.random.Generator
) -> _Batch:
    longest = max(len(e.features) for e in examples)
    count = len(examples)
    features = np.zeros((count, longest, FEATURE_DIM), dtype=np.float32)
    valid = np.zeros((count, longest), dtype=bool)
    action = np.full((count, longest), IGNORE)
    frame_activity = np.full((count, longest), IGNORE)
    where = np.zeros((count, len(REGIONS), longest), dtype=bool)
    for row, example in enumerate(examples):
        frames = len(example.features)
        features[row, :frames] = example.features
        if rng.random() < settings.root_drop:
            features[row, :, ROOT_PRESENT_COLUMN : ROOT_VELOCITY_SLICE.stop] = 0
        valid[row, :frames] = True
        action[row, :frames] = example.action
        frame_activity[row, :frames] = example.frame_activity
        where[row, :, :frames] = example.where
    kept = [_some(e.streams, settings.stream_dropout, rng) for e in examples]
    arrays = {"features": features, "valid": valid, "action": action, "where": where,
              "frame_activity": frame_activity}  # fmt: skip
    for name in ("activity", "level", "polarity", "faults", "severity", "aspects"):
        arrays[name] = np.array([getattr(e, name) for e in examples])
    tensors: dict[str, Any] = {name: torch.from_numpy(a) for name, a in arrays.items()}
    return _Batch(**tensors, streams=pad_streams(kept))


def _some(streams: StreamArrays, dropout: float, rng: np.random.Generator) -> StreamArrays:
    """The streams without a random share of them; the pose always stays."""
    return {name: values for name, values in streams.items() if rng.random() >= dropout}


def _loss(
    net: Stage1, batch: _Batch, settings: ProficiencySettings
) -> tuple[Tensor, dict[str, float]]:
    """The weighted sum of all losses, and each of them as a number."""
    routed = batch.activity.clamp(max=net.config.known - 1)  # those of distractors do not count
    with autocast(settings.bf16):
        out = net(batch.features, batch.valid, batch.streams, routed)
    smoothing = settings.label_smoothing
    level = _cross_entropy(out.level, batch.level, smoothing)
    polarity = _cross_entropy(out.polarity.flatten(0, 1), batch.polarity.flatten(), 0.0)
    activity = _cross_entropy(out.activity, batch.activity, smoothing)
    frame = _cross_entropy(out.frame_activity.flatten(0, 1), batch.frame_activity.flatten(), 0.0)
    action = _binary(out.action, batch.action)
    fault = _binary(out.faults, batch.faults)
    severity = _severity_loss(out, batch)
    where = _attention_loss(out, batch)
    total = (
        level
        + settings.polarity_weight * polarity
        + settings.activity_weight * activity
        + settings.frame_weight * frame
        + settings.action_weight * action
        + settings.fault_weight * fault
        + settings.severity_weight * severity
        + settings.where_weight * where
    )
    parts = {"level": level, "polarity": polarity, "activity": activity, "frame": frame,
             "action": action, "fault": fault, "severity": severity,
             "where": where}  # fmt: skip
    if out.look_closer is not None:
        known = (batch.activity < net.config.known).nonzero().squeeze(1)
        looked = LookCloserOutput(**{k: v[known] for k, v in vars(out.look_closer).items()})
        parts["aspect"] = aspect_loss(looked, _branch_labels(net, batch.aspects[known]))
        parts["router"] = router_loss(looked, batch.activity[known])
        parts["consistency"] = consistency_loss(looked, batch.level[known])
        total = (
            total
            + settings.aspect_weight * parts["aspect"]
            + settings.router_weight * parts["router"]
            + settings.consistency_weight * parts["consistency"]
        )
    return total, {k: float(v.detach()) for k, v in parts.items()}


def _branch_labels(net: Stage1, aspects: Tensor) -> Tensor:
    """Pseudo-labels [B, 4] of all aspects -> [B, R] of the network's branches."""
    assert net.config.look_closer is not None
    return aspects[:, [list(ASPECTS).index(a) for a in net.config.look_closer.branches]]


def _cross_entropy(logits: Tensor, target: Tensor, smoothing: float) -> Tensor:
    """Mean over the targets that hold; 0 where none does."""
    keep = target != IGNORE
    if not keep.any():
        return logits.sum() * 0.0
    return F.cross_entropy(logits[keep], target[keep], label_smoothing=smoothing)


def _binary(logits: Tensor, target: Tensor) -> Tensor:
    keep = target != IGNORE
    if not keep.any():
        return logits.sum() * 0.0
    return F.binary_cross_entropy_with_logits(logits[keep], target[keep].float())


def _severity_loss(out: Stage1Output, batch: _Batch) -> Tensor:
    """Mean squared error of the severity of the faults that are there."""
    there = batch.faults == 1
    if not there.any():
        return out.severity.sum() * 0.0
    return F.mse_loss(out.severity[there], batch.severity[there])


def _attention_loss(out: Stage1Output, batch: _Batch) -> Tensor:
    """-log of the attention that a faulty region pays to the frames of its fault."""
    weight = (out.attention[:, :GLOBAL_POOL] * batch.where).sum(dim=-1)  # [B, 6]
    keep = batch.where.any(dim=-1)
    if not keep.any():
        return weight.sum() * 0.0
    return -weight[keep].clamp_min(1e-4).log().mean()
