"""Pairs of learners and experts as `poise data pair` writes them, to measure and to learn from.

Measured is one pair of a learner's clip: its closest expert over all its regions that no review
rejected, as in the `demonstration` of the written dataset. Training learns all that no review
rejected. All times are seconds of a take.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.dataset import SampleTable
from assistant.errors import PoiseError
from assistant.files import check_file
from assistant.pose.normalise import NormalisedPose, normalise
from assistant.tasks.window import WINDOW_SECONDS, cut_window
from eval.suite_run import Cut
from prompts.parse import parse_feedback
from prompts.vocabulary import CORRECT

TABLE: Final = "pairs.parquet"
DATASET: Final = "dataset"
TRAINING: Final = "train"
REJECTED: Final = "rejected"
CACHED_POSES: Final = 64
_COLUMNS: Final = (
    "sample_id", "take_id", "participant_id", "activity", "split", "span", "level", "regions",
    "summary", "commentary_raw",
)  # fmt: skip
_PAIR: Final = (
    "learner", "region", "rank", "expert", "split", "activity", "learner_take", "expert_take",
    "learner_start", "learner_end", "expert_start", "expert_end", "pa_mpjpe_mm", "status",
)  # fmt: skip
_SLACK: Final = 0.1  # seconds: spans are stored in float32 and windows on whole frames


@dataclass(frozen=True)
class Stretch:
    """Two seconds of a take: of a pair's window the middle.

    Attributes:
        row: of the dataset, whose motion holds them; begins: where that motion begins.
    """

    take: str
    start: float
    row: int
    begins: float

    @property
    def name(self) -> str:
        """The same for the same two seconds."""
        return f"{self.take}@{self.start:.3f}"


@dataclass(frozen=True)
class LearnerPair:
    """A learner's clip V, what an expert said of it (T), and the paired expert (ExpertAF 3.2).

    Attributes:
        row: of the learner's own record; cut: its clip together with the window.
        reference: the summary of what was said, or else the words; "" where there are none.
        activity: with its action where it has one; sport: without.
        pa_mpjpe_mm: of the pair, as it was mined; status: of its review.
        expert_level: 0..3, and expert_correct the regions that the expert does correctly.
    """

    sample_id: str
    participant_id: str
    activity: str
    sport: str
    split: str
    region: str
    row: int
    cut: Cut
    learner: Stretch
    expert: Stretch
    reference: str
    pa_mpjpe_mm: float
    status: str
    expert_level: int | None
    expert_correct: tuple[str, ...]


class PairTable:
    """The pairs in a folder of `poise data pair`.

    Args:
        splits: the only ones whose pairs and rows there are; None takes all.

    Attributes:
        every: all pairs that no review rejected, by learner, region and nearness.
        pairs: of each learner the closest of these.

    Raises:
        PoiseError: there are none, or they are not of the dataset beside them.
    """

    def __init__(self, folder: Path, splits: Collection[str] | None = None) -> None:
        self.dataset = folder / DATASET
        found = _read(folder / TABLE)
        self._table = SampleTable(self.dataset)
        self._records = self._table.columns(_COLUMNS)
        self._rows: dict[str, int] = {}
        self._spans: dict[str, list[tuple[float, float, int]]] = {}
        for i, row in enumerate(self._records):
            if splits is not None and row["split"] not in splits:
                continue
            self._rows[row["sample_id"]] = i
            start, end = row["span"] or (0.0, 0.0)
            self._spans.setdefault(_take(row), []).append((float(start), float(end), i))
        self._pose = lru_cache(CACHED_POSES)(self._table.pose)
        found = [pair for pair in found if splits is None or pair["split"] in splits]
        self.statuses = dict(sorted(Counter(pair["status"] for pair in found).items()))
        kept = [pair for pair in found if pair["status"] != REJECTED]
        kept.sort(key=lambda pair: (pair["learner"], pair["region"], pair["rank"]))
        self.every = [self._pair(pair) for pair in kept]
        self.pairs = _closest(self.every)
        sha = hashlib.sha256((folder / TABLE).read_bytes())
        sha.update(str(self._table.info["sha256"]).encode())
        self.sha256 = sha.hexdigest()

    def of(self, split: str) -> list[LearnerPair]:
        """The closest pairs of a split, in the order of their learners' names."""
        return [pair for pair in self.pairs if pair.split == split]

    def chosen(self, split: str) -> list[LearnerPair]:
        """`of`, at least one.

        Raises:
            PoiseError: the split has none.
        """
        found = self.of(split)
        if not found:
            splits = ", ".join(sorted({pair.split for pair in self.pairs})) or "no split"
            raise PoiseError(
                f"no pair in split {split}", got=splits, remedy="name one of these by --split"
            )
        return found

    def motion(self, stretch: Stretch) -> NormalisedPose:
        """The two seconds, facing +x by their own heading."""
        start = stretch.start - stretch.begins
        return normalise(self._motion(stretch).crop(start, start + WINDOW_SECONDS))

    def clip(self, pair: LearnerPair) -> tuple[PoseSequence, float]:
        """The learner's motion as it is coached, and the second of it at which the window begins.

        Raises:
            PoiseError: the row has no pose any more.
        """
        part, _, window = pair.cut.of(self._motion(pair.learner), pair.learner.begins)
        return part, window

    def frames(self, stretch: Stretch) -> np.ndarray:
        """[10, 17, 3] of the two seconds, root-centred, facing +x."""
        return cut_window(self.motion(stretch), 0.0).joints

    def _motion(self, stretch: Stretch) -> PoseSequence:
        pose: PoseSequence | None = self._pose(stretch.row)
        if pose is None:
            raise PoiseError(f"no pose of {stretch.take}", remedy="pair the dataset again")
        return pose

    def _row(self, pair: Mapping[str, Any], side: str) -> int:
        if pair[side] not in self._rows:
            raise PoiseError(
                f"pair of {pair['learner']} and {pair['expert']}",
                got=f"a dataset without the {side} in split {pair['split']}",
                remedy="pair the dataset again into a new folder",
            )
        return self._rows[pair[side]]

    def _pair(self, pair: Mapping[str, Any]) -> LearnerPair:
        name, row = pair["learner"], self._row(pair, "learner")
        record, shown = self._records[row], self._records[self._row(pair, "expert")]
        learner = self._stretch(pair, "learner")
        span = record["span"] or (pair["learner_start"], pair["learner_end"])
        start = min(float(span[0]), pair["learner_start"])
        end = max(float(span[1]), pair["learner_end"])
        return LearnerPair(
            sample_id=name,
            participant_id=str(record["participant_id"]),
            activity=pair["activity"],
            split=pair["split"],
            region=pair["region"],
            row=row,
            cut=Cut(learner.row, start, end, learner.start),
            learner=learner,
            expert=self._stretch(pair, "expert"),
            reference=_reference(record),
            pa_mpjpe_mm=pair["pa_mpjpe_mm"],
            status=pair["status"],
            sport=str(record["activity"]),
            expert_level=shown["level"],
            expert_correct=tuple(r for r, p in (shown["regions"] or {}).items() if p == CORRECT),
        )

    def _stretch(self, pair: Mapping[str, Any], side: str) -> Stretch:
        """The middle two seconds of a side's window, out of the longest motion that holds it."""
        take, first, last = (pair[f"{side}_{what}"] for what in ("take", "start", "end"))
        holding = [
            span
            for span in self._spans.get(take, ())
            if span[0] <= first + _SLACK and last - _SLACK <= span[1]
        ]
        if not holding:
            raise PoiseError(
                f"pair of {pair['learner']} and {pair['expert']}",
                got=f"no motion of {take} from {first:g} to {last:g} s",
                remedy="pair the dataset again into a new folder",
            )
        begins, _, row = max(holding, key=lambda span: span[1] - span[0])
        start = max((first + last - WINDOW_SECONDS) / 2, begins)
        return Stretch(take, round(start, 6), row, begins)


