"""What a finished training was: time, machine, sizes and validation figures, as one JSON."""

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assistant.checkpoint import LANGUAGE_FOLDER
from assistant.perception import (
    CORRECTION_ESTIMATOR_FOLDER,
    POSE_TOKENIZER_FOLDER,
    PROFICIENCY_FOLDER,
    SPARSE_SKILL_FOLDER,
    VIDEO_ENCODER_FOLDER,
)
from training.allocator import allocator_in_use
from training.atomic import write_json
from training.precision import uses_bf16
from training.recipe import Recipe
from training.run import WORK

PARTS = (
    POSE_TOKENIZER_FOLDER,
    VIDEO_ENCODER_FOLDER,
    SPARSE_SKILL_FOLDER,
    PROFICIENCY_FOLDER,
    CORRECTION_ESTIMATOR_FOLDER,
    LANGUAGE_FOLDER,
)
RECORD_FILE = "training.json"


def training_record(recipe: Recipe, folder: Path, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Everything that the model card says about the training."""
    metrics = folder / WORK / "proficiency.json"
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "threads": recipe.threads,
        "machine": machine(),
        "allocator": allocator_in_use(),
        "bf16": uses_bf16(recipe.language.precision),
        "minutes": round(sum(seconds.values()) / 60, 1),
        "stage_minutes": {name: round(value / 60, 2) for name, value in seconds.items()},
        "parameters": {part: stored_numbers(folder / part) for part in PARTS},
        "validation": json.loads(metrics.read_text("utf-8")) if metrics.is_file() else {},
    }


def machine() -> str:
    """Cores and processor of this machine, in words."""
    return f"{os.cpu_count()} CPU cores ({platform.machine()})"


def stored_numbers(folder: Path) -> int:
    """Numbers in the safetensors files below `folder`: weights and, where there are, statistics."""
    from safetensors import safe_open

    total = 0
    for path in sorted(folder.rglob("*.safetensors")):
        with safe_open(path, "numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118  (safe_open is no mapping)
                total += int(tensors.get_tensor(name).size)
    return total


def write_record(recipe: Recipe, folder: Path, seconds: Mapping[str, float]) -> None:
    """Write `work/training.json`; stages that were run before keep the time they took then."""
    path = folder / WORK / RECORD_FILE
    before = json.loads(path.read_text("utf-8"))["stage_minutes"] if path.is_file() else {}
    whole = {name: minutes * 60 for name, minutes in before.items()} | dict(seconds)
    write_json(path, training_record(recipe, folder, whole))
