"""Stage `sparse_skill`: the Sparse Skill Extractor from weak labels on poses of simulated drills.

Its features are those of the run's pose tokenizer (or the frame features of Stage 1), of clips cut
to their repetitions. It writes the model to `sparse_skill/` of the run, where the proficiency stage
and coaching find it, and its figures to `work/sparse_skill.json`:

    cp -r assistant/weights/poise-mini runs/sse
    poise train mini --stage sparse_skill -o runs/sse
    poise train mini --stage sparse_skill sparse_skill.variant=no_local seed=1 -o runs/sse

Performers of pool A train, a share of them selects the step, pool B tests; where the run has a
Stage 1, its attention and the skill model's are compared on validation performers.
"""

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from assistant.errors import PoiseError
from assistant.perception import (
    POSE_TOKENIZER_FOLDER,
    PROFICIENCY_FOLDER,
    SPARSE_SKILL_FOLDER,
    VIDEO_ENCODER_FOLDER,
)
from assistant.pose.normalise import PERCEPTION_FPS
from assistant.pose.tokenizer import PoseTokenizer
from assistant.proficiency.assess import Assessor
from assistant.proficiency.moments import frame_weights
from assistant.proficiency.segments import SegmentPlan
from assistant.proficiency.skill_reading import SkillReading, comparison_probability, read_skill
from assistant.proficiency.sparse_skill import VARIANTS, SparseSkillConfig, SparseSkillExtractor
from assistant.proficiency.streams import VIDEO_FPS
from assistant.video.encoder import VideoEncoder
from data_prep.drills.records import Drill
from training.moment_figures import moment_figures
from training.progress import Progress
from training.run import Run, learner_poses
from training.settings import build
from training.sparse_skill_data import (
    Pairs,
    SkillClips,
    ego_features,
    judged_drills,
    pose_features,
    selecting,
    weak_label,
)
from training.sparse_skill_losses import TARGET_RATIO, skill_losses
from training.sparse_skill_metrics import (
    binary_f1,
    by_task,
    clip_steps,
    error_table,
    skill_metrics,
)
from training.streams import action_span


@dataclass(frozen=True)
class SparseSkillSettings:
    """Training of the stage `sparse_skill`.

    Attributes:
        variant: the model, or a row of the paper's Table 2.
        stream: features of a frame: embeddings of the pose tokenizer, those of Stage 1, or means of
            the video encoder's tokens of the ego view. Coaching reads moments by "pct" alone.
        label: high proficiency is a rating above 4 of 10 where there is one, as in the paper, or a
            level of 2 or 3.
        highest_low_rating: of 10, for the label "rating".
        fewest_clips: a task of fewer is left out.
        selection_share: share of the training performers that selects the step.
        every: steps between two selections.
        test_clips: of pool B, at most.
        target_ratio: mu, share of the segments that is kept.
        comparisons: training clips that each test clip is compared with.
        rollout, contrast_scale and the rest: see `SparseSkillConfig` and `SegmentPlan`.
    """

    variant: str = "full"
    stream: Literal["pct", "frames", "ego"] = "pct"
    label: Literal["level", "rating"] = "rating"
    highest_low_rating: int = 4
    fewest_clips: int = 10
    steps: int = 400
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    selection_share: float = 0.2
    every: int = 100
    test_clips: int = 960
    width: int = 64
    heads: int = 4
    dropout: float = 0.1
    partitions: int = 24
    segment_frames: int = 4
    stride: int = 2
    target_ratio: float = TARGET_RATIO
    comparisons: int = 10
    rollout: str = "a2_a1"
    contrast_scale: float = 0.125

    def __post_init__(self) -> None:
        wrong = []
        if self.variant not in VARIANTS:
            wrong.append(f"variant {self.variant!r}, expected {', '.join(VARIANTS)}")
        counts = ("steps", "batch_size", "every", "test_clips", "comparisons")
        if min(getattr(self, name) for name in counts) < 1 or self.learning_rate <= 0:
            wrong.append(f"{', '.join(counts)} at least 1, learning_rate above 0")
        for name in ("selection_share", "target_ratio"):
            if not 0 < getattr(self, name) < 1:
                wrong.append(f"{name} {getattr(self, name)}, expected within 0..1")
        if wrong:
            raise PoiseError("settings of the sparse skill stage", got="; ".join(wrong))
        self.config(1)

    def config(self, features: int) -> SparseSkillConfig:
        """The architecture for features of this many columns."""
        plan = SegmentPlan(self.partitions, self.segment_frames, self.stride)
        return SparseSkillConfig(
            features,
            self.variant,
            self.width,
            self.heads,
            self.dropout,
            self.rollout,
            self.contrast_scale,
            plan,
        )


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
        losses = _losses(model.train(), pairs, settings.batch_size, settings.target_ratio)
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


