"""`poise data pose-error`: the errors of single-view poses, measured where several views agree."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from assistant import __version__
from assistant.errors import PoiseError
from assistant.files import check_writable, file_sha256, write_text
from assistant.options import AsJson, PoseModel

if TYPE_CHECKING:
    from assistant.pose.multiview import MultiViewPose
    from data_prep.pose_error import PoseError

MAX_VIEWS: Final = 4
_GROUPS: Final = {
    "head": 0,
    "shoulder": 5,
    "elbow": 7,
    "wrist": 9,
    "hip": 11,
    "knee": 13,
    "ankle": 15,
}


def register(app: typer.Typer) -> None:
    """Add the command to `poise data`."""
    app.command("pose-error")(pose_error)


def pose_error(
    views: Annotated[list[Path], typer.Argument(help="Synchronised films of one take.")],
    calibration: Annotated[
        Path, typer.Option(help="Qualisys XML, Pose2Sim TOML or Ego-Exo4D camera_pose JSON.")
    ],
    table: Annotated[
        Path | None,
        typer.Option(help="Also write the joint errors behind error bars to this JSON file."),
    ] = None,
    pose_model: PoseModel = None,
    as_json: AsJson = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Also write the JSON here.")
    ] = None,
) -> None:
    """Measure single-view pose errors against the triangulation of all views."""
    from assistant.pose.calibration import match_cameras, read_calibration
    from assistant.pose.multiview import detect_views, triangulate_views
    from assistant.progress import progress_bar

    if not 2 <= len(views) <= MAX_VIEWS:
        raise PoiseError(
            "cannot compare views", got=f"{len(views)} films", expected=f"2 to {MAX_VIEWS} films"
        )
    check_writable(output)
    check_writable(table)
    films = {f"exo{i}": path for i, path in enumerate(views, start=1)}
    cameras = match_cameras(read_calibration(calibration), films)
    with progress_bar("detecting") as progress:
        seen = detect_views(films, progress=progress, model_path=pose_model)
    result = measure_take(triangulate_views(seen, cameras))
    result["provenance"] = {
        "poise_version": __version__,
        "films_sha256": {path.name: file_sha256(path) for path in views},
    }
    if table is not None:
        _write_table(table, result)
    if output is not None:
        write_text(output, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result) if as_json else _lines(result))


def measure_take(take: "MultiViewPose") -> dict[str, Any]:
    """All figures of one take, as `--json` prints them."""
    from data_prep import single_view as measured
    from data_prep.pose_error import angle_bars, mean_error

    by_view = measured.single_view_errors(take)
    as_filmed = measured.single_view_errors(take, level=False)
    confused = measured.confused_views(take)
    clear = {view: error for view, error in by_view.items() if view not in confused}
    if not clear:
        raise PoiseError(
            "no view to measure",
            got="left and right taken for each other in every view",
            expected="a view from which the sides are told apart",
        )
    drawn = measured.noise_error(take.pose)
    frames = len(take.pose)
    return {
        "n": {
            "views": len(by_view),
            "frames": frames,
            "seconds": round(frames / take.pose.fps, 3),
            "observations": take.quality.observations,
        },
        "triangulation": take.quality.to_json(),
        "confused_views": confused,
        "views": {view: error.to_json() for view, error in by_view.items()},
        "views_as_filmed": {view: error.to_json() for view, error in as_filmed.items()},
        "clear_views": mean_error(list(clear.values())).to_json(),
        "all_views": mean_error(list(by_view.values())).to_json(),
        "noise_in_use": drawn.to_json(),
        "parameters": measured.parameters(take, clear, drawn),
        "angle_bars": {name: round(v, 3) for name, v in angle_bars(take.pose).items()},
        "joint_table_mm": _table(list(clear.values())),
    }


def _table(errors: "list[PoseError]") -> dict[str, float]:
    from data_prep.single_view import joint_table

    joints = joint_table(errors)
    return {name: round(float(joints[joint])) for name, joint in _GROUPS.items()}


def _write_table(path: Path, result: dict[str, Any]) -> None:
    """The file that `assistant.pose.pose_error` reads, whole or not at all."""
    record = {
        "source": "mediapipe",
        "measured_by": "poise data pose-error --table",
        "against": "triangulation of several views, PA-MPJPE per joint",
        "views": result["n"]["views"] - len(result["confused_views"]),
        "frames": result["n"]["frames"],
        "tilt_degrees": round(result["clear_views"]["tilt_degrees"], 1),
        "joint_mm": result["joint_table_mm"],
    }
    write_text(path, json.dumps(record, indent=1) + "\n")


def _lines(result: dict[str, Any]) -> str:
    found, count = result["triangulation"], result["n"]
    lines = [
        f"{count['views']} views, {count['frames']} frames ({count['seconds']:.2f} s), "
        f"{count['observations']} observations",
        f"kept {found['kept_share']:.1%}; median reprojection error "
        f"{found['reprojection_px_median']:.1f} px, over all observations "
        f"{found['reprojection_px_median_all']:.1f} px; "
        f"bone lengths vary by at most {found['bone_std_mm']:.1f} mm",
    ]
    if result["confused_views"]:
        lines.append(
            f"left and right taken for each other in {', '.join(result['confused_views'])}: "
            "left out of what was fitted"
        )
    columns = {**result["views"], "fitted": result["clear_views"], "noise": result["noise_in_use"]}
    lines += ["", f"{'millimetres':<20}" + "".join(f"{name:>9}" for name in columns)]
    lines += [
        f"{label:<20}" + "".join(f"{column[key]:>9.1f}" for column in columns.values())
        for label, key in (("PA-MPJPE", "pa_mpjpe_mm"), ("aligned once a clip", "clip_mm"))
    ]
    lines += [
        f"{joint.replace('_', ' '):<20}"
        + "".join(f"{column['joint_mm'][joint]:>9.1f}" for column in columns.values())
        for joint in result["clear_views"]["joint_mm"]
    ]
    columns["error bar"] = {"angle_rms": result["angle_bars"]}
    lines += ["", f"{'degrees, rms, level':<20}" + "".join(f"{name:>10}" for name in columns)]
    lines += [
        f"{angle.replace('_', ' '):<20}"
        + "".join(f"{column['angle_rms'][angle]:>10.1f}" for column in columns.values())
        for angle in result["angle_bars"]
    ]
    lines += ["", f"{'degrees, rms, cameras as they stood':<40}"]
    lines += [
        f"{angle.replace('_', ' '):<20}"
        + "".join(f"{v['angle_rms'][angle]:>10.1f}" for v in result["views_as_filmed"].values())
        for angle in ("trunk_lean", "side_lean", "head_pitch")
    ]
    lines += ["", f"{'noise parameter':<20}{'fitted':>9}{'in use':>9}"]
    lines += [
        f"{name.replace('_', ' '):<20}{row['fitted']:>9.2f}{row['in_use']:>9.2f}"
        for name, row in result["parameters"].items()
    ]
    table = ", ".join(f"{joint} {mm}" for joint, mm in result["joint_table_mm"].items())
    return "\n".join([*lines, "", f"joint errors for error bars (mm): {table}"])
