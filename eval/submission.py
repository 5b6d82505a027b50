"""Both official formats of the Ego-Exo4D demonstrator proficiency benchmark, written and checked.

    views.json    {"videos", "ego_model_predictions": [[4]], "exo_model_predictions": [[[4] x 4]]}
    labels.json   {"videos", "predictions": [level names]}

The four numbers of a view are the likelihoods of the four label strings after temperature scaling,
answered with the film of that view alone: the pose is the film's too, unless the dataset's own is
asked for, which is annotated from every camera of the take. An ego film shows no body, so it has no
answer then. The benchmark forbids gaze, audio and text as inputs, and gives films, no poses.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assistant.errors import PoiseError
from assistant.files import check_file, write_text
from assistant.levels import N_LEVELS
from assistant.progress import Progress, shifted
from eval.suite_run import (
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

EGO: Final = VIEWS[0]
EXO: Final = VIEWS[1:]
VIEWS_FILE: Final = "views.json"
LABELS_FILE: Final = "labels.json"
UNIFORM: Final = (1 / N_LEVELS,) * N_LEVELS


@dataclass(frozen=True)
class VideoPrediction:
    """One video of the benchmark: level probabilities [4] of each view that was answered."""

    video: str
    views: Mapping[str, Sequence[float]]


def read_predictions(path: Path) -> list[VideoPrediction]:
    """A JSONL file of `{"video": name, "views": {"ego": [4], "exo1": [4], ...}}`.

    Raises:
        PoiseError: a line that does not fit, a video twice, or nothing.
    """
    check_file(path, "predictions", "a JSONL file of {video, views}")
    found: dict[str, VideoPrediction] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            prediction = VideoPrediction(str(row["video"]), dict(row["views"]))
        except (ValueError, KeyError, TypeError) as fault:
            raise PoiseError(
                f"line {number} of {path} is no prediction",
                got=repr(fault),
                expected='{"video": name, "views": {"ego": [4], "exo1": [4]}}',
            ) from None
        if prediction.video in found:
            raise PoiseError(f"video {prediction.video} stands twice in {path}")
        found[prediction.video] = prediction
    if not found:
        raise PoiseError(f"no prediction in {path}")
    return list(found.values())


def read_videos(path: Path) -> list[str]:
    """The benchmark's own list and order: a JSON list, or an object with `videos`."""
    check_file(path, "list of videos", 'a JSON list of names, or {"videos": [...]}')
    try:
        given = json.loads(path.read_text("utf-8"))
        names = given["videos"] if isinstance(given, dict) else given
        return [str(name) for name in names]
    except (ValueError, KeyError, TypeError) as fault:
        raise PoiseError(f"no list of videos in {path}", got=repr(fault)) from None


