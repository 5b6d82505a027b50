"""The mined pairs that a run learns: `language.pairs`, a folder of `poise data pair`.

Pairs of split train are learned, of split validation measured. Those of other splits, and those
that a review rejected, are not there at all.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from assistant.checkpoint import LIBRARY_FOLDER
from assistant.demos.library import Library
from assistant.errors import PoiseError
from eval.pair_experts import paired_experts
from eval.pairs import PairTable
from training.progress import Progress
from training.recipe import LanguageSettings
from training.run import Run

SPLITS: Final = ("train", "validation")
LEARNED, MEASURED = SPLITS


@cache
def pair_table(folder: str) -> PairTable:
    """The pairs of both splits.

    Raises:
        PoiseError: they cannot be read, or are not of the dataset beside them.
    """
    return PairTable(Path(folder), SPLITS)


def check_pairs(
    language: LanguageSettings, labelled: Mapping[str, Sequence[Mapping[str, Any]]]
) -> None:
    """Raise PoiseError unless each split has a pair whose learner is among its labelled rows."""
    table = pair_table(language.pairs)
    for split in SPLITS:
        names = {row["sample_id"] for row in labelled[split]}
        pairs = table.of(split)
        if not any(pair.sample_id in names for pair in pairs):
            raise PoiseError(
                f"cannot train on pairs of {language.pairs}",
                got=f"{len(pairs)} learners of split {split} with a pair, none with a text",
                expected=f"a pair of a labelled learner in {' and in '.join(SPLITS)}",
                remedy="label and pair all splits: `poise data label`, then `poise data pair`",
            )


@cache
def expert_library(run: Run) -> Library:
    """The paired experts of split train, each window once.

    Where Stage 1 does not know their activities all are candidates for every clip, as in the paper.
    """
    table, perception = pair_table(run.recipe.language.pairs), run.perception()
    pairs = [pair for pair in table.every if pair.split == LEARNED]
    items = paired_experts(perception, table, pairs)
    known = set(perception.assessor.activities)
    Progress("library").say(f"{len(items)} demonstrations of {len(pairs)} pairs")
    return Library(items, any_activity=not {item.activity for item in items} <= known)


def run_library(run: Run) -> Library:
    """The demonstrations that a run learns from: of its pairs, else those in its folder."""
    if run.recipe.language.pairs:
        return expert_library(run)
    return Library.load(run.folder / LIBRARY_FOLDER)
