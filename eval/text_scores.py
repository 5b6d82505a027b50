"""Scores of generated texts beside those of other clips' references, boilerplate cut from both."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from eval.boilerplate import strip_references, strip_shared
from eval.levels import derangement
from eval.statistics import bootstrap
from prompts.parse import COMMENTARY_PREFIX, parse_feedback

# Metric to the keys of its result that tables print.
TEXT_KEYS: Final = {
    "bertscore": ("bertscore_f1", "bertscore_f1_rescaled"),
    "meteor": ("meteor",),
    "rouge_l": ("rouge_l",),
    "bleu4": ("bleu4",),
    "cider": ("cider",),
}
RUBRICS: Final = ("specificity", "actionability")
# A score of all samples together is no mean of theirs: it gets no interval from them.
CORPUS_KEYS: Final = ("bleu4", "region_polarity_f1", "hallucination_rate")
MEDIAN_KEYS: Final = ("median_rank",)
BLOCK: Final = 8  # neighbours in length among which references are exchanged


@dataclass(frozen=True)
class TextScores:
    """Results by key, and per-sample scores by key.

    Attributes:
        values: every key, `<key>_shuffled` beside it, and what identifies the metrics.
        samples: key to N scores.
        intervals: 95%, clusters drawn, where clusters were given.
    """

    values: dict[str, Any]
    samples: dict[str, list[float | None]]
    intervals: dict[str, list[float | None]]


def commentary_text(commentary: str) -> str:
    """The sentences of a commentary without the grammar's headers, or all of it where it has none.

    Headers (`Legs (needs improvement):`, `Drill:`) are the same for every clip.
    """
    parsed = parse_feedback(f"{COMMENTARY_PREFIX} {commentary}")
    said = [remark.text for remark in parsed.remarks]
    if parsed.drill is not None:
        said.append(parsed.drill)
    return " ".join(said) if said else commentary.strip()


def length_matched(
    lengths: Sequence[int], groups: Sequence[Hashable], rng: np.random.Generator
) -> np.ndarray | None:
    """An order in which every row gets another row of its group and of about its length.

    Args:
        lengths: words of each reference; groups: activities, say; rows that are alone in theirs
            are exchanged among each other.

    Returns:
        [N], or None where no exchange is possible.
    """
    if len(lengths) < 2:
        return None
    alone = {g for g in set(groups) if list(groups).count(g) == 1}
    pooled = [None if g in alone else g for g in groups]
    if len(alone) == 1:  # a single one left over joins all the others
        pooled = [None] * len(groups)
    labels = np.zeros(len(lengths), dtype=int)
    number = 0
    for group in dict.fromkeys(pooled):
        rows = [i for i, g in enumerate(pooled) if g == group]
        rows.sort(key=lambda i: lengths[i])
        for block in np.array_split(rows, max(1, len(rows) // BLOCK)):
            labels[block] = number
            number += 1
    return derangement(labels.tolist(), rng)


def score_texts(
    said: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    groups: Sequence[Hashable] | None = None,
    clusters: Sequence[Hashable] | None = None,
    metrics: Sequence[str] = (*TEXT_KEYS, *RUBRICS),
    settings: dict[str, dict[str, Any]] | None = None,
    seed: int = 0,
    log: Callable[[str], None] = lambda text: None,
) -> TextScores:
    """Every metric of the texts, and the same against length-matched references of other clips.

    Args:
        said: generated texts, "" where nothing was said; references: one or several each.
        groups: references are exchanged within a group (an activity).
        clusters: performers, for the intervals.
        settings: keyword arguments of single metrics.
        seed: of the exchange and the intervals.
    """
    from eval.metrics import load

    settings = settings or {}
    stripped = strip_shared(said)
    wanted, shared = strip_references(references)
    lengths = [len(row[0].split()) for row in wanted]
    rng = np.random.default_rng(seed)
    order = length_matched(lengths, groups or [None] * len(said), rng)
    values: dict[str, Any] = {"text_n": len(said)}
    values["boilerplate"] = {
        "predictions": [stripped.start, stripped.end],
        "references": [shared.start, shared.end],
    }
    samples: dict[str, list[float | None]] = {}
    for name in metrics:
        log(name)
        metric, chosen = load(name), settings.get(name, {})
        if name in RUBRICS:
            found = metric.compute(predictions=stripped.texts, **chosen)
            first = [row[0] for row in wanted]
            others = metric.compute(predictions=first, **chosen)
            values |= _without_samples(found) | {f"{name}_of_references": others[name]}
            samples[name] = found[f"{name}_per_sample"]
            continue
        found = metric.compute(predictions=stripped.texts, references=wanted, **chosen)
        values |= _without_samples(found)
        floor = None
        if order is not None:
            exchanged = [wanted[i] for i in order]
            floor = metric.compute(predictions=stripped.texts, references=exchanged, **chosen)
        for key in TEXT_KEYS[name]:
            values[f"{key}_shuffled"] = None if floor is None else floor[key]
            if found[f"{key}_per_sample"] is not None:
                samples[key] = found[f"{key}_per_sample"]
    intervals = {} if clusters is None else sample_intervals(samples, clusters, seed)
    return TextScores(values, samples, intervals)


def _without_samples(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if not key.endswith("_per_sample")}


def sample_intervals(
    samples: Mapping[str, Sequence[float | None]], clusters: Sequence[Hashable], seed: int
) -> dict[str, list[float | None]]:
    """95% intervals by key, drawing clusters, of scores that are means or medians of the samples'.

    A missing sample score is left out. Samples of one cluster alone give no interval: how much
    clusters differ is then unknown.
    """
    found: dict[str, list[float | None]] = {}
    for key, rows in samples.items():
        known = [i for i, row in enumerate(rows) if row is not None]
        who = [clusters[i] for i in known]
        if key in CORPUS_KEYS or len(set(who)) < 2:
            continue
        values = np.array([rows[i] for i in known], dtype=np.float64)
        bounds = bootstrap(values, who, _median if key in MEDIAN_KEYS else _mean, seed=seed)
        found[key] = [bounds.low, bounds.high]
    return found


def _mean(rows: np.ndarray) -> float:
    return float(np.mean(rows))


def _median(rows: np.ndarray) -> float:
    return float(np.median(rows))
