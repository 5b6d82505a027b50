"""What coaching takes and gives, and how a judged clip's answers become its feedback.

The language model's words, codes and likelihoods come in as an `Answer`; kinematics add evidence,
measurements and what can be played. Nothing here asks a model anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from assistant.clip import PoseSequence
from assistant.demos.rank import Ranked
from assistant.evidence import Experts
from assistant.feedback import Feedback, Measurement, Remark
from assistant.levels import expected_level
from assistant.model.processing_poise import ModelInputs
from assistant.pose.alignment import pa_mpjpe
from assistant.pose.bones import bone_length_drift_mm, bone_lengths, joint_limit_counts
from assistant.pose.normalise import NormalisedPose, rotate_yaw
from assistant.proficiency.assess import Assessment
from assistant.proficiency.streams import Stream
from assistant.tasks.correction import interpolate_correction
from assistant.tasks.window import WINDOW_FPS, WINDOW_SECONDS, WindowFrames, heights_of
from prompts.parse import LABEL_FIRST, ParsedFeedback, parse_feedback
from prompts.vocabulary import LEVELS, NEEDS_IMPROVEMENT, POLARITIES, REGIONS

N_DEMONSTRATIONS = 5


@dataclass(frozen=True)
class CoachInput:
    """One clip, its pose resolved.

    Attributes:
        clip_id: name in results.
        pose: the learner's motion.
        views: view name to film; a film whose pictures the video encoder does not know is not used.
        best_exo: the exo view that shows the skill best, where somebody says which; read by models
            that are given one exo film (`shown_views`).
        gaze: where the eyes look, [F, 2] degrees (left and up positive) over the clip's seconds.
        film_start: seconds of the films at which the clip begins.
        window_start: seconds of the clip at which the two seconds begin that are corrected; None
            looks for the heaviest moment.
        demonstration: how an expert does it, where one is at hand: the commentary is written with
            the two seconds of it that are nearest to the learner's in the prompt (ExpertAF's full
            supervision of F_t; the paper runs F_t without).
        commentary: what an expert said of the clip, where somebody did: correction and retrieval
            follow it instead of the generated commentary (full supervision of F_g and F_r). It is
            no part of the feedback.
    """

    clip_id: str
    pose: PoseSequence
    views: Mapping[str, Path] = field(default_factory=dict)
    gaze: Stream | None = None
    film_start: float = 0.0
    window_start: float | None = None
    demonstration: PoseSequence | None = None
    commentary: str | None = None
    best_exo: str | None = None


@dataclass(frozen=True)
class CoachResult:
    """Feedback and the motions that belong to it.

    Attributes:
        feedback: the record of one clip.
        text: the generated answer, label and commentary (None when not judged).
        window: seconds of the correction window.
        learner, demonstration, correction: two-second sequences centred on the pelvis, the same
            window of each, for display; None when not judged.
        frames: the learner's ten window frames; corrected: [10, 17, 3]; decoded: as the codes alone
            say; estimate: as perception alone says, or None.
        ranked: all demonstrations of the activity, best first.
    """

    feedback: Feedback
    text: str | None = None
    window: tuple[float, float] | None = None
    learner: PoseSequence | None = None
    demonstration: PoseSequence | None = None
    correction: PoseSequence | None = None
    frames: WindowFrames | None = field(default=None, repr=False)
    corrected: np.ndarray | None = field(default=None, repr=False)
    decoded: np.ndarray | None = field(default=None, repr=False)
    estimate: np.ndarray | None = field(default=None, repr=False)
    ranked: tuple[Ranked, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Judged:
    """What is known of one judged clip on its way down.

    Attributes:
        window: the learner's frames; codes: theirs, [10, M]; estimate: the window as perception
            alone would correct it, or None.
    """

    given: CoachInput
    pose: NormalisedPose
    assessment: Assessment
    measurements: list[Measurement]
    window: WindowFrames
    codes: np.ndarray
    estimate: WindowFrames | None
    inputs: ModelInputs
    video_views: tuple[str, ...]


@dataclass(frozen=True)
class NotJudged:
    """A clip that shows none of the known activities: it is measured and nothing more."""

    given: CoachInput
    assessment: Assessment
    measurements: list[Measurement]


@dataclass(frozen=True)
class Answer:
    """What the models say of a judged clip.

    Attributes:
        levels: [4] probabilities.
        text: label and commentary as generated.
        corrected: [10, 17, 3] window frames; decoded: as the codes alone say.
        ranked: demonstrations of the activity, best first.
        unsuitable: why none of them is shown, or None.
        form: one of `prompts.parse.ANSWER_FORMS`, in which the text is written.
        before, after: assessments by the pose alone, of the clip as it is and with the correction
            in its window.
    """

    levels: np.ndarray
    text: str
    corrected: np.ndarray
    decoded: np.ndarray
    ranked: list[Ranked]
    unsuitable: str | None
    before: Assessment
    after: Assessment
    form: str = LABEL_FIRST


def clip_record(clip: CoachInput, span: tuple[float, float] | None) -> dict[str, Any]:
    """The clip's part of the feedback; `span` is what was judged, seconds."""
    return {
        "id": clip.clip_id,
        "duration": clip.pose.duration,
        "views": list(clip.views),
        "span": None if span is None else list(span),
    }


