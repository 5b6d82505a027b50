"""A library out of a data set on disk, or out of another library."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.dataset import INFO_FILE, SampleTable, iterate_samples, read_info
from assistant.demos.add import film_frame
from assistant.demos.cut import around, cut_demonstrations, with_unconditional
from assistant.demos.library import SIMULATED_LICENCE, Demonstration, Library
from assistant.demos.store import DemoStore, open_library
from assistant.demos.thumbnail import film_thumbnail, pose_thumbnail
from assistant.errors import PoiseError
from assistant.pose.normalise import normalise
from assistant.progress import Progress
from assistant.tasks.window import WINDOW_SECONDS, WindowFrames
from prompts.vocabulary import CORRECT, LEVELS, NEEDS_IMPROVEMENT

if TYPE_CHECKING:
    from assistant.coach import Coach

# ExpertAF takes demonstrations from these.
EXPERTS: Final = LEVELS[2:]
ENCODED_AT_ONCE: Final = 256


def build(
    coach: "Coach",
    source: Path | None,
    folder: Path,
    progress: Progress,
    *,
    levels: Sequence[str] = EXPERTS,
    licence: str | None = None,
) -> dict[str, Any]:
    """Write a new library; returns how many demonstrations there are, and what was left out.

    Args:
        source: a data set of `poise data`, a library, or None for the checkpoint's own library.
        folder: new or empty.
        levels: of a data set the performers that are shown.
        licence: of the data set's poses and films; None keeps what is known.

    Raises:
        PoiseError: nothing to show in the source, or a folder that is in use.
    """
    left_out: Counter[str] = Counter()
    if source is not None and (source / INFO_FILE).is_file():
        any_activity = not shown_activities(source, levels) <= set(coach.activities)
        items = dataset_items(coach, source, progress, left_out, levels, licence)
    else:
        library = coach.library if source is None else open_library(source)
        any_activity = library.any_activity
        items = library_items(coach, library, progress)
    kept: Counter[str] = Counter()

    def counted() -> Iterator[Demonstration]:
        for item in items:
            kept[item.activity] += 1
            yield item
        if not kept:
            raise PoiseError(
                f"no demonstration in {source}",
                got=", ".join(f"{n} x {why}" for why, n in left_out.items()) or "nothing",
                expected=f"clips of {' or '.join(levels)} without anything to improve",
            )

    encoded_by = coach.checkpoint.sha256()
    DemoStore.create(folder, encoded_by, counted(), any_activity=any_activity)
    return {
        "library": str(folder),
        "demonstrations": kept.total(),
        "by_activity": dict(sorted(kept.items())),
        "any_activity": any_activity,
        "left_out": dict(left_out.most_common()),
    }


def shown_activities(source: Path, levels: Sequence[str]) -> set[str]:
    """What performers of these levels do in a data set.

    Stage 1 must know them all to tell whose demonstrations a clip may get; where it does not,
    every clip may get any, as in ExpertAF section 4.
    """
    rows = SampleTable(source).columns(["activity", "level"])
    shown = (row for row in rows if row["level"] is not None and LEVELS[row["level"]] in levels)
    return {row["activity"] for row in shown if row["activity"] is not None}


def library_items(coach: "Coach", library: Library, progress: Progress) -> Iterator[Demonstration]:
    """The items of a library, encoded anew unless this checkpoint has encoded them."""
    total, done = len(library), 0
    known = library is coach.library or (
        isinstance(library, DemoStore) and library.encoded_by == coach.checkpoint.sha256()
    )
    for part in _parts(library.items):
        if not known:
            part = with_unconditional(_encoded(coach, part), coach.engine, coach.config)
        for item in part:
            yield item if item.thumbnail else replace(item, thumbnail=pose_thumbnail(item))
        done += len(part)
        progress(done, total)


def dataset_items(
    coach: "Coach",
    source: Path,
    progress: Progress,
    left_out: Counter[str],
    levels: Sequence[str] = EXPERTS,
    licence: str | None = None,
) -> Iterator[Demonstration]:
    """Windows of the experts' clips in which nothing needs improvement; others are counted."""
    total = int(read_info(source)["rows"])
    for number, sample in enumerate(iterate_samples(source), start=1):
        reason = unfit(sample, levels)
        items = [] if reason else _windows(coach, source, sample, licence)
        if reason or not items:
            left_out[reason or f"shorter than {WINDOW_SECONDS:g} s"] += 1
        yield from with_unconditional(items, coach.engine, coach.config)
        progress(number, total)


