"""One run of a recipe: its folder, its simulated pools, and what cameras see of them."""

import os
from collections.abc import Sequence
from datetime import timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from assistant.checkpoint import WORK_FOLDER
from assistant.perception import VIDEO_ENCODER_FOLDER, Perception
from assistant.pose.normalise import NormalisedPose, normalise
from assistant.video.encoder import VideoEncoder
from data_prep.drills.noise import add_pose_noise
from data_prep.drills.records import Drill
from data_prep.drills.simulate import simulate_many
from training.atomic import write_json
from training.progress import Progress
from training.recipe import Recipe

WORK = WORK_FOLDER
POOLS = ("perception", "language", "validation", "library", "stream", "stage1")
WITH_DISTRACTORS = ("perception", "validation", "stage1")
SINGLE_VIEW_SHARE = 0.2
# Processes wait for the first one while it simulates and renders.
PATIENCE = timedelta(hours=24)


class Run:
    """One run of a recipe in a folder; stages call each other's results from disk.

    Args:
        resume: go on from what an earlier run with the same settings has left in the folder.
    """

    def __init__(self, recipe: Recipe, folder: Path, *, resume: bool = False) -> None:
        self.recipe = recipe
        self.folder = folder
        self.resume = resume
        (folder / WORK).mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(recipe.threads)
        torch.use_deterministic_algorithms(True, warn_only=True)
        # It would write every new tensor once more, a tenth of an update; none is read unwritten.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]

    @cached_property
    def _state(self) -> Any:
        """This process among those of `accelerate launch`; they wait a day for each other."""
        from accelerate import PartialState

        several = {"timeout": PATIENCE} if int(os.environ.get("WORLD_SIZE", "1")) > 1 else {}
        return PartialState(cpu=not torch.cuda.is_available(), **several)

    @property
    def is_main(self) -> bool:
        """Whether this process writes; there is exactly one that does."""
        return bool(self._state.is_main_process)

    @property
    def processes(self) -> int:
        """How many processes train together."""
        return int(self._state.num_processes)

    def wait(self) -> None:
        """Until every process is here."""
        self._state.wait_for_everyone()

    def loop_folder(self, stage: str) -> Path:
        """Where a language stage keeps its conversations, states and log."""
        return self.folder / WORK / "loop" / stage

    @cache  # noqa: B019  (one run lives as long as its process)
    def pool(self, name: str) -> list[Drill]:
        """Simulated clips of one pool, named as its performers are in the recipe's `data`."""
        data = self.recipe.data
        performers = getattr(data, f"{name}_performers")
        number = POOLS.index(name)
        distractors = data.distractor_share if name in WITH_DISTRACTORS else 0.0
        started = Progress(f"data {name}")
        drills = simulate_many(
            performers,
            data.clips_per_performer,
            self.recipe.seed * 1000 + number,
            split="validation" if name == "validation" else "train",
            activities=(self.recipe.activity,) if self.recipe.activity else self.recipe.activities,
            distractor_share=distractors,
            workers=data.workers,
        )
        started.say(f"{len(drills)} clips of {performers} performers")
        return drills

    def write_metrics(self, stage: str, metrics: dict[str, Any]) -> None:
        """`work/<stage>.json`."""
        if self.is_main:
            write_json(self.folder / WORK / f"{stage}.json", metrics)

    def video_encoder(self) -> VideoEncoder | None:
        """The frozen video encoder, where the run has one."""
        folder = self.folder / VIDEO_ENCODER_FOLDER
        return VideoEncoder.from_pretrained(folder) if folder.is_dir() else None

    def perception(self) -> Perception:
        """The frozen parts trained so far."""
        return Perception.from_pretrained(self.folder, reader=self.recipe.language)


def learner_poses(
    drills: Sequence[Drill], seed: int, largest: float = 25.0
) -> list[NormalisedPose]:
    """What cameras see of the drills: 0 to `largest` mm of slow noise, a share single-view."""
    poses = []
    for i, drill in enumerate(drills):
        rng = np.random.default_rng([seed, i])
        if rng.random() < SINGLE_VIEW_SHARE:
            noisy = add_pose_noise(drill.pose, rng, kind="single_view")
        else:
            noisy = add_pose_noise(drill.pose, rng, millimetres=float(rng.uniform(0, largest)))
        poses.append(normalise(noisy))
    return poses
