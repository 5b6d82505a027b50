"""Scores of anybody's predictions: every metric whose fields both files have, with its floors."""

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from assistant import __version__
from assistant.errors import PoiseError
from assistant.pose.read import read_pose
from eval.levels import NOT_JUDGED
from eval.metrics import METRICS, load
from eval.score_files import Aligned, read_level, read_regions, texts_of
from eval.score_floors import POSE_METRICS, floors
from eval.text_scores import RUBRICS, TEXT_KEYS, sample_intervals, score_texts

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

    `counts.done` are the predictions with any field that one of the metrics reads; `intervals` are
    of scores that are means (the median rank: medians) of the samples', clusters drawn.

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
        "counts": {"asked": n, "done": _done(data, chosen)},
        "metrics": chosen,
        "seed": seed,
        "versions": versions(),
        "predictions_sha256": data.sha256[0],
        "references_sha256": data.sha256[1],
        "shared_remarks": dict(zip(("predictions", "references"), data.shared, strict=True)),
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
            metrics=texts,
            settings=settings,
            seed=seed,
            log=log,
        )
        result |= scores.values
        samples |= scores.samples
    for name in chosen:
        if name not in texts:
            log(name)
            values, rows = _score(name, data, groups, seed, settings.get(name, {}))
            result |= values
            samples |= rows
    result["intervals"] = sample_intervals(samples, clusters, seed)
    result["samples"] = [
        {"id": i, "cluster": clusters[row], "scores": {key: s[row] for key, s in samples.items()}}
        for row, i in enumerate(data.ids)
    ]
    return result


def _done(data: Aligned, metrics: Sequence[str]) -> int:
    """How many predictions have a field that one of the metrics reads."""
    fields = {FIELDS[name][0] for name in metrics}
    if "spearman" in metrics:
        fields.add("score")
    return sum(any(row.get(field) is not None for field in fields) for row in data.predictions)


def _score(
    name: str, data: Aligned, groups: Sequence[Any], seed: int, settings: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, list[float | None]]]:
    """One metric: its values with floors, and its per-sample scores laid on all rows.

    `<name>_n` is what the metric itself counts (remarks, say), else the clips that it read.
    """
    said, true, rows = _inputs(name, data)
    if not rows:
        return {name: None, f"{name}_n": 0}, {}
    metric = load(name)
    if true is None:
        found = metric.compute(predictions=said, **settings)
    else:
        found = metric.compute(predictions=said, references=true, **settings)
    values = {f"{name}_n": len(rows)}
    values |= {k: v for k, v in found.items() if not k.endswith("_per_sample")}
    if true is not None:
        values |= floors(name, said, true, [groups[row] for row in rows], seed, settings)
    scores = found.get(f"{name}_per_sample")
    if scores is None:
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
