"""Labels a dataset's spoken comments: the same samples with `regions` and `summary` filled in.

poise data label DATASET -o DIR --backend lexicon
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from assistant.dataset import iterate_samples, read_info, write_samples
from assistant.errors import PoiseError
from data_prep.card import write_card
from data_prep.commentary.labels import Answer, Comment, Failure, Label, Labeller
from data_prep.paths import moved_paths
from prompts.hashing import prompt_sha256

FAILURES_FILE: Final = "label_failures.jsonl"
# Written anew for every dataset.
_OWN_KEYS: Final = ("schema_version", "rows", "sha256")


def label_dataset(
    source: Path, output: Path, labeller: Labeller, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Write `source` with labels to `output`; returns what was done.

    Samples without a comment stay as they are. A comment without a label loses `regions` and
    `summary` (a label of another source would not be this back end's) and is listed in
    `label_failures.jsonl`. Relative paths are rewritten for the new folder.

    Raises:
        PoiseError: no dataset, a folder in use, no comment in it, or what the back end raises.
    """
    info = read_info(source)
    _check_unused(output)
    samples = iterate_samples(source)
    comments = [c for sample in samples if (c := sample_comment(sample)) is not None]
    if not comments:
        raise PoiseError(
            f"nothing to label in {source}",
            got=f"{info['rows']} samples without commentary_raw",
            expected="spoken comments",
        )
    answers = labeller.label(comments, progress)
    by_name = {c.name: answer for c, answer in zip(comments, answers, strict=True)}
    failures = [
        {"sample_id": c.name, "reason": answer.reason, "comment": c.text}
        for c, answer in zip(comments, answers, strict=True)
        if isinstance(answer, Failure)
    ]
    about = labeller.describe() | {"failures": len(failures), "prompt_sha256": prompt_sha256()}
    kept = {key: value for key, value in info.items() if key not in _OWN_KEYS}
    sha = write_samples(_labelled(source, output, by_name), output, kept | {"labels": about})
    write_card(output)
    if failures:
        lines = "".join(json.dumps(failure) + "\n" for failure in failures)
        (output / FAILURES_FILE).write_text(lines, "utf-8")
    return {
        "folder": str(output),
        "samples": info["rows"],
        "comments": len(comments),
        "labelled": len(comments) - len(failures),
        **about,
        "sha256": sha,
    }


def sample_comment(sample: Mapping[str, Any]) -> Comment | None:
    """The spoken comment of a sample, None where there is none."""
    text = sample["commentary_raw"]
    if not text or not text.strip():
        return None
    return Comment(sample["sample_id"], text, sample["activity"])


def _check_unused(folder: Path) -> None:
    """Before anything is asked: answers may cost money."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PoiseError(
            f"cannot write dataset {folder}",
            got="a folder with files in it" if folder.is_dir() else "a file",
            expected="a new or empty folder",
            remedy="name another folder or remove this one",
        )


def _labelled(
    source: Path, output: Path, answers: Mapping[str, Answer]
) -> Iterator[dict[str, Any]]:
    for sample in iterate_samples(source):
        moved = moved_paths(sample, source, output)
        answer = answers.get(sample["sample_id"])
        if isinstance(answer, Label):
            moved |= {"regions": answer.regions, "summary": answer.summary}
        elif answer is not None:
            moved |= {"regions": None, "summary": None}
        yield moved
