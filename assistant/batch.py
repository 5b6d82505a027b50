"""Feedback for a whole dataset: what a worker does with some clips, on this machine or another.

    poise batch runs/set -o runs/feedback.jsonl [--engine vllm] [--ray HOST:6379]

`BatchWorker` takes row numbers and gives an `Outcome` for each: the record of `poise coach --json`,
by the same pipeline, or why there is none. A clip that fails takes no other clip with it.
"""

import json
import os
import platform
import sys
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

from assistant.errors import EngineStopped, PoiseError
from assistant.files import check_file, file_sha256

if TYPE_CHECKING:
    from assistant.clip_input import PoseResult
    from assistant.coach import Coach
    from assistant.coach_result import CoachInput, CoachResult

T = TypeVar("T")
# Most pieces that a cluster is given: each is kept when it comes back, so small ones lose little.
MOST_PIECES: Final = 8192


@dataclass(frozen=True)
class BatchSettings:
    """What is done with every clip; paths are absolute, so that they hold in every process.

    Attributes:
        dataset: folder of samples.
        model: folder of a checkpoint; None for the shipped one.
        model_sha256: of that checkpoint, which every machine must have.
        engine: what runs the language model.
        library: folder of demonstrations; None for the checkpoint's own.
        library_sha256: of the demonstrations in it, which every machine must have.
        activity: judge all clips as this; None finds it out.
        seed: recorded, and used where an engine samples.
        gaze: read the samples' gaze where they have it.
        corrections: folder for the corrected motions; None leaves them out.
        pose_model: a MediaPipe `.task` file, for clips without a pose.
        pose_model_sha256: of that file, which every machine must have.
        views: the only films that may be read, of those that a sample has; None: all of them.
        pose_from_films: take the pose from the films that may be read, where a sample has one too.
    """

    dataset: str
    model: str | None
    model_sha256: str
    engine: str
    library: str | None = None
    library_sha256: str | None = None
    activity: str | None = None
    seed: int = 0
    gaze: bool = False
    corrections: str | None = None
    pose_model: str | None = None
    pose_model_sha256: str | None = None
    views: tuple[str, ...] | None = None
    pose_from_films: bool = False


@dataclass(frozen=True)
class Outcome:
    """A clip's record, or None and the reason; and by which process."""

    sample_id: str
    record: dict[str, Any] | None
    reason: str = ""
    worker: str = field(default_factory=lambda: f"{platform.node()}:{os.getpid()}")


class TakePoses:
    """Poses of the takes that were looked at last, each estimated once from its exo films.

    Args:
        most: takes that are kept.
    """

    def __init__(self, most: int = 1) -> None:
        self._most = most
        self._found: OrderedDict[object, PoseResult] = OrderedDict()

    def of(self, take: object, estimate: "Callable[[], PoseResult]") -> "PoseResult":
        """The pose of a take, by what names its films and cameras."""
        if take not in self._found:
            self._found[take] = estimate()
            if len(self._found) > self._most:
                self._found.popitem(last=False)
        self._found.move_to_end(take)
        return self._found[take]


