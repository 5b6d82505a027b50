"""`paper_rows.yaml`: our rows of the papers' tables, and the trainings that make some of them."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml


@cache
def definitions() -> Mapping[str, Any]:
    """Its content: commands, blocked, reproduce, runs, tables."""
    text = resources.files("eval").joinpath("paper_rows.yaml").read_text("utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def overrides(run: str) -> list[str]:
    """Overrides of `poise train ablation` that make a run.

    Raises:
        KeyError: there is no such run.
    """
    for group in definitions()["runs"].values():
        if run in group["rows"]:
            return [*group["base"], *group["rows"][run]]
    raise KeyError(run)
