"""Train a run of `eval.reproduce` over perception that all rows of its seed share.

    WORK/perception_SEED_SHA/     pose tokenizer, video encoder, Stage 1 and library, trained once
    WORK/clips/NAME/              what perception saw of the clips, for every choice of views
    WORK/pretrained/NAME/         pretrained models from which several rows go on
    WORK/rows/ROW_SEED_SHA/       the run under way; deleted when its result is stored

Folders appear whole or not at all, and trainings write states: a killed run goes on where it was.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

from assistant.checkpoint import WORK_FOLDER
from eval.reproduce import RECIPE, RowRun, sha_of

PERCEPTION_STAGES: Final = ("pose_tokenizer", "video_encoder", "proficiency", "library")
PRETRAIN, LANGUAGE = "pretrain", "language"
# Settings that choose what perception is shown of the clips.
SHOWN: Final = ("language.views", "language.rig", "language.video_share")
# Settings that nothing reads before the stage `language`.
AFTER_PRETRAINING: Final = (
    "language.epochs",
    "language.steps",
    "language.demonstration_dropout",
    "language.own_commentary_share",
    "correction.batch_size",
    "correction.epochs",
    "correction.learning_rate",
)
CLIP_FILES: Final = ("clips.npz", "clips_video.npz")
DONE_FILE = "done.json"
# What a run with other settings must not take up: settings, conversations, states, logs of events.
OF_ONE_RUN: Final = ("recipe*.json", "samples.safetensors", "step-*", "tensorboard")


@dataclass(frozen=True)
class RowTraining:
    """Trains runs in a work folder.

    Attributes:
        train: runs `poise train` with its arguments.
        shared: of all runs, those whose pretrained model serves several (`shared_pretraining`).
    """

    work: Path
    settings: tuple[str, ...]
    train: Callable[[Sequence[str]], None]
    shared: frozenset[str]

    def perception(self, run: RowRun) -> Path:
        """The folder of perception of the run's seed, trained where it is missing."""
        folder = self.work / f"perception_{run.seed}_{run.perception_sha256[:8]}"
        for stage in PERCEPTION_STAGES:
            if stage not in stages_done(folder):
                seed = f"seed={run.seed}"
                self.train([RECIPE, "--stage", stage, "-o", str(folder), *self.settings, seed])
        return folder

    def row(self, run: RowRun, perception: Path) -> tuple[Path, dict[str, float]]:
        """The folder of the trained run, and the seconds of each stage."""
        folder = self.work / "rows" / f"{run.name}_{run.settings_sha256[:8]}"
        clips = (
            self.work / "clips" / f"{perception.name}_{sha_of(_chosen(run.overrides, SHOWN))[:12]}"
        )
        pretrained = self.work / "pretrained" / pretraining(run)
        if not folder.is_dir():
            begun = pretrained if pretrained.is_dir() else perception
            copy_run(begun, folder)
            link_files(clips, folder / WORK_FOLDER)
        seconds = {PRETRAIN: self._stage(folder, PRETRAIN, run)}
        if pretraining(run) in self.shared and not pretrained.is_dir():
            copy_run(folder, pretrained)
        for stage in (LANGUAGE, *run.stages):
            seconds[stage] = self._stage(folder, stage, run)
        # Only now have all been seen: some rows are shown films in the second stage alone.
        link_files(folder / WORK_FOLDER, clips)
        return folder, seconds

    def _stage(self, folder: Path, stage: str, run: RowRun) -> float:
        """Train a stage if it is not done; the seconds that it took, now or before a kill."""
        done = stages_done(folder)
        if stage in done:
            return done[stage]
        beside = stage not in (PRETRAIN, LANGUAGE)
        # A row's folder has these settings alone, so that what was begun can be taken up.
        begun = folder / WORK_FOLDER / (f"recipe_{stage}.json" if beside else "recipe.json")
        resume = ["--resume"] if begun.is_file() else []
        started = perf_counter()
        self.train([RECIPE, "--stage", stage, "-o", str(folder), *resume, *run.settings])
        return perf_counter() - started


def stages_done(folder: Path) -> dict[str, float]:
    """Stages of a run folder that are done, with their seconds."""
    path = folder / WORK_FOLDER / DONE_FILE
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}


def pretraining(run: RowRun) -> str:
    """A name for all that the pretrained model of a run depends on."""
    own = [s for s in run.overrides if s.partition("=")[0] not in AFTER_PRETRAINING]
    return f"{run.seed}_{sha_of([run.recipe_sha256, run.perception_sha256, *own])[:12]}"


def shared_pretraining(runs: Iterable[RowRun]) -> frozenset[str]:
    """Names of pretrained models from which several of the runs go on."""
    names = [pretraining(run) for run in runs]
    return frozenset(name for name in names if names.count(name) > 1)


def copy_run(source: Path, folder: Path) -> None:
    """Copy a run folder for other settings, whole or not at all; stored arrays are linked.

    What is done in it took the copy no time.
    """
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    left_out = shutil.ignore_patterns(*OF_ONE_RUN)
    shutil.copytree(source, part, ignore=left_out, copy_function=_copy)
    done = dict.fromkeys(stages_done(part), 0.0)
    (part / WORK_FOLDER / DONE_FILE).write_text(json.dumps(done), "utf-8")
    part.replace(folder)


def link_files(source: Path, folder: Path) -> None:
    """Show the perceived clips of one folder in another; those there are replaced."""
    for name in CLIP_FILES:
        if (source / name).is_file():
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / f"{name}.part"
            part.unlink(missing_ok=True)
            os.link(source / name, part)
            part.replace(folder / name)


def _copy(source: str, target: str) -> None:
    """Link stored arrays, which are never written in place, and copy all else."""
    if source.endswith(".npz") and Path(source).parent.name == WORK_FOLDER:
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def _chosen(overrides: Iterable[str], keys: Sequence[str]) -> list[str]:
    """The last override of each of the keys, in their order."""
    last = {s.partition("=")[0]: s for s in overrides}
    return [last[key] for key in keys if key in last]
