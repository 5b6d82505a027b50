"""One's own demonstration out of a film or a pose file, seen by the pipeline that coaches."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from assistant.demos.choice import check_names
from assistant.demos.cut import cut_demonstrations, with_unconditional
from assistant.demos.library import Demonstration
from assistant.demos.thumbnail import film_thumbnail, pose_thumbnail
from assistant.errors import PoiseError
from assistant.tasks.window import WINDOW_SECONDS
from prompts.vocabulary import LEVELS, REGIONS

if TYPE_CHECKING:
    from assistant.clip import Clip
    from assistant.clip_input import PoseResult
    from assistant.coach import Coach
    from assistant.coach_result import Judged

STEP_SECONDS = 0.5


@dataclass(frozen=True)
class About:
    """What the owner says of a demonstration.

    Attributes:
        activity: what it shows.
        level, regions, licence, note: see `Demonstration`.
        span: seconds of the clip; None takes the two seconds that matter most.
        name: in place of the clip's name.
        trusted: take the owner's word for the activity, whatever the clip looks like.
    """

    activity: str
    level: str | None = None
    regions: tuple[str, ...] = ()
    licence: str | None = None
    note: str = ""
    span: tuple[float, float] | None = None
    name: str | None = None
    trusted: bool = False

    def __post_init__(self) -> None:
        check_names("level", () if self.level is None else (self.level,), LEVELS)
        check_names("region", self.regions, REGIONS)


def demonstrations_of(
    coach: "Coach", clip: "Clip", resolved: "PoseResult", about: About
) -> list[Demonstration]:
    """Windows of a clip as demonstrations, with pictures and likelihoods.

    Raises:
        PoiseError: the clip is too short, cannot be judged or shows another activity; the span
            lies outside it.
    """
    coach.check_activity(about.activity)
    duration = resolved.pose.duration
    if duration < WINDOW_SECONDS:
        raise PoiseError(
            f"clip {clip.clip_id} is too short for a demonstration",
            got=f"{duration:.2f} s",
            expected=f"at least {WINDOW_SECONDS:g} s",
            remedy="give the whole movement",
        )
    check_span(about.span, duration)
    judged = _judged(coach, clip, resolved, about)
    items = cut_demonstrations(
        coach.perception,
        judged.pose,
        judged.assessment.span,
        window_starts(about.span, judged.window.start, duration),
        about.name or clip.clip_id,
        activity=about.activity,
        level=about.level,
        correct_regions=tuple(r for r in REGIONS if r in about.regions),
        licence=about.licence,
        source=resolved.pose.source,
        origin=", ".join(path.name for path in clip.views.values()) or clip.clip_id,
        note=about.note,
    )
    rated = with_unconditional(items, coach.engine, coach.config)
    return [replace(item, thumbnail=picture_of(item, clip, resolved)) for item in rated]


def check_span(span: tuple[float, float] | None, duration: float) -> None:
    """Raise PoiseError unless `span` is a part of a clip of `duration` seconds."""
    if span is not None and not 0 <= span[0] < span[1] <= duration + 1e-6:
        raise PoiseError(
            "no such part of the clip",
            got=f"{span[0]:g} to {span[1]:g} s",
            expected=f"a start before an end within 0 to {duration:.2f} s",
        )


def window_starts(
    span: tuple[float, float] | None, heaviest: float, duration: float
) -> list[float]:
    """Where windows begin, seconds: the heaviest one; or in the middle of a short span; or every
    half second of one that is longer than a window."""
    last = duration - WINDOW_SECONDS
    if span is None:
        return [min(heaviest, last)]
    start, end = span
    room = end - start - WINDOW_SECONDS
    if room <= 0:
        return [float(np.clip((start + end - WINDOW_SECONDS) / 2, 0.0, last))]
    count = int(room / STEP_SECONDS + 1e-6) + 1
    return [min(start + i * STEP_SECONDS, last) for i in range(count)]


def _judged(coach: "Coach", clip: "Clip", resolved: "PoseResult", about: About) -> "Judged":
    """The clip as perception sees it, which is told what it shows only where that is trusted."""
    from assistant.coach_result import CoachInput, NotJudged
    from assistant.perceive import perceive

    given = CoachInput(clip.clip_id, resolved.pose, clip.views)
    told = about.activity if about.trusted else None
    seen = perceive(coach.perception, [given], activity=told)[0]
    found = seen.assessment
    if isinstance(seen, NotJudged):
        raise PoiseError(
            f"clip {clip.clip_id} cannot be a demonstration",
            got="a motion that cannot be judged: it looks like none of the known activities",
            expected=about.activity,
            remedy="film the whole body from 2 to 5 m away, one person and whole repetitions; or "
            "give --force if it is one",
        )
    if found.activity != about.activity:
        raise PoiseError(
            f"clip {clip.clip_id} shows another activity",
            got=f"{found.activity} (probability {found.activity_probability:.2f})",
            expected=about.activity,
            remedy="name what it shows with --activity, give another film, or --force",
        )
    return seen


def picture_of(item: Demonstration, clip: "Clip", resolved: "PoseResult") -> bytes:
    """A frame from the middle of the window, or the skeleton where no film reaches it."""
    estimate = resolved.estimate
    films: Mapping[str, Path] = clip.views
    view = resolved.view or next((v for v in films if v != "ego"), None)
    middle = (item.start + item.end) / 2
    if view is None:
        return pose_thumbnail(item)
    picture = film_frame(films[view], middle)
    if picture is None:
        return pose_thumbnail(item)
    points = None
    if estimate is not None:
        points = estimate.overlay[int(abs(estimate.times - middle).argmin())]
    return film_thumbnail(picture, points)


def film_frame(film: Path, time: float) -> np.ndarray | None:
    """The film's picture at `time` seconds, uint8 [H, W, 3]; None after its end."""
    from assistant.video.decode import frames, probe

    if time >= probe(film).duration:
        return None
    return next((picture for _, picture in frames(film, [time])), None)
