"""Blind rating sheets for human raters, as in the human study of ExpertAF (section 4, Table 1).

ExpertAF asked five raters, who know the activity, for the quality of each generated output on a
Likert scale from 1 to 4. A study here has a sheet for each rater: one HTML file with every clip and
the comments of all systems on it. The order of clips, and of the comments on each, is the rater's
own. A sheet names comments by numbers only; which system wrote which stands in the key alone.
"""

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.errors import PoiseError
from assistant.files import file_sha256, replace_whole, unwritable
from eval.score_files import Row, read_rows, with_answer
from eval.text_scores import commentary_text

SCALE: Final = (1, 2, 3, 4)
# question: (its words, the words of 1 to 4). `quality` is ExpertAF's.
QUESTIONS: Final[Mapping[str, tuple[str, tuple[str, str, str, str]]]] = {
    "quality": (
        "How good is this comment as feedback to the person in the clip?",
        ("Poor", "Fair", "Good", "Very good"),
    ),
    "correctness": (
        "Is what it says true of this clip?",
        ("Wrong", "Mostly wrong", "Mostly right", "Right"),
    ),
    "actionability": (
        "Does it tell the person what to do differently?",
        ("Not at all", "A little", "Mostly", "Fully"),
    ),
}
FLOOR: Final = "floor: a comment on another clip"
FORMAT: Final = 1


@dataclass(frozen=True)
class Study:
    """What is rated.

    Attributes:
        texts: system to sample id to its comment, "" where it gave none.
        questions: names of QUESTIONS.
        seed: of the item numbers and of every order.
        sheets: raters; each has a sheet, numbered from 1.
        references: sample id to what an expert said of the clip, shown to raters.
        clusters: sample id to performer, for the intervals.
        sources: system to the SHA-256 of its file.
        left_out: clips that not all systems have, or that a limit left out.
    """

    texts: Mapping[str, Mapping[str, str]]
    questions: Sequence[str]
    seed: int
    sheets: int
    references: Mapping[str, str] = field(default_factory=dict)
    clusters: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    left_out: int = 0

    @property
    def samples(self) -> list[str]:
        return list(next(iter(self.texts.values())))


def read_study(
    systems: Mapping[str, Path],
    references: Path | None = None,
    *,
    questions: Sequence[str] = ("quality",),
    limit: int | None = None,
    sheets: int = 5,
    floor: bool = True,
    seed: int = 0,
) -> Study:
    """A study of the clips that every system has a line for.

    Args:
        systems: name to a JSONL file with lines of `poise batch` or of `poise eval score`.
        references: JSONL with `text` or `texts`, and `cluster`, for every such clip.
        limit: clips drawn by the seed; None takes all.
        floor: add a hidden system whose comments are those on other clips, systems in turn.

    Raises:
        PoiseError: fewer than two systems, unknown questions, no clip in common, a clip without
            reference, or a file that cannot be read.
    """
    _check(systems, questions, limit, sheets)
    rows = {name: read_rows(path, "predictions", sample_id) for name, path in systems.items()}
    everything = list(dict.fromkeys(i for of in rows.values() for i in of))
    common = [i for i in everything if all(i in of for of in rows.values())]
    if len(common) < 2:
        raise PoiseError(
            "no study",
            got=f"{len(common)} clips that all of {', '.join(systems)} have",
            expected="two or more, by the same ids",
        )
    most = len(common) if limit is None else min(limit, len(common))
    drawn = set(random.Random(f"{seed} clips").sample(common, most))
    chosen = [i for i in common if i in drawn]
    texts = {name: {i: comment(of[i]) for i in chosen} for name, of in rows.items()}
    if floor:
        texts[FLOOR] = _others(texts, chosen, seed)
    true = {} if references is None else read_rows(references, "references", sample_id)
    said = {i: " / ".join(_reference(true.get(i), i)) for i in chosen} if true else {}
    clusters = {i: str(true[i].get("cluster", i)) for i in chosen} if true else {}
    return Study(
        texts=texts,
        questions=tuple(questions),
        seed=seed,
        sheets=sheets,
        references=said,
        clusters=clusters,
        sources={name: file_sha256(path) for name, path in systems.items()},
        left_out=len(everything) - len(chosen),
    )


def sample_id(row: Row) -> Any:
    """`id`, `sample_id` or `clip.id` of a line, None where it has none."""
    clip = row.get("clip")
    inner = clip.get("id") if isinstance(clip, Mapping) else None
    return next((i for i in (row.get("id"), row.get("sample_id"), inner) if i is not None), None)


