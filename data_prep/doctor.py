"""`poise data doctor`: everything that is missing, broken or implausible in a download, by name.

Unlike `poise data egoexo4d` it never stops at a broken file: it names it and goes on.
"""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from assistant.errors import PoiseError
from assistant.pose.read import read_egoexo_body
from assistant.progress import Progress
from data_prep.egoexo4d.findings import Findings
from data_prep.egoexo4d.layout import DEMONSTRATOR, KINDS, METADATA, POSE_SOURCES, SPLITS, Layout
from data_prep.egoexo4d.plausible import implausible
from data_prep.egoexo4d.poses import read_gaze
from data_prep.egoexo4d.stream import read_entries, read_object
from data_prep.egoexo4d.takes import Take, crossing, parse_take, with_metadata
from prompts.vocabulary import VIEWS

# What the report lists, in its order.
PROBLEMS: Final = {
    "files_missing": "annotation files that are not there",
    "files_unreadable": "annotation files that cannot be read to their end",
    "phantom_takes": "takes in annotations that takes.json lacks",
    "duplicated_takes": "takes labelled twice",
    "takes_twice_in_takes_json": "takes listed twice in takes.json",
    "takes_in_two_splits": "takes in two splits",
    "levels_unknown": "labels that are none of the four levels",
    "participants_crossing_splits": "participants in more than one split",
    "views_missing": "takes without one of the five views",
    "videos_missing": "videos that are named but not there, neither full nor downscaled",
    "videos_corrupt": "videos that do not play to their end",
    "videos_of_other_length": "videos more than a second off their take's length",
    "poses_absent": "takes without a body pose",
    "poses_unreadable": "body pose files that cannot be used",
    "poses_implausible": "body poses that no person could take",
    "calibrations_absent": "takes without camera poses",
    "gaze_absent": "takes without eye gaze",
    "gaze_unreadable": "eye gaze files that cannot be used",
    "expert_files_unreadable": "rating and transcription files that cannot be read",
}
_SECONDS_OFF: Final = 1.0
_SHOWN: Final = 10


def diagnose(layout: Layout, *, open_videos: bool, progress: Progress) -> dict[str, Any]:
    """Check a download.

    Args:
        layout: the download.
        open_videos: read every video to its end; otherwise only see whether it is there.
        progress: called with labelled takes checked and in all.

    Returns:
        root, takes and labelled (how many), counts (problem to how many), problems (problem to
        names), all keys of PROBLEMS always there.
    """
    findings = Findings()
    takes, known = _labelled(layout, findings)
    _check_references(layout, known, findings)
    for participant, splits in crossing(takes).items():
        findings.add("participants_crossing_splits", f"{participant}: {', '.join(splits)}")
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for number, take in enumerate(takes, 1):
            _check_videos(layout, take, pool if open_videos else None, findings)
            _check_poses(layout, take, findings)
            _check_gaze(layout, take, findings)
            _check_experts(layout, take, findings)
            progress(number, len(takes))
    problems = {problem: findings.names.get(problem, []) for problem in PROBLEMS}
    return {
        "root": str(layout.root),
        "takes": len(known),
        "labelled": len(takes),
        "videos_opened": open_videos,
        "counts": {problem: len(names) for problem, names in problems.items()},
        "problems": problems,
    }


