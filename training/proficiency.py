"""Train Stage 1, the open-set score, the prototypes and the ordinal calibration.

Who sees whom: Stage 1 and the prototypes are fitted on the performers of pool A only;
temperature, CDFs and CORAL on those of pool B; the open-set score on validation performers.
`cross_fit_scores` gives the language model's training clips (pool B) scores that were fitted
without their own performer.

    poise train mini --stage proficiency
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch import Tensor

from assistant.errors import PoiseError
from assistant.pose.normalise import (
    FEATURE_DIM,
    PERCEPTION_FPS,
    ROOT_PRESENT_COLUMN,
    ROOT_VELOCITY_SLICE,
    NormalisedPose,
    frame_features,
    normalise,
)
from assistant.proficiency.activity import OpenSet, auroc, fit_gaussians, fit_score
from assistant.proficiency.assess import (
    Assessment,
    Assessor,
    FrameEncoder,
    embed_frames,
    recrop,
    run_stage1,
)
from assistant.proficiency.coral import Calibration, Form, OrdinalHead, fit_calibration
from assistant.proficiency.pdm import PrototypeBank, action_dynamics
from assistant.proficiency.stage1 import GLOBAL_POOL, Stage1, Stage1Config, Stage1Output
from data_prep.drills.noise import add_pose_noise
from data_prep.drills.records import Drill
from prompts.vocabulary import NEEDS_IMPROVEMENT, REGIONS
from training.proficiency_examples import IGNORE, Disturbance, Example, fault_key, make_example
from training.proficiency_unnamed import UNNAMED, make_unnamed

Progress = Callable[[str], None]
FOLDS: Final = 5
# Clips of pool A that describe it to the open-set score; prototypes use all.
_OPEN_SET_CLIPS: Final = 1200


@dataclass(frozen=True)
class ProficiencySettings:
    """Run settings; the architecture is in `Stage1Config`.

    Attributes:
        width, dilations, dropout: of Stage 1.
        copies: disturbed copies made of each pool-A drill.
        steps: optimiser steps; frames_per_batch: padded frames in a batch.
        learning_rate: peak of a one-cycle schedule; weight_decay: AdamW's.
        ema: decay of the averaged weights that are kept.
        root_drop: share of clips that lose the path over the ground in a step.
        polarity_weight ... where_weight: weights of the losses beside the level's.
        unnamed_share: nameless motions beside pool A and validation, per clip.
        view_noise: millimetres of single-view noise on half of the clips that fit the open set.
        calibration_noise: largest millimetres of slow noise on pool B and validation.
        form: of the ordinal head; c: its inverse L2 strength.
        bf16: autocast; disturbance: how examples are disturbed.
    """

    width: int = 112
    dilations: tuple[int, ...] = (1, 2, 4, 8, 2)
    dropout: float = 0.1
    copies: int = 2
    steps: int = 1400
    frames_per_batch: int = 6000
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    ema: float = 0.995
    root_drop: float = 0.2
    polarity_weight: float = 1.0
    fault_weight: float = 2.0
    activity_weight: float = 0.5
    frame_weight: float = 0.5
    action_weight: float = 0.5
    where_weight: float = 0.05
    unnamed_share: float = 0.1
    view_noise: float = 80.0
    calibration_noise: float = 20.0
    form: Form = "regressions"
    c: float = 0.03
    bf16: bool = True
    disturbance: Disturbance = field(default_factory=Disturbance)

    def __post_init__(self) -> None:
        wrong = [
            f"{name} {getattr(self, name)}"
            for name in ("copies", "steps", "frames_per_batch", "width")
            if getattr(self, name) < 1
        ]
        if wrong:
            raise PoiseError("proficiency settings", got=", ".join(wrong), expected="at least 1")


def train_proficiency(
    pool_a: Sequence[Drill],
    pool_b: Sequence[Drill],
    validation: Sequence[Drill],
    pose_tokenizer: FrameEncoder | None,
    settings: ProficiencySettings,
    seed: int,
    folder: str | Path | None,
    progress: Progress = print,
    known: Sequence[str] | None = None,
) -> tuple[Assessor, dict[str, Any]]:
    """Train all parts from a seed and write them to `folder` (unless None).

    Args:
        pool_a, pool_b, validation: drills with distractors among them; no shared performers.
        pose_tokenizer: embeds frames for the margin of the "pose" stream; None leaves it out.
        known: order of the activities that can be judged; None sorts those with a level.
    Returns:
        The assessor, and metrics on the validation clips.
    Raises:
        PoiseError: when the pools share a performer.
    """
    _check_pools(pool_a, pool_b, validation)
    started = time.monotonic()
    known = known or sorted({d.activity for d in pool_a if d.level is not None})
    others = sorted({d.activity for d in pool_a} - set(known))
    faults = sorted({fault_key(d.activity, f.name) for d in pool_a for f in d.faults})
    unnamed = make_unnamed(pool_a, round(settings.unnamed_share * len(pool_a)), seed + 10)
    config = Stage1Config(
        features=FEATURE_DIM, activities=(*known, *others, UNNAMED), known=len(known),
        faults=tuple(faults),
        width=settings.width, dilations=settings.dilations, dropout=settings.dropout,
    )  # fmt: skip
    examples = make_examples([*pool_a, *unnamed], config, settings, seed)
    progress(f"proficiency: {len(examples)} examples after {time.monotonic() - started:.0f} s")
    stage1 = train_stage1(examples, config, settings, seed, progress)
    assessor = _untuned(stage1, pose_tokenizer)
    noisy_a = noisy_poses(pool_a, settings.calibration_noise, seed + 1)
    if pose_tokenizer is not None:
        assessor.banks = {"pose": fit_bank(pool_a, noisy_a, pose_tokenizer)}
    gaussians = _fit_gaussians(assessor, pool_a, noisy_a)
    odd = make_unnamed(validation, round(settings.unnamed_share * len(validation)), seed + 11)
    mixed = [*validation, *odd]
    assessor.open_set = _fit_open_set(
        assessor, gaussians, mixed, mixed_poses(mixed, settings, seed + 4)
    )
    scored = [d for d in pool_b if d.level is not None]
    calibrate(assessor, scored, noisy_poses(scored, settings.calibration_noise, seed + 3), settings)
    progress(f"proficiency: calibrated after {time.monotonic() - started:.0f} s")
    noisy_v = noisy_poses(mixed, settings.calibration_noise, seed + 2)
    metrics = evaluate_proficiency(assessor, mixed, noisy_v)
    metrics["train_seconds"] = time.monotonic() - started
    if folder is not None:
        assessor.save_pretrained(folder)
    return assessor, metrics


def _check_pools(*pools: Sequence[Drill]) -> None:
    seen: set[str] = set()
    for pool in pools:
        people = {drill.participant_id for drill in pool}
        if seen & people:
            raise PoiseError(
                "pools share performers", got=", ".join(sorted(seen & people)[:3]),
                expected="each performer in one pool, or scores would not be out-of-sample",
            )  # fmt: skip
        seen |= people


def _untuned(stage1: Stage1, encoder: FrameEncoder | None) -> Assessor:
    """An assessor whose open set accepts all and whose calibration says nothing."""
    known, pooled = stage1.config.known, stage1.config.pooled
    eye = np.tile(np.eye(pooled), (known, 1, 1))
    open_set = OpenSet(np.zeros((known, pooled)), eye, np.zeros(2), 0.0, 0.0)
    head = OrdinalHead(np.zeros((3, 7)), np.zeros(3))
    return Assessor(stage1, open_set, {}, Calibration({}, head), 1.0, encoder)


# Stage 1 -----------------------------------------------------------------------------------


def make_examples(
    drills: Sequence[Drill], config: Stage1Config, settings: ProficiencySettings, seed: int
) -> list[Example]:
    """`copies` disturbed examples of every drill, in a fixed order."""
    others = [d for d in drills if d.level is None and d.activity != UNNAMED]
    return [
        make_example(
            drill, np.random.default_rng([seed, copy, i]), settings.disturbance,
            config.activities, config.faults, others,
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
            progress(f"proficiency: step {step} loss {float(loss.detach()):.3f} ({text})")
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
    where: Tensor


def _batches(
    examples: Sequence[Example], settings: ProficiencySettings, rng: np.random.Generator
) -> Any:
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
    stacked = [np.array([getattr(e, name) for e in examples])
               for name in ("activity", "level", "polarity", "faults")]  # fmt: skip
    arrays = [features, valid, action, frame_activity, *stacked, where]
    return _Batch(*(torch.from_numpy(a) for a in arrays))


def _loss(
    net: Stage1, batch: _Batch, settings: ProficiencySettings
) -> tuple[Tensor, dict[str, float]]:
    """The weighted sum of all losses, and each of them as a number."""
    with torch.autocast("cpu", torch.bfloat16, enabled=settings.bf16):
        out = net(batch.features, batch.valid)
    smoothing = settings.label_smoothing
    level = _cross_entropy(out.level, batch.level, smoothing)
    polarity = _cross_entropy(out.polarity.flatten(0, 1), batch.polarity.flatten(), 0.0)
    activity = _cross_entropy(out.activity, batch.activity, smoothing)
    frame = _cross_entropy(out.frame_activity.flatten(0, 1), batch.frame_activity.flatten(), 0.0)
    action = _binary(out.action, batch.action)
    fault = _binary(out.faults, batch.faults)
    where = _attention_loss(out, batch)
    total = (
        level
        + settings.polarity_weight * polarity
        + settings.activity_weight * activity
        + settings.frame_weight * frame
        + settings.action_weight * action
        + settings.fault_weight * fault
        + settings.where_weight * where
    )
    parts = {"level": level, "polarity": polarity, "activity": activity, "frame": frame,
             "action": action, "fault": fault, "where": where}  # fmt: skip
    return total, {k: float(v.detach()) for k, v in parts.items()}


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


def _attention_loss(out: Stage1Output, batch: _Batch) -> Tensor:
    """-log of the attention that a faulty region pays to the frames of its fault."""
    weight = (out.attention[:, :GLOBAL_POOL] * batch.where).sum(dim=-1)  # [B, 6]
    keep = batch.where.any(dim=-1)
    if not keep.any():
        return weight.sum() * 0.0
    return -weight[keep].clamp_min(1e-4).log().mean()


# Prototypes, open set, calibration ---------------------------------------------------------


def noisy_poses(
    drills: Sequence[Drill], largest: float, seed: int, *, fixed: bool = False
) -> list[NormalisedPose]:
    """Each drill's pose with 0 to `largest` mm of slow noise (exactly that when `fixed`)."""
    found = []
    for i, drill in enumerate(drills):
        rng = np.random.default_rng([seed, i])
        amount = largest if fixed else float(rng.uniform(0, largest))
        found.append(normalise(add_pose_noise(drill.pose, rng, millimetres=amount)))
    return found


