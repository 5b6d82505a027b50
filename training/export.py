"""Copy a finished checkpoint out of its run folder, without what is not shipped.

    poise train mini --export assistant/weights/poise-mini    the checkpoint alone
    poise train export runs/mini published/mini               with adapters and model card

The second writes beside the parts of the checkpoint, whose `language/` transformers loads (Auto
classes, after `assistant.model.register()`):

    adapters/tasks/      the adapter that is merged in `language/`: attention and MLP linears only
    adapters/SPORT/      over `language/` (poise train RECIPE --stage language activity=SPORT)
    unmerged/            with --unmerged: the model that adapters/tasks belongs over
    README.md            the model card
"""

import json
import shutil
from pathlib import Path

from assistant.checkpoint import (
    ADAPTERS_FOLDER,
    LANGUAGE_FOLDER,
    UNMERGED_FOLDER,
    WORK_FOLDER,
    Checkpoint,
)
from assistant.errors import PoiseError
from training.atomic import PART
from training.recipe import Recipe
from training.resume import RECIPE_FILE
from training.settings import build

TASKS = "tasks"


def export_checkpoint(run: Path, destination: Path) -> Path:
    """Replace `destination` by the checkpoint in `run`; an older one stays until the copy is whole.

    Raises:
        PoiseError: the run is not finished, or the destination holds something else.
    """
    fresh = _copied(run, destination, ignored=(WORK_FOLDER, ADAPTERS_FOLDER))
    return _replaced(destination, fresh)


def export_run(run: Path, destination: Path, *, unmerged: bool = False) -> Path:
    """As `export_checkpoint`, with adapters and model card.

    Args:
        unmerged: also write the model that the merged adapter belongs over.
    """
    from training.model_card import model_card

    recipe = read_recipe(run)
    fresh = _copied(run, destination, ignored=(WORK_FOLDER,))
    _write_adapter(run, fresh, recipe, unmerged=unmerged)
    (fresh / "README.md").write_text(model_card(run, fresh, recipe), "utf-8")
    return _replaced(destination, fresh)


def read_recipe(run: Path) -> Recipe:
    """The settings that a run was begun with.

    Raises:
        PoiseError: the folder is no run, or was left by another version of Poise.
    """
    path = run / WORK_FOLDER / RECIPE_FILE
    if not path.is_file():
        raise PoiseError(
            f"cannot export {run}",
            got=f"no {WORK_FOLDER}/{RECIPE_FILE}",
            expected="the folder of a run of `poise train`",
        )
    try:
        recipe: Recipe = build(Recipe, json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError) as fault:
        raise PoiseError(f"cannot read {path}", got=str(fault)) from fault
    return recipe


def _copied(run: Path, destination: Path, *, ignored: tuple[str, ...]) -> Path:
    """A copy of the run beside the destination."""
    Checkpoint.open(run)
    if destination.exists() and not (destination / "checkpoint.json").is_file():
        raise PoiseError(
            f"cannot export to {destination}",
            got="a folder that is no checkpoint",
            expected="a new folder or an older checkpoint",
        )
    fresh = destination.with_name(destination.name + PART)
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(run, fresh, ignore=shutil.ignore_patterns(*ignored))
    return fresh


def _replaced(destination: Path, fresh: Path) -> Path:
    shutil.rmtree(destination, ignore_errors=True)
    fresh.rename(destination)
    return destination


def _write_adapter(run: Path, fresh: Path, recipe: Recipe, *, unmerged: bool) -> None:
    """The adapter that was merged, bare, and on request the model that it belongs over."""
    from training.adapter import rebuilt, save_bare, without_adapter
    from training.language_stage import TRAINED_FILE, new_tokens
    from training.pretraining import PRETRAINED, load_processor

    work = run / WORK_FOLDER
    if not (work / TRAINED_FILE).is_file():
        raise PoiseError(
            f"cannot export the adapter of {run}",
            got=f"no {WORK_FOLDER}/{TRAINED_FILE}",
            remedy="train the stage `language` again",
        )
    processor = load_processor(run / LANGUAGE_FOLDER)
    config = json.loads((work / PRETRAINED / "config.json").read_text("utf-8"))
    tokens = new_tokens(processor, config["codebook_size"])
    wrapped = rebuilt(work / PRETRAINED, work / TRAINED_FILE, recipe.lora, tokens)
    save_bare(wrapped, fresh / ADAPTERS_FOLDER / TASKS, recipe.lora, base=UNMERGED_FOLDER)
    if unmerged:
        without_adapter(wrapped).save_pretrained(fresh / UNMERGED_FOLDER)
        processor.save_pretrained(fresh / UNMERGED_FOLDER)
