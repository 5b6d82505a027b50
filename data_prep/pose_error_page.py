"""What `poise data pose-error` measured, as a block of docs/data/multiview.md."""

from collections.abc import Mapping
from typing import Any, Final

from assistant.markdown import markdown

# parameter: (what it is, format)
PARAMETERS: Final[Mapping[str, tuple[str, str]]] = {
    "pa_mpjpe_mm": ("PA-MPJPE, mm", ".0f"),
    "jitter_mm": ("change of a joint's error from frame to frame, mm", ".1f"),
    "bias_share": ("share of the mean square that is constant over the clip", ".2f"),
    "decay_seconds": ("time in which the rest forgets itself (1/e), s", ".2f"),
    "bone_wander": ("spread of a bone's length over its mean", ".2f"),
    "parent_share": ("correlation of wrist with elbow, ankle with knee", ".2f"),
    "tilt_degrees": ("lean of the whole body, an axis, degrees", ".1f"),
    "depth_stretch": ("error along the line of sight over across", ".1f"),
    "swaps_per_minute": ("swaps of left and right a minute, before they are put right", ".0f"),
}
PROFILE: Final = "profile_"


def page_block(result: Mapping[str, Any]) -> str:
    """The take, one view against all of them, angles beside their error bars, and the noise."""
    views, frames = result["n"]["views"], result["n"]["frames"]
    clear = f"{views - len(result['confused_views'])} clear views of {frames} frames"
    return "\n\n".join(
        (
            _take(result),
            f"One view against all of them, PA-MPJPE (mm), and by joint over the {clear}:",
            _views(result),
            markdown(
                ["joint", *result["joint_table_mm"]],
                [["mm", *map(str, result["joint_table_mm"].values())]],
            ),
            f"Angles, degrees rms over the {clear}:",
            _angles(result),
            f"Parameters of pose noise, on the same motion; swaps over all {views} views:",
            _noise(result["parameters"]),
        )
    )


def _take(result: Mapping[str, Any]) -> str:
    found, count = result["triangulation"], result["n"]
    frames, observations = f"{count['frames']} frames", f"{count['observations']:,}"
    kept = f"{round(found['kept_share'] * count['observations']):,}"
    return markdown(
        ["figure", "value", "n"],
        [
            ["observations kept", f"{found['kept_share']:.1%}", observations],
            ["median reprojection error, kept", f"{found['reprojection_px_median']:.1f} px", kept],
            [
                "median reprojection error, all",
                f"{found['reprojection_px_median_all']:.1f} px",
                observations,
            ],
            [
                "standard deviation of bone length, the worst of eight",
                f"{found['bone_std_mm']:.1f} mm",
                frames,
            ],
        ],
    )


def _views(result: Mapping[str, Any]) -> str:
    rows = [
        [
            view,
            f"{error['pa_mpjpe_mm']:.0f}",
            "taken for each other" if view in result["confused_views"] else "clear",
            str(result["n"]["frames"]),
        ]
        for view, error in result["views"].items()
    ]
    return markdown(["view", "PA-MPJPE", "left and right", "frames"], rows)


def _angles(result: Mapping[str, Any]) -> str:
    rows = [
        [
            name.replace("_", " "),
            f"{result['clear_views']['angle_rms'][name]:.1f}",
            f"{bar:.1f}",
        ]
        for name, bar in result["angle_bars"].items()
    ]
    return markdown(["angle", "measured, level cameras", "error bar"], rows)


def _noise(parameters: Mapping[str, Mapping[str, float]]) -> str:
    kinds = ("fitted", "in_use")
    rows = [
        [text, *(f"{parameters[name][kind]:{form}}" for kind in kinds)]
        for name, (text, form) in PARAMETERS.items()
    ]
    joints = [name for name in parameters if name.startswith(PROFILE)]
    names = ", ".join(name.removeprefix(PROFILE) for name in joints)
    sizes = [" ".join(f"{parameters[name][kind]:.2f}" for name in joints) for kind in kinds]
    return markdown(
        ["parameter", "fitted", "in use"], [*rows, [f"size by joint ({names})", *sizes]]
    )
