"""Samples of a dataset coached for a suite: what it needs of every clip, and failures by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assistant.batch import BatchSettings, BatchWorker, TakePoses
from assistant.progress import Progress

if TYPE_CHECKING:
    from assistant.clip import PoseSequence
    from assistant.clip_input import PoseResult
    from assistant.coach import Coach
    from assistant.coach_result import CoachInput, CoachResult

BATCH: Final = 16
# The demonstrator benchmark of Ego-Exo4D allows video (and poses estimated from it) alone.
FORBIDDEN: Final = ("gaze", "audio", "text", "commentary")
ANNOTATED_POSE: Final = "annotated pose"


class PoseFrom(StrEnum):
    """Whose pose an answer about some views rests on: of their films, or of the dataset."""

    FILMS = "films"
    ANNOTATED = "annotated"


@dataclass(frozen=True)
class Coached:
    """What a suite keeps of a clip.

    Attributes:
        sample_id: of the dataset.
        record: feedback as `poise coach --json` gives it; None where the clip failed.
        reason: why it failed, or why it was not judged; "" for a judged clip.
        answer: the generated answer, label and commentary; None unless judged.
        kept: what the suite keeps of the result; None where the clip failed.
        annotated: the pose is the dataset's, not that of the films.
    """

    sample_id: str
    record: dict[str, Any] | None
    reason: str = ""
    answer: str | None = None
    kept: Any = field(default=None, repr=False)
    annotated: bool = False

    @property
    def proficiency(self) -> dict[str, Any] | None:
        """Level and probabilities; None unless judged."""
        return None if self.record is None else self.record["proficiency"]


@dataclass(frozen=True)
class Cut:
    """The part of a row's motion that is coached, and its correction window; seconds of the take.

    Attributes:
        row: holds the motion; start, end: what is coached; window: where the two seconds begin.
    """

    row: int
    start: float
    end: float
    window: float

    def of(self, pose: "PoseSequence", begins: float) -> "tuple[PoseSequence, float, float]":
        """The part of a motion that begins at a second of the take: the part, and where it begins
        in the motion and the window in the part, seconds."""
        first = max(round((self.start - begins) * pose.fps), 0) / pose.fps  # on a whole frame
        part = pose.crop(first, self.end - begins)
        return part, first, max(self.window - begins - first, 0.0)


class SuiteWorker(BatchWorker):
    """The worker of `poise batch`, which keeps the generated answers too.

    Args:
        keep: what else is kept of a result, called with it.
        cuts: sample id to what is coached instead of the whole row.
        poses: as for `BatchWorker`.
    """

    def __init__(
        self,
        settings: BatchSettings,
        coach: "Coach",
        keep: "Callable[[CoachResult], Any]" = lambda result: None,
        cuts: Mapping[str, Cut] | None = None,
        poses: TakePoses | None = None,
    ) -> None:
        super().__init__(settings, coach, poses)
        self._keeps, self._cuts = keep, cuts or {}
        self._found: dict[str, tuple[str | None, Any]] = {}
        self._annotated: set[str] = set()

    def _keep(self, result: "CoachResult", record: dict[str, Any]) -> None:
        self._found[record["clip"]["id"]] = (result.text, self._keeps(result))

    def _load(self, sample: dict[str, Any]) -> "tuple[CoachInput, PoseResult]":
        given, resolved = self._cut_or_whole(sample)
        if resolved.estimate is None:
            self._annotated.add(given.clip_id)
        return given, resolved

    def _cut_or_whole(self, sample: dict[str, Any]) -> "tuple[CoachInput, PoseResult]":
        name = sample["sample_id"]
        if name not in self._cuts:
            return super()._load(sample)
        cut = self._cuts[name]
        given, resolved = super()._load(self._table.sample(cut.row) | {"sample_id": name})
        pose, first, window = cut.of(given.pose, given.film_start)
        given = replace(
            given,
            pose=pose,
            gaze=None,
            film_start=given.film_start + first,
            window_start=window,
        )
        return given, replace(resolved, pose=pose)

    def coached(self, rows: Sequence[int]) -> list[Coached]:
        """Coach some rows together."""
        outcomes = self(rows)
        found = []
        for outcome in outcomes:
            if outcome.record is None:
                found.append(Coached(outcome.sample_id, None, outcome.reason))
                continue
            reason = outcome.record["abstain_reason"] or ""
            kept = self._found[outcome.sample_id]
            annotated = outcome.sample_id in self._annotated
            found.append(Coached(outcome.sample_id, outcome.record, reason, *kept, annotated))
        self._found.clear()
        self._annotated.clear()
        return found


def coach_rows(
    coach: "Coach",
    folder: Path,
    rows: Sequence[int],
    *,
    activity: str | None = None,
    views: tuple[str, ...] | None = None,
    gaze: bool = False,
    pose_from_films: bool = False,
    seed: int = 0,
    keep: "Callable[[CoachResult], Any]" = lambda result: None,
    cuts: Mapping[str, Cut] | None = None,
    poses: TakePoses | None = None,
    progress: Progress = lambda done, total: None,
) -> list[Coached]:
    """Coach rows of a dataset in batches; a clip that fails takes no other with it.

    Args:
        activity: judge all as this; None finds it out.
        views: the only films that are read; None: all.
        pose_from_films: as for `BatchSettings`.
        keep, cuts, poses: as for `SuiteWorker`.
    """
    settings = BatchSettings(
        dataset=str(folder.resolve()),
        model=None,
        model_sha256=coach.identity["model_sha256"],
        engine=coach.engine.name,
        activity=activity,
        seed=seed,
        gaze=gaze,
        views=views,
        pose_from_films=pose_from_films,
    )
    worker = SuiteWorker(settings, coach, keep, cuts, poses)
    found: list[Coached] = []
    for begin in range(0, len(rows), BATCH):
        found += worker.coached(rows[begin : begin + BATCH])
        progress(len(found), len(rows))
    return found


def counts(found: Sequence[Coached]) -> dict[str, int]:
    """How many were asked, done (coached without a fault), judged and failed."""
    done = sum(clip.record is not None for clip in found)
    judged = sum(clip.proficiency is not None for clip in found)
    return {"asked": len(found), "done": done, "judged": judged, "failed": len(found) - done}


def failures(found: Sequence[Coached]) -> list[dict[str, str]]:
    """Which clips failed, and why."""
    return [{"id": c.sample_id, "reason": c.reason} for c in found if c.record is None]


def inputs_used(found: Sequence[Coached]) -> dict[str, int]:
    """Input to the number of clips whose answer rests on it."""
    used: dict[str, int] = {}
    for clip in found:
        for name in clip.record["provenance"]["inputs_used"] if clip.record else ():
            used[name] = used.get(name, 0) + 1
    return dict(sorted(used.items()))


def benchmark_rules(found: Sequence[Coached]) -> dict[str, Any]:
    """Whether answers keep to the demonstrator benchmark's inputs; what they used beside those."""
    used = inputs_used(found)
    forbidden: list[str] = [name for name in FORBIDDEN if name in used]
    if any(clip.annotated for clip in found):
        forbidden.append(ANNOTATED_POSE)
    return {"kept": not forbidden, "forbidden_inputs_used": forbidden}
