"""What is seen of a clip before anybody speaks of it: the half of coaching without language model.

The pipeline calls it in its own process; a server runs it in workers beside the engine.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from assistant.clip import PoseSequence
from assistant.coach_result import CoachInput, Judged, NotJudged, with_window
from assistant.model.configuration_poise import GIVEN
from assistant.perception import Perception, focus_window
from assistant.pose.kinematics import measure
from assistant.pose.normalise import NormalisedPose, normalise
from assistant.pose.windows import window_errors
from assistant.proficiency.assess import Assessment, recrop
from assistant.tasks.window import WINDOW_FPS, WindowFrames, cut_window


def perceive(
    perception: Perception, clips: Sequence[CoachInput], *, activity: str | None = None
) -> list[Judged | NotJudged]:
    """Assess clips and make what the language model reads of them.

    Args:
        perception: the frozen parts of a checkpoint.
        clips: poses and, where there are any, films.
        activity: judge all of them as this activity; None finds it out.

    Raises:
        PoiseError: an activity that the model does not know.
    """
    poses = [normalise(clip.pose) for clip in clips]
    sources = [
        perception.stream_source(
            perception.shown(clip.views, clip.best_exo), clip.gaze, clip.film_start
        )
        for clip in clips
    ]
    assessments = perception.assessor.assess_many(poses, activity=activity, sources=sources)
    seen: list[Judged | NotJudged] = []
    for clip, pose, found in zip(clips, poses, assessments, strict=True):
        # A named activity is the user's word that it is one: only the shape is judged then.
        if found.judged or activity is not None:
            seen.append(_judged(perception, clip, pose, found))
        else:
            seen.append(NotJudged(clip, found, measure(clip.pose, None, None)))
    return seen


def reassess(
    perception: Perception,
    pose: NormalisedPose,
    window: WindowFrames,
    frames: np.ndarray | None,
    *,
    activity: str,
    span: tuple[float, float],
) -> Assessment:
    """What the same heads say of a clip with other frames in its window, from the pose alone.

    Films show the learner as it was, so they are left out even where the first assessment read
    them.

    Args:
        pose: the whole clip; window: where the frames go.
        frames: [10, 17, 3] root-centred, facing +x at the window's heading; None leaves the clip
            as it is.
        activity, span: of the first assessment, so that nothing but the frames differs.
    """
    whole = pose if frames is None else with_window(pose, window, frames)
    return perception.assessor.assess_many(
        [recrop(whole, span)], activity=activity, find_span=False
    )[0]


def _judged(
    perception: Perception, clip: CoachInput, pose: NormalisedPose, assessment: Assessment
) -> Judged:
    window = focus_window(pose, assessment, clip.window_start)
    features, codes = perception.encode_window(window)
    video, names = _watch(perception, clip, window)
    return Judged(
        given=clip,
        pose=pose,
        assessment=assessment,
        measurements=measure(clip.pose, assessment.activity, assessment.span),
        window=window,
        codes=codes,
        estimate=perception.estimate(window, assessment.activity),
        inputs=replace(
            perception.model_inputs(assessment, features, window, video=video),
            demonstration=_shown(perception, clip.demonstration, window),
        ),
        video_views=names,
    )


def _shown(
    perception: Perception, demonstration: PoseSequence | None, window: WindowFrames
) -> list[list[int]] | None:
    """Codes [10, M] of the two seconds of a demonstration that are nearest to the learner's window
    (PA-MPJPE at 5 fps, ExpertAF section 3.2); None without one."""
    if demonstration is None:
        return None
    pose = normalise(demonstration)
    times = np.arange(0.0, pose.duration, 1 / WINDOW_FPS)
    frames = pose.at_times(times, WINDOW_FPS).joints
    errors = window_errors(window.joints[None], [frames], threads=1)[0, 0]
    start = times[int(errors.argmin())] if errors.size else 0.0
    _, codes = perception.encode_window(cut_window(pose, float(start)))
    shown: list[list[int]] = codes.tolist()
    return shown


def _watch(
    perception: Perception, clip: CoachInput, window: WindowFrames
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Features [V, D] of the clip's films in the window, and the views they are of."""
    films = perception.shown(clip.views, clip.best_exo)
    if perception.video_encoder is None or not films or "video" not in GIVEN[perception.inputs]:
        return None, ()
    from assistant.video.views import view_features

    start = clip.film_start
    return view_features(
        perception.video_encoder, films, (start + window.start, start + window.end)
    )
