"""Labels against the good executions and tips that Ego-Exo4D publishes.

`proficiency_demonstration_{split}.json` lists, for pauses of a take, what was good and what to
improve, in sentences. Two checks: does the label of the comment spoken at that pause hold the
polarity, and does the back end give the sentence itself that polarity?

    poise data label DATASET --check-official proficiency_demonstration_train.json
"""

import ast
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.dataset import iterate_samples
from assistant.errors import PoiseError
from assistant.files import check_file
from data_prep.commentary.labels import Comment, Label, Labeller
from prompts.vocabulary import CORRECT, NEEDS_IMPROVEMENT, NOT_MENTIONED

LISTS: Final = {"good_executions": CORRECT, "tips_for_improvement": NEEDS_IMPROVEMENT}
TOLERANCE: Final = 1.0  # seconds between an official entry and the comment it was made from
SHUFFLES: Final = 200


@dataclass(frozen=True)
class Entry:
    """One official entry: what was good, or a tip, at a pause of a take."""

    take: str
    time: float
    kind: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Spoken:
    """The polarities in the label of a comment, at its pause (seconds of the take)."""

    time: float
    polarities: frozenset[int]


def read_official(path: Path) -> list[Entry]:
    """All entries of one file: a list of takes, or `{"annotations": [...]}`.

    Raises:
        PoiseError: no such file, or not of this layout.
    """
    check_file(path, "official lists", "proficiency_demonstration_{train,val}.json")
    try:
        table = json.loads(path.read_text("utf-8"))
        takes = table["annotations"] if isinstance(table, dict) else table
        return [
            Entry(take["take_uid"], float(row["video_time"]), kind, _sentences(row.get("list")))
            for take in takes
            for kind in LISTS
            for row in take.get(kind) or []
            if row.get("video_time") is not None
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise PoiseError(
            f"cannot read official lists {path}",
            got=repr(fault),
            expected="takes with take_uid, good_executions and tips_for_improvement",
            remedy="give annotations/proficiency_demonstration_{train,val}.json",
        ) from fault


def _sentences(value: Any) -> tuple[str, ...]:
    """The entry's sentences; `list` may be a string that holds a list."""
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            value = [value]
    if isinstance(value, str):
        value = [value]
    return tuple(text for item in value or [] if (text := str(item).strip()))


def check_official(
    folder: Path,
    files: Iterable[Path],
    labeller: Labeller,
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Agreement of a labelled dataset, and of a back end on the official sentences.

    Raises:
        PoiseError: unreadable input, or no entry that belongs to a labelled comment.
    """
    entries = [entry for path in files for entry in read_official(path)]
    spoken = _labelled_comments(folder)
    pairs = [
        (entry, near)
        for entry in entries
        if (near := _nearest(spoken.get(entry.take, []), entry.time)) is not None
    ]
    if not pairs:
        raise PoiseError(
            "nothing to check",
            got=f"{len(entries)} official entries, {sum(map(len, spoken.values()))} labelled "
            f"comments in {folder}, none of them within {TOLERANCE:g} s of an entry",
            expected="a dataset of the same takes, labelled by `poise data label`",
        )
    return {
        "entries": len(entries),
        "matched": len(pairs),
        "tolerance_s": TOLERANCE,
        "comments": _agreement(pairs),
        "sentences": _sentence_agreement(entries, labeller, progress),
        **labeller.describe(),
    }


def _labelled_comments(folder: Path) -> dict[str, list[Spoken]]:
    """Labelled comments of each take; the pause is the end of the sample's first moment."""
    spoken: dict[str, list[Spoken]] = {}
    for sample in iterate_samples(folder):
        if not sample["commentary_raw"] or sample["regions"] is None or not sample["span"]:
            continue
        start, end = sample["span"]
        time = start + sample["moments"][0]["end"] if sample["moments"] else end
        said = frozenset(sample["regions"].values()) - {NOT_MENTIONED}
        spoken.setdefault(sample["take_id"], []).append(Spoken(time, said))
    return spoken


def _nearest(spoken: Sequence[Spoken], time: float) -> Spoken | None:
    best = min(spoken, key=lambda s: abs(s.time - time), default=None)
    return best if best is not None and abs(best.time - time) <= TOLERANCE else None


def _agreement(pairs: Sequence[tuple[Entry, Spoken]]) -> dict[str, Any]:
    """For each list: share of entries whose comment's label holds the polarity, beside chance.

    Chance pairs the same entries with comments in random order. `mentioned` is the share of
    comments with any region; `share_of_mentioned` is the agreement among these.
    """
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(pairs)) for _ in range(SHUFFLES)]
    result: dict[str, Any] = {}
    for kind, polarity in LISTS.items():
        places = [i for i, (entry, _) in enumerate(pairs) if entry.kind == kind]
        said = [pairs[i][1].polarities for i in places]
        shuffled = [polarity in pairs[order[i]][1].polarities for order in orders for i in places]
        result[kind] = _shares(said, polarity) | {
            "shuffled": float(np.mean(shuffled)) if shuffled else None
        }
    return result


def _sentence_agreement(
    entries: Sequence[Entry], labeller: Labeller, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Polarity of the official sentences themselves, as the back end labels them."""
    sentences = [(entry, text) for entry in entries for text in entry.sentences]
    comments = [
        Comment(f"{entry.take}-{number}", text) for number, (entry, text) in enumerate(sentences)
    ]
    answers = labeller.label(comments, progress) if comments else []
    result: dict[str, Any] = {}
    for kind, polarity in LISTS.items():
        said = [
            frozenset(answer.regions.values()) - {NOT_MENTIONED}
            for (entry, _), answer in zip(sentences, answers, strict=True)
            if entry.kind == kind and isinstance(answer, Label)
        ]
        result[kind] = _shares(said, polarity)
    return result


def _shares(said: Sequence[frozenset[int]], polarity: int) -> dict[str, Any]:
    mentioned = [polarities for polarities in said if polarities]
    agree = sum(polarity in polarities for polarities in said)
    return {
        "n": len(said),
        "agree": agree,
        "share": agree / len(said) if said else None,
        "mentioned": len(mentioned),
        "share_of_mentioned": agree / len(mentioned) if mentioned else None,
    }


def result_lines(result: Mapping[str, Any]) -> list[str]:
    """The result as text."""
    lines = [
        f"{result['matched']} of {result['entries']} official entries belong to a labelled "
        f"comment (within {result['tolerance_s']:g} s)"
    ]
    for what in ("comments", "sentences"):
        for kind, row in result[what].items():
            if not row["n"]:
                lines.append(f"{what}, {kind}: none")
                continue
            text = f"{what}, {kind}: {row['agree']} of {row['n']} agree ({row['share']:.2f})"
            if row["mentioned"]:
                share = row["share_of_mentioned"]
                text += f"; of {row['mentioned']} that name a region {share:.2f}"
            if row.get("shuffled") is not None:
                text += f"; shuffled {row['shuffled']:.2f}"
            lines.append(text)
    return lines
