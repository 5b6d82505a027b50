"""What the language stages share: their conversations on disk, and the loop by the recipe."""

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn

from assistant import __version__
from assistant.files import file_sha256
from assistant.model.processing_poise import PoiseProcessor
from training.atomic import write_json
from training.batches import epoch_steps
from training.language_samples import TokenSample
from training.loop import MEASURED, SHOWN_STEPS, Evaluate, Loop, Plan
from training.loop_log import read_log
from training.loop_state import latest_step
from training.precision import uses_bf16
from training.progress import Progress
from training.recipe import (
    CorrectionSettings,
    LabellingSettings,
    LanguageSettings,
    PretrainSettings,
    Recipe,
)
from training.run import Run
from training.sample_store import read_samples, write_samples

SAMPLES_FILE = "samples.safetensors"
SETTINGS_FILE = "settings.json"
LIBRARIES = ("torch", "transformers", "peft", "accelerate", "numpy")

StageSettings = PretrainSettings | LanguageSettings | CorrectionSettings | LabellingSettings


def stored_samples(
    run: Run, stage: str, make: Callable[[], Sequence[TokenSample]]
) -> list[TokenSample]:
    """The conversations of a stage, from `make` in the first process or as an earlier run left
    them, and the same for every process.

    Without a state of the loop beside them they are made again: `make` may fit the model too.
    """
    folder = run.loop_folder(stage)
    path = folder / SAMPLES_FILE
    begun = run.resume and path.is_file() and latest_step(folder) is not None
    if run.is_main and not begun:
        write_samples(path, make())
    run.wait()
    return read_samples(path)


def plan_of(recipe: Recipe, settings: StageSettings, samples: int, seed: int) -> Plan:
    """The plan of a stage, all that it does not say itself from the stage `language`."""
    language, loop = recipe.language, recipe.loop
    epoch = epoch_steps(samples, settings.batch_size)
    epochs = getattr(settings, "epochs", 0)
    warmup = language.warmup_steps
    if isinstance(settings, LanguageSettings) and epochs:
        warmup = language.warmup_epochs * epoch
    return Plan(
        steps=epochs * epoch if epochs else getattr(settings, "steps", 0),
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        warmup=warmup,
        weight_decay=language.weight_decay,
        precision=language.precision,
        seed=seed,
        accumulation=loop.accumulation,
        packing=loop.packing,
        checkpoint_steps=loop.checkpoint_steps,
        evaluation_steps=loop.evaluation_steps,
    )


def train_by(
    run: Run,
    stage: str,
    settings: StageSettings,
    model: nn.Module,
    samples: Sequence[TokenSample],
    processor: PoiseProcessor,
    *,
    seed: int,
    progress: Progress,
    data: str | None = None,
    evaluate: Evaluate | None = None,
) -> list[float]:
    """Train by `settings` and the rest of the recipe; the losses, one a step.

    Args:
        data: the stage whose stored conversations these are, where it is another one.
    """
    plan, folder = plan_of(run.recipe, settings, len(samples), seed), run.loop_folder(stage)
    if run.recipe.loop.gradient_checkpointing:
        # The reentrant kind loses the gradient where no input of a block needs one.
        model.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
    if run.is_main:
        folder.mkdir(parents=True, exist_ok=True)  # its conversations may be another stage's
        write_json(folder / SETTINGS_FILE, started_with(run, data or stage, plan, len(samples)))
    return Loop(
        model,
        samples,
        processor,
        plan,
        progress=progress,
        folder=folder,
        resume=run.resume,
        evaluate=evaluate,
    ).run()


def mean_loss(losses: Sequence[float]) -> float | None:
    """Of the last updates; None of a training without any (an untuned model, for comparison)."""
    return sum(losses[-SHOWN_STEPS:]) / len(losses[-SHOWN_STEPS:]) if losses else None


def measures(folder: Path) -> list[dict[str, float]]:
    """What a stage has measured on validation performers: `step`, `epoch` and each value."""
    found = []
    for line in read_log(folder):
        values = {k.removeprefix(MEASURED): v for k, v in line.items() if k.startswith(MEASURED)}
        if values:
            found.append({"step": line["step"], **values})
    return found


def started_with(run: Run, data: str, plan: Plan, samples: int) -> dict[str, object]:
    """Settings, data hash, versions and machine of a training."""
    return {
        "recipe": asdict(run.recipe),
        "plan": asdict(plan),
        "samples": samples,
        "data_sha256": file_sha256(run.loop_folder(data) / SAMPLES_FILE),
        "processes": run.processes,
        "threads": torch.get_num_threads(),
        "bf16": uses_bf16(plan.precision),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "python": platform.python_version(),
        "poise": __version__,
        **{name: version(name) for name in LIBRARIES},
    }