def judged_result(
    item: Judged,
    answer: Answer,
    experts: Experts,
    provenance: dict[str, Any],
    timings_ms: dict[str, float],
) -> CoachResult:
    """Feedback of a judged clip, and the motions that belong to it."""
    found, levels = item.assessment, answer.levels
    parsed = parse_feedback(answer.text, answer.form)
    remarks = _remarks(item, parsed, experts)
    suitable = [] if answer.unsuitable else answer.ranked
    display = display_sequences(item, answer.corrected, suitable)
    feedback = Feedback(
        clip=clip_record(item.given, found.span),
        activity={"name": found.activity, "probability": found.activity_probability},
        judged=True,
        abstain_reason=None,
        measurements=item.measurements,
        proficiency={
            "level": LEVELS[int(levels.argmax())],
            "probabilities": [float(p) for p in levels],
            "score": expected_level(levels),
            "pdm": {s: found.pdm.get(s) for s in ("ego", "exo", "pose")},
            "coral": [float(q) for q in found.q],
        },
        commentary=_commentary(parsed),
        focus=_focus(remarks, parsed, found),
        remarks=remarks,
        moments=[{"start": m.start, "end": m.end, "weight": m.weight} for m in found.moments],
        demonstrations=_demonstrations(remarks, suitable[:N_DEMONSTRATIONS]),
        demonstration_reason=answer.unsuitable,
        correction=_correction(item, answer),
        provenance=provenance,
        timings_ms=timings_ms,
    )
    return CoachResult(
        feedback,
        text=answer.text,
        window=(item.window.start, item.window.end),
        learner=display[0],
        demonstration=display[1],
        correction=display[2],
        frames=item.window,
        corrected=answer.corrected,
        decoded=answer.decoded,
        estimate=None if item.estimate is None else item.estimate.joints,
        ranked=tuple(answer.ranked),
    )


def told_record(item: Judged, text: str, levels: np.ndarray, experts: Experts) -> dict[str, Any]:
    """What a chat reads of a clip's feedback, before any correction or demonstration: activity,
    proficiency, remarks with evidence, focus and measurements.

    Args:
        text: label and commentary as generated.
        levels: [4] probabilities.
    """
    found, parsed = item.assessment, parse_feedback(text)
    remarks = _remarks(item, parsed, experts)
    return {
        "activity": {"name": found.activity, "probability": found.activity_probability},
        "proficiency": {
            "level": LEVELS[int(levels.argmax())],
            "probabilities": [float(p) for p in levels],
        },
        "remarks": [asdict(remark) for remark in remarks],
        "focus": _focus(remarks, parsed, found),
        "measurements": [asdict(measured) for measured in item.measurements],
    }


def _commentary(parsed: ParsedFeedback) -> str:
    """What is said without the grammar's headers; free text, as a model of it writes, as it is."""
    said = [remark.text for remark in parsed.remarks] + ([parsed.drill] if parsed.drill else [])
    return " ".join(said or parsed.commentary.split())


def _remarks(item: Judged, parsed: ParsedFeedback, experts: Experts) -> list[Remark]:
    found = item.assessment
    judged = experts.judge(item.pose, found.activity, found.span, parsed.remarks)
    moments = found.region_moments
    return [
        Remark(
            said.region,
            said.polarity,
            said.text,
            moments[said.region].start,
            moments[said.region].end,
            evidence,
            supported,
        )
        for said, (evidence, supported) in zip(parsed.remarks, judged, strict=True)
    ]