def build(
    predictions: Sequence[VideoPrediction], videos: Sequence[str] | None = None
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The contents of both files, and what had to be filled in.

    An exo view that was not answered gets the mean of the video's other exo views, an ego view the
    mean of them all. The label is the argmax of the mean over the answered views.

    Args:
        videos: the benchmark's order; default: that of the predictions.

    Raises:
        PoiseError: videos that are not predicted or not asked for, or a vector that is none.
    """
    by_name = {prediction.video: prediction for prediction in predictions}
    names = list(by_name) if videos is None else list(videos)
    missing = [name for name in names if name not in by_name]
    extra = [name for name in by_name if name not in set(names)]
    if missing or extra:
        raise PoiseError(
            "predictions do not fit the benchmark's videos",
            got=f"{len(by_name)} predictions for {len(names)} videos; {len(missing)} missing "
            f"({', '.join(missing[:3])}), {len(extra)} unknown ({', '.join(extra[:3])})",
            expected="one prediction a video",
        )
    ego, exo, labels, filled = [], [], [], {"ego": 0, "exo": 0}
    for name in names:
        given = {view: _vector(name, view, p) for view, p in by_name[name].views.items()}
        if not given:
            raise PoiseError(f"no view of video {name} is predicted", expected="one or more")
        whole = np.mean(list(given.values()), axis=0)
        sides = [given[view] for view in EXO if view in given]
        rest = np.mean(sides, axis=0) if sides else whole
        filled["ego"] += EGO not in given
        filled["exo"] += len(EXO) - len(sides)
        full = {EGO: whole, **dict.fromkeys(EXO, rest), **given}
        ego.append(full[EGO].tolist())
        exo.append([full[view].tolist() for view in EXO])
        labels.append(LEVELS[int(whole.argmax())])
    by_view = {"videos": names, "ego_model_predictions": ego, "exo_model_predictions": exo}
    return by_view, {"videos": names, "predictions": labels}, {"n": len(names), "filled_in": filled}


def validate(submission: Mapping[str, Any], videos: Sequence[str] | None = None) -> str:
    """Check one file's content as the benchmark's server does; returns "views" or "labels".

    Raises:
        PoiseError: names the first fault.
    """
    names = submission.get("videos")
    if not isinstance(names, list) or not names or len(set(names)) != len(names):
        raise PoiseError("no submission", expected="`videos`, each once")
    if videos is not None and names != list(videos):
        raise PoiseError(
            "a submission of other videos",
            got=f"{len(names)} videos",
            expected=f"the benchmark's {len(videos)}, in its order",
        )
    if "predictions" in submission:
        labels = submission["predictions"]
        wrong = [label for label in labels if label not in LEVELS]
        if len(labels) != len(names) or wrong:
            raise PoiseError(
                "labels that do not fit",
                got=f"{len(labels)} labels for {len(names)} videos, unknown: {wrong[:3]}",
                expected=f"one of {', '.join(LEVELS)} a video",
            )
        return "labels"
    for key, shape in (
        ("ego_model_predictions", (N_LEVELS,)),
        ("exo_model_predictions", (len(EXO), N_LEVELS)),
    ):
        rows = submission.get(key)
        count = len(rows) if isinstance(rows, list) else 0
        if count != len(names):
            raise PoiseError(f"{key} does not fit", got=f"{count} for {len(names)} videos")
        for name, row in zip(names, rows or [], strict=True):
            try:
                fits = np.shape(row) == shape and bool(np.isfinite(row).all())
            except (TypeError, ValueError):
                fits = False
            if not fits:
                raise PoiseError(f"{key} of {name} does not fit", expected=f"numbers of {shape}")
    return "views"


def write(folder: Path, by_view: dict[str, Any], labels: dict[str, Any]) -> list[Path]:
    """Both files, checked as they lie on disk."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, content in ((VIEWS_FILE, by_view), (LABELS_FILE, labels)):
        path = folder / name
        write_text(path, json.dumps(content) + "\n")
        validate(json.loads(path.read_text("utf-8")), by_view["videos"])
        paths.append(path)
    return paths


def predict_views(
    coach: "Coach",
    folder: Path,
    takes: Sequence[Mapping[str, Any]],
    *,
    pose: PoseFrom = PoseFrom.FILMS,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> tuple[list[VideoPrediction], dict[str, Any]]:
    """Answer every view of every take by itself.

    Args:
        coach: a `Coach` that need not rank or correct; folder: of a dataset.
        takes: `take_id`, `views` and the `row` in the dataset of whole takes.
        pose: from the film of the view, or the dataset's own.

    Returns:
        Predictions, and what the submission's report says of them: counts of views (as for a
        suite, and `uniform`: those that failed or were not judged), failures, inputs used, rules.

    Raises:
        PoiseError: exo views were asked and not one view could be answered.
    """
    shown = {view: [t for t in takes if (t["views"] or {}).get(view)] for view in VIEWS}
    total = sum(map(len, shown.values()))
    views: dict[str, dict[str, Sequence[float]]] = {take["take_id"]: {} for take in takes}
    found: list[Coached] = []
    failed: list[dict[str, str]] = []
    for view, chosen in shown.items():
        answers = coach_rows(
            coach, folder, [take["row"] for take in chosen], views=(view,), seed=seed,
            pose_from_films=pose is PoseFrom.FILMS,
            progress=shifted(progress, len(found), total),
        )  # fmt: skip
        for take, clip in zip(chosen, answers, strict=True):
            levels = clip.proficiency
            views[take["take_id"]][view] = UNIFORM if levels is None else levels["probabilities"]
        found += answers
        failed += [failure | {"view": view} for failure in failures(answers)]
    _check_answered(found, [failure for failure in failed if failure["view"] != EGO])
    counted = counts(found)
    return [VideoPrediction(name, given) for name, given in views.items()], {
        "counts": counted | {"uniform": counted["asked"] - counted["judged"]},
        "failures": failed,
        "pose": pose.value,
        "inputs_used": inputs_used(found),
        "benchmark_rules": benchmark_rules(found),
    }


def _check_answered(found: Sequence[Coached], failed_exo: Sequence[Mapping[str, str]]) -> None:
    """A submission of uniform answers alone is refused where films do show the body."""
    if failed_exo and all(clip.record is None for clip in found):
        raise PoiseError(
            "no view could be answered",
            got=f"{len(found)} failures; the first of an exo view: {failed_exo[0]['reason']}",
            remedy="mend it first",
        )


def _vector(video: str, view: str, given: Sequence[float]) -> np.ndarray:
    if view not in VIEWS:
        raise PoiseError(f"unknown view of {video}", got=view, expected=", ".join(VIEWS))
    try:
        vector = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        vector = np.zeros(0)
    fits = vector.shape == (N_LEVELS,) and np.isfinite(vector).all() and (vector >= 0).all()
    if not fits or abs(vector.sum() - 1) > 1e-3:
        raise PoiseError(
            f"no level probabilities of {video}, {view}", expected="four, not negative, sum 1"
        )
    return vector
