"""Takes of a dataset on disk with official per-frame features: Ego-Exo4D as Look Closer reads it.

The dataset is written by `poise data egoexo4d` and, so that aspects have labels, by `poise data
label`. A row without commentary is a whole take; the labelled comments of a take are read together.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from assistant.dataset import iterate_samples
from assistant.errors import PoiseError
from assistant.proficiency.aspects import ASPECTS, aspect_labels
from assistant.proficiency.streams import GAZE_FPS, Stream
from assistant.video.precomputed import load_features
from prompts.vocabulary import VIEWS
from training.proficiency.look_closer import IGNORE, StreamClip
from training.proficiency.takes import TakeFeatures, evenly, windows_of

GAZE_FRAMES = 512  # a take of minutes shows as many moments of its gaze as one of 100 s
SUBJECT = re.compile(r"^\s*(?:#\S+\s*)?(?:c|the (?:person|man|woman|player|performer))\b", re.I)


def recorded_takes(
    folder: Path, kind: str, rate: float, frames: int
) -> tuple[dict[str, list[TakeFeatures]], tuple[str, ...]]:
    """The takes by split, and the activities by index.

    Args:
        kind: of official features, such as "maws_clip_2b"; rate: their rows a second.
        frames: of a film that Stage 1 reads.
    Raises:
        PoiseError: no take with a level and features.
    """
    regions: dict[str, dict[str, int]] = {}
    names: set[str] = set()
    for row in iterate_samples(folder):
        names.add(row["activity"])
        for region, polarity in (row["regions"] or {}).items():
            if polarity is not None:
                said = regions.setdefault(row["take_id"], {})
                said[region] = min(said.get(region, polarity), polarity)
    activities = tuple(sorted(names))
    found: dict[str, list[TakeFeatures]] = {}
    for row in _whole_takes(folder, kind):
        labels = regions.get(row["take_id"])
        take = _take(folder, row, kind, rate, frames, labels, activities)
        found.setdefault(row["split"], []).append(take)
    if not found:
        raise PoiseError(
            f"no takes in {folder}", got="no row of a whole take with a level and features",
            expected=f"`poise data egoexo4d` over a download with features/{kind}",
        )  # fmt: skip
    return found, activities


def _whole_takes(folder: Path, kind: str) -> Iterator[dict[str, Any]]:
    for row in iterate_samples(folder):
        features = (row.get("features") or {}).get(kind)
        if row["level"] is not None and row["commentary_raw"] is None and features:
            yield row


def _take(
    folder: Path,
    row: Mapping[str, Any],
    kind: str,
    rate: float,
    frames: int,
    regions: Mapping[str, int] | None,
    activities: tuple[str, ...],
) -> TakeFeatures:
    actions = [(a["t"], action_type(a["action"])) for a in row["atomic_actions"] or ()]
    streams, windows = {}, {}
    span = (row["span"][0], row["span"][1])
    for name, view in (("ego", "ego"), ("exo", exo_view(row, kind))):
        path = row["features"][kind].get(view)
        if path is None:
            continue
        dense = Stream(load_features(folder / path), rate).crop(span)
        if dense is None:
            continue
        dense = Stream(dense.values, rate)  # seconds of the row begin at its span
        streams[name] = evenly(dense.values, frames)
        windows[name] = windows_of(dense, row["activity"], actions)
    if row["gaze"] is not None and np.isfinite(row["gaze"]).all():
        rows = np.asarray(row["gaze"], np.float32)
        gaze = Stream(rows, len(rows) / (span[1] - span[0]))
        streams["gaze"] = evenly(gaze.at_rate(GAZE_FPS), GAZE_FRAMES)
    aspects = np.full(len(ASPECTS), IGNORE) if regions is None else aspect_labels(regions)
    index = activities.index(row["activity"])
    clip = StreamClip(streams, index, row["level"], row["participant_id"], aspects)
    return TakeFeatures(row["sample_id"], row["activity"], clip, windows)


def exo_view(row: Mapping[str, Any], kind: str) -> str | None:
    """The best exo view by the annotators if it has features, else the first that has."""
    having = [v for v in VIEWS if v != "ego" and v in row["features"][kind]]
    return row["best_exo"] if row["best_exo"] in having else next(iter(having), None)


def action_type(description: str) -> str:
    """The verb of an atomic description: "C shoots the ball." -> "shoot"."""
    words = re.findall(r"[a-z]+", SUBJECT.sub("", description).lower())
    verb = words[0] if words else "unnamed"
    if verb.endswith(("sses", "shes", "ches", "xes", "zes", "oes")):
        return verb[:-2]
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    return verb[:-1] if verb.endswith("s") and not verb.endswith("ss") else verb
