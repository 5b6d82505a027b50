"""The labelled takes: level, performer, activity, views and split from the proficiency files."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from assistant.errors import PoiseError
from assistant.levels import level_index
from data_prep.egoexo4d.findings import Findings
from data_prep.egoexo4d.layout import DEMONSTRATOR, OUR_SPLIT, SPLITS, Layout
from data_prep.egoexo4d.stream import read_entries
from prompts.vocabulary import LEVELS, VIEWS

# A take that stands in two splits counts as held out: it must not be trained on.
_HELD_OUT_FIRST: Final = ("test", "val", "train")


@dataclass(frozen=True)
class Take:
    """One labelled take.

    Attributes:
        uid: take_uid.
        split: official name, one of SPLITS.
        participant: "<university>:<participant>", unique over universities.
        activity: the scenario in lower case with underscores, such as "rock_climbing".
        action: the task in the same form.
        level: 0..3; None where the split's labels are withheld.
        videos: view to "takes/<name>/frame_aligned_videos/<camera>.mp4".
        name: take_name; None while takes.json was not read.
        duration: seconds; None where takes.json has none.
        best_exo: the view that shows the task best, None where takes.json names none.
    """

    uid: str
    split: str
    participant: str
    activity: str
    action: str
    level: int | None
    videos: Mapping[str, str]
    name: str | None = None
    duration: float | None = None
    best_exo: str | None = None

    @property
    def our_split(self) -> str:
        """The split's name in our records."""
        return OUR_SPLIT[self.split]

    @property
    def cameras(self) -> dict[str, str]:
        """View to the camera's name: "aria01", "cam03"."""
        return {view: Path(path).stem.partition("_")[0] for view, path in self.videos.items()}


def read_takes(layout: Layout, findings: Findings) -> list[Take]:
    """All labelled takes of all splits that exist in takes.json, in order of split and file.

    Takes of the proficiency files that takes.json lacks ("phantom_takes"), takes listed twice and
    participants that cross splits are named in `findings`.

    Raises:
        PoiseError: a file cannot be read, no proficiency file, an unknown or a second, other label.
    """
    found: dict[str, Take] = {}
    for split in _HELD_OUT_FIRST:
        if split in layout.splits(DEMONSTRATOR):
            _read_split(layout, split, found, findings)
    if not found:
        raise PoiseError(
            f"no labelled takes in {layout.root}",
            got="no entry in any proficiency_demonstrator file",
            expected=f"{layout.annotation(DEMONSTRATOR, 'train').name} with takes",
            remedy="download the annotations (`--parts annotations --benchmarks proficiency`)",
        )
    takes = with_metadata(found.values(), read_entries(layout.takes), findings)
    for participant, splits in crossing(takes).items():
        findings.add("participants_crossing_splits", f"{participant}: {', '.join(splits)}")
    return sorted(takes, key=lambda take: SPLITS.index(take.split))


def with_metadata(
    takes: Iterable[Take], entries: Iterable[tuple[str, dict[str, Any]]], findings: Findings
) -> list[Take]:
    """Takes with what takes.json says of them; those it lacks are named and left out."""
    known = {take.uid: take for take in takes}
    met: dict[str, Take] = {}
    for uid, entry in entries:
        if uid in met:
            findings.add("takes_twice_in_takes_json", uid)
        elif uid in known:
            met[uid] = _joined(known[uid], entry)
    for uid in known:
        if uid not in met:
            findings.add("phantom_takes", uid)
    return [met[uid] for uid in known if uid in met]


def crossing(takes: Iterable[Take]) -> dict[str, list[str]]:
    """Participant to their splits, of those in more than one."""
    splits: dict[str, set[str]] = {}
    for take in takes:
        splits.setdefault(take.participant, set()).add(take.split)
    return {
        participant: sorted(theirs, key=SPLITS.index)
        for participant, theirs in sorted(splits.items())
        if len(theirs) > 1
    }


def chosen(
    takes: Sequence[Take], split: str, activities: Sequence[str], has_test: bool
) -> list[Take]:
    """The takes of a split ("all": every one) whose activity or action is among `activities`.

    Raises:
        PoiseError: an unknown name (known ones are listed), or nothing is left.
    """
    if split not in (*SPLITS, "all"):
        raise PoiseError("unknown split", got=repr(split), expected=", ".join((*SPLITS, "all")))
    if split == "test" and not has_test:
        raise PoiseError(
            "no test split to read",
            got=f"no {DEMONSTRATOR}_test.json: its labels are not published",
            expected="train or val",
        )
    wanted = {slug(name) for name in activities}
    known = {take.activity for take in takes} | {take.action for take in takes}
    if unknown := sorted(wanted - known):
        raise PoiseError(
            "unknown activity",
            got=", ".join(unknown),
            expected=", ".join(sorted({take.activity for take in takes})) + " or a task's name",
        )
    kept = [
        take
        for take in takes
        if split in ("all", take.split) and (not wanted or wanted & {take.activity, take.action})
    ]
    if not kept:
        raise PoiseError("no takes", got=f"none of {', '.join(activities) or 'any'} in {split}")
    return kept


def parse_take(path: Path, uid: str, split: str, entry: Mapping[str, Any]) -> Take:
    """One entry of a proficiency_demonstrator file.

    Raises:
        PoiseError: the label is none of the four levels; names take and file.
    """
    videos = entry.get("video_paths") or {}
    return Take(
        uid=uid,
        split=split,
        participant=f"{entry.get('university_id')}:{entry.get('origin_participant_id')}",
        activity=slug(str(entry.get("scenario_name") or "unknown")),
        action=slug(str(entry.get("task_name") or "unknown")),
        level=_level(path, uid, split, entry.get("proficiency_score")),
        videos={view: videos[view] for view in VIEWS if videos.get(view)},
    )


def slug(name: str) -> str:
    """A name in lower case, with underscores between its words."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _read_split(layout: Layout, split: str, found: dict[str, Take], findings: Findings) -> None:
    path = layout.annotation(DEMONSTRATOR, split)
    for uid, entry in read_entries(path):
        take = parse_take(path, uid, split, entry)
        other = found.setdefault(uid, take)
        if other is take:
            continue
        if other.split != split:
            findings.add("takes_in_two_splits", f"{uid}: {other.split}, {split}")
        elif other.level == take.level:
            findings.add("duplicated_takes", uid)
        else:
            names = " and ".join(_level_name(level) for level in (other.level, take.level))
            raise PoiseError(
                f"take {uid} has two levels in {path}", got=names, expected="one level a take"
            )


def _level(path: Path, uid: str, split: str, label: Any) -> int | None:
    if label is None and split == "test":
        return None
    try:
        return level_index(label)
    except PoiseError as fault:
        raise PoiseError(
            f"unknown proficiency level of take {uid} in {path}",
            got=repr(label),
            expected=", ".join(LEVELS),
        ) from fault


def _level_name(level: int | None) -> str:
    return "none" if level is None else LEVELS[level]


def _joined(take: Take, entry: Mapping[str, Any]) -> Take:
    view_of: Callable[[Any], str | None] = {c: v for v, c in take.cameras.items()}.get
    duration = entry.get("duration_sec")
    return replace(
        take,
        name=entry.get("take_name") or Path(str(entry.get("root_dir", take.uid))).name,
        duration=float(duration) if isinstance(duration, int | float) else None,
        best_exo=view_of(entry.get("best_exo")),
    )