def _demonstrations(remarks: Sequence[Remark], ranked: Sequence[Ranked]) -> list[dict[str, Any]]:
    criticised = {r.region for r in remarks if r.polarity == POLARITIES[NEEDS_IMPROVEMENT]}
    rows = []
    for entry in ranked:
        shown = entry.demonstration
        rows.append(
            {
                "id": shown.demonstration_id,
                "start": shown.start,
                "end": shown.end,
                "log_likelihood": entry.log_likelihood,
                "score": entry.score,
                "pa_mpjpe_mm": entry.to_learner_mm,
                "to_correction_mm": entry.to_correction_mm,
                "fixes": [r for r in shown.correct_regions if r in criticised],
                "licence": shown.licence,
            }
        )
    return rows


def _correction(item: Judged, answer: Answer) -> dict[str, Any]:
    """The correction's part of the feedback.

    Bone-length drift and joint limits are those of the motion that is played and written, at the
    clip's rate: the mean absolute deviation of all bones in all its frames from the learner's,
    millimetres. The ten generated frames have the learner's bones exactly; the cubic between them
    has not.
    """
    corrected = answer.corrected
    fps = item.given.pose.fps
    dense = interpolate_correction(corrected, WINDOW_FPS, round(WINDOW_SECONDS * fps), fps)
    beyond = joint_limit_counts(dense)
    return {
        "pose": None,
        "start": item.window.start,
        "end": item.window.end,
        "fps": fps,
        "level_before": LEVELS[int(answer.before.level_probabilities.argmax())],
        "level_after": LEVELS[int(answer.after.level_probabilities.argmax())],
        "pa_mpjpe_to_learner_mm": float(pa_mpjpe(corrected, item.window.joints).mean()),
        "bone_length_drift_mm": bone_length_drift_mm(dense, bone_lengths(item.pose.joints)),
        "joint_limit_violations": int(beyond.sum()),
        "joint_limit_frame_share": float((beyond > 0).mean()),
    }


def _focus(
    remarks: Sequence[Remark], parsed: ParsedFeedback, found: Assessment
) -> dict[str, Any] | None:
    """The criticism whose region has the highest fault probability in Stage 1."""
    criticised = [i for i, r in enumerate(remarks) if r.polarity == POLARITIES[NEEDS_IMPROVEMENT]]
    if not criticised:
        return None
    faulty = found.regions[:, NEEDS_IMPROVEMENT]
    best = max(criticised, key=lambda i: faulty[REGIONS.index(remarks[i].region)])
    return {"region": remarks[best].region, "remark": best, "drill": parsed.drill}


def with_window(
    pose: NormalisedPose, window: WindowFrames, corrected: np.ndarray
) -> NormalisedPose:
    """The learner's clip with the corrected frames [10, 17, 3] in the window.

    The pelvis rises or sinks with the corrected legs, so that the feet stay where they were.
    """
    first = round(window.start * pose.fps)
    last = min(round(window.end * pose.fps), len(pose))
    count = last - first
    if count <= 0:
        return pose
    turn = window.yaw - pose.yaw
    joints, heights, pelvis = pose.joints.copy(), pose.heights.copy(), pose.pelvis.copy()
    dense = interpolate_correction(corrected, WINDOW_FPS, count, pose.fps)
    joints[first:last] = rotate_yaw(dense, turn)
    learner = WindowFrames(window.start, window.end, dense, heights[first:last])
    heights[first:last] = heights_of(dense, learner)
    pelvis[:, 2] += heights[:, 0] - pose.heights[:, 0]
    return replace(pose, joints=joints.astype(np.float32), heights=heights, pelvis=pelvis)


def display_sequences(
    item: Judged, corrected: np.ndarray, ranked: Sequence[Ranked]
) -> tuple[PoseSequence, PoseSequence | None, PoseSequence]:
    """Learner, demonstration and correction of the same two seconds, at the clip's rate.

    The demonstration is turned and warped in time to the learner by dynamic time warping, so that
    the three can be played together.
    """
    from assistant.demos.replay import aligned_demonstration

    fps = item.given.pose.fps
    count = round(WINDOW_SECONDS * fps)
    times = item.window.start + np.arange(count) / fps
    learner = item.pose.at_times(times, fps)
    joints = rotate_yaw(learner.joints, item.pose.yaw - item.window.yaw).astype(np.float32)
    sure = np.ones((count, joints.shape[1]), dtype=np.float32)
    mine = PoseSequence(joints, learner.confidence, fps, source=item.given.pose.source, world=False)
    dense = interpolate_correction(corrected, WINDOW_FPS, count, fps)
    fixed = PoseSequence(dense, sure, fps, source="generated", world=False)
    shown = aligned_demonstration(ranked[0].demonstration, mine) if ranked else None
    return mine, shown, fixed