def _losses(
    model: SparseSkillExtractor, pairs: Pairs, size: int, target: float
) -> dict[str, torch.Tensor]:
    """Both halves of the pairs in one pass; only the queries are classified."""
    segments, valid, labels = pairs.batch(size)
    out = model(segments, valid)
    query, other = copy.copy(out), copy.copy(out)
    for name, value in vars(out).items():
        setattr(query, name, value[:size])
        setattr(other, name, value[size:])
    return skill_losses(
        model.config, query, other, valid[:size], labels[:size], labels[size:], target
    )


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
    model: SparseSkillExtractor,
    train: SkillClips,
    test: SkillClips,
    drills: Sequence[Drill],
    comparisons: int = 10,
) -> dict[str, float]:
    """Figures of test clips: labels, ranking (also by comparison), and errors within the cut."""
    readings = read_all(model, test.features)
    probability = np.array([r.probability for r in readings])
    figures = skill_metrics(drills, test.labels, probability)
    low = [i for i, d in enumerate(drills) if test.labels[i] == 0 and clip_steps(d).errors.any()]
    sources = {}
    if model.config.variant != "late_fusion":
        figures["spearman_by_comparison"] = _by_comparison(
            model, train, test, readings, drills, comparisons
        )
        sources["rollout"] = [frame_weights(readings[i], len(test.features[i])) for i in low]
    starts = [action_span(drills[i])[0] for i in low]
    table = error_table([drills[i] for i in low], starts, sources, test.fps)
    means = {name: float(values.mean()) for name, values in table.items() if len(values)}
    return figures | means | {"n_errors": float(len(low))}


def _by_comparison(
    model: SparseSkillExtractor,
    train: SkillClips,
    test: SkillClips,
    readings: Sequence[SkillReading],
    drills: Sequence[Drill],
    comparisons: int,
) -> float:
    """Rank correlation of the comparison with some training clips of each clip's task."""
    rng, compared = np.random.default_rng(0), np.zeros(len(drills))
    for task in np.unique(test.tasks):
        members = np.flatnonzero(train.tasks == task)
        chosen = np.sort(rng.choice(members, min(comparisons, len(members)), replace=False))
        others = [r.z_global.mean(0) for r in read_all(model, [train.features[i] for i in chosen])]
        for i in np.flatnonzero(test.tasks == task):
            compared[i] = comparison_probability(
                readings[i].z_global.mean(0),
                np.stack(others),
                train.labels[chosen],
                model.config.contrast_scale,
            )
    rating = np.array([d.rating for d in drills], dtype=float)
    return by_task(compared, rating, test.tasks)


def sparse_skill_stage(run: Run) -> None:
    """Train one model into `sparse_skill/`, its figures into `work/sparse_skill.json`."""
    settings: SparseSkillSettings = build(SparseSkillSettings, run.recipe.sparse_skill)
    seed, progress = run.recipe.seed, Progress(SPARSE_SKILL_FOLDER)
    drills = judged_drills(run.pool("perception"), settings.fewest_clips)
    test_drills = judged_drills(run.pool("language")[: settings.test_clips], settings.fewest_clips)
    clips, test = (
        _clips(run, some, settings, seed + k) for k, some in ((21, drills), (22, test_drills))
    )
    selects = selecting(drills, settings.selection_share)
    train, selection = clips.subset(~selects), clips.subset(selects)
    progress.say(f"{len(train.labels)} clips train, {len(test.labels)} test")
    config = settings.config(clips.features[0].shape[1])
    model = train_sparse_skill(train, selection, config, settings, seed, progress.advance)
    model.save_pretrained(run.folder / SPARSE_SKILL_FOLDER)
    figures: dict[str, Any] = {"variant": settings.variant, "label": settings.label}
    figures |= {"stream": settings.stream, "seed": seed, "n_train": len(train.labels)}
    figures |= evaluate(model, train, test, test_drills, settings.comparisons)
    if settings.stream == "pct" and (run.folder / PROFICIENCY_FOLDER).is_dir():
        tokenizer = PoseTokenizer.from_pretrained(run.folder / POSE_TOKENIZER_FOLDER)
        assessor = Assessor.from_pretrained(run.folder / PROFICIENCY_FOLDER, tokenizer)
        figures["validation"] = validation_moments(run, assessor, model)
    run.write_metrics(SPARSE_SKILL_FOLDER, figures)
    progress.say(json.dumps(figures))


def _clips(
    run: Run, drills: Sequence[Drill], settings: SparseSkillSettings, seed: int
) -> SkillClips:
    """Features of the stream, by the run's own tokenizer or encoder, and the weak labels."""
    fps = PERCEPTION_FPS
    if settings.stream == "ego":
        encoder = VideoEncoder.from_pretrained(run.folder / VIDEO_ENCODER_FOLDER)
        features, fps = ego_features(drills, encoder, seed), VIDEO_FPS
    else:
        tokenizer = None
        if settings.stream == "pct":
            tokenizer = PoseTokenizer.from_pretrained(run.folder / POSE_TOKENIZER_FOLDER)
        features = pose_features(drills, learner_poses(drills, seed), tokenizer)
    labels = [weak_label(d, settings.label, settings.highest_low_rating) for d in drills]
    return SkillClips(features, np.array(labels), np.array([d.activity for d in drills]), fps)


def validation_moments(run: Run, assessor: Assessor, model: SparseSkillExtractor) -> dict[str, Any]:
    """`moment_figures` of the run's validation performers."""
    drills = judged_drills(run.pool("validation"))
    return moment_figures(assessor, model, drills, learner_poses(drills, run.recipe.seed + 23))
