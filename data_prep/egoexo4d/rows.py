"""One take as records of `assistant.dataset`: the whole take, and the window of every comment.

Times inside a record count from `span[0]`, which counts in the take's films. The row of a take
spans all of it. The row of a comment spans the seconds before the pause (`Window`), and its
`moments` end at the pause even where frames after it were asked for.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Final

from assistant.dataset import FEATURE_KINDS
from assistant.errors import PoiseError
from assistant.pose.read import EGOEXO_FPS
from data_prep.egoexo4d.comments import Comment, atomic_actions, comments, notes, rating
from data_prep.egoexo4d.findings import Findings
from data_prep.egoexo4d.index import TakeIndex
from data_prep.egoexo4d.layout import ATOMIC, COMMENTARY, DEMONSTRATION, Layout
from data_prep.egoexo4d.poses import ENOUGH, TakePose, gaze_over, pose_over, read_gaze, read_poses
from data_prep.egoexo4d.takes import Take

# Below the dataset's folder: a link to the download, so that paths in records stay short and true.
LINK: Final = "source"


@dataclass(frozen=True)
class Window:
    """Seconds around an expert's pause.

    Attributes:
        before: one repetition of a throw, kick or lift fits into 4 s, and most of what an expert
            refers to is the last thing seen.
        after: 0, since experts do not refer to later frames; alignment with another clip may ask
            for more.
    """

    before: float = 4.0
    after: float = 0.0

    def __post_init__(self) -> None:
        if not (0.5 <= self.before <= 60 and 0 <= self.after <= 60):
            raise PoiseError(
                "window around a pause",
                got=f"{self.before:g} s before, {self.after:g} s after",
                expected="0.5 to 60 s before, 0 to 60 s after",
            )


@dataclass
class TakeRows:
    """Turns one take after the other into records and notes.

    Attributes:
        layout: the download.
        index: holds commentary, atomic descriptions and demonstration entries by take.
        window: what belongs to a comment.
        findings: collects what is left out.
    """

    layout: Layout
    index: TakeIndex
    window: Window
    findings: Findings

    def of(self, take: Take) -> tuple[Iterator[dict[str, Any]], list[dict[str, Any]]]:
        """The records of a take (the take itself first) and its notes for the side file."""
        said = list(comments(take, self.index.get(COMMENTARY, take.uid), self.findings))
        rated = {
            expert: rating(self.layout, take, expert, self.findings)
            for expert in sorted({comment.expert for comment in said})
        }
        noted = list(notes(take, self.index.get(DEMONSTRATION, take.uid)))
        noted += [
            self._note(take, expert, number, why)
            for expert, (number, why) in rated.items()
            if number is not None
        ]
        ratings = {expert: number for expert, (number, _) in rated.items()}
        return self._records(take, said, ratings), noted

    def _records(
        self, take: Take, said: list[Comment], ratings: dict[str, int | None]
    ) -> Iterator[dict[str, Any]]:
        poses = read_poses(self.layout, take.uid, self.findings)
        gaze = self._gaze(take)
        actions = self._actions(take)
        take = self._with_duration(take, said, poses)
        assert take.duration is not None
        base = self._base(take)
        given = [number for number in ratings.values() if number is not None]
        whole = base | {"sample_id": take.uid, "rating": round(median(given)) if given else None}
        yield self._cut(whole, take, 0.0, take.duration, poses, gaze, actions, least=0.0)
        for comment in said:
            start = max(comment.time - self.window.before, 0.0)
            end = max(min(comment.time + self.window.after, take.duration), comment.time)
            record = base | {
                "sample_id": f"{take.uid}_{comment.expert}_{comment.number:03d}",
                "rating": ratings[comment.expert],
                "commentary_raw": comment.text,
                "moments": [{"start": 0.0, "end": comment.time - start}],
            }
            yield self._cut(record, take, start, end, poses, gaze, actions, least=ENOUGH)

    def _base(self, take: Take) -> dict[str, Any]:
        """What all records of a take share."""
        calibration = self.layout.calibration(take.uid)
        return {
            "take_id": take.uid,
            "participant_id": take.participant,
            "activity": take.activity,
            "action": take.action,
            "split": take.our_split,
            "views": self._views(take),
            "best_exo": take.best_exo,
            "calibration": None if calibration is None else self._linked(calibration),
            "level": take.level,
            "commentary_raw": None,
            "features": self._feature_paths(take),
        }

    def _cut(
        self,
        record: dict[str, Any],
        take: Take,
        start: float,
        end: float,
        poses: list[TakePose],
        gaze: tuple[Any, Any] | None,
        actions: list[dict[str, Any]],
        least: float,
    ) -> dict[str, Any]:
        """A record with everything that belongs to its span of seconds."""
        found = pose_over(poses, start, end, least)
        pose, source = found if found is not None else (None, "none")
        fps = EGOEXO_FPS if pose is None else pose.fps
        frames = max(round((end - start) * fps), 1) if pose is None else len(pose)
        inside = [
            {"t": action["t"] - start, "action": action["action"]}
            for action in actions
            if start <= action["t"] < end
        ]
        return record | {
            "span": [start, end],
            "pose": pose,
            "gaze": None if gaze is None else gaze_over(gaze, start, end, fps, frames),
            "atomic_actions": inside or None,
            "origin": f"Ego-Exo4D v2, take {take.name}, pose {source}",
        }

    def _views(self, take: Take) -> dict[str, str] | None:
        """View to the film that is there, the downscaled one where both are."""
        views = {}
        for view, relative in take.videos.items():
            path = next((path for path in self.layout.videos(relative) if path.is_file()), None)
            if path is None:
                self.findings.add("videos_missing", relative)
            else:
                views[view] = self._linked(path)
        return views or None

    def _feature_paths(self, take: Take) -> dict[str, dict[str, str]] | None:
        found = {}
        for kind in FEATURE_KINDS:
            files = self.layout.features(take.uid, kind)
            views = {view: files[cam] for view, cam in take.cameras.items() if cam in files}
            if views:
                found[kind] = {view: self._linked(path) for view, path in views.items()}
        return found or None

    def _gaze(self, take: Take) -> tuple[Any, Any] | None:
        path = self.layout.gaze(take.name or take.uid)
        if path is None:
            return None
        try:
            gaze = read_gaze(path)
        except PoiseError as fault:
            self.findings.read("gaze", fault)
            return None
        self.findings.read("gaze", None)
        return gaze

    def _actions(self, take: Take) -> list[dict[str, Any]]:
        try:
            return atomic_actions(self.index.get(ATOMIC, take.uid), self.findings)
        except ValueError as fault:
            raise PoiseError(
                f"atomic descriptions of take {take.uid}", got=str(fault), expected="0 or 1"
            ) from fault

    def _with_duration(self, take: Take, said: list[Comment], poses: list[TakePose]) -> Take:
        """A take's length, from takes.json or else from the last thing known to be in it."""
        if take.duration is not None and take.duration > 0:
            return take
        self.findings.add("durations_unknown", take.uid)
        ends = [comment.time for comment in said]
        ends += [pose.start + pose.pose.duration for pose in poses]
        return replace(take, duration=max(ends, default=0.0))

    def _linked(self, path: Path) -> str:
        return os.path.join(LINK, path.relative_to(self.layout.root))

    @staticmethod
    def _note(take: Take, expert: str, number: int, why: str | None) -> dict[str, Any]:
        return {
            "take_id": take.uid,
            "split": take.our_split,
            "kind": "rating",
            "polarity": None,
            "time": None,
            "expert": expert,
            "rating": number,
            "text": why,
        }
