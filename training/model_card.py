"""The model card of an exported checkpoint: what it is, its terms, and what it was trained on."""

import json
from importlib import resources
from pathlib import Path
from typing import Any, Final

import yaml

from assistant.checkpoint import (
    ADAPTERS_FOLDER,
    LIBRARY_FOLDER,
    UNMERGED_FOLDER,
    WORK_FOLDER,
    Checkpoint,
)
from assistant.demos.library import Library
from training.recipe import Recipe
from training.record import RECORD_FILE
from training.stage_loop import SETTINGS_FILE

OWN_LICENSE: Final = "apache-2.0"
UNKNOWN: Final = "unknown: read its terms before you pass this on"


def model_card(run: Path, exported: Path, recipe: Recipe) -> str:
    """The text of README.md, with the front matter that the hub reads.

    Args:
        run: the run folder, for the record of the training.
        exported: the folder that the card is for.
    """
    from jinja2 import Environment, StrictUndefined

    terms = base_terms(recipe) | pose_terms(exported / LIBRARY_FOLDER)
    checkpoint = Checkpoint.open(exported)
    text = resources.files("training").joinpath("model_card.jinja").read_text("utf-8")
    template = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    adapters = exported / ADAPTERS_FOLDER
    return template.from_string(text).render(
        front=yaml.safe_dump(front_matter(recipe, terms), sort_keys=False).strip(),
        name=checkpoint.name,
        level_basis=checkpoint.level_basis,
        sha256=checkpoint.sha256(),
        terms=terms,
        own_license=OWN_LICENSE,
        recipe=recipe,
        record=_json(run / WORK_FOLDER / RECORD_FILE),
        started=_json(run / WORK_FOLDER / "loop" / "language" / SETTINGS_FILE),
        adapters=sorted(path.name for path in adapters.iterdir()) if adapters.is_dir() else [],
        unmerged=(exported / UNMERGED_FOLDER).is_dir(),
    )


def base_terms(recipe: Recipe) -> dict[str, str]:
    """The terms of every published weight that the checkpoint holds, by its name."""
    terms = {}
    if recipe.language_model.base:
        terms[recipe.language_model.base] = recipe.language_model.license
    video = recipe.video_encoder
    if "pretrained" in video:
        terms[video["pretrained"]] = video.get("license", "")
    return {name: said or license_in(Path(name)) or UNKNOWN for name, said in terms.items()}


def pose_terms(library: Path) -> dict[str, str]:
    """The terms of the experts' poses in a library, where they are not known: of a dataset's."""
    items = Library.load(library).items if library.is_dir() else []
    unknown = any(item.licence is None for item in items)
    return {"the experts' poses in `library/`": UNKNOWN} if unknown else {}


def license_in(folder: Path) -> str:
    """The licence that the card of a downloaded model names; empty where there is none."""
    card = folder / "README.md"
    if not card.is_file():
        return ""
    parts = card.read_text("utf-8").split("---")
    try:
        front = yaml.safe_load(parts[1]) if len(parts) > 2 else {}
    except yaml.YAMLError:
        return ""
    return str(front.get("license", "")) if isinstance(front, dict) else ""


def front_matter(recipe: Recipe, terms: dict[str, str]) -> dict[str, Any]:
    """What the hub reads: the one licence if there is one, else `other`."""
    found = sorted(set(terms.values())) or [OWN_LICENSE]
    front: dict[str, Any] = {"license": found[0]}
    if len(found) > 1 or UNKNOWN in found:
        front = {"license": "other", "license_name": "terms-of-all-base-weights"}
    front |= {"library_name": "transformers", "tags": ["poise", "coaching", "human-pose"]}
    if recipe.language_model.base:
        front["base_model"] = recipe.language_model.base
    return front


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}