def mixed_poses(
    drills: Sequence[Drill], settings: ProficiencySettings, seed: int
) -> list[NormalisedPose]:
    """Every other clip as a single view shows it, the rest with slow noise."""
    poses = noisy_poses(drills, settings.calibration_noise, seed)
    poses[1::2] = view_poses(drills[1::2], settings.view_noise, seed)
    return poses


def view_poses(drills: Sequence[Drill], millimetres: float, seed: int) -> list[NormalisedPose]:
    """Each drill's pose with the errors of a single view, centred on the pelvis."""
    return [
        normalise(
            add_pose_noise(
                drill.pose, np.random.default_rng([seed, i]), kind="single_view",
                millimetres=millimetres,
            )
        )
        for i, drill in enumerate(drills)
    ]  # fmt: skip


def fit_bank(
    drills: Sequence[Drill], poses: Sequence[NormalisedPose], encoder: FrameEncoder
) -> PrototypeBank:
    """Prototypes from windows centred on each annotated step of each repetition."""
    dynamics, buckets, levels = [], [], []
    for drill, pose in zip(drills, poses, strict=True):
        if drill.level is None:
            continue
        features = embed_frames(encoder, pose)
        for when, name in action_times(drill):
            dynamics.append(action_dynamics(features, PERCEPTION_FPS, when))
            buckets.append((drill.activity, name))
            levels.append(drill.level)
    return PrototypeBank.fit(np.stack(dynamics), buckets, levels)


