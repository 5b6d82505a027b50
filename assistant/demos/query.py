"""The window of a clip that demonstrations are compared with."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from assistant.coach_result import CoachInput, NotJudged
from assistant.demos.add import check_span, window_starts
from assistant.demos.choice import Choice
from assistant.errors import PoiseError
from assistant.perceive import perceive
from assistant.perception import Perception, turned
from assistant.pose.normalise import normalise
from assistant.proficiency.assess import recrop
from assistant.tasks.window import cut_window

if TYPE_CHECKING:
    from assistant.clip import Clip
    from assistant.clip_input import PoseResult


def query_window(
    perception: Perception,
    clip: "Clip",
    resolved: "PoseResult",
    choice: Choice,
    span: tuple[float, float] | None,
) -> tuple[np.ndarray, Choice]:
    """The window [10, 17, 3] of a clip, and the choice with the clip's own activity filled in.

    Args:
        span: seconds of the clip whose middle is compared, with `choice.activity` or without;
            None takes the window that matters most.

    Raises:
        PoiseError: a span outside the clip, or neither span nor activity for a clip that cannot
            be judged.
    """
    pose = normalise(resolved.pose)
    if span is not None:
        check_span(span, pose.duration)
        middle = (sum(span) / 2,) * 2
        start = max(window_starts(middle, 0.0, pose.duration)[0], 0.0)
        return cut_window(turned(pose, recrop(pose, span).yaw), start).joints, choice
    given = CoachInput(clip.clip_id, resolved.pose, clip.views)
    known = choice.activity if choice.activity in perception.assessor.activities else None
    seen = perceive(perception, [given], activity=known)[0]
    if isinstance(seen, NotJudged):
        raise PoiseError(
            f"cannot tell what clip {clip.clip_id} shows",
            got="a motion that looks like none of the known activities",
            remedy="give --activity, or --span START END of what is to be compared",
        )
    return seen.window.joints, replace(choice, activity=choice.activity or seen.assessment.activity)
