"""The ablation rows of the Sparse Skill Extractor (its Table 2) on simulated drills.

Every run (`poise train ablation --stage sparse_skill sparse_skill.variant=V seed=N`) has performers
of its own seed, so that the spread over seeds is that of training and of performers together.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.checkpoint import Checkpoint

POSE_TOKENIZER: Final = "pose_tokenizer"
VARIANTS: Final = ("full", "non_sparse", "no_local", "no_contrastive", "late_fusion")
# Smaller pools than the recipe's, before the user's own settings.
SIZES: Final = (
    "activities=[bodyweight_squat, basketball_free_throw]",
    "data.validation_performers=24",
    "data.perception_performers=60",
    "data.language_performers=40",
    "data.clips_per_performer=4",
    "data.distractor_share=0",
)
# Figures of a run and how tables call them.
FIGURES: Final[Mapping[str, str]] = {
    "f1": "binary F1",
    "spearman": "Spearman",
    "recall_rollout": "error recall",
}
# Floors and ceilings of the three figures.
FLOORS: Final[Mapping[str, tuple[str | None, str | None, str | None]]] = {
    "always high": ("f1_always_high", None, None),
    "the true label itself": (None, "spearman_of_true_label", None),
    "random steps": (None, None, "recall_random"),
    "evenly spaced steps": (None, None, "recall_uniform"),
    "random steps inside repetitions": (None, None, "recall_random_in_repetition"),
}


def run_folder(runs: Path, variant: str, seed: int) -> Path:
    """Where one run lies."""
    return runs / "sparse_skill" / f"{variant}_{seed}"


def run_missing(
    runs: Path, seeds: Sequence[int], settings: Sequence[str], train: Callable[[list[str]], None]
) -> None:
    """Train what has no result yet; `train` runs `poise train` with its arguments."""
    for seed in seeds:
        for variant in VARIANTS:
            folder = run_folder(runs, variant, seed)
            if _result(folder) is not None:
                continue
            tokenizer = folder / POSE_TOKENIZER
            if not tokenizer.is_dir():
                shutil.copytree(Checkpoint.open().folder / POSE_TOKENIZER, tokenizer)
            mine = [f"seed={seed}", f"sparse_skill.variant={variant}"]
            train(
                ["ablation", "--stage", "sparse_skill", "-o", str(folder), *SIZES, *settings, *mine]
            )


def read_runs(runs: Path) -> dict[str, Any]:
    """Means and ranges over seeds of every variant (None where not run), and the floors."""
    found: dict[str, Any] = dict.fromkeys(VARIANTS)
    every: list[dict[str, float]] = []
    for variant in VARIANTS:
        results = [
            r for folder in sorted((runs / "sparse_skill").glob(f"{variant}_*"))
            if (r := _result(folder)) is not None
        ]  # fmt: skip
        if results:
            keys = [key for key in FIGURES if all(key in r for r in results)]
            found[variant] = {key: _over_seeds(results, key) for key in keys} | {
                "seeds": len(results),
                "n": [int(r["n"]) for r in results],
                "n_errors": [int(r["n_errors"]) for r in results],
                "n_train": [int(r["n_train"]) for r in results],
            }
            every += results
    if every:
        keys = [key for keys in FLOORS.values() for key in keys if key is not None]
        found["floors"] = {key: _over_seeds(every, key) for key in keys}
    return found


def _over_seeds(results: Sequence[Mapping[str, float]], key: str) -> dict[str, Any]:
    values = np.array([r[key] for r in results], dtype=float)
    return {
        "value": values.mean(),
        "low": values.min(),
        "high": values.max(),
        "of": "range of runs",
    }


def _result(folder: Path) -> dict[str, Any] | None:
    path = folder / "work" / "sparse_skill.json"
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found