def action_times(drill: Drill) -> list[tuple[float, str]]:
    """Middle (s) and name of every run of a step other than set-up and rest."""
    edges = np.flatnonzero(np.diff(drill.steps)) + 1
    starts, ends = [0, *edges], [*edges, len(drill.steps)]
    found = []
    for start, end in zip(starts, ends, strict=True):
        step = int(drill.steps[start])
        if 0 < step < len(drill.step_names) - 1:
            found.append(((start + end - 1) / 2 / drill.pose.fps, drill.step_names[step]))
    return found


def _fit_gaussians(
    assessor: Assessor, drills: Sequence[Drill], poses: Sequence[NormalisedPose]
) -> tuple[np.ndarray, np.ndarray]:
    """Of the pooled features of the known clips of pool A."""
    mine = [(d, p) for d, p in zip(drills, poses, strict=True) if d.level is not None]
    mine = mine[:_OPEN_SET_CLIPS]
    features = pooled_features(assessor, [p for _, p in mine])[1]
    activity = np.array([assessor.activities.index(d.activity) for d, _ in mine])
    return fit_gaussians(features, activity, len(assessor.activities))


def pooled_features(
    assessor: Assessor, poses: Sequence[NormalisedPose]
) -> tuple[np.ndarray, np.ndarray]:
    """Activity logits [N, A] and global pooled feature [N, P] of the clips' active spans."""
    spans = assessor.find_spans(poses)
    cuts = [p if s is None else recrop(p, s) for p, s in zip(poses, spans, strict=True)]
    outputs = run_stage1(assessor.stage1, [frame_features(cut) for cut in cuts])
    logits = np.concatenate([o.activity.double().numpy() for o in outputs])
    return logits, np.concatenate([o.features[:, GLOBAL_POOL].double().numpy() for o in outputs])


