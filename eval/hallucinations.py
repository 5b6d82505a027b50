"""Remarks that the truth or the measurements contradict: two rules, kept apart.

A remark is contradicted by the truth where it criticises a region without an injected fault, or
names a fault that was not injected, or praises a region with one. A remark is unsupported where
what it is about was measured and the measurement says otherwise (`supported` is false).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from assistant.evidence import Experts
from assistant.pose.normalise import normalise
from assistant.remark_topics import topics_of
from eval import levels as lv
from eval.statistics import bootstrap
from eval.testset import TestClip
from prompts.parse import ParsedRemark
from prompts.vocabulary import NEEDS_IMPROVEMENT, POLARITIES


def is_contradicted(remark: Mapping[str, Any], activity: str, faults: Mapping[str, str]) -> bool:
    """Does the injected truth contradict a remark?

    Args:
        remark: with region, polarity and text.
        activity: what the clip shows.
        faults: name of every injected fault to its body region.
    """
    faulty = remark["region"] in faults.values()
    if remark["polarity"] != POLARITIES[NEEDS_IMPROVEMENT]:
        return faulty
    named = [t.name for t in topics_of(activity, remark["region"], remark["text"]) if t.fault]
    return not faulty or any(name not in faults for name in named)


def contradicted_counts(
    records: Sequence[Mapping[str, Any]], clips: Sequence[TestClip]
) -> np.ndarray:
    """[N, 2] of each clip: remarks that its truth contradicts, and all its remarks."""
    return np.array(
        [
            (
                sum(is_contradicted(r, clip.activity, _faults(clip)) for r in record["remarks"]),
                len(record["remarks"]),
            )
            for record, clip in zip(records, clips, strict=True)
        ],
        dtype=np.float64,
    ).reshape(-1, 2)


def unsupported_counts(records: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """[N, 2] of each clip: remarks with `supported` false, and remarks with evidence."""
    said = [[r.get("supported") for r in record["remarks"]] for record in records]
    return np.array(
        [(s.count(False), s.count(False) + s.count(True)) for s in said], dtype=np.float64
    ).reshape(-1, 2)


def rate(counts: np.ndarray) -> float | None:
    """The share over all rows of counts [N, 2]; None where nothing was counted."""
    part, whole = np.asarray(counts).sum(axis=0)
    return float(part / whole) if whole else None


def with_remarks_of(
    records: Sequence[Mapping[str, Any]],
    clips: Sequence[TestClip],
    order: Sequence[int],
    experts: Experts,
) -> list[dict[str, Any]]:
    """Every judged record with the remarks of record order[i], measured on its own clip."""
    found = []
    for record, clip, other in zip(records, clips, order, strict=True):
        remarks = records[int(other)]["remarks"] if record["judged"] else []
        said = [ParsedRemark(r["region"], r["polarity"], r["text"]) for r in remarks]
        support: list[bool | None] = []
        if said:
            start, end = record["clip"]["span"]
            judged = experts.judge(
                normalise(clip.pose), record["activity"]["name"], (start, end), said
            )
            support = [supported for _, supported in judged]
        pairs = zip(remarks, support, strict=True)
        found.append({**record, "remarks": [{**r, "supported": s} for r, s in pairs]})
    return found


def hallucinations(
    records: Sequence[Mapping[str, Any]],
    clips: Sequence[TestClip],
    experts: Experts,
    seed: int,
) -> dict[str, Any]:
    """Both rates with n and 95% intervals over performers, and each `_shuffled`: the floor, with
    the remarks of another clip of the activity."""
    order = lv.derangement([clip.activity for clip in clips], np.random.default_rng(seed))
    others = with_remarks_of(records, clips, order.tolist(), experts)
    counts = {
        "hallucination": contradicted_counts(records, clips),
        "unsupported": unsupported_counts(records),
    }
    shuffled = {
        "hallucination": contradicted_counts(others, clips),
        "unsupported": unsupported_counts(others),
    }
    performers = [clip.performer for clip in clips]
    found: dict[str, Any] = {}
    for name, rows in counts.items():
        found[f"{name}_rate"] = rate(rows)
        found[f"{name}_n"] = int(rows[:, 1].sum())
        found[f"{name}_rate_shuffled"] = rate(shuffled[name])
        found[f"{name}_n_shuffled"] = int(shuffled[name][:, 1].sum())
        if found[f"{name}_n"]:
            some = rows[:, 1] > 0  # a draw of performers without any remark has no rate
            who = [p for p, keep in zip(performers, some, strict=True) if keep]
            bounds = bootstrap(rows[some], who, lambda drawn: rate(drawn) or 0.0, seed=seed)
            found[f"{name}_rate_interval"] = [bounds.low, bounds.high]
    return found


def _faults(clip: TestClip) -> dict[str, str]:
    return {fault.name: fault.region for fault in clip.faults}
