"""How well a back end labels: precision, recall and F1 of (region, polarity), with floors.

A region counts where the reference mentions it, and is right where region and polarity agree
(`assistant.feedback.region_polarity_f1`). Intervals draw comments with replacement.

    poise data label --evaluate FILE.jsonl [--backend lexicon] [--json]
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.errors import PoiseError
from assistant.feedback import RegionScores, region_polarity_f1
from assistant.files import check_file
from data_prep.commentary.composed import composed_label
from data_prep.commentary.labels import NOTHING, Answer, Comment, Label, Polarities, mentioned
from prompts.vocabulary import NOT_MENTIONED, POLARITIES, REGIONS

DRAWS: Final = 1000
SHUFFLES: Final = 200
LINES: Final = ("all", "odd", "even")


@dataclass(frozen=True)
class Reference:
    """A comment with its true polarities."""

    comment: Comment
    regions: dict[str, int]


def read_references(path: Path, lines: str = "all") -> list[Reference]:
    """Labelled comments: a JSONL file of `{id, text, regions}`, or a dataset of drills.

    Args:
        lines: all of them, or only those with an odd or even number (from 1), so that one half
            can guide the lexicon and the other is held out.

    Raises:
        PoiseError: no such file, a line that does not fit, nothing left.
    """
    if lines not in LINES:
        raise PoiseError("unknown --lines", got=repr(lines), expected=", ".join(LINES))
    found = _of_dataset(path) if path.is_dir() else _of_file(path)
    keep = {"all": (0, 1), "odd": (1,), "even": (0,)}[lines]
    kept = [reference for number, reference in enumerate(found, 1) if number % 2 in keep]
    if not kept:
        raise PoiseError(
            f"nothing to evaluate in {path}", got=f"{len(found)} comments", expected="at least one"
        )
    return kept


def _of_dataset(folder: Path) -> list[Reference]:
    from assistant.dataset import iterate_samples

    references = []
    for sample in iterate_samples(folder):
        label = composed_label(sample)
        regions = sample["regions"] if label is None else label.regions
        if sample["commentary_raw"] and regions is not None:
            comment = Comment(sample["sample_id"], sample["commentary_raw"], sample["activity"])
            references.append(Reference(comment, dict(regions)))
    return references


def _of_file(path: Path) -> list[Reference]:
    check_file(path, "labelled comments", "a JSONL file of {id, text, regions}, or a dataset")
    references = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            regions = {name: row["regions"][name] for name in REGIONS}
            if not all(p in range(len(POLARITIES)) for p in regions.values()):
                raise ValueError(f"regions {regions}")
            comment = Comment(str(row.get("id", number)), str(row["text"]), row.get("activity"))
        except (ValueError, KeyError, TypeError) as fault:
            raise PoiseError(
                f"line {number} of {path} is no labelled comment",
                got=repr(fault),
                expected=f"{{id, text, regions}} with 0, 1 or 2 for {', '.join(REGIONS)}",
            ) from fault
        references.append(Reference(comment, regions))
    return references


def evaluate(references: Sequence[Reference], answers: Sequence[Answer]) -> dict[str, Any]:
    """All figures of one back end; a failure counts as an answer that mentions nothing.

    Returns:
        micro_f1 and macro_f1 (mean over the regions that the references mention) with 95%
        intervals, per-region figures, floors, n and failures.
    """
    truth = [reference.regions for reference in references]
    found = [answer.regions if isinstance(answer, Label) else NOTHING for answer in answers]
    table = counts(found, truth)
    micro, macro = micro_f1(table), macro_f1(table)
    drawn = _draws(table)
    total = scores(table.sum(axis=(0, 1)))
    return {
        "n": len(references),
        "mentioned": int(total.true_positive + total.false_negative),
        "failures": sum(not isinstance(answer, Label) for answer in answers),
        "micro_f1": micro,
        "micro_f1_interval": _interval([micro_f1(d) for d in drawn]),
        "micro_precision": total.precision,
        "micro_recall": total.recall,
        "macro_f1": macro,
        "macro_f1_interval": _interval([macro_f1(d) for d in drawn]),
        "regions": {
            name: _region(table[:, i], [d[:, i] for d in drawn]) for i, name in enumerate(REGIONS)
        },
        "floors": floors(found, truth),
    }


def counts(found: Sequence[Polarities], truth: Sequence[Polarities]) -> np.ndarray:
    """[N, 6, 3] true positives, false positives and false negatives of every comment and region."""
    table = np.zeros((len(truth), len(REGIONS), 3), dtype=np.int64)
    for row, (one, other) in enumerate(zip(found, truth, strict=True)):
        for column, name in enumerate(REGIONS):
            said, wanted = _pairs(one, name), _pairs(other, name)
            if said or wanted:
                score = region_polarity_f1([said], [wanted])
                table[row, column] = (
                    score.true_positive,
                    score.false_positive,
                    score.false_negative,
                )
    return table


def _pairs(regions: Polarities, name: str) -> set[tuple[str, int]]:
    return mentioned({name: regions[name]})


def scores(row: np.ndarray) -> RegionScores:
    """The scores of summed counts [3]."""
    return RegionScores(*(int(number) for number in row))


def micro_f1(table: np.ndarray) -> float:
    """F1 over all comments and regions of a table of counts."""
    return scores(table.sum(axis=(0, 1))).f1


def macro_f1(table: np.ndarray) -> float:
    """Mean F1 over the regions that the references mention."""
    rows = [scores(row) for row in table.sum(axis=0)]
    f1 = [row.f1 for row in rows if row.true_positive + row.false_negative]
    return float(np.mean(f1)) if f1 else 0.0


def _draws(table: np.ndarray) -> list[np.ndarray]:
    """Tables with comments drawn with replacement."""
    rng = np.random.default_rng(0)
    return [table[rng.integers(0, len(table), len(table))] for _ in range(DRAWS)]


def _interval(values: Sequence[float]) -> list[float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return [float(low), float(high)]


def _region(column: np.ndarray, drawn: Sequence[np.ndarray]) -> dict[str, Any]:
    score = scores(column.sum(axis=0))
    return {
        "n": score.true_positive + score.false_negative,
        "precision": score.precision,
        "recall": score.recall,
        "f1": score.f1,
        "f1_interval": _interval([scores(d.sum(axis=0)).f1 for d in drawn]),
    }


def floors(found: Sequence[Polarities], truth: Sequence[Polarities]) -> dict[str, float]:
    """Micro F1 without reading: the best constant answer, each region's majority, shuffled answers.

    The constants are chosen on the very comments they are scored on, so no constant does better.
    """
    true = Counter((name, row[name]) for row in truth for name in REGIONS)
    constants = [
        dict(zip(REGIONS, chosen, strict=True))
        for chosen in product(range(len(POLARITIES)), repeat=len(REGIONS))
    ]
    majority = {name: Counter(row[name] for row in truth).most_common(1)[0][0] for name in REGIONS}
    rng = np.random.default_rng(0)
    said, wanted = [mentioned(row) for row in found], [mentioned(row) for row in truth]
    shuffled = [
        region_polarity_f1([said[i] for i in rng.permutation(len(said))], wanted).f1
        for _ in range(SHUFFLES)
    ]
    return {
        "best_constant": max(_constant_f1(answer, true, len(truth)) for answer in constants),
        "majority": _constant_f1(majority, true, len(truth)),
        "shuffled": float(np.mean(shuffled)),
    }


def _constant_f1(answer: Polarities, true: Mapping[tuple[str, int], int], n: int) -> float:
    """Micro F1 of one answer to all n comments, from how often each (region, polarity) is true."""
    said = mentioned(answer)
    right = sum(true.get(pair, 0) for pair in said)
    wanted = sum(count for (_, polarity), count in true.items() if polarity != NOT_MENTIONED)
    return RegionScores(right, len(said) * n - right, wanted - right).f1
