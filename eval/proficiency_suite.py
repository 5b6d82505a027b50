"""`poise eval egoexo4d-proficiency`: levels of the Ego-Exo4D demonstrator benchmark's takes.

Every take is answered once a view subset (ego alone, exo cameras alone, all of them), as in the
tables of Look Closer and ProfVLM, with the pose that the films of that subset give: the dataset's
own is annotated from every camera of the take, and the benchmark gives films. A take that fails (an
ego film alone shows no body) or is not judged counts as wrong and as the farthest level; ECE, kappa
and format compliance are of the judged takes, whose number is printed.

The answer to a take depends on that take's inputs alone, so giving it another take's inputs is
giving it the other's answer: the shuffled floor exchanges answers within a scenario.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assistant.batch import TakePoses
from assistant.dataset import SampleTable
from assistant.errors import PoiseError
from assistant.levels import N_LEVELS, level_index
from assistant.progress import Progress
from eval import levels as lv
from eval.metrics import load
from eval.score_files import Aligned
from eval.scoring import score_files, versions
from eval.statistics import bootstrap
from eval.suite_run import (
    BATCH,
    Coached,
    PoseFrom,
    benchmark_rules,
    coach_rows,
    counts,
    failures,
    inputs_used,
)
from prompts.vocabulary import LEVELS, VIEWS

if TYPE_CHECKING:
    from assistant.coach import Coach

SUBSETS: Final[Mapping[str, tuple[str, ...]]] = {"ego": VIEWS[:1], "exos": VIEWS[1:], "all": VIEWS}
SPLITS: Final = {"val": "validation"}
REPORT_FILE: Final = "report.json"  # of `poise data egoexo4d`: what was missing in the download
MISSING: Final = ("phantom_takes", "videos_missing", "poses_unreadable")
_ALWAYS: Final = ("accuracy", "macro_f1", "mae")
_OF_JUDGED: Final = ("quadratic_kappa", "ece")
_COLUMNS: Final = (
    "sample_id", "take_id", "participant_id", "activity", "split", "level", "views",
)  # fmt: skip


def find_takes(
    table: SampleTable, split: str, limit: int | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """The labelled takes of a split with their `row`, and the ids of those without a level.

    Args:
        split: as the dataset names it, or `val`.

    Raises:
        PoiseError: no take of this split has a level.
    """
    wanted = SPLITS.get(split, split)
    takes, unlabelled = [], []
    rows = table.columns(_COLUMNS)
    for number, row in enumerate(rows):
        if row["split"] != wanted or row["sample_id"] != row["take_id"]:
            continue  # the first row of a take is the whole of it and has its name
        if row["level"] is None:
            unlabelled.append(row["take_id"])
        else:
            takes.append(row | {"row": number})
    if not takes:
        splits = sorted({str(row["split"]) for row in rows})
        raise PoiseError(
            f"no take with a level in split {wanted}",
            got=f"{len(rows)} rows of {', '.join(splits) or 'no split'}",
            expected="a dataset of `poise data egoexo4d`",
            remedy="name another --split",
        )
    return takes[:limit], unlabelled


def evaluate(
    coach: "Coach",
    folder: Path,
    *,
    split: str = "val",
    subsets: Sequence[str] = tuple(SUBSETS),
    activity: str | None = None,
    gaze: bool = False,
    pose: PoseFrom = PoseFrom.FILMS,
    limit: int | None = None,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """The suite's result: figures and counts of every view subset, and one record a take.

    Args:
        coach: a `Coach` that need not rank or correct.
        folder: of `poise data egoexo4d`.
        activity: judge all takes as this; None finds it out.
        gaze: read gaze, which the benchmark forbids: the result says so.
        pose: from the films of each subset, or the dataset's annotation: the result says which.
        limit: takes.
        progress: called with answers done and asked, every subset's.
    """
    table = SampleTable(folder)
    takes, unlabelled = find_takes(table, split, limit)
    answer = partial(
        coach_rows, coach, folder, activity=activity, gaze=gaze, seed=seed,
        pose_from_films=pose is PoseFrom.FILMS, poses=TakePoses(BATCH),
    )  # fmt: skip
    answers: dict[str, list[Coached]] = {name: [] for name in subsets}
    for begin in range(0, len(takes), BATCH):  # subsets in turn: a take's pose is estimated once
        some = takes[begin : begin + BATCH]
        for name in subsets:
            answers[name] += _answers(answer, some, SUBSETS[name])
            progress(sum(map(len, answers.values())), len(takes) * len(subsets))
    clips = [clip for found in answers.values() for clip in found]
    training = [
        row["level"]
        for row in table.columns(("split", "level", "sample_id", "take_id"))
        if row["split"] == "train" and row["level"] is not None
        and row["sample_id"] == row["take_id"]
    ]  # fmt: skip
    return {
        "suite": "egoexo4d-proficiency",
        "split": SPLITS.get(split, split),
        "n": len(takes),
        "participants": len({take["participant_id"] for take in takes}),
        "views": {name: _figures(takes, found, training, seed) for name, found in answers.items()},
        "pose": pose.value,
        "inputs_used": inputs_used(clips),
        "benchmark_rules": benchmark_rules(clips),
        "missing": {"without_level": unlabelled} | _missing(folder),
        "activity": activity,
        "seed": seed,
        "provenance": coach.identity | {"dataset_sha256": table.info["sha256"]},
        "references_sha256": table.info["sha256"],
        "versions": versions(),
        "samples": _samples(takes, answers),
    }


def _answers(
    answer: Callable[..., list[Coached]],
    takes: Sequence[Mapping[str, Any]],
    views: tuple[str, ...],
) -> list[Coached]:
    """The answer to every take with these films alone; one without any of them failed.

    Args:
        answer: `coach_rows` with its settings, called with rows and `views`.
    """
    seen = [any((take["views"] or {}).get(view) for view in views) for take in takes]
    rows = [take["row"] for take, has in zip(takes, seen, strict=True) if has]
    found = iter(answer(rows, views=views))
    reason = f"no film of {', '.join(views)}"
    return [
        next(found) if has else Coached(take["sample_id"], None, reason)
        for take, has in zip(takes, seen, strict=True)
    ]


def _level(clip: Coached) -> int:
    return lv.NOT_JUDGED if clip.proficiency is None else level_index(clip.proficiency["level"])


def _figures(
    takes: Sequence[Mapping[str, Any]],
    found: Sequence[Coached],
    training: Sequence[int],
    seed: int,
) -> dict[str, Any]:
    """Figures over all takes and of each scenario, with floors and counts."""
    groups: dict[str, list[int]] = {}
    for number, take in enumerate(takes):
        groups.setdefault(str(take["activity"]), []).append(number)
    whole = _score(takes, found, training, seed)
    whole["failures"] = failures(found)
    whole["not_judged"] = [
        clip.sample_id for clip in found if clip.record is not None and clip.proficiency is None
    ]
    whole["scenarios"] = {
        name: _score([takes[i] for i in rows], [found[i] for i in rows], training, seed)
        for name, rows in sorted(groups.items())
    }
    return whole


def _score(
    takes: Sequence[Mapping[str, Any]],
    found: Sequence[Coached],
    training: Sequence[int],
    seed: int,
) -> dict[str, Any]:
    said = [_level(clip) for clip in found]
    true = [int(take["level"]) for take in takes]
    people = [str(take["participant_id"]) for take in takes]
    predictions = [{"id": clip.sample_id, **_said(clip)} for clip in found]
    references = [
        {"id": take["sample_id"], "level": level, "activity": take["activity"]}
        for take, level in zip(takes, true, strict=True)
    ]
    data = Aligned(predictions, references, (Path(), Path()), ("", ""))
    judged = any(level != lv.NOT_JUDGED for level in said)
    scored = score_files(data, metrics=[*_ALWAYS, *(_OF_JUDGED if judged else ())], seed=seed)
    wanted = (*_ALWAYS, *_OF_JUDGED)
    figures = dict.fromkeys(wanted, None) | {
        key: value for key, value in scored.items() if key.startswith(wanted)
    }
    answers = [clip.answer for clip in found if clip.answer is not None]
    kept = load("format_compliance").compute(predictions=answers) if answers else {}
    figures["format_compliance"] = kept.get("format_compliance")
    figures["format_compliance_n"] = len(answers)
    figures["accuracy_chance"] = 1 / N_LEVELS
    figures["accuracy_majority_of_training"] = _training_majority(true, training)
    exact, error = lv.correct(said, true), lv.level_error(said, true)
    pairs = np.column_stack([said, true])
    figures["intervals"] = {
        key: [bounds.low, bounds.high]
        for key, bounds in {
            "accuracy": bootstrap(exact, people, seed=seed),
            "mae": bootstrap(error, people, seed=seed),
            "macro_f1": bootstrap(pairs, people, statistic=_macro_f1, seed=seed),
        }.items()
    }
    return figures | {
        "n": len(takes), "participants": len(set(people)), "counts": counts(found)
    }  # fmt: skip


def _said(clip: Coached) -> dict[str, Any]:
    """What is scored of a clip: no level where it was not judged."""
    if clip.proficiency is None:
        return {"level": None}
    chosen = clip.proficiency
    return {"level": chosen["level"], "probabilities": chosen["probabilities"]}


def _training_majority(true: Sequence[int], training: Sequence[int]) -> float | None:
    """Accuracy of the level that is most frequent in the training takes, if there are any."""
    if not training:
        return None
    most = int(np.bincount(training, minlength=N_LEVELS).argmax())
    return float(np.mean(np.asarray(true) == most))


def _macro_f1(pairs: np.ndarray) -> float:
    """Macro-F1 of columns (said, true) [N, 2], as `eval/metrics/macro_f1` defines it."""
    said, true = pairs[:, 0], pairs[:, 1]
    levels = [k for k in range(N_LEVELS) if (true == k).any() or (said == k).any()]
    hits = [np.sum((said == k) & (true == k)) for k in levels]
    sizes = [np.sum(said == k) + np.sum(true == k) for k in levels]
    return float(np.mean([2 * hit / size for hit, size in zip(hits, sizes, strict=True)]))


def _missing(folder: Path) -> dict[str, Any]:
    """What the download lacked, by name, where the conversion has left its report."""
    path = folder / REPORT_FILE
    if not path.is_file():
        return {}
    names = json.loads(path.read_text("utf-8")).get("names", {})
    return {key: names.get(key, []) for key in MISSING}


def _samples(
    takes: Sequence[Mapping[str, Any]], answers: Mapping[str, Sequence[Coached]]
) -> list[dict[str, Any]]:
    """One record a take, with its answer in every view subset; `eval compare` reads `scores`."""
    found = []
    for number, take in enumerate(takes):
        clips = {name: clips[number] for name, clips in answers.items()}
        level = int(take["level"])
        scores: dict[str, float] = {}
        for name, clip in clips.items():
            scores[f"{name}_accuracy"] = float(lv.correct([_level(clip)], [level])[0])
            scores[f"{name}_mae"] = float(lv.level_error([_level(clip)], [level])[0])
        found.append(
            {
                "id": take["sample_id"],
                "cluster": take["participant_id"],
                "activity": take["activity"],
                "level": LEVELS[level],
                "answers": {
                    name: {**_said(clip), "answer": clip.answer, "reason": clip.reason}
                    for name, clip in clips.items()
                },
                "scores": scores,
            }
        )
    return found
