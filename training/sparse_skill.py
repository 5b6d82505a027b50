"""Stage `sparse_skill`: the Sparse Skill Extractor from weak labels on poses of simulated drills.

It is no part of a whole run and nothing that is shipped reads what it writes. Its features are
those of the run's pose tokenizer (or the frame features of Stage 1):

    cp -r assistant/weights/poise-mini runs/sse
    poise train mini --stage sparse_skill -o runs/sse      # writes runs/sse/work/sparse_skill*

Performers of pool A train, a share of them selects the step, pool B tests. Ablation rows:
`sparse_skill={variants: [full, non_sparse, no_local, no_contrastive, late_fusion], seeds: 3}`.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from assistant.errors import PoiseError
from assistant.perception import POSE_TOKENIZER_FOLDER
from assistant.pose.normalise import PERCEPTION_FPS
from assistant.pose.tokenizer import PoseTokenizer
from assistant.proficiency.segments import SegmentPlan
from assistant.proficiency.skill_reading import SkillReading, comparison_probability, read_skill
from assistant.proficiency.sparse_skill import VARIANTS, SparseSkillConfig, SparseSkillExtractor
from data_prep.drills.records import Drill
from training.progress import Progress
from training.run import WORK, Run, learner_poses
from training.settings import build
from training.sparse_skill_data import Pairs, SkillClips, judged_drills, selecting, skill_clips
from training.sparse_skill_losses import skill_losses
from training.sparse_skill_metrics import binary_f1, by_task, skill_metrics

SPARSE_SKILL = "sparse_skill"
COMPARED = 10  # training clips that each test clip is compared with


@dataclass(frozen=True)
class SparseSkillSettings:
    """Training of the optional stage `sparse_skill`.

    Attributes:
        variants: models to train; the first is saved.
        seeds: trainings of each; the first is saved.
        stream: features of a frame: embeddings of the pose tokenizer, or those of Stage 1.
        label: high proficiency is a level of 2 or 3, or a rating above 4 of 10 as in the paper.
        selection_share: share of the training performers that selects the step.
        every: steps between two selections.
    """

    variants: tuple[str, ...] = ("full",)
    seeds: int = 1
    stream: Literal["pct", "frames"] = "pct"
    label: Literal["level", "rating"] = "level"
    steps: int = 800
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    selection_share: float = 0.2
    every: int = 100
    width: int = 64
    heads: int = 4
    dropout: float = 0.1
    partitions: int = 24
    segment_frames: int = 4
    stride: int = 2

    def __post_init__(self) -> None:
        wrong = [
            f"variant {v!r}, expected {', '.join(VARIANTS)}"
            for v in self.variants
            if v not in VARIANTS
        ]
        if min(self.seeds, self.steps, self.batch_size, self.every) < 1 or self.learning_rate <= 0:
            wrong.append("seeds, steps, batch_size, every at least 1, learning_rate above 0")
        if not 0 < self.selection_share < 1:
            wrong.append(f"selection_share {self.selection_share}, expected within 0..1")
        if wrong:
            raise PoiseError("settings of the sparse skill stage", got="; ".join(wrong))
        self.config(1, self.variants[0])

    def config(self, features: int, variant: str) -> SparseSkillConfig:
        """The architecture of one variant."""
        plan = SegmentPlan(self.partitions, self.segment_frames, self.stride)
        return SparseSkillConfig(features, variant, self.width, self.heads, self.dropout, plan=plan)


def train_sparse_skill(
    train: SkillClips,
    selection: SkillClips,
    config: SparseSkillConfig,
    settings: SparseSkillSettings,
    seed: int,
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
) -> SparseSkillExtractor:
    """The model at the step that does best on the selection clips; the same for a seed.

    Raises:
        PoiseError: a task with a single training clip, which nothing can be compared with.
        FloatingPointError: the loss is no number any more.
    """
    if min(np.unique(train.tasks, return_counts=True)[1], default=0) < 2:
        raise PoiseError("too few clips to compare", expected="2 of each activity or more")
    torch.manual_seed(seed)
    model = SparseSkillExtractor(config)
    rows = torch.from_numpy(np.concatenate(train.features)).float()
    model.feature_mean.copy_(rows.mean(0))
    model.feature_std.copy_(rows.std(0).clamp_min(1e-3))
    optimiser = torch.optim.AdamW(
        model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.steps
    )
    pairs = Pairs(train, config.plan, np.random.default_rng([seed, 1]))
    best, kept = (-1.0, 0.0), copy.deepcopy(model.state_dict())
    for step in range(1, settings.steps + 1):
        losses = _losses(model.train(), pairs, settings.batch_size)
        total = torch.stack(list(losses.values())).sum()  # (11)
        if not torch.isfinite(total):
            raise FloatingPointError(f"loss {float(total)} at step {step}")
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % settings.every == 0 or step == settings.steps:
            found = _selection(model.eval(), selection)
            if found > best:
                best, kept = found, copy.deepcopy(model.state_dict())
        text = ", ".join(f"{name} {value.item():.3f}" for name, value in losses.items())
        progress(step, settings.steps, f"{text}, selection F1 {best[0]:.3f}")
    model.load_state_dict(kept)
    return model.eval()


def _losses(model: SparseSkillExtractor, pairs: Pairs, size: int) -> dict[str, torch.Tensor]:
    """Both halves of the pairs in one pass; only the queries are classified."""
    segments, valid, labels = pairs.batch(size)
    out = model(segments, valid)
    query, other = copy.copy(out), copy.copy(out)
    for name, value in vars(out).items():
        setattr(query, name, value[:size])
        setattr(other, name, value[size:])
    return skill_losses(model.config, query, other, valid[:size], labels[:size], labels[size:])


def _selection(model: SparseSkillExtractor, clips: SkillClips) -> tuple[float, float]:
    """F1, and of equal ones the lower loss; weak labels are all that it reads."""
    said = np.array([r.probability for r in read_all(model, clips.features, draws=2)])
    truth = clips.labels == 1
    likelihood = np.log(np.where(truth, said, 1 - said).clip(1e-6)).mean()
    return binary_f1(said >= 0.5, truth), float(likelihood)


def read_all(
    model: SparseSkillExtractor, features: Sequence[np.ndarray], *, draws: int = 10
) -> list[SkillReading]:
    """Every clip judged, each with its own seed."""
    return [read_skill(model, f, draws=draws, seed=i) for i, f in enumerate(features)]


def evaluate(
    model: SparseSkillExtractor, train: SkillClips, test: SkillClips, drills: Sequence[Drill]
) -> dict[str, float]:
    """Figures of test clips, and the ranking by comparison with 10 training clips of the task."""
    readings = read_all(model, test.features)
    figures = skill_metrics(drills, test.labels, readings, PERCEPTION_FPS)
    if model.config.variant == "late_fusion":
        return figures
    rng = np.random.default_rng(0)
    compared = np.zeros(len(drills))
    for task in np.unique(test.tasks):
        members = np.flatnonzero(train.tasks == task)
        chosen = np.sort(rng.choice(members, min(COMPARED, len(members)), replace=False))
        others = [r.z_global.mean(0) for r in read_all(model, [train.features[i] for i in chosen])]
        for i in np.flatnonzero(test.tasks == task):
            compared[i] = comparison_probability(
                readings[i].z_global.mean(0),
                np.stack(others),
                train.labels[chosen],
                model.config.contrast_scale,
            )
    rating = np.array([d.rating for d in drills], dtype=float)
    return figures | {"spearman_by_comparison": by_task(compared, rating, test.tasks)}


def sparse_skill_stage(run: Run) -> None:
    """Train every variant with every seed, save the first, write `work/sparse_skill.json`."""
    settings: SparseSkillSettings = build(SparseSkillSettings, run.recipe.sparse_skill)
    seed, progress = run.recipe.seed, Progress(SPARSE_SKILL)
    tokenizer = None
    if settings.stream == "pct":
        tokenizer = PoseTokenizer.from_pretrained(run.folder / POSE_TOKENIZER_FOLDER)
    drills, test_drills = (judged_drills(run.pool(name)) for name in ("perception", "language"))
    clips, test = (
        skill_clips(some, learner_poses(some, seed + k), settings.label, tokenizer)
        for k, some in ((21, drills), (22, test_drills))
    )
    selects = selecting(drills, settings.selection_share)
    train, selection = clips.subset(~selects), clips.subset(selects)
    progress.say(f"{len(train.labels)} clips train, {len(test.labels)} test")
    rows: dict[str, list[dict[str, float]]] = {}
    for variant in settings.variants:
        config = settings.config(clips.features[0].shape[1], variant)
        for k in range(settings.seeds):
            model = train_sparse_skill(
                train, selection, config, settings, seed + k, progress.advance
            )
            rows.setdefault(variant, []).append(evaluate(model, train, test, test_drills))
            progress.say(f"{variant} seed {seed + k}: {rows[variant][-1]}")
            if (variant, k) == (settings.variants[0], 0):
                model.save_pretrained(run.folder / WORK / SPARSE_SKILL)
    run.write_metrics(SPARSE_SKILL, {"label": settings.label, "stream": settings.stream, **rows})
