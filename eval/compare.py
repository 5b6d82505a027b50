"""Two results over the same samples: paired tests of every score that both hold.

    poise eval compare A.json B.json

A score that is only ever 0 or 1 gets McNemar's exact test, every other the paired bootstrap and the
paired t test. Performers are drawn, not clips, wherever the samples name a `cluster`; the t test is
then over the performers' mean differences.
"""

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.errors import PoiseError
from assistant.files import check_file
from eval.statistics import PairedTest, mcnemar, paired_bootstrap, paired_t

# What must agree for scores to compare: settings that change the number, not the model.
IDENTITIES: Final = (
    "references_sha256",
    "bertscore_model_sha256",
    "bertscore_layer",
    "bertscore_baseline",
    "meteor_synonyms",
    "bleu4_signature",
    "specificity_method",
    "actionability_method",
    "specificity_model",
    "actionability_model",
    "k",
    "velocity_error_fps",
)


def read_result(path: Path) -> dict[str, Any]:
    """A result with per-sample scores.

    Raises:
        PoiseError: no JSON, or none in it.
    """
    check_file(path, "result", "a JSON file of `poise eval ... -o FILE`")
    try:
        result = json.loads(path.read_text("utf-8"))
    except json.JSONDecodeError as fault:
        raise PoiseError(f"no JSON in {path}", got=str(fault)) from None
    samples = result.get("samples") if isinstance(result, dict) else None
    if not samples or not all("id" in row and "scores" in row for row in samples):
        raise PoiseError(
            f"no per-sample scores in {path}",
            expected="`samples` with id and scores",
            remedy="run the suite or `poise eval score` again with -o FILE",
        )
    return result


def compare(a: Mapping[str, Any], b: Mapping[str, Any], *, seed: int = 0) -> dict[str, Any]:
    """Differences a - b of every shared score, over the samples that both hold.

    Raises:
        PoiseError: other samples, or scores that were computed with other settings.
    """
    _check_settings(a, b)
    mine = {row["id"]: row for row in a["samples"]}
    theirs = {row["id"]: row for row in b["samples"]}
    if set(mine) != set(theirs):
        raise PoiseError(
            "results of other samples",
            got=f"{len(mine)} and {len(theirs)} samples, {len(set(mine) & set(theirs))} in both",
            expected="the same samples in both",
        )
    keys = [key for key in _keys(a["samples"]) if key in _keys(b["samples"])]
    if not keys:
        raise PoiseError("no score stands in both results")
    scores = {key: _compare(key, mine, theirs, seed) for key in keys}
    return {
        "n": len(mine),
        "seed": seed,
        "a": _who(a),
        "b": _who(b),
        "scores": {key: found for key, found in scores.items() if found is not None},
        "not_tested": [key for key, found in scores.items() if found is None],
    }


def _compare(
    key: str, a: Mapping[str, Any], b: Mapping[str, Any], seed: int
) -> dict[str, Any] | None:
    """Both means and the tests; None where no pair has both scores."""
    pairs = [(a[i]["scores"].get(key), b[i]["scores"].get(key), a[i].get("cluster", i)) for i in a]
    known = [(x, y, c) for x, y, c in pairs if x is not None and y is not None]
    if not known:
        return None
    x, y = (np.array([row[i] for row in known], dtype=np.float64) for i in (0, 1))
    tests = _tests(x, y, [row[2] for row in known], seed)
    return {
        "n": len(known),
        "left_out": len(pairs) - len(known),
        "a": float(x.mean()),
        "b": float(y.mean()),
        "tests": [asdict(test) for test in tests],
    }


def _tests(
    x: np.ndarray, y: np.ndarray, clusters: Sequence[Hashable], seed: int
) -> list[PairedTest]:
    if np.isin(np.concatenate([x, y]), (0.0, 1.0)).all():
        return [mcnemar(x, y, clusters), paired_bootstrap(x, y, clusters, seed=seed)]
    drawn = paired_bootstrap(x, y, clusters, seed=seed)
    return [drawn, paired_t(x, y, clusters)] if len(set(clusters)) > 1 else [drawn]


def _check_settings(a: Mapping[str, Any], b: Mapping[str, Any]) -> None:
    for name in IDENTITIES:
        if name in a and name in b and a[name] != b[name]:
            raise PoiseError(
                f"results with different {name} do not compare",
                got=f"{json.dumps(a[name])[:80]} and {json.dumps(b[name])[:80]}",
                remedy="score both with the same settings and references",
            )


def _keys(samples: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in samples for key in row["scores"]))


def _who(result: Mapping[str, Any]) -> dict[str, Any]:
    """What a result is of."""
    names = ("suite", "predictions_sha256", "provenance", "versions")
    return {name: result[name] for name in names if name in result}