def _fit_open_set(
    assessor: Assessor,
    gaussians: tuple[np.ndarray, np.ndarray],
    drills: Sequence[Drill],
    poses: Sequence[NormalisedPose],
) -> OpenSet:
    logits, features = pooled_features(assessor, poses)
    chosen = logits[:, : len(assessor.activities)].argmax(axis=1)
    is_known = np.array([d.level is not None for d in drills])
    return fit_score(logits, features, is_known, *gaussians, chosen)


def calibrate(
    assessor: Assessor,
    drills: Sequence[Drill],
    poses: Sequence[NormalisedPose],
    settings: ProficiencySettings,
) -> None:
    """Fit temperature, CDFs and ordinal head on clips of performers that Stage 1 never saw."""
    assessor.temperature = 1.0
    assessments = _as_named(assessor, drills, poses)
    levels = np.array([d.level for d in drills])
    p = np.stack([a.p_base for a in assessments])
    assessor.temperature = fit_temperature(np.log(np.maximum(p, 1e-12)), levels)
    p_base = _tempered(p, assessor.temperature)
    assessor.calibration = fit_calibration(
        p_base, [a.pdm for a in assessments], [d.activity for d in drills], levels,
        form=settings.form, c=settings.c,
    )  # fmt: skip


def _as_named(
    assessor: Assessor, drills: Sequence[Drill], poses: Sequence[NormalisedPose]
) -> list[Assessment]:
    """Assessments with the true activity given, in the order of the drills."""
    found: dict[int, Assessment] = {}
    for activity in assessor.activities:
        mine = [i for i, d in enumerate(drills) if d.activity == activity]
        for i, a in zip(mine, assessor.assess_many([poses[i] for i in mine], activity=activity),
                        strict=True):  # fmt: skip
            found[i] = a
    return [found[i] for i in range(len(drills))]


def fit_temperature(logits: np.ndarray, levels: np.ndarray) -> float:
    """T that minimises the cross-entropy of softmax(logits / T), logits [N, 4]."""

    def loss(log_t: float) -> float:
        return float(-np.log(_tempered(np.exp(logits), np.exp(log_t))[
            np.arange(len(levels)), levels].clip(1e-12)).mean())  # fmt: skip

    return float(np.exp(minimize_scalar(loss, bounds=(-2, 2.5), method="bounded").x))


def _tempered(p: np.ndarray, temperature: float) -> np.ndarray:
    logits = np.log(np.maximum(p, 1e-12)) / temperature
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_fit_scores(
    assessor: Assessor,
    drills: Sequence[Drill],
    poses: Sequence[NormalisedPose] | None = None,
    *,
    form: Form = "regressions",
    c: float = 0.03,
) -> list[Assessment]:
    """Assess pool-B clips with u and q fitted on the other four fifths of their performers.

    Args:
        drills: clips with a level, of performers that Stage 1 has not seen.
        poses: what is assessed of each clip (noise added); None takes the clean pose.
    Returns:
        One assessment a clip; score_vector(), regions and features are out-of-sample.
    """
    if poses is None:
        poses = [normalise(drill.pose) for drill in drills]
    assessments = _as_named(assessor, drills, poses)
    fold = folds_by_participant([d.participant_id for d in drills])
    p_base = np.stack([a.p_base for a in assessments])
    pdm = [a.pdm for a in assessments]
    activity = [d.activity for d in drills]
    levels = np.array([d.level for d in drills])
    found: list[Assessment | None] = [None] * len(drills)
    for k in range(FOLDS):
        rest, mine = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        fitted = fit_calibration(
            p_base[rest], [pdm[i] for i in rest], [activity[i] for i in rest], levels[rest],
            form=form, c=c,
        )  # fmt: skip
        for i in mine:
            u = fitted.normal_scores(pdm[i], activity[i])
            q = fitted.cumulative(p_base[i : i + 1], [u])[0]
            found[i] = replace(assessments[i], u={s: u.get(s) for s in pdm[i]}, q=q)
    return [a for a in found if a is not None]


