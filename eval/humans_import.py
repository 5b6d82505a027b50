"""Ratings that came back: means per system and question, paired tests, agreement of the raters.

A system's mean is over clips of each clip's mean over raters; its interval draws clips (performers,
where the references named them), not raters: it says how far the numbers hold for other clips, not
for other raters. Agreement is Krippendorff's alpha, 0 at chance.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from assistant.errors import PoiseError
from assistant.files import check_file, file_sha256
from assistant.markdown import markdown
from eval.agreement import ordinal_alpha
from eval.humans import FORMAT, SCALE
from eval.statistics import bootstrap, paired_bootstrap
from eval.tables import p_text, with_interval

# question: [raters, samples, systems], NaN where not rated.
Ratings = Mapping[str, np.ndarray]


def read_key(path: Path) -> dict[str, Any]:
    """The key of a study.

    Raises:
        PoiseError: no such key.
    """
    key = _read_json(path, "key")
    if key.get("format") != FORMAT or not isinstance(key.get("items"), dict):
        raise PoiseError(
            f"no key of rating sheets in {path}", expected="the key that `export` wrote"
        )
    return key


def read_ratings(paths: Sequence[Path], key: Mapping[str, Any]) -> tuple[Ratings, int, int]:
    """Ratings of all raters, how many answers were "can't tell", and how many were left open.

    Raises:
        PoiseError: ratings of another study, a rater or an answer twice, an unknown item or
            question, or a value off the scale.
    """
    samples = sample_ids(key)
    shape = (len(paths), len(samples), len(key["systems"]))
    found = {question: np.full(shape, np.nan) for question in key["questions"]}
    sheets: dict[int, Path] = {}
    unsure = answered = 0
    for rater, path in enumerate(paths):
        sheet, rows = _read_sheet(path, key)
        if sheet in sheets:
            raise PoiseError(
                f"sheet {sheet} stands twice",
                got=f"{sheets[sheet]} and {path}",
                expected="one file a rater, each with a sheet of their own",
                remedy="keep the later one",
            )
        sheets[sheet] = path
        answered += len(rows)
        for (item, question), value in rows.items():
            of = key["items"][item]
            place = (rater, samples.index(of["sample"]), key["systems"].index(of["system"]))
            unsure += value is None
            found[question][place] = np.nan if value is None else value
    return found, unsure, int(np.prod(shape)) * len(found) - answered


def sample_ids(key: Mapping[str, Any]) -> list[str]:
    """The study's clips, sorted."""
    return sorted({of["sample"] for of in key["items"].values()})


def summarise(paths: Sequence[Path], key_path: Path, *, seed: int = 0) -> dict[str, Any]:
    """All that a study found, JSON values.

    Raises:
        PoiseError: as `read_key` and `read_ratings`, or no rating at all.
    """
    key = read_key(key_path)
    ratings, unsure, left_open = read_ratings(paths, key)
    n_ratings = int(sum(np.isfinite(values).sum() for values in ratings.values()))
    if n_ratings == 0:
        raise PoiseError("nothing was rated", got=f"{len(paths)} files without a rating")
    samples = sample_ids(key)
    clusters = [key["clusters"].get(sample, sample) for sample in samples]
    return {
        "suite": "humans",
        "scale": [SCALE[0], SCALE[-1]],
        "n_raters": len(paths),
        "n_samples": len(samples),
        "n_clusters": len(set(clusters)),
        "n_ratings": n_ratings,
        "n_cannot_tell": unsure,
        "n_left_open": left_open,
        "questions": {
            question: _question(values, key["systems"], clusters, seed)
            for question, values in ratings.items()
        },
        "provenance": {
            "study": key["study"],
            "key_sha256": file_sha256(key_path),
            "ratings_sha256": {path.name: file_sha256(path) for path in paths},
            "sources_sha256": key["sources"],
            "seed": seed,
        },
    }


def table(result: Mapping[str, Any]) -> str:
    """The result as Markdown tables."""
    parts = [
        f"{result['n_raters']} raters, {result['n_samples']} clips, {result['n_ratings']} ratings "
        f"from {result['scale'][0]} to {result['scale'][1]} ({result['n_cannot_tell']} can't tell, "
        f"{result['n_left_open']} left open). 95% intervals over clips."
    ]
    for question, found in result["questions"].items():
        rows = [
            [
                name,
                with_interval(of["mean"], of["interval"], 2),
                *(str(of[n]) for n in ("n_samples", "n_ratings")),
            ]
            for name, of in found["systems"].items()
        ]
        parts.append(markdown([question, "mean [95%]", "clips", "ratings"], rows))
        tests = [
            [
                f"{test['a']} - {test['b']}",
                with_interval(test["difference"], [test["low"], test["high"]], 2),
                p_text(test["p_value"], ".3f"),
                p_text(test["p_holm"], ".3f"),
                str(test["n"]),
            ]
            for test in found["tests"]
        ]
        if tests:
            header = [f"{question}: difference", "mean [95%]", "p", "p (Holm)", "clips"]
            parts.append(markdown(header, tests))
        alpha = found["alpha"]
        said = "not defined (it needs two ratings of a comment, and values that differ)"
        if alpha["value"] is not None:
            said = with_interval(alpha["value"], alpha["interval"], 2)
        parts.append(
            f"{question}: Krippendorff's alpha (ordinal) {said}, {alpha['n_comments']} comments "
            "with two raters or more; chance is 0."
        )
    return "\n\n".join(parts)