def comment(row: Row) -> str:
    """What a rater reads of a line: the sentences without headers, which would tell systems apart.

    Taken from `text`, `answer`, `commentary` or the texts of `remarks`, the first that is there.
    """
    read = with_answer(dict(row))
    for name in ("text", "commentary"):
        if isinstance(read.get(name), str):
            return commentary_text(read[name]).strip()
    remarks = read.get("remarks") or []
    return " ".join(str(r["text"]) for r in remarks if isinstance(r, Mapping) and r.get("text"))


def make_key(study: Study) -> dict[str, Any]:
    """Which comment is of which clip and system, under numbers in random order."""
    pairs = [(sample, system) for sample in study.samples for system in study.texts]
    random.Random(f"{study.seed} items").shuffle(pairs)
    width = len(str(len(pairs)))
    key = {
        "format": FORMAT,
        "seed": study.seed,
        "sheets": study.sheets,
        "questions": list(study.questions),
        "systems": list(study.texts),
        "sources": dict(study.sources),
        "left_out": study.left_out,
        "clusters": dict(study.clusters),
        "items": {
            f"i{number:0{width}}": {"sample": sample, "system": system}
            for number, (sample, system) in enumerate(pairs, 1)
        },
    }
    return {"study": study_id(key, study)} | key


def study_id(key: Mapping[str, Any], study: Study) -> str:
    """Sixteen hexadecimal digits of all that is rated and asked."""
    whole = json.dumps([key, {name: dict(of) for name, of in study.texts.items()}], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def sheet_order(key: Mapping[str, Any], sheet: int) -> list[tuple[str, list[str]]]:
    """(sample id, its items) in the order of one rater."""
    items: dict[str, list[str]] = {}
    for item, of in key["items"].items():
        items.setdefault(of["sample"], []).append(item)
    rng = random.Random(f"{key['seed']} sheet {sheet}")
    order = sorted(items.items())
    rng.shuffle(order)
    return [(sample, rng.sample(of, len(of))) for sample, of in order]


def named_in_texts(study: Study) -> list[str]:
    """Systems whose comments hold their own name, which raters would read."""
    return [
        system
        for system, texts in study.texts.items()
        if any(system.casefold() in text.casefold() for text in texts.values())
    ]


def write_study(
    study: Study, folder: Path, key_path: Path, pages: Sequence[str], key: Mapping[str, Any]
) -> list[Path]:
    """Write the key and `sheet_N.html` into the folder, all or nothing; returns the sheets.

    Raises:
        PoiseError: a key or a sheet is there already, or the folder cannot be written.
    """
    paths = [folder / f"sheet_{number}.html" for number in range(1, len(pages) + 1)]
    taken = [path for path in (key_path, *paths) if path.exists()]
    if taken:
        raise PoiseError(
            f"{taken[0]} is there already",
            expected="a new folder and key: ratings cannot be read without the key of their sheets",
            remedy="name another -o FOLDER or --key FILE",
        )
    written: list[Path] = []
    try:
        for path, text in zip(
            [key_path, *paths], [json.dumps(key, indent=1) + "\n", *pages], strict=True
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_whole(path, text)
            written.append(path)
    except OSError as fault:
        for path in written:
            path.unlink(missing_ok=True)
        raise unwritable(folder, "the sheets", "name another -o FOLDER", fault) from fault
    return paths


def _check(
    systems: Mapping[str, Path], questions: Sequence[str], limit: int | None, sheets: int
) -> None:
    unknown = [name for name in questions if name not in QUESTIONS]
    if unknown or not questions or len(set(questions)) < len(questions):
        raise PoiseError(
            "unknown questions",
            got=", ".join(questions),
            expected=f"some of {', '.join(QUESTIONS)}",
        )
    if len(systems) < 2:
        raise PoiseError(
            "no comparison", got=f"{len(systems)} system", expected="two or more NAME=FILE"
        )
    if sheets < 1 or (limit is not None and limit < 2):
        raise PoiseError(
            "no study",
            got=f"{sheets} raters, {limit} clips",
            expected="one rater, two clips or more",
        )


def _others(
    texts: Mapping[str, Mapping[str, str]], samples: Sequence[str], seed: int
) -> dict[str, str]:
    """A comment on another clip for each clip, of the systems in turn."""
    from eval.levels import derangement

    names = list(texts)
    others = derangement([0] * len(samples), np.random.default_rng(seed))
    return {
        sample: texts[names[place % len(names)]][samples[others[place]]]
        for place, sample in enumerate(samples)
    }


def _reference(row: Row | None, sample: str) -> list[str]:
    texts = [] if row is None else list(row.get("texts") or []) or [comment(row)]
    if not any(texts):
        raise PoiseError(f"no reference for {sample}", expected="`text` or `texts` for every clip")
    return [str(text) for text in texts]
