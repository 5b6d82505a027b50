"""The HTML report of one clip: one self-contained file that asks the network for nothing.

`write_report(feedback, folder, learner=pose)` turns the JSON object of `poise coach --json` and
the poses into `<clip id>.html`. The same input gives the same bytes. A content security policy
with the hash of the page's own script keeps any other script from running.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from assistant.clip import PoseSequence
from assistant.web import wording
from assistant.web.animation import animation, demonstration_window
from assistant.web.page import TEMPLATES, embed, joined_script, page_environment, write_page
from assistant.web.strip import ReportFrame, data_url, jpeg_url, person_box
from prompts.vocabulary import LEVELS, REGIONS

# What is written, and what to do where it cannot be.
REPORT: Final = ("the report", "give a writable folder with --report DIR")

__all__ = ["ReportFrame", "render_report", "report_name", "write_report"]

SCRIPTS = ("skeletons.js", "player.js", "remarks.js")
MAX_FRAMES = 24
SIMULATED_CAPTION = "Learned from simulated performers, not checked against human raters."


def report_name(clip_id: str) -> str:
    """`<clip id>.html`, with the characters that file systems refuse replaced by `_`."""
    stem = re.sub(r'[\x00-\x1f\x7f/\\<>:"|?*]', "_", clip_id).strip(". ")
    while len(stem.encode()) > 180:
        stem = stem[:-1]
    return (stem or "report") + ".html"


def write_report(
    feedback: Mapping[str, Any],
    folder: Path,
    *,
    learner: PoseSequence,
    demonstration: PoseSequence | None = None,
    correction: PoseSequence | None = None,
    frames: Sequence[ReportFrame] = (),
    thumbnails: Sequence[bytes] = (),
) -> Path:
    """Write the report into `folder` (made if missing), atomically, and return its path.

    Args:
        feedback: the JSON object of DESIGN section 3 (`poise coach --json`).
        folder: where `<clip id>.html` goes.
        learner: the whole clip's pose, whose time 0 is the clip's start.
        demonstration: the retrieved expert's pose, cropped to the seconds of its record or whole
            (then cropped here); it is spread over the correction's window.
        correction: the corrected pose over `feedback["correction"]`'s start to end.
        frames: video frames for the strip; of more than 24, every n-th is taken.
        thumbnails: a JPEG picture of each of the record's demonstrations, or none at all.

    Raises:
        PoiseError: when the folder cannot be written; no partial file stays behind.
    """
    page = render_report(
        feedback,
        learner=learner,
        demonstration=demonstration,
        correction=correction,
        frames=frames,
        thumbnails=thumbnails,
    )
    path = Path(folder) / report_name(_clip_id(feedback))
    return write_page(page, path, *REPORT)


def render_report(
    feedback: Mapping[str, Any],
    *,
    learner: PoseSequence,
    demonstration: PoseSequence | None = None,
    correction: PoseSequence | None = None,
    frames: Sequence[ReportFrame] = (),
    thumbnails: Sequence[bytes] = (),
) -> str:
    """The page as text; arguments as in `write_report`."""
    script, digest = joined_script([TEMPLATES / name for name in SCRIPTS])
    frames = _thin(frames)
    box = person_box(frames)
    window = _window(feedback)
    moments = feedback.get("moments") or []
    remarks = list(feedback.get("remarks") or [])
    states = wording.region_states(remarks)
    if demonstration is not None:
        records = feedback.get("demonstrations") or [None]
        demonstration = demonstration_window(demonstration, records[0])
    data = animation(
        learner,
        demonstration,
        correction,
        window=window,
        key_time=_key_time(moments),
        faulty=[region for region in REGIONS if states[region] == "fix"],
    )
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            feedback=feedback,
            clip_id=_clip_id(feedback),
            judged=bool(feedback.get("judged")),
            levels=LEVELS,
            regions=REGIONS,
            states=states,
            groups=wording.group_remarks(remarks, (feedback.get("focus") or {}).get("region")),
            caption=_caption(feedback),
            window=window,
            duration=learner.duration,
            fps=learner.fps,
            tracks=data["tracks"],
            thumbnails=[Markup(jpeg_url(picture)) for picture in thumbnails],
            strip=[(frame.time, Markup(data_url(frame, box))) for frame in frames],
            charts=wording.measurement_charts(feedback.get("measurements") or []),
            data=embed(data),
            script=script,
            script_hash=digest,
            style=Markup((TEMPLATES / "report.css").read_text("utf-8")),
        )
    )


def _environment() -> jinja2.Environment:
    environment = page_environment(TEMPLATES)
    names = ("quantity_name", "label", "measure", "seconds", "percent", "number", "triangulation")
    environment.filters.update({name: getattr(wording, name) for name in names})
    environment.globals.update(
        axis_ticks=wording.axis_ticks,
        evidence_chart=wording.evidence_chart,
        place=wording.place,
        sentences=wording.sentences,
        stack_spans=wording.stack_spans,
    )
    return environment


def _clip_id(feedback: Mapping[str, Any]) -> str:
    clip = feedback.get("clip") or {}
    return str(clip.get("id") or clip.get("clip_id") or "clip")


def _window(feedback: Mapping[str, Any]) -> tuple[float, float] | None:
    correction = feedback.get("correction")
    return None if not correction else (float(correction["start"]), float(correction["end"]))


def _key_time(moments: Sequence[Mapping[str, Any]]) -> float | None:
    if not moments:
        return None
    heaviest = max(moments, key=lambda moment: moment["weight"])
    return (heaviest["start"] + heaviest["end"]) / 2


def _caption(feedback: Mapping[str, Any]) -> str:
    basis = str((feedback.get("provenance") or {}).get("level_basis") or "")
    if basis.startswith("simulated"):
        return SIMULATED_CAPTION
    return f"Level basis: {basis}." if basis else "Level basis: not stated."


def _thin(frames: Sequence[ReportFrame]) -> list[ReportFrame]:
    if len(frames) <= MAX_FRAMES:
        return list(frames)
    picks = sorted({round(i * (len(frames) - 1) / (MAX_FRAMES - 1)) for i in range(MAX_FRAMES)})
    return [frames[i] for i in picks]
