"""`poise data egoexo4d`: a download of Ego-Exo4D as a dataset of samples.

The annotation files are streamed into a scratch index on disk and the takes are read one after the
other, so memory depends on the longest take and not on how many there are.
"""

import json
import resource
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

from assistant.dataset import write_samples
from assistant.errors import PoiseError
from assistant.progress import Progress
from data_prep.card import write_card
from data_prep.egoexo4d.findings import Findings
from data_prep.egoexo4d.index import TakeIndex
from data_prep.egoexo4d.layout import ATOMIC, COMMENTARY, DEMONSTRATION, DEMONSTRATOR, Layout
from data_prep.egoexo4d.rows import LINK, TakeRows, Window
from data_prep.egoexo4d.stream import read_entries
from data_prep.egoexo4d.takes import Take, chosen, read_takes

NOTES_FILE: Final = "expert_notes.jsonl"
REPORT_FILE: Final = "report.json"


def convert(
    layout: Layout,
    folder: Path,
    split: str,
    activities: Sequence[str],
    window: Window,
    progress: Progress,
) -> dict[str, Any]:
    """Write the dataset, its notes, report and card; returns what was written.

    Args:
        layout: the download.
        folder: new or empty.
        split: an official split, or "all".
        activities: scenarios or tasks; none: all.
        window: the seconds of a comment.
        progress: called with takes done and takes in all.

    Raises:
        PoiseError: a file of annotations cannot be read, a label is unknown, too many files of
            takes are broken, or the folder cannot be written. Nothing is left behind then.
    """
    findings = Findings()
    takes = read_takes(layout, findings)
    takes = chosen(takes, split, activities, "test" in layout.splits(DEMONSTRATOR))
    tally: Counter[str] = Counter()
    info = {"source": "Ego-Exo4D v2", "split": split, "activities": list(activities)}
    with tempfile.TemporaryDirectory(prefix="poise-egoexo4d-") as scratch:
        notes = Path(scratch) / NOTES_FILE
        with TakeIndex(Path(scratch)) as index, notes.open("w", encoding="utf-8") as file:
            _fill(index, layout, takes)
            rows = TakeRows(layout, index, window, findings)
            records = _records(rows, takes, file, tally, progress)
            sha = write_samples(records, folder, info | asdict(window))
        report = findings.report()
        _put_beside(folder, layout.root, notes, report)
    write_card(folder)
    return {
        "folder": str(folder),
        "takes": len(takes),
        "participants": len({take.participant for take in takes}),
        **tally,
        "found": {problem: len(names) for problem, names in report["names"].items()},
        "left_out": report["counts"],
        "peak_memory_mb": peak_memory_mb(),
        "sha256": sha,
    }


def peak_memory_mb() -> int:
    """The most memory that this process has held, in 10^6 bytes.

    Linux's `ru_maxrss` begins with that of the process that started this one; `VmHWM` does not.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        held = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return round(int(held.split()[1]) * 1024 / 1e6)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)


def _fill(index: TakeIndex, layout: Layout, takes: Sequence[Take]) -> None:
    """Store what the annotation files of all splits say of these takes."""
    wanted = {take.uid for take in takes}
    for kind in (COMMENTARY, ATOMIC, DEMONSTRATION):
        for split in layout.splits(kind):
            entries = read_entries(layout.annotation(kind, split))
            index.fill(kind, ((uid, entry) for uid, entry in entries if uid in wanted))


def _records(
    rows: TakeRows,
    takes: Sequence[Take],
    notes: IO[str],
    tally: Counter[str],
    progress: Progress,
) -> Iterator[dict[str, Any]]:
    """All records in order; notes are written and rows counted on the way."""
    for number, take in enumerate(takes, 1):
        records, noted = rows.of(take)
        for record in records:
            tally["rows"] += 1
            tally["comments"] += record["commentary_raw"] is not None
            tally["rows_with_pose"] += record["pose"] is not None
            tally["rows_with_gaze"] += record["gaze"] is not None
            yield record
        for note in noted:
            notes.write(json.dumps(note) + "\n")
            tally["notes"] += 1
        progress(number, len(takes))


def _put_beside(folder: Path, root: Path, notes: Path, report: dict[str, Any]) -> None:
    """The link to the download, the notes and the report."""
    try:
        (folder / LINK).symlink_to(root.resolve(), target_is_directory=True)
        shutil.copyfile(notes, folder / NOTES_FILE)
        (folder / REPORT_FILE).write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    except OSError as fault:
        shutil.rmtree(folder, ignore_errors=True)
        raise PoiseError(
            f"cannot write dataset {folder}", got=str(fault), remedy="name another folder"
        ) from fault