def _question(
    values: np.ndarray, systems: Sequence[str], clusters: Sequence[str], seed: int
) -> dict[str, Any]:
    """One question's numbers from [raters, samples, systems]."""
    return {
        "systems": {
            name: _system(values[:, :, place], clusters, seed) for place, name in enumerate(systems)
        },
        "tests": _tests(values, systems, clusters, seed),
        "alpha": _alpha(values, clusters, seed),
    }


def _system(values: np.ndarray, clusters: Sequence[str], seed: int) -> dict[str, Any]:
    means, rows = _means(values)
    found: dict[str, Any] = {"mean": None, "interval": None, "n_samples": len(rows)}
    if len(rows):
        interval = bootstrap(means, [clusters[row] for row in rows], seed=seed)
        found |= {"mean": interval.value, "interval": [interval.low, interval.high]}
    return found | {"n_ratings": int(np.isfinite(values).sum())}


def _means(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[raters, samples] -> the mean over raters of every sample that was rated, and its row."""
    counts = np.isfinite(values).sum(0)
    rows = np.flatnonzero(counts)
    return np.nansum(values, axis=0)[rows] / counts[rows], rows


def _tests(
    values: np.ndarray, systems: Sequence[str], clusters: Sequence[str], seed: int
) -> list[dict[str, Any]]:
    """Paired tests of all pairs of systems, within raters: who rated one alone does not count."""
    found = []
    for a, b in combinations(range(len(systems)), 2):
        both = np.where(np.isfinite(values[:, :, a] + values[:, :, b]), 1.0, np.nan)
        first, rows = _means(values[:, :, a] * both)
        second, _ = _means(values[:, :, b] * both)
        if not len(rows):
            continue
        test = paired_bootstrap(first, second, [clusters[row] for row in rows], seed=seed)
        found.append({"a": systems[a], "b": systems[b]} | asdict(test))
    known = [test["p_value"] for test in found if test["p_value"] is not None]
    adjusted = iter(holm(known))
    return [
        test | {"p_holm": None if test["p_value"] is None else next(adjusted)} for test in found
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjustment of several tests' p values."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def _alpha(values: np.ndarray, clusters: Sequence[str], seed: int) -> dict[str, Any]:
    """Alpha over comments (clip and system), its interval drawing clips."""
    raters, samples, systems = values.shape
    comments = values.transpose(1, 2, 0).reshape(samples * systems, raters)
    paired = np.isfinite(comments).sum(1) >= 2
    found = {"value": None, "interval": None, "n_comments": int(paired.sum())}
    if not np.isfinite(ordinal_alpha(comments)):
        return found
    of = np.repeat(np.array(clusters, dtype=object), systems)[paired]
    interval = bootstrap(comments[paired], list(of), ordinal_alpha, draws=500, seed=seed)
    return found | {"value": interval.value, "interval": [interval.low, interval.high]}


def _read_sheet(
    path: Path, key: Mapping[str, Any]
) -> tuple[int, dict[tuple[str, str], int | None]]:
    """A rater's sheet number, and value (None: can't tell) by item and question."""
    got = _read_json(path, "ratings")
    if got.get("study") != key["study"]:
        raise PoiseError(
            f"{path} is of another study",
            got=str(got.get("study")),
            expected=f"{key['study']}, as the key says",
            remedy="give the key that was written with its sheets",
        )
    sheet, rows = got.get("sheet"), got.get("ratings")
    if (
        not isinstance(sheet, int)
        or sheet not in range(1, key["sheets"] + 1)
        or not isinstance(rows, list)
    ):
        raise PoiseError(
            f"no ratings of a sheet in {path}", expected=f"a sheet from 1 to {key['sheets']}"
        )
    found: dict[tuple[str, str], int | None] = {}
    for row in rows:
        row = row if isinstance(row, dict) else {}
        item, question, value = str(row.get("item")), str(row.get("question")), row.get("value")
        if item not in key["items"] or question not in key["questions"]:
            raise PoiseError(f"an answer in {path} to nothing asked", got=f"{item}, {question}")
        if (item, question) in found:
            raise PoiseError(f"an answer twice in {path}", got=f"{item}, {question}")
        if value is not None and (isinstance(value, bool) or value not in SCALE):
            raise PoiseError(
                f"a rating of {item} in {path} is off the scale",
                got=repr(value),
                expected=f"{SCALE[0]} to {SCALE[-1]}, or null for can't tell",
            )
        found[item, question] = value
    return sheet, found


def _read_json(path: Path, what: str) -> dict[str, Any]:
    check_file(path, what, "a JSON file")
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as fault:
        raise PoiseError(f"no JSON in {path}", got=str(fault)) from None
    if not isinstance(found, dict):
        raise PoiseError(f"no {what} in {path}", expected="one JSON object")
    return found