def folds_by_participant(participants: Sequence[str]) -> np.ndarray:
    """[N] fold 0..4 of each clip; all clips of a performer share one."""
    people = sorted(set(participants))
    if len(people) < FOLDS:
        raise PoiseError("cross-fit", got=f"{len(people)} performers", expected=f"{FOLDS} or more")
    number = {name: i % FOLDS for i, name in enumerate(people)}
    return np.array([number[p] for p in participants])


# Metrics -----------------------------------------------------------------------------------


def evaluate_proficiency(
    assessor: Assessor, drills: Sequence[Drill], poses: Sequence[NormalisedPose]
) -> dict[str, Any]:
    """Level, region, activity and open-set figures of clips that nothing was trained on."""
    assessments = assessor.assess_many(poses)
    known = np.array([d.level is not None for d in drills])
    score = np.array([a.known_score for a in assessments])
    judged = np.array([a.judged for a in assessments])
    named = np.array([a.activity == d.activity for a, d in zip(assessments, drills, strict=True)])
    pairs = [(a, d) for a, d in zip(assessments, drills, strict=True) if d.level is not None]
    metrics: dict[str, Any] = {"n": len(drills), "n_known": len(pairs)}
    metrics |= level_metrics([a for a, _ in pairs], [d.level for _, d in pairs])
    metrics["fault_region_f1"] = fault_region_f1(pairs)
    metrics["activity_accuracy"] = float(named[known].mean())
    metrics["known_judged"] = float((judged & named)[known].mean())
    if (~known).any():
        metrics["unknown_refused"] = float((~judged)[~known].mean())
        metrics["auroc"] = auroc(score, known)
        kinds = np.array([_kind(d) for d in drills])
        metrics["auroc_by_distractor"] = {
            str(name): auroc(score[known | (kinds == name)], known[known | (kinds == name)])
            for name in sorted(set(kinds[~known]))
        }
    return metrics


def _kind(drill: Drill) -> str:
    """The activity; of a nameless motion how it was made."""
    return drill.step_names[0] if drill.activity == UNNAMED else drill.activity


def level_metrics(
    assessments: Sequence[Assessment], levels: Sequence[int | None]
) -> dict[str, float]:
    """Accuracy of p_base and CORAL, CORAL's mean absolute error, the majority's accuracy."""
    truth = np.array(levels, dtype=int)
    base = np.array([a.p_base.argmax() for a in assessments])
    coral = np.array([a.level_probabilities.argmax() for a in assessments])
    return {
        "level_accuracy": float((base == truth).mean()),
        "coral_accuracy": float((coral == truth).mean()),
        "level_mae": float(np.abs(base - truth).mean()),
        "coral_mae": float(np.abs(coral - truth).mean()),
        "level_majority": float(np.bincount(truth).max() / len(truth)),
    }


def fault_region_f1(pairs: Sequence[tuple[Assessment, Drill]]) -> float:
    """Micro-F1 of the regions that need improvement."""
    said = np.array([a.regions.argmax(axis=1) == NEEDS_IMPROVEMENT for a, _ in pairs])
    truth = np.array([[d.regions[r] == NEEDS_IMPROVEMENT for r in REGIONS] for _, d in pairs])
    hits = (said & truth).sum()
    return float(2 * hits / max(said.sum() + truth.sum(), 1))


def by_condition(
    assessor: Assessor, drills: Sequence[Drill], seed: int
) -> Mapping[str, dict[str, Any]]:
    """The metrics with clean poses, 15 mm of slow noise, and the noise of a single view."""
    return {
        "clean": evaluate_proficiency(assessor, drills, [normalise(d.pose) for d in drills]),
        "slow_15mm": evaluate_proficiency(
            assessor, drills, noisy_poses(drills, 15.0, seed, fixed=True)
        ),
        "single_view_60mm": evaluate_proficiency(assessor, drills, view_poses(drills, 60.0, seed)),
    }