class BatchWorker:
    """Row numbers to outcomes: the code that every machine runs.

    Args:
        settings: of the run.
        coach: the pipeline; None loads it.
        poses: shared by several workers of the same takes; None keeps the last take's.

    Raises:
        PoiseError: no such checkpoint, engine, library, activity, pose model or dataset, or
            another checkpoint, library or pose model than the run's.
    """

    def __init__(
        self,
        settings: BatchSettings,
        coach: "Coach | None" = None,
        poses: TakePoses | None = None,
    ) -> None:
        from assistant.coach import Coach
        from assistant.dataset import SampleTable

        self._settings = settings
        self._table = SampleTable(Path(settings.dataset))
        own = None if settings.library is None else Path(settings.library)
        self._coach = coach or Coach.from_pretrained(
            settings.model, engine=settings.engine, library=own
        )
        self._coach.check_activity(settings.activity)
        _check_sha("model", self._coach.identity["model_sha256"], settings.model_sha256)
        if own is not None:
            _check_sha("library", self._coach.library.sha256(), settings.library_sha256)
        if settings.pose_model is not None:
            found = pose_model_sha256(Path(settings.pose_model))
            _check_sha("pose model", found, settings.pose_model_sha256)
        self._poses = TakePoses() if poses is None else poses

    def __call__(self, rows: Sequence[int]) -> list[Outcome]:
        """Coach some clips together; an outcome for each row, in their order.

        Raises:
            EngineStopped: the engine answers nobody any more: no fault of these clips.
        """
        names = [self._table.sample_id(row) for row in rows]
        outcomes: dict[str, Outcome] = {}
        clips: list[tuple[CoachInput, PoseResult]] = []
        for row, name in zip(rows, names, strict=True):
            found = _attempt(partial(self._read, row))
            if isinstance(found, str):
                outcomes[name] = Outcome(name, None, found)
            else:
                clips.append(found)
        outcomes |= {outcome.sample_id: outcome for outcome in self._coach_all(clips)}
        return [outcomes[name] for name in names]

    def _read(self, row: int) -> "tuple[CoachInput, PoseResult]":
        return self._load(self._table.sample(row))

    def _coach_all(self, clips: "Sequence[tuple[CoachInput, PoseResult]]") -> list[Outcome]:
        """Decode the clips together; one by one where that fails, so that only the bad one is out.

        The answers are the same either way.
        """
        if not clips:
            return []
        found = _attempt(partial(self._records, clips), told=len(clips) == 1)
        if not isinstance(found, str):
            return [
                Outcome(given.clip_id, record)
                for (given, _), record in zip(clips, found, strict=True)
            ]
        if len(clips) == 1:
            return [Outcome(clips[0][0].clip_id, None, found)]
        return [outcome for clip in clips for outcome in self._coach_all([clip])]

    def _records(self, clips: "Sequence[tuple[CoachInput, PoseResult]]") -> list[dict[str, Any]]:
        from assistant.feedback import validate

        settings = self._settings
        results = self._coach.coach_many(
            [given for given, _ in clips], activity=settings.activity, seed=settings.seed
        )
        records = []
        for result, (_, resolved) in zip(results, clips, strict=True):
            record = result.feedback.to_json()
            if resolved.quality is not None:
                record["provenance"]["triangulation"] = resolved.quality.to_json()
            self._keep(result, record)
            validate(record)
            records.append(record)
        return records

    def _keep(self, result: "CoachResult", record: dict[str, Any]) -> None:
        """Write the corrected motion, where wanted; `record` is told where it lies.

        Suites keep more of a result here.
        """
        from assistant.pose.read import write_pose

        if self._settings.corrections is None or result.correction is None:
            return
        name = f"{quote(record['clip']['id'], safe='')}.npz"
        path = Path(self._settings.corrections) / name
        write_pose(path, result.correction)
        record["correction"]["pose"] = str(path)

    def _load(self, sample: dict[str, Any]) -> "tuple[CoachInput, PoseResult]":
        """A sample as the pipeline takes it.

        Raises:
            PoiseError: a film that cannot be read, or nothing that shows the body.
        """
        from assistant.clip_input import PoseResult, check_video
        from assistant.coach_result import CoachInput
        from assistant.proficiency.streams import Stream

        folder = Path(self._settings.dataset)
        allowed = self._settings.views
        films = {
            view: folder / path
            for view, path in (sample["views"] or {}).items()
            if allowed is None or view in allowed
        }
        for film in films.values():
            check_video(film)
        start = 0.0 if sample["span"] is None else float(sample["span"][0])
        if sample["pose"] is not None and not self._settings.pose_from_films:
            resolved = PoseResult(sample["pose"])
        else:
            resolved = self._estimated(sample, films)
        gaze = None
        if self._settings.gaze and sample["gaze"] is not None:
            gaze = Stream(sample["gaze"], len(sample["gaze"]) / resolved.pose.duration)
        given = CoachInput(
            sample["sample_id"], resolved.pose, films, gaze, start, best_exo=sample["best_exo"]
        )
        return given, resolved

    def _estimated(self, sample: dict[str, Any], films: dict[str, Path]) -> "PoseResult":
        """The pose over the sample's span, from its films; those of a take are read once."""
        from assistant.clip import Clip
        from assistant.clip_input import load_cameras, resolve_pose

        exo = {view: film for view, film in films.items() if view != "ego"}
        if not exo:
            raise PoiseError(
                f"no pose for {sample['sample_id']}",
                got="an ego film only, which does not show the body" if films else "no film",
                expected="an exo film or a pose",
            )
        calibration = sample["calibration"] if len(exo) > 1 else None
        clip, model = Clip(sample["sample_id"], exo), self._settings.pose_model

        def estimate() -> "PoseResult":
            cameras = None
            if calibration is not None:
                cameras = load_cameras(clip, Path(self._settings.dataset) / calibration)
            return resolve_pose(
                clip, cameras=cameras, pose_model=None if model is None else Path(model)
            )

        whole = self._poses.of((tuple(sorted(exo.items())), calibration), estimate)
        if sample["span"] is None:
            return whole
        return replace(whole, pose=whole.pose.crop(*map(float, sample["span"])))