def _take(record: Mapping[str, Any]) -> str:
    return str(record["take_id"] or record["sample_id"])


def _reference(record: Mapping[str, Any]) -> str:
    """The commentary T: the summary, its label cut off, or the expert's own words."""
    summary = record["summary"]
    if summary:
        return parse_feedback(summary).commentary or str(summary)
    return str(record["commentary_raw"] or "")


def _closest(found: list[LearnerPair]) -> list[LearnerPair]:
    """Each learner's pair of least error, in the order of the names."""
    best: dict[str, LearnerPair] = {}
    for pair in found:
        rival = best.get(pair.sample_id)
        if rival is None or pair.pa_mpjpe_mm < rival.pa_mpjpe_mm:
            best[pair.sample_id] = pair
    return [best[name] for name in sorted(best)]


def _read(path: Path) -> list[dict[str, Any]]:
    """The rows of a table of pairs."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_file(path, "table of pairs", "a folder of `poise data pair DATASET -o DIR`")
    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        missing = [name for name in _PAIR if rows and name not in rows[0]]
        if missing:
            raise ValueError(f"no column {', '.join(missing)}")
    except (pa.ArrowException, OSError, ValueError) as fault:
        raise PoiseError(
            f"cannot read table of pairs {path}",
            got=" ".join(str(fault).split()),
            expected=f"{TABLE} as `poise data pair DATASET -o DIR` writes it",
        ) from fault
    return rows