def unfit(sample: Mapping[str, Any], levels: Sequence[str]) -> str | None:
    """Why a clip is no demonstration; None where it is one."""
    polarities = (sample["regions"] or {}).values()
    if sample["level"] is None or sample["activity"] is None:
        return "no level or activity"
    if LEVELS[sample["level"]] not in levels:
        return "another level"
    if sample["faults"] or NEEDS_IMPROVEMENT in polarities:
        return "something to improve"
    if CORRECT not in polarities:
        return "no region said to be correct"
    return "no pose" if sample["pose"] is None else None


def _windows(
    coach: "Coach", source: Path, sample: Mapping[str, Any], licence: str | None
) -> list[Demonstration]:
    motion: PoseSequence = sample["pose_clean"] or sample["pose"]
    pose = normalise(motion)
    span, starts = key_windows(sample, motion.duration)
    simulated = motion.source == "simulated"
    items = cut_demonstrations(
        coach.perception,
        pose,
        span,
        starts,
        sample["sample_id"],
        activity=sample["activity"],
        level=LEVELS[sample["level"]],
        correct_regions=tuple(r for r, p in sample["regions"].items() if p == CORRECT),
        licence=licence or (SIMULATED_LICENCE if simulated else None),
        source=motion.source,
        origin=sample["origin"] or source.name,
    )
    return [_in_film(item, source, sample) for item in items]


def key_windows(
    sample: Mapping[str, Any], duration: float
) -> tuple[tuple[float, float], list[float]]:
    """The seconds that set the heading, and where windows begin.

    Of a clip in repetitions: around the key moment of the first one. Of an expert's comment: the
    two seconds before the pause in which it was made, which is what experts speak about.
    """
    moments = [(m["start"], m["end"]) for m in sample["moments"] or ()]
    if sample["repetitions"]:
        first, last = sample["repetitions"][0]["start"], sample["repetitions"][0]["end"]
        inside = [(a + b) / 2 for a, b in moments if first <= a <= last]
        return (first, last), around(inside[0] if inside else (first + last) / 2, duration)
    pause = moments[-1][1] if moments else duration
    start = min(max(pause - WINDOW_SECONDS, 0.0), duration - WINDOW_SECONDS)
    return (0.0, duration), [start] if start >= 0 else []


def _in_film(item: Demonstration, source: Path, sample: Mapping[str, Any]) -> Demonstration:
    """The item with its seconds counted in the take's films, and a picture."""
    begins = float((sample["span"] or (0.0,))[0])
    item = replace(item, start=item.start + begins, end=item.end + begins)
    views = sample["views"] or {}
    view = sample["best_exo"] or next((name for name in views if name != "ego"), None)
    film = source / views[view] if view in views else None
    picture = None
    if film is not None and film.is_file():
        picture = film_frame(film, (item.start + item.end) / 2)
    drawn = pose_thumbnail(item) if picture is None else film_thumbnail(picture, None)
    return replace(item, thumbnail=drawn)


def _encoded(coach: "Coach", items: Sequence[Demonstration]) -> list[Demonstration]:
    """The items with this checkpoint's codes."""
    nowhere = np.zeros((len(items[0].window), 3), np.float32)
    windows = [WindowFrames(i.start, i.end, i.window, nowhere) for i in items]
    _, codes = coach.perception.encode_windows(windows)
    return [replace(item, codes=own) for item, own in zip(items, codes, strict=True)]


def _parts(items: Sequence[Demonstration]) -> Iterator[list[Demonstration]]:
    for first in range(0, len(items), ENCODED_AT_ONCE):
        yield list(items[first : first + ENCODED_AT_ONCE])