class JsonBatchWorker:
    """A `BatchWorker` of text, for the machines of a cluster."""

    def __init__(self, settings: dict[str, Any]) -> None:
        import torch

        torch.set_num_threads(1)
        self._worker = BatchWorker(BatchSettings(**settings))

    def __call__(self, text: str) -> str:
        """[row, ...] -> [outcome, ...]."""
        return json.dumps([asdict(outcome) for outcome in self._worker(json.loads(text))])


def here(settings: BatchSettings, pieces: Sequence[Sequence[int]]) -> Iterator[list[Outcome]]:
    """Outcomes of pieces of the dataset, in their order, by this process.

    Raises:
        PoiseError: the engine has stopped; the clips that it had are not among the outcomes.
    """
    from assistant.progress import quiet_libraries

    with quiet_libraries():
        worker = BatchWorker(settings)
    try:
        yield from map(worker, pieces)
    except EngineStopped as fault:
        raise PoiseError(
            "the run has stopped half-way",
            got=str(fault),
            remedy="run the same command again: what is done is kept",
        ) from fault


def by_cluster(
    settings: BatchSettings, pieces: Sequence[Sequence[int]], address: str, workers: int | None
) -> Iterator[list[Outcome]]:
    """The same in the order in which they come; address, workers, errors as for `on_cluster`."""
    from assistant.cluster import on_cluster

    found = on_cluster(
        JsonBatchWorker,
        {"settings": asdict(settings)},
        [json.dumps(list(piece)) for piece in pieces],
        address=address,
        workers=workers,
        blocks=MOST_PIECES,
    )
    for text in found:
        yield [Outcome(**record) for record in json.loads(text)]


def pose_model_sha256(path: Path) -> str:
    """The hash of a `.task` file.

    Raises:
        PoiseError: it is missing, empty or cannot be read.
    """
    check_file(path, "pose model")
    return file_sha256(path)


def _check_sha(what: str, got: str, expected: str | None) -> None:
    if got != expected:
        raise PoiseError(f"this machine has another {what}", got=got, expected=str(expected))


def _attempt(work: Callable[[], T], *, told: bool = True) -> T | str:
    """What the work gives, or why it failed; `told` writes an unforeseen fault to the log."""
    try:
        return work()
    except EngineStopped:
        raise
    except PoiseError as fault:
        return str(fault)
    except Exception as fault:
        if told:
            traceback.print_exc(file=sys.stderr)
        return f"{type(fault).__name__}: {fault}"
