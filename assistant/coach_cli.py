"""`poise coach`: level, commentary, demonstration and corrected pose for one or several clips."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assistant.engine.choose import DEFAULT_ENGINE
from assistant.errors import PoiseError
from assistant.options import EngineName, LibraryFolder, ModelFolder, PoseModel

if TYPE_CHECKING:
    from assistant.clip import Clip, PoseSequence
    from assistant.clip_input import PoseResult
    from assistant.coach import Coach
    from assistant.coach_result import CoachResult
    from assistant.pose.camera import Camera

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

STRIP_FRAMES = 12
# Characters of an expert's commentary: it and the pose codes fit into the mini's context.
MAX_COMMENTARY = 2000
MAX_NAME = 1024  # of a path
ViewFile = Annotated[Path | None, typer.Option(help="A video of this view of the same take.")]


@app.command()
def coach(
    clips: Annotated[
        list[Path] | None,
        typer.Argument(help="Videos (mp4, mov, webm), pose files (npz, trc, c3d, Ego-Exo4D json)."),
    ] = None,
    ego: ViewFile = None,
    exo1: ViewFile = None,
    exo2: ViewFile = None,
    exo3: ViewFile = None,
    exo4: ViewFile = None,
    pose: Annotated[Path | None, typer.Option(help="The 3D pose of the take (npz).")] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Cameras of the exo views, which are then triangulated: Qualisys XML, Pose2Sim "
            "TOML or Ego-Exo4D camera_pose JSON."
        ),
    ] = None,
    activity: Annotated[str | None, typer.Option(help="Judge the clip as this activity.")] = None,
    demonstration: Annotated[
        str | None,
        typer.Option(
            help="How an expert does it: a clip, or an id of the library. The commentary is "
            "written in view of it."
        ),
    ] = None,
    commentary: Annotated[
        str | None,
        typer.Option(
            help="What an expert said of the clip: text, or a text file. Correction and "
            "demonstrations follow it instead of the generated commentary."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a clip.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="Folder for an HTML report of each clip.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Recorded in the result.")] = 0,
    model: ModelFolder = None,
    engine: EngineName = DEFAULT_ENGINE,
    library: LibraryFolder = None,
    pose_model: PoseModel = None,
    look_at: Annotated[
        list[str] | None,
        typer.Option(
            help="Judge by the film of this view alone (may be repeated); the films of the others "
            "serve only to find the pose."
        ),
    ] = None,
) -> None:
    """Coach clips: what level, what to fix first, who shows it, and how it would look."""
    views = {"ego": ego, "exo1": exo1, "exo2": exo2, "exo3": exo3, "exo4": exo4}
    given = {name: path for name, path in views.items() if path is not None}
    paths: list[Path | None] = list(clips or [])
    of_take = {
        **given,
        "pose": pose,
        "calibration": calibration,
        "demonstration": demonstration,
        "commentary": commentary,
    }
    named = [name for name, value in of_take.items() if value is not None]
    if len(paths) > 1 and named:
        raise PoiseError(
            "several clips with options of one take",
            got=f"{len(paths)} clips and {', '.join(named)}",
            expected="one clip with its views, or several clips without",
        )
    if not paths and not given and pose is None:
        raise typer.BadParameter("name a clip, a view or a pose", param_hint="CLIP")
    if report is not None:
        from assistant.files import check_folder
        from assistant.web.report import REPORT

        check_folder(report, *REPORT)
    said = None if commentary is None else expert_commentary(commentary)

    from assistant.clip_input import load_cameras, load_clip

    loaded = [load_clip(path, given, pose) for path in paths or [None]]
    cameras = None if calibration is None else load_cameras(loaded[0], calibration)
    if report is not None:
        _check_names(loaded, paths)
    from assistant.coach import Coach

    coach_ = Coach.from_pretrained(model, engine=engine, library=library)
    coach_.check_activity(activity)
    if look_at:
        coach_.look_at(look_at)
    shown = None
    if demonstration is not None:
        shown = expert_demonstration(coach_, demonstration, pose_model)
    beside = {"demonstration": shown, "commentary": said}
    for clip in loaded:
        _coach_one(coach_, clip, beside, cameras, activity, as_json, report, seed, pose_model)


def _coach_one(
    coach_: "Coach",
    clip: "Clip",
    beside: dict[str, Any],
    cameras: "dict[str, Camera] | None",
    activity: str | None,
    as_json: bool,
    report: Path | None,
    seed: int,
    pose_model: Path | None,
) -> None:
    """Coach one clip, print the answer and write its report; `beside` is what an expert gave."""
    from assistant.clip_input import resolve_pose
    from assistant.coach_result import CoachInput
    from assistant.progress import progress_bar

    if clip.pose is not None:
        resolved = resolve_pose(clip)
    else:
        with progress_bar(f"pose of {clip.clip_id}") as progress:
            resolved = resolve_pose(clip, cameras=cameras, progress=progress, pose_model=pose_model)
    given = CoachInput(clip.clip_id, resolved.pose, clip.views, **beside)
    result = coach_.coach(given, activity=activity, seed=seed)
    record = result.feedback.to_json()
    if resolved.quality is not None:
        record["provenance"]["triangulation"] = resolved.quality.to_json()
    if report is not None:
        path = write_files(report, clip, resolved, result, record)
    if as_json:
        print(json.dumps(record), flush=True)
    else:
        from assistant.plain import describe

        print(describe(record))
    if report is not None:
        print(path, file=sys.stderr if as_json else sys.stdout, flush=True)


def expert_commentary(given: str) -> str:
    """The text itself, or that of the file it names.

    Raises:
        PoiseError: it is empty, no UTF-8, or longer than the model's context can take.
    """
    path = Path(given)
    try:
        text = path.read_text("utf-8") if len(given) < MAX_NAME and path.is_file() else given
    except (OSError, UnicodeDecodeError) as fault:
        raise PoiseError(
            f"cannot read the commentary {given}", got=str(fault), expected="a text file in UTF-8"
        ) from fault
    if not 0 < len(text.strip()) <= MAX_COMMENTARY:
        raise PoiseError(
            "no commentary that can be followed",
            got=f"{len(text.strip())} characters",
            expected=f"1 to {MAX_COMMENTARY}",
            remedy="give what was said about this one performance",
        )
    return text


def expert_demonstration(coach_: "Coach", given: str, pose_model: Path | None) -> "PoseSequence":
    """The pose of an expert's clip, or of the library's demonstration of that id.

    Raises:
        PoiseError: it is neither.
    """
    from assistant.clip_input import load_clip, resolve_pose

    found = [item for item in coach_.library.items if item.demonstration_id == given]
    if found:
        return found[0].pose()
    if not Path(given).exists():
        raise PoiseError(
            f"no demonstration {given}",
            got="neither a file nor an id of the library",
            expected=f"a clip, or one of the library's {len(coach_.library)} ids",
            remedy="take an id from the `demonstrations` of `poise coach --json`",
        )
    return resolve_pose(load_clip(Path(given), {}, None), pose_model=pose_model).pose


def write_files(
    folder: Path, clip: "Clip", resolved: "PoseResult", result: "CoachResult", record: dict
) -> Path:
    """The corrected pose and the HTML report; `record` is told where the pose lies."""
    from assistant.demos.thumbnail import thumbnail
    from assistant.files import make_folder
    from assistant.pose.read import write_pose
    from assistant.web.report import REPORT, report_name, write_report

    pictures = strip_frames(clip, resolved, result.window)
    best = result.ranked[: len(record["demonstrations"])]
    shown = [thumbnail(r.demonstration) for r in best]
    make_folder(folder, *REPORT)
    path = folder / Path(report_name(clip.clip_id)).with_suffix(".correction.npz")
    if result.correction is not None:
        write_pose(path, result.correction)
        record["correction"]["pose"] = str(path)
    try:
        return write_report(
            record,
            folder,
            learner=resolved.pose,
            demonstration=result.demonstration,
            correction=result.correction,
            frames=pictures,
            thumbnails=shown,
        )
    except PoiseError:
        path.unlink(missing_ok=True)
        raise


def strip_frames(clip: "Clip", resolved: "PoseResult", window: tuple[float, float] | None) -> list:
    """Frames with overlay for the report: of the window, or of the whole clip if not judged."""
    from assistant.video.decode import frames, probe
    from assistant.video.sampling import uniform_times
    from assistant.web.report import ReportFrame

    view = resolved.view or next(
        (v for v in clip.views if v != "ego"), next(iter(clip.views), None)
    )
    if view is None:
        return []
    film = clip.views[view]
    duration = probe(film).duration
    start, end = window or (0.0, duration)
    if start >= duration:  # the pose goes on after the film has ended
        return []
    times = uniform_times(start, min(end, duration), STRIP_FRAMES)
    estimate, strip = resolved.estimate, []
    for time, picture in frames(film, times):
        points = None
        if estimate is not None:
            nearest = int(abs(estimate.times - time).argmin())
            points = estimate.overlay[nearest]
        strip.append(ReportFrame(time, picture, points))
    return strip


def _check_names(clips: "list[Clip]", paths: list[Path | None]) -> None:
    """Raise PoiseError when one clip's report would overwrite another's."""
    first: dict[str, Path | None] = {}
    for clip, path in zip(clips, paths or [None], strict=True):
        if clip.clip_id in first:
            raise PoiseError(
                f"two clips would write the same report {clip.clip_id}.html",
                got=f"{first[clip.clip_id]} and {path}",
                expected="clips with different names",
                remedy="rename one, or coach them one by one into different folders",
            )
        first[clip.clip_id] = path
