"""What the user names on the command line to a clip with a pose.

A CLIP is a video or a pose file (npz, Ego-Exo4D body JSON, TRC, C3D); an `.npz` of the same stem
beside a video is its pose. A lone video counts as the view exo1. With a calibration, the exo views
are triangulated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assistant.clip import Clip, PoseSequence
from assistant.errors import PoiseError
from assistant.files import check_file, check_length
from assistant.pose.read import POSE_SUFFIXES, read_pose
from assistant.progress import Progress, shifted
from prompts.vocabulary import VIEWS

if TYPE_CHECKING:
    from assistant.pose.camera import Camera
    from assistant.pose.estimate import PoseEstimate
    from assistant.pose.multiview import Quality

VIDEO_SUFFIXES: Final = (".mp4", ".mov", ".webm")
LONE_VIEW: Final = "exo1"
_ACCEPTED: Final = (
    f"a video ({', '.join(VIDEO_SUFFIXES)}), a pose file (.npz, .trc, .c3d) or an Ego-Exo4D body "
    "JSON (.json)"
)


@dataclass(frozen=True)
class PoseResult:
    """The pose of a clip and, where it was estimated, how.

    Attributes:
        pose: the learner's motion.
        estimate: None where the pose was given.
        view: the view that was estimated from, of several the one that agrees best; None where the
            pose was given.
        quality: how well the views of a triangulated pose agree.
    """

    pose: PoseSequence
    estimate: "PoseEstimate | None" = None
    view: str | None = None
    quality: "Quality | None" = None


def load_clip(clip: Path | None, views: dict[str, Path], pose: Path | None) -> Clip:
    """Check every file that belongs to one performance and read its pose.

    Args:
        clip: a CLIP, or None where views or a pose are given.
        views: view name ("ego", "exo1" ... "exo4") to video.
        pose: a pose file that goes before any pose found beside a video.

    Raises:
        PoiseError: one line for a missing, empty, damaged, too short, unknown or doubled file.
    """
    films = dict(views)
    pose_path = pose
    if clip is not None:
        check_file(clip, "clip", _ACCEPTED)
        kind = _kind(clip)
        if kind == "pose" and pose is not None:
            raise _twice("two poses for one clip", clip, pose, "name one of them")
        if kind == "pose":
            pose_path = clip
        elif LONE_VIEW in films:
            raise _twice(
                f"two videos for the view {LONE_VIEW}",
                clip,
                films[LONE_VIEW],
                "name all views by options, or leave this option out",
            )
        else:
            films[LONE_VIEW] = clip
    if not films and pose_path is None:
        raise PoiseError("no clip", got="no file", expected=_ACCEPTED, remedy="name one")
    films = {view: films[view] for view in _known_views(films)}
    for film in films.values():
        check_video(film)
    if pose is not None and pose.suffix.lower() in VIDEO_SUFFIXES:
        raise PoiseError(
            f"cannot use {pose} as a pose",
            got="a video",
            expected="a pose file (.npz, .trc, .c3d) or an Ego-Exo4D body JSON (.json)",
            remedy="give a video as the clip or by --exo1 FILE",
        )
    if pose_path is None:
        pose_path = _pose_beside(clip, films)
    stem = clip or next(iter(films.values()), pose_path)
    assert stem is not None
    return Clip(stem.stem, films, None if pose_path is None else read_pose(pose_path))


def load_cameras(clip: Clip, calibration: Path) -> "dict[str, Camera]":
    """The camera of each exo view of a clip.

    Raises:
        PoiseError: the clip has a pose already, or a fault of `calibration.read_calibration` or
            `match_cameras`.
    """
    from assistant.pose.calibration import match_cameras, read_calibration

    if clip.pose is not None:
        raise PoiseError(
            f"two sources of the pose of {clip.clip_id}",
            got=f"a pose file and the calibration {calibration}",
            expected="one of them",
            remedy="leave --calibration out, or move the pose file away from the films",
        )
    return match_cameras(read_calibration(calibration), _exo(clip))


def resolve_pose(
    clip: Clip,
    *,
    cameras: "Mapping[str, Camera] | None" = None,
    progress: Progress | None = None,
    pose_model: Path | None = None,
) -> PoseResult:
    """The clip's pose: as given, else triangulated, else from the exo view that shows it best.

    With several exo views and no cameras, each is estimated by itself and the one with the highest
    mean confidence is taken.

    Args:
        clip: from `load_clip`.
        cameras: from `load_cameras`.
        progress: called with frames done and frames in all.
        pose_model: a MediaPipe `.task` file; None uses the model that comes with mediapipe.

    Raises:
        PoiseError: only an ego view, nobody to be seen, or no estimator installed.
    """
    if clip.pose is not None:
        return PoseResult(clip.pose)
    from assistant.pose.estimate import NoPersonError, estimate_pose, frames_to_read

    exo = _exo(clip)
    if not exo:
        raise PoiseError(
            f"no pose for clip {clip.clip_id}",
            got="an ego view only, which does not show the body",
            expected="an exo view or a pose",
            remedy="add --exo1 FILE or --pose FILE",
        )
    if cameras is not None:
        from assistant.pose.multiview import detect_views, triangulate_views

        seen = detect_views(exo, progress=progress, model_path=pose_model)
        joined = triangulate_views(seen, cameras)
        view = joined.best_view
        return PoseResult(joined.pose, joined.in_view(view), view, joined.quality)
    counts = {view: frames_to_read(film) for view, film in exo.items()}
    results: list[PoseResult] = []
    faults: list[NoPersonError] = []
    before = 0
    for view, film in exo.items():
        step = None if progress is None else shifted(progress, before, sum(counts.values()))
        try:
            estimate = estimate_pose(film, progress=step, model_path=pose_model)
            results.append(PoseResult(estimate.pose, estimate, view))
        except NoPersonError as fault:
            faults.append(fault)
        before += counts[view]
    if not results:
        raise faults[0]
    return max(results, key=lambda result: float(result.pose.confidence.mean()))


def _exo(clip: Clip) -> dict[str, Path]:
    return {view: film for view, film in clip.views.items() if view != "ego"}


def _kind(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return "video"
    if suffix in POSE_SUFFIXES:
        return "pose"
    raise PoiseError(
        f"cannot use {path} as a clip",
        got=f"a name ending in {suffix}" if suffix else "a name without an ending",
        expected=_ACCEPTED,
        remedy="convert it, or name another file",
    )


def _known_views(films: dict[str, Path]) -> list[str]:
    """The given views in their fixed order."""
    unknown = sorted(set(films) - set(VIEWS))
    if unknown:
        raise PoiseError(
            f"unknown view {unknown[0]}",
            got=unknown[0],
            expected=f"one of {', '.join(VIEWS)}",
            remedy="name the view as listed",
        )
    return [view for view in VIEWS if view in films]


def check_video(path: Path) -> None:
    """Raise PoiseError unless `path` is a video that is long enough to show a movement."""
    from assistant.video import decode

    check_file(path, "video")
    if _kind(path) != "video":
        raise PoiseError(
            f"cannot use {path} as a view",
            got="a pose file",
            expected=f"a video ({', '.join(VIDEO_SUFFIXES)})",
            remedy="give a pose by --pose FILE",
        )
    info = decode.probe(path)
    check_length(path, "video", info.frames, info.fps)


def _pose_beside(clip: Path | None, films: dict[str, Path]) -> Path | None:
    """The `.npz` with the stem of the clip or of a view, in this order."""
    for film in ([clip] if clip is not None else []) + list(films.values()):
        beside = film.with_suffix(".npz")
        if beside.is_file():
            return beside
    return None


def _twice(what: str, first: Path, second: Path, remedy: str) -> PoiseError:
    return PoiseError(what, got=f"{first} and {second}", expected="one", remedy=remedy)