def report_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The report as text; long lists are cut."""
    yield f"{report['root']}: {report['takes']} takes, {report['labelled']} of them labelled"
    for problem, names in report["problems"].items():
        if names:
            yield f"{PROBLEMS[problem]} ({len(names)}):"
            yield from (f"  {name}" for name in names[:_SHOWN])
            if len(names) > _SHOWN:
                yield f"  and {len(names) - _SHOWN} more (--json lists all)"
    sound = [text for problem, text in PROBLEMS.items() if not report["problems"][problem]]
    yield f"none: {', '.join(sound) or '-'}"
    if not report["videos_opened"]:
        yield "the videos were not opened (--no-videos)"


def _labelled(layout: Layout, findings: Findings) -> tuple[list[Take], set[str]]:
    """The labelled takes that takes.json knows, and all uids that it knows."""
    found: dict[str, Take] = {}
    for split in SPLITS:
        path = layout.annotation(DEMONSTRATOR, split)
        for uid, entry in _entries(layout, path, findings, needed=split != "test"):
            try:
                take = parse_take(path, uid, split, entry)
            except PoiseError as fault:
                findings.add("levels_unknown", str(fault))
                continue
            first = found.setdefault(uid, take)
            if first.split != split:
                findings.add("takes_in_two_splits", f"{uid}: {first.split}, {split}")
            elif first is not take:
                findings.add("duplicated_takes", uid)
    return _listed(layout, found, findings)


def _listed(
    layout: Layout, found: Mapping[str, Take], findings: Findings
) -> tuple[list[Take], set[str]]:
    """The takes that takes.json lists, and all uids in it; all takes and none if it is broken."""
    known: set[str] = set()

    def listed() -> Iterator[tuple[str, dict[str, Any]]]:
        for uid, entry in _entries(layout, layout.takes, findings):
            yield uid, entry
            known.add(uid)

    joined = Findings()
    takes = with_metadata(found.values(), listed(), joined)
    for uid in joined.names.get("takes_twice_in_takes_json", []):
        findings.add("takes_twice_in_takes_json", uid)
    broken = any(str(layout.takes) in text for text in findings.names.get("files_unreadable", []))
    return (list(found.values()), set()) if broken else (takes, known)


def _check_references(layout: Layout, known: set[str], findings: Findings) -> None:
    """Read all other annotation files to their ends; name the takes that takes.json lacks.

    `known` is empty where takes.json is broken: then nobody can tell.
    """
    phantoms: dict[str, dict[str, None]] = {}  # in order, each once
    for kind in KINDS:
        for split in SPLITS:
            path = layout.annotation(kind, split)
            # The demonstrator files were read and named already.
            quiet = Findings() if kind == DEMONSTRATOR else findings
            for uid, _ in _entries(layout, path, quiet, needed=split != "test"):
                if known and uid not in known:
                    phantoms.setdefault(uid, {})[path.name] = None
    for uid, files in phantoms.items():
        findings.add("phantom_takes", f"{uid}: {', '.join(files)}")
    for name in METADATA:
        path = layout.root / f"{name}.json"
        if not path.exists():
            findings.add("files_missing", path.name)


def _entries(
    layout: Layout, path: Path, findings: Findings, *, needed: bool = True
) -> Iterator[tuple[str, dict[str, Any]]]:
    """As `read_entries`, but a missing or broken file is named and ends the stream."""
    if not path.exists():
        if needed:
            findings.add("files_missing", str(path.relative_to(layout.root)))
        return
    try:
        yield from read_entries(path)
    except PoiseError as fault:
        findings.add("files_unreadable", str(fault))


def _check_videos(
    layout: Layout, take: Take, pool: ThreadPoolExecutor | None, findings: Findings
) -> None:
    missing = [view for view in VIEWS if view not in take.videos]
    if missing:
        findings.add("views_missing", f"{take.name} ({take.uid}): {', '.join(missing)}")
    there = []
    for relative in take.videos.values():
        paths = [path for path in layout.videos(relative) if path.is_file()]
        if not paths:
            findings.add("videos_missing", relative)
        there += paths
    if pool is None:
        return
    for path, (seconds, fault) in zip(there, pool.map(_play, there), strict=True):
        if fault is not None:
            findings.add("videos_corrupt", fault)
        elif take.duration is not None and abs(seconds - take.duration) > _SECONDS_OFF:
            name = path.relative_to(layout.root)
            findings.add(
                "videos_of_other_length", f"{name}: {seconds:.1f} s, take {take.duration:.1f} s"
            )


def _play(path: Path) -> tuple[float, str | None]:
    """Length in seconds, and what is wrong with the file."""
    from assistant.video.decode import probe

    try:
        return probe(path).duration, None
    except PoiseError as fault:
        return 0.0, str(fault)


def _check_poses(layout: Layout, take: Take, findings: Findings) -> None:
    paths = [layout.pose(take.uid, source) for source in POSE_SOURCES]
    if not any(paths):
        findings.add("poses_absent", f"{take.name} ({take.uid})")
    for path in filter(None, paths):
        try:
            faults = implausible(read_egoexo_body(path)[0])
        except PoiseError as fault:
            findings.add("poses_unreadable", str(fault))
            continue
        if faults:
            name = path.relative_to(layout.root)
            findings.add("poses_implausible", f"{name}: {'; '.join(faults)}")
    if layout.calibration(take.uid) is None:
        findings.add("calibrations_absent", f"{take.name} ({take.uid})")


def _check_gaze(layout: Layout, take: Take, findings: Findings) -> None:
    path = layout.gaze(take.name or take.uid)
    if path is None:
        findings.add("gaze_absent", f"{take.name} ({take.uid})")
        return
    try:
        read_gaze(path)
    except PoiseError as fault:
        findings.add("gaze_unreadable", str(fault))


def _check_experts(layout: Layout, take: Take, findings: Findings) -> None:
    for path in sorted(layout.expert(f"{take.name}/x").parent.parent.glob("*/*.json")):
        try:
            read_object(path)
        except PoiseError as fault:
            findings.add("expert_files_unreadable", str(fault))
