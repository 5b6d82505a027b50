"""Scores of anybody's predictions: every metric whose fields both files have, with its floors."""

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import numpy as np

from assistant import __version__
from assistant.errors import PoiseError
from assistant.levels import N_LEVELS
from assistant.pose.read import read_pose
from eval.levels import NOT_JUDGED, derangement, majority_share
from eval.metrics import METRICS, load
from eval.score_files import Aligned, read_level, read_regions, texts_of
from eval.text_scores import RUBRICS, TEXT_KEYS, score_texts

POSE_METRICS: Final = ("pa_mpjpe", "mpjpe", "velocity_error", "bone_length_drift")
LIBRARIES: Final = ("evaluate", "bert-score", "nltk", "rouge-score", "sacrebleu", "scikit-learn",
                    "scipy", "transformers", "torch")  # fmt: skip
# Metric to the fields that it reads of a prediction and of a reference (None: not compared).
FIELDS: Final[dict[str, tuple[str, str | None]]] = {
    **dict.fromkeys(TEXT_KEYS, ("text", "texts")),
    **dict.fromkeys(RUBRICS, ("text", "texts")),
    **dict.fromkeys(
        ("accuracy", "macro_f1", "mae", "quadratic_kappa", "spearman"), ("level", "level")
    ),
    "ece": ("probabilities", "level"),
    "recall_at_k": ("ranking", "gold"),
    "median_rank": ("ranking", "gold"),
    **dict.fromkeys(POSE_METRICS, ("pose", "pose")),
    "region_polarity_f1": ("regions", "regions"),
    "format_compliance": ("answer", None),
    "error_recall": ("step_weights", "step_errors"),
    "hallucination_rate": ("remarks", "faults"),
}


def versions() -> dict[str, str | None]:
    """Versions of Poise and of what computes the metrics; None where it is not installed."""
    found: dict[str, str | None] = {"poise": __version__}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def choose_metrics(data: Aligned, wanted: Sequence[str] | None) -> list[str]:
    """The metrics whose fields are there, or those that are asked for.

    Raises:
        PoiseError: an unknown metric, a field that one needs is missing, or nothing to score.
    """
    for name in wanted or ():
        if name not in METRICS:
            raise PoiseError("unknown metric", got=repr(name), expected=", ".join(METRICS))
        if not data.have(*FIELDS[name]):
            said, true = FIELDS[name]
            raise PoiseError(
                f"{name} cannot be computed",
                expected=f"{said!r} in predictions"
                + (f" and {true!r} in every reference" if true else ""),
            )
    found = list(wanted) if wanted else [name for name in METRICS if data.have(*FIELDS[name])]
    if not found:
        raise PoiseError(
            "no metric fits these files",
            got=f"fields {', '.join(sorted(set().union(*data.predictions)))}",
            expected="some of " + ", ".join(sorted({said for said, _ in FIELDS.values()})),
        )
    return found


def score_files(
    data: Aligned,
    *,
    metrics: Sequence[str] | None = None,
    settings: dict[str, dict[str, Any]] | None = None,
    seed: int = 0,
    log: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """The result of `poise eval score`: `<key>`, its floors, and one record a sample.

    Args:
        settings: keyword arguments of single metrics, as `{"recall_at_k": {"k": 10}}`.
        seed: of the shuffled references.
    """
    settings = settings or {}
    chosen = choose_metrics(data, metrics)
    n = len(data.references)
    result: dict[str, Any] = {
        "suite": "score",
        "n": n,
        "counts": {"asked": n, "done": n},
        "metrics": chosen,
        "seed": seed,
        "versions": versions(),
        "predictions_sha256": data.sha256[0],
        "references_sha256": data.sha256[1],
    }
    samples: dict[str, list[float | None]] = {}
    texts = [name for name in chosen if name in TEXT_KEYS or name in RUBRICS]
    groups = [row.get("activity") for row in data.references]
    clusters = [str(row.get("cluster", row["id"])) for row in data.references]
    if texts:
        scores = score_texts(
            texts_of(data.predictions),
            [row["texts"] for row in data.references],
            groups=groups,
            clusters=clusters,
            metrics=texts,
            settings=settings,
            seed=seed,
            log=log,
        )
        result |= scores.values | {"intervals": scores.intervals}
        samples |= scores.samples
    order = derangement(groups, np.random.default_rng(seed))
    if any(order == np.arange(n)):  # an activity with a single clip
        order = derangement([0] * n, np.random.default_rng(seed))
    for name in chosen:
        if name not in texts:
            log(name)
            values, rows = _score(name, data, order, settings.get(name, {}))
            result |= values
            samples |= rows
    result["samples"] = [
        {"id": i, "cluster": clusters[row], "scores": {key: s[row] for key, s in samples.items()}}
        for row, i in enumerate(data.ids)
    ]
    return result


def _score(
    name: str, data: Aligned, order: np.ndarray, settings: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, list[float | None]]]:
    """One metric: its values with floors, and its per-sample scores laid on all rows."""
    said, true, rows = _inputs(name, data)
    if not rows:
        return {name: None, f"{name}_n": 0}, {}
    metric = load(name)
    if true is None:
        found = metric.compute(predictions=said, **settings)
    else:
        found = metric.compute(predictions=said, references=true, **settings)
    values = {k: v for k, v in found.items() if not k.endswith("_per_sample")}
    values[f"{name}_n"] = len(rows)
    if true is not None:
        values |= _floors(name, said, true, rows, order, settings)
    scores = found.get(f"{name}_per_sample")
    if scores is None or len(scores) != len(rows):
        return values, {}
    laid: list[float | None] = [None] * len(data.references)
    for row, score in zip(rows, scores, strict=True):
        laid[row] = score
    return values, {name: laid}


