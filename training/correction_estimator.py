"""Stage `correction_estimator`: from a learner's window to what the fault-free twin changes.

Trained on the performers of Stage 1 and of the language model (pools A, `stage1` and B), since no
weight is trained on its estimates; measured on validation performers. Only recipes that name it
have one (`correction_estimator: {steps: N}`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from assistant.perception import CORRECTION_ESTIMATOR_FOLDER
from assistant.pose.alignment import distances_to
from assistant.proficiency.correction_estimator import CorrectionEstimator, EstimatorConfig
from assistant.tasks.window import WindowFrames
from data_prep.drills.records import Drill
from training.moment_windows import near_moments
from training.progress import Progress
from training.run import Run
from training.settings import build

WINDOW_SEED, VALIDATION_SEED = 300, 400
LEARNED = ("perception", "stage1", "language")


@dataclass(frozen=True)
class CorrectionEstimatorSettings:
    """Training of the estimator.

    Attributes:
        windows_per_clip: of one clip in one noise; noises: how often every clip is seen in another.
        yaw: largest turn of a training window, degrees; size: largest change of its size, a share.
            Cameras and people of coaching differ by more than those of the pools.
    """

    steps: int = 6000
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    width: int = 384
    blocks: int = 2
    dropout: float = 0.2
    windows_per_clip: int = 4
    noises: int = 2
    yaw: float = 15.0
    size: float = 0.1


@dataclass(frozen=True)
class Windows:
    """Learners' windows and their twins: [N, 10, 17, 3], [N, 10, 3], [N], [N, 10, 17, 3]."""

    joints: Tensor
    heights: Tensor
    activity: Tensor
    changes: Tensor


def correction_estimator_stage(run: Run) -> None:
    """Train it, and measure it on validation performers beside the learner's own motion."""
    recipe, progress = run.recipe, Progress("correction_estimator")
    settings = build(CorrectionEstimatorSettings, recipe.correction_estimator)
    pools = [name for name in LEARNED if getattr(recipe.data, f"{name}_performers")]
    drills = [d for name in pools for d in run.pool(name) if d.level is not None]
    clips: list[Drill] = []
    learners: list[WindowFrames] = []
    twins: list[WindowFrames] = []
    for copy in range(settings.noises):
        seed = recipe.seed + WINDOW_SEED + copy
        some, seen, fixed = near_moments(drills, seed, settings.windows_per_clip)
        clips, learners, twins = clips + some, learners + seen, twins + fixed
    windows = as_windows(clips, learners, twins, recipe.activities)
    progress.say(f"{len(learners)} windows of {len(drills)} clips")
    estimator = train_correction_estimator(
        windows,
        recipe.activities,
        settings,
        recipe.seed,
        lambda step, loss: progress.advance(step, settings.steps, f"loss {loss:.3f}"),
    )
    estimator.save_pretrained(run.folder / CORRECTION_ESTIMATOR_FOLDER)
    held_out = [d for d in run.pool("validation") if d.level is not None]
    measured = measure(estimator, held_out, recipe.seed + VALIDATION_SEED)
    progress.say(", ".join(f"{name} {value:.1f}" for name, value in measured.items()))
    run.write_metrics("correction_estimator", measured)


def as_windows(
    clips: Sequence[Drill],
    learners: Sequence[WindowFrames],
    twins: Sequence[WindowFrames],
    activities: Sequence[str],
) -> Windows:
    """Tensors of windows and of what their twins, in the same heading and step, change."""
    joints = np.stack([window.joints for window in learners]).astype(np.float32)
    fixed = np.stack([window.joints for window in twins]).astype(np.float32)
    heights = np.stack([window.heights for window in learners]).astype(np.float32)
    places = [list(activities).index(clip.activity) for clip in clips]
    joined, changes = torch.from_numpy(joints), torch.from_numpy(fixed - joints)
    return Windows(joined, torch.from_numpy(heights), torch.tensor(places), changes)


def train_correction_estimator(
    windows: Windows,
    activities: Sequence[str],
    settings: CorrectionEstimatorSettings,
    seed: int,
    progress: Callable[[int, float], None],
) -> CorrectionEstimator:
    """Squared error of the changes, on windows that are turned and resized at random."""
    torch.manual_seed(seed)
    config = EstimatorConfig(tuple(activities), settings.width, settings.blocks, settings.dropout)
    model = CorrectionEstimator(config).train()
    model.fit_statistics(windows.joints, windows.heights, windows.changes)
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.steps + 1
    )
    for step in range(1, settings.steps + 1):
        chosen = torch.randint(0, len(windows.joints), (settings.batch_size,))
        joints, heights, changes = _moved(windows, chosen, settings)
        found = model(joints, heights, windows.activity[chosen])
        loss = (found - changes / model.scale).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        progress(step, float(loss.detach()))
    return model.eval()


def _moved(
    windows: Windows, chosen: Tensor, settings: CorrectionEstimatorSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """Joints, heights and changes of a batch, each window turned about the vertical and resized."""
    count = len(chosen)
    angle = (torch.rand(count) * 2 - 1) * np.deg2rad(settings.yaw)
    size = 1 + (torch.rand(count) * 2 - 1) * settings.size
    zero, one = torch.zeros(count), torch.ones(count)
    cos, sin = angle.cos(), angle.sin()
    turn = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], 1).reshape(-1, 3, 3)
    turn = turn * size[:, None, None]
    joints, changes = (
        torch.einsum("nfjc,ndc->nfjd", part[chosen], turn)
        for part in (windows.joints, windows.changes)
    )
    return joints, windows.heights[chosen] * size[:, None, None], changes


def measure(estimator: CorrectionEstimator, drills: Sequence[Drill], seed: int) -> dict[str, Any]:
    """PA-MPJPE (mm) to the twin on one window a clip, with and without a fault in the clip."""
    clips, learners, twins = near_moments(drills, seed)
    corrected = estimator.correct(learners, [clip.activity for clip in clips])
    estimates = [window for window in corrected if window is not None]  # all activities are known
    faulty = np.array([bool(clip.faults) for clip in clips])
    found: dict[str, Any] = {"n": int(faulty.sum()), "n_fault_free": int((~faulty).sum())}
    for name, motions in (("learner", learners), ("estimate", estimates)):
        pairs = zip(motions, twins, strict=True)
        errors = np.array([distances_to(a.joints[None], b.joints)[0] for a, b in pairs])
        if faulty.any():
            found[f"{name}_mm"] = float(errors[faulty].mean())
        if not faulty.all():
            found[f"fault_free_{name}_mm"] = float(errors[~faulty].mean())
    return found
