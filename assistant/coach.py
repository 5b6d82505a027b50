"""The pipeline: a clip goes down this file once, from pose to feedback, and never comes back.

    from assistant.coach import Coach
    result = Coach.from_pretrained().coach(clip)

perceive -> label likelihoods -> commentary -> correction -> demonstrations -> feedback.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from assistant import __version__
from assistant.checkpoint import LANGUAGE_FOLDER, LIBRARY_FOLDER, Checkpoint
from assistant.clip import PoseSequence
from assistant.demos.library import Library
from assistant.demos.rank import Ranked, rank
from assistant.engine.base import Engine, GenerationOptions
from assistant.engine.transformers_engine import TransformersEngine
from assistant.errors import PoiseError
from assistant.evidence import Experts
from assistant.feedback import Feedback, Measurement, Remark
from assistant.levels import expected_level
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.processing_poise import ModelInputs
from assistant.perception import Perception, focus_window, model_inputs
from assistant.pose.alignment import pa_mpjpe
from assistant.pose.bones import bone_length_drift_mm, bone_lengths, restore_bone_lengths
from assistant.pose.kinematics import measure
from assistant.pose.normalise import NormalisedPose, normalise, rotate_yaw
from assistant.proficiency.assess import Assessment, recrop
from assistant.progress import quiet_libraries
from assistant.tasks.commentary import (
    commentary_prompt,
    label_continuations,
    label_prompt,
    level_probabilities,
)
from assistant.tasks.correction import correction_prompt, interpolate_correction
from assistant.tasks.retrieval import retrieval_prompt
from assistant.tasks.window import WINDOW_FPS, WINDOW_SECONDS, WindowFrames, heights_of
from assistant.timing import Timings
from prompts.hashing import prompt_sha256
from prompts.parse import ParsedFeedback, format_label, parse_feedback
from prompts.vocabulary import LEVELS, NEEDS_IMPROVEMENT, POLARITIES, REGIONS

N_DEMONSTRATIONS = 5
ABSTAIN = (
    "This does not look like {known}, the drills that this model has learned, so no level is given."
    " Film one person, the whole body from head to feet in the picture, camera level and still at"
    " hip height, two to five metres away, and one or more full repetitions; if it is one of these"
    " drills, name it with --activity."
)


@dataclass(frozen=True)
class CoachInput:
    """One clip, its pose resolved.

    Attributes:
        clip_id: name in results.
        pose: the learner's motion.
        views: view name to film; a film whose pictures the video encoder does not know is not used.
    """

    clip_id: str
    pose: PoseSequence
    views: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class CoachResult:
    """Feedback and the motions that belong to it.

    Attributes:
        feedback: the record of one clip.
        text: the generated answer, label and commentary (None when not judged).
        window: seconds of the correction window.
        learner, demonstration, correction: two-second sequences centred on the pelvis, the same
            window of each, for display; None when not judged.
        frames: the learner's ten window frames; corrected: [10, 17, 3].
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
    ranked: tuple[Ranked, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class _Judged:
    """What is known of one judged clip on its way down."""

    given: CoachInput
    pose: NormalisedPose
    assessment: Assessment
    measurements: list[Measurement]
    window: WindowFrames
    codes: np.ndarray
    inputs: ModelInputs
    video_views: tuple[str, ...]


class Coach:
    """Loads a checkpoint once and coaches any number of clips."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        engine: Engine,
        config: PoiseConfig,
        perception: Perception,
        library: Library,
        experts: Experts,
    ) -> None:
        self.checkpoint = checkpoint
        self.engine = engine
        self.config = config
        self.perception = perception
        self.library = library
        self.experts = experts

    @classmethod
    def from_pretrained(cls, folder: str | Path | None = None) -> "Coach":
        """Load every part of a checkpoint folder, by default the one that ships with Poise."""
        checkpoint = Checkpoint.open(None if folder is None else Path(folder))
        with quiet_libraries():
            engine = TransformersEngine.from_pretrained(checkpoint.folder / LANGUAGE_FOLDER)
            return cls(
                checkpoint=checkpoint,
                engine=engine,
                config=engine.model.config,
                perception=Perception.from_pretrained(checkpoint.folder),
                library=Library.load(checkpoint.folder / LIBRARY_FOLDER),
                experts=Experts.load(checkpoint.folder),
            )

    @property
    def fused_video(self) -> bool:
        """Whether all views share one token."""
        return self.config.projector_fused

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The provenance that all clips share."""
        return {
            "model": self.checkpoint.name,
            "model_sha256": self.checkpoint.sha256(),
            "prompt_sha256": prompt_sha256(),
            "poise_version": __version__,
            "engine": self.engine.name,
            "level_basis": self.checkpoint.level_basis,
        }

    def check_activity(self, activity: str | None) -> None:
        """Raise PoiseError, listing the known ones, unless `activity` is None or known."""
        known = self.perception.assessor.activities
        if activity is not None and activity not in known:
            raise PoiseError("unknown activity", got=repr(activity), expected=", ".join(known))

    def coach(self, clip: CoachInput, *, activity: str | None = None, seed: int = 0) -> CoachResult:
        """Feedback for one clip; see `coach_many`."""
        return self.coach_many([clip], activity=activity, seed=seed)[0]

    def coach_many(
        self, clips: Sequence[CoachInput], *, activity: str | None = None, seed: int = 0
    ) -> list[CoachResult]:
        """Feedback for many clips, decoded together.

        Args:
            clips: poses and, where there are any, films.
            activity: judge all of them as this activity; None finds it out.
            seed: recorded, and used where an engine samples.

        Raises:
            PoiseError: an activity that the model does not know.
        """
        timings = Timings()
        with timings("perception"):
            poses = [normalise(clip.pose) for clip in clips]
            assessments = self.perception.assessor.assess_many(poses, activity=activity)
        results: dict[int, CoachResult] = {}
        judged: dict[int, _Judged] = {}
        for i, (clip, pose, found) in enumerate(zip(clips, poses, assessments, strict=True)):
            # A named activity is the user's word that it is one: only the shape is judged then.
            if found.judged or activity is not None:
                judged[i] = self._perceive(clip, pose, found)
            else:
                results[i] = self._abstain(clip, found, timings, seed)
        if judged:
            answers = self._answer(list(judged.values()), timings, seed)
            results |= dict(zip(judged, answers, strict=True))
        return [results[i] for i in range(len(clips))]

    def _perceive(self, clip: CoachInput, pose: NormalisedPose, assessment: Assessment) -> _Judged:
        window = focus_window(pose, assessment)
        features, codes = self.perception.encode_window(window)
        video, names = self._watch(clip, window)
        return _Judged(
            given=clip,
            pose=pose,
            assessment=assessment,
            measurements=measure(clip.pose, assessment.activity, assessment.span),
            window=window,
            codes=codes,
            inputs=model_inputs(assessment, features, video=video),
            video_views=names,
        )

    def _watch(
        self, clip: CoachInput, window: WindowFrames
    ) -> tuple[np.ndarray | None, tuple[str, ...]]:
        """Features [V, D] of the clip's films in the window, and the views they are of."""
        if self.perception.video_encoder is None or not clip.views:
            return None, ()
        from assistant.video.views import view_features

        span = (window.start, window.end)
        return view_features(self.perception.video_encoder, clip.views, span)

    def _abstain(
        self, clip: CoachInput, found: Assessment, timings: Timings, seed: int
    ) -> CoachResult:
        known = " or ".join(a.replace("_", " ") for a in self.perception.assessor.activities)
        feedback = Feedback(
            clip=self._clip(clip, None),
            activity={"name": found.activity, "probability": found.activity_probability},
            judged=False,
            abstain_reason=ABSTAIN.format(known=known),
            measurements=measure(clip.pose, None, None),
            provenance=self._provenance(clip, (), seed),
            timings_ms=timings.milliseconds(),
        )
        return CoachResult(feedback)

    def _clip(self, clip: CoachInput, span: tuple[float, float] | None) -> dict[str, Any]:
        return {
            "id": clip.clip_id,
            "duration": clip.pose.duration,
            "views": list(clip.views),
            "span": None if span is None else list(span),
        }

    def _provenance(
        self, clip: CoachInput, video_views: Sequence[str], seed: int
    ) -> dict[str, Any]:
        used = ["pose", *video_views]
        return {**self.identity, "seed": seed, "inputs_used": used, "pose_source": clip.pose.source}

    def _answer(self, judged: list[_Judged], timings: Timings, seed: int) -> list[CoachResult]:
        """The language model's part: label, commentary, correction, demonstrations."""
        with timings("label"):
            levels = [self._levels(item) for item in judged]
        names = [LEVELS[int(p.argmax())] for p in levels]
        with timings("commentary"):
            prompts = [
                commentary_prompt(item.inputs, name, fused_video=self.fused_video)
                for item, name in zip(judged, names, strict=True)
            ]
            written = self.engine.generate(prompts, GenerationOptions(seed=seed))
            texts = [
                f"{format_label(name)}{answer.text}"
                for name, answer in zip(names, written, strict=True)
            ]
        with timings("correction"):
            corrected = self.correct(judged, texts, seed)
        with timings("retrieval"):
            ranked = [self._retrieve(item, t) for item, t in zip(judged, texts, strict=True)]
        with timings("reassessment"):
            after = self._reassess(judged, corrected)
        return [
            self._result(
                judged[i], levels[i], texts[i], corrected[i], ranked[i], after[i], timings, seed
            )
            for i in range(len(judged))
        ]

    def _levels(self, item: _Judged) -> np.ndarray:
        """[4] probabilities of the levels: likelihoods of the label strings, calibrated."""
        prompt = label_prompt(item.inputs, fused_video=self.fused_video)
        sums, _ = self.engine.score(prompt, label_continuations())
        return level_probabilities(sums, self.config.label_temperature)

    def correct(
        self, judged: Sequence[_Judged], texts: Sequence[str], seed: int
    ) -> list[np.ndarray]:
        """Corrected window frames [10, 17, 3] with the learner's bone lengths."""
        import torch

        prompts = [
            correction_prompt(item.inputs, text, item.codes.tolist(), fused_video=self.fused_video)
            for item, text in zip(judged, texts, strict=True)
        ]
        answers = self.engine.generate(prompts, GenerationOptions(pose_codes=True, seed=seed))
        frames = []
        for item, answer in zip(judged, answers, strict=True):
            probabilities = torch.from_numpy(answer.code_probabilities)
            with torch.inference_mode():
                joints = self.perception.pose_tokenizer.decode_soft(probabilities).numpy()
            frames.append(restore_bone_lengths(joints, bone_lengths(item.pose.joints)))
        return frames

    def _retrieve(self, item: _Judged, text: str) -> list[Ranked]:
        candidates = self.library.of_activity(item.assessment.activity)
        prompt = retrieval_prompt(
            item.inputs, text, item.codes.tolist(), fused_video=self.fused_video
        )
        return rank(self.engine, self.config, prompt, candidates)

    def _reassess(
        self, judged: Sequence[_Judged], corrected: Sequence[np.ndarray]
    ) -> list[Assessment]:
        """The same heads on the learner's span, the corrected window put in, cut as before."""
        found = []
        for item, frames in zip(judged, corrected, strict=True):
            whole = with_window(item.pose, item.window, frames)
            found += self.perception.assessor.assess_many(
                [recrop(whole, item.assessment.span)],
                activity=item.assessment.activity,
                find_span=False,
            )
        return found

    def _result(
        self,
        item: _Judged,
        levels: np.ndarray,
        text: str,
        corrected: np.ndarray,
        ranked: list[Ranked],
        after: Assessment,
        timings: Timings,
        seed: int,
    ) -> CoachResult:
        found, parsed = item.assessment, parse_feedback(text)
        remarks = self._remarks(item, parsed)
        correction = self._correction(item, corrected, after)
        display = display_sequences(item, corrected, ranked)
        feedback = Feedback(
            clip=self._clip(item.given, found.span),
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
            commentary=" ".join(
                [r.text for r in parsed.remarks] + ([parsed.drill] if parsed.drill else [])
            ),
            focus=_focus(remarks, parsed, found),
            remarks=remarks,
            moments=[{"start": m.start, "end": m.end, "weight": m.weight} for m in found.moments],
            demonstrations=self._demonstrations(item, remarks, ranked[:N_DEMONSTRATIONS]),
            correction=correction,
            provenance=self._provenance(item.given, item.video_views, seed),
            timings_ms=timings.milliseconds(),
        )
        return CoachResult(
            feedback,
            text=text,
            window=(item.window.start, item.window.end),
            learner=display[0],
            demonstration=display[1],
            correction=display[2],
            frames=item.window,
            corrected=corrected,
            ranked=tuple(ranked),
        )

    def _remarks(self, item: _Judged, parsed: ParsedFeedback) -> list[Remark]:
        remarks = []
        for said in parsed.remarks:
            moment = item.assessment.region_moments[said.region]
            evidence, supported = self.experts.evidence(
                item.assessment.activity, said.region, said.polarity, item.measurements
            )
            remarks.append(
                Remark(
                    said.region,
                    said.polarity,
                    said.text,
                    moment.start,
                    moment.end,
                    evidence,
                    supported,
                )
            )
        return remarks

    def _demonstrations(
        self, item: _Judged, remarks: Sequence[Remark], ranked: Sequence[Ranked]
    ) -> list[dict[str, Any]]:
        criticised = {r.region for r in remarks if r.polarity == POLARITIES[NEEDS_IMPROVEMENT]}
        rows = []
        for entry in ranked:
            shown = entry.demonstration
            step = round(shown.fps / WINDOW_FPS)
            rows.append(
                {
                    "id": shown.demonstration_id,
                    "start": shown.start,
                    "end": shown.end,
                    "log_likelihood": entry.log_likelihood,
                    "pa_mpjpe_mm": float(pa_mpjpe(shown.joints[::step], item.window.joints).mean()),
                    "fixes": [r for r in shown.correct_regions if r in criticised],
                }
            )
        return rows

    def _correction(
        self, item: _Judged, corrected: np.ndarray, after: Assessment
    ) -> dict[str, Any]:
        return {
            "pose": None,
            "start": item.window.start,
            "end": item.window.end,
            "fps": item.given.pose.fps,
            "level_before": LEVELS[int(item.assessment.level_probabilities.argmax())],
            "level_after": LEVELS[int(after.level_probabilities.argmax())],
            "pa_mpjpe_to_learner_mm": float(pa_mpjpe(corrected, item.window.joints).mean()),
            "bone_length_drift_mm": float(
                bone_length_drift_mm(corrected, bone_lengths(item.pose.joints))
            ),
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
    item: _Judged, corrected: np.ndarray, ranked: Sequence[Ranked]
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