def _inputs(name: str, data: Aligned) -> tuple[list[Any], list[Any] | None, list[int]]:
    """What the metric compares, and which rows they are: those that it can say anything about."""
    predictions, references = data.predictions, data.references
    field, true_field = FIELDS[name]
    everything = list(range(len(references)))
    if field == "level":
        said, true = [read_level(r) for r in predictions], [read_level(r) for r in references]
        if name in ("accuracy", "macro_f1", "mae"):
            return said, true, everything
        judged = [i for i in everything if said[i] != NOT_JUDGED]
        ranks = name == "spearman"
        chosen = [predictions[i].get("score", said[i]) if ranks else said[i] for i in judged]
        return chosen, [true[i] for i in judged], judged
    if field == "regions":
        return (
            [read_regions(row) for row in predictions],
            [read_regions(row) for row in references],
            everything,
        )
    if field == "answer":
        return [str(row.get(field) or "") for row in predictions], None, everything
    if field == "remarks":
        truth = [{"activity": r.get("activity"), "faults": _faults(r)} for r in references]
        return [row.get(field) or [] for row in predictions], truth, everything
    given = [i for i in everything if predictions[i].get(field) is not None]
    if field == "pose":
        pairs = [
            [read_pose(folder / rows[i]["pose"]).joints.tolist() for i in given]
            for folder, rows in zip(data.folders, (predictions, references), strict=True)
        ]
        return pairs[0], pairs[1], given
    if true_field == "level":
        levels = [read_level(references[i]) for i in given]
        return [predictions[i][field] for i in given], levels, given
    wanted: list[Any] = [references[i][str(true_field)] for i in given]
    if true_field == "gold":
        wanted = [str(gold) for gold in wanted]
    return [predictions[i][field] for i in given], wanted, given


def _faults(row: dict[str, Any]) -> list[dict[str, str]]:
    return [{"name": fault["name"], "region": fault["region"]} for fault in row["faults"]]


def _floors(
    name: str,
    said: list[Any],
    true: list[Any],
    rows: list[int],
    order: np.ndarray,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """The same against another clip's truth, and constant answers; chance comes with the metric."""
    values: dict[str, Any] = {}
    if name in ("recall_at_k", "median_rank", "error_recall"):
        return values  # their chance is exact
    position = {row: i for i, row in enumerate(rows)}
    moved = [
        true[position[int(order[row])]] if int(order[row]) in position else None for row in rows
    ]
    kept = [
        (s, t)
        for s, t, own in zip(said, moved, true, strict=True)
        if t is not None and (name not in POSE_METRICS or np.shape(t) == np.shape(own))
    ]
    values[f"{name}_shuffled"] = None
    if len(kept) > 1:
        found = load(name).compute(
            predictions=[s for s, _ in kept], references=[t for _, t in kept], **settings
        )
        values[f"{name}_shuffled"] = found[name]
    if name == "accuracy":
        values["accuracy_majority"] = majority_share(true)
    if name in ("mae", "macro_f1"):
        best = [
            load(name).compute(predictions=[k] * len(true), references=true)[name]
            for k in range(N_LEVELS)
        ]
        values[f"{name}_constant"] = min(best) if name == "mae" else max(best)
    return values
