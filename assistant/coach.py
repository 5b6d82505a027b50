"""The pipeline: a clip goes down this file once, from pose to feedback, and never comes back.

    from assistant.coach import Coach
    result = Coach.from_pretrained().coach(clip)

perceive -> label likelihoods -> commentary -> correction -> demonstrations -> feedback.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from assistant import __version__
from assistant.answer import said_before_label, whole_answers
from assistant.checkpoint import LANGUAGE_FOLDER, LIBRARY_FOLDER, Checkpoint
from assistant.coach_result import (
    Answer,
    CoachInput,
    CoachResult,
    Judged,
    NotJudged,
    clip_record,
    judged_result,
)
from assistant.demos.library import Library
from assistant.demos.rank import Ranked, Ranking, rank, unsuitable
from assistant.engine.base import Engine, GenerationOptions
from assistant.engine.choose import DEFAULT_ENGINE, load_engine
from assistant.errors import PoiseError
from assistant.evidence import Experts
from assistant.feedback import Feedback
from assistant.model.configuration_poise import PoiseConfig, check_views
from assistant.perceive import perceive, reassess
from assistant.perception import Perception
from assistant.pose.bones import bone_lengths, restore_bone_lengths
from assistant.proficiency.assess import Assessment
from assistant.progress import quiet_libraries
from assistant.tasks.commentary import (
    given_answer,
    label_continuations,
    label_prompt,
    level_probabilities,
)
from assistant.tasks.correction import (
    SMOOTHING_FRAMES,
    correction_prompt,
    join_estimate,
    smooth_correction,
)
from assistant.tasks.retrieval import retrieval_prompt
from assistant.timing import Timings
from prompts.hashing import prompt_sha256
from prompts.vocabulary import LEVELS, VIEWS

ABSTAIN = (
    "This does not look like {known}, the drills that this model has learned, so no level is given."
    " Film one person, the whole body from head to feet in the picture, camera level and still at"
    " hip height, two to five metres away, and one or more full repetitions; if it is one of these"
    " drills, name it with --activity."
)


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
    def from_pretrained(
        cls,
        folder: str | Path | None = None,
        *,
        engine: str = DEFAULT_ENGINE,
        library: Path | None = None,
        **settings: Any,
    ) -> "Coach":
        """Load every part of a checkpoint folder, by default the one that ships with Poise.

        Args:
            engine: what runs the language model, one of `assistant.engine.choose.ENGINES`.
            library: folder of demonstrations in place of the checkpoint's.
            settings: of that engine.
        """
        checkpoint = Checkpoint.open(None if folder is None else Path(folder))
        demonstrations = _library(checkpoint, library)
        with quiet_libraries():
            loaded = load_engine(engine, checkpoint.folder / LANGUAGE_FOLDER, **settings)
            return cls(
                checkpoint=checkpoint,
                engine=loaded,
                config=loaded.config,
                perception=Perception.from_pretrained(checkpoint.folder),
                library=demonstrations,
                experts=Experts.load(checkpoint.folder),
            )

    @property
    def fused_video(self) -> bool:
        """Whether all views share one token."""
        return self.config.projector_fused

    @cached_property
    def ranking(self) -> Ranking:
        """How demonstrations are ordered."""
        return Ranking.load(self.checkpoint.folder / LIBRARY_FOLDER)

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

    def look_at(self, views: Sequence[str]) -> None:
        """Look at the films of these views alone, of those that the model knows; the others serve
        only to find the pose.

        Raises:
            PoiseError: a view that does not exist, or none that the model is given.
        """
        named = check_views(views)
        known = self.perception.views
        kept = tuple(name for name in known if name in named)
        if not kept:
            raise PoiseError(
                "no view is left", got=", ".join(named), expected=f"some of {', '.join(known)}"
            )
        self.perception = replace(self.perception, views=kept)

    @property
    def activities(self) -> Sequence[str]:
        """The activities that Stage 1 tells apart."""
        return self.perception.assessor.activities

    def check_activity(self, activity: str | None) -> None:
        """Raise PoiseError, listing the known ones, unless `activity` is None or known."""
        known = self.activities
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
            perceived = perceive(self.perception, clips, activity=activity)
        return self.answer(perceived, timings=timings, seed=seed)

    def answer(
        self, perceived: Sequence[Judged | NotJudged], *, timings: Timings, seed: int = 0
    ) -> list[CoachResult]:
        """Feedback for clips that `perceive` has seen, here or in another process."""
        judged = {i: item for i, item in enumerate(perceived) if isinstance(item, Judged)}
        results = {
            i: self._abstain(item, timings, seed)
            for i, item in enumerate(perceived)
            if isinstance(item, NotJudged)
        }
        if judged:
            answers = self._answer(list(judged.values()), timings, seed)
            results |= dict(zip(judged, answers, strict=True))
        return [results[i] for i in range(len(perceived))]

    @cached_property
    def abstain_reason(self) -> str:
        """What is said of a clip that is not judged: why, and how to film instead."""
        known = " or ".join(a.replace("_", " ") for a in self.activities)
        return ABSTAIN.format(known=known)

    def _abstain(self, item: NotJudged, timings: Timings, seed: int) -> CoachResult:
        found = item.assessment
        feedback = Feedback(
            clip=clip_record(item.given, None),
            activity={"name": found.activity, "probability": found.activity_probability},
            judged=False,
            abstain_reason=self.abstain_reason,
            measurements=item.measurements,
            provenance=self._provenance(item.given, found, seed),
            timings_ms=timings.milliseconds(),
        )
        return CoachResult(feedback)

    def _provenance(
        self, clip: CoachInput, found: Assessment, seed: int, video_views: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Everything the answer rests on: Stage 1 and the language model may read other views."""
        shown = list(self.perception.shown(clip.views, clip.best_exo))
        used = ["pose", *used_views(shown, found, video_views)]
        used += ["gaze"] if "gaze" in found.modalities else []
        used += [
            name for name in ("demonstration", "commentary") if getattr(clip, name) is not None
        ]
        return {**self.identity, "seed": seed, "inputs_used": used, "pose_source": clip.pose.source}

    def _answer(self, judged: list[Judged], timings: Timings, seed: int) -> list[CoachResult]:
        """The language model's part: label, commentary, correction, demonstrations."""
        inputs = [item.inputs for item in judged]
        with timings("label"):
            said = said_before_label(self.engine, inputs, seed=seed)
            levels = [self.levels(item, before) for item, before in zip(judged, said, strict=True)]
        names = [LEVELS[int(p.argmax())] for p in levels]
        with timings("commentary"):
            texts = whole_answers(self.engine, inputs, names, said, seed=seed)
        told = follow_ups(judged, texts, names)
        with timings("correction"):
            written = self.correct(judged, told, seed)
        corrected, decoded = zip(*written, strict=True)
        with timings("retrieval"):
            found = zip(judged, told, corrected, strict=True)
            ranked = [self._retrieve(item, text, motion) for item, text, motion in found]
            reasons = [
                unsuitable(some, item.assessment.activity, self.ranking)
                for item, some in zip(judged, ranked, strict=True)
            ]
        with timings("reassessment"):
            before = self._reassess(judged, None)
            after = self._reassess(judged, corrected)
        forms = [self.config.answer_form] * len(judged)
        answers = zip(
            levels, texts, corrected, decoded, ranked, reasons, before, after, forms, strict=True
        )
        return [
            judged_result(
                item,
                Answer(*answer),
                self.experts,
                self._provenance(item.given, item.assessment, seed, item.video_views),
                timings.milliseconds(),
            )
            for item, answer in zip(judged, answers, strict=True)
        ]

    def levels(self, item: Judged, said: str = "") -> np.ndarray:
        """[4] probabilities of the levels: likelihoods of the label strings, calibrated.

        Args:
            said: from `said_before_label`.
        """
        prompt = label_prompt(item.inputs, fused_video=self.fused_video, said=said)
        sums, _ = self.engine.score(prompt, label_continuations())
        return level_probabilities(sums, self.config.label_temperature)

    def correct(
        self, judged: Sequence[Judged], texts: Sequence[str], seed: int
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Corrected window frames [10, 17, 3], smoothed in time and joined with perception's
        estimate, and those that the codes alone say; both with the learner's bone lengths."""
        import torch

        prompts = [
            correction_prompt(item.inputs, text, item.codes.tolist(), fused_video=self.fused_video)
            for item, text in zip(judged, texts, strict=True)
        ]
        answers = self.engine.generate(prompts, GenerationOptions(pose_codes=True, seed=seed))
        frames, tokenizer = [], self.perception.pose_tokenizer
        for item, answer in zip(judged, answers, strict=True):
            probabilities = torch.from_numpy(answer.code_probabilities)
            with torch.inference_mode():
                joints = tokenizer.decode_soft(probabilities).numpy()
                learner = tokenizer.decode_codes(torch.from_numpy(item.codes)).numpy()
            own = bone_lengths(item.pose.joints)
            smooth = smooth_correction(joints, item.window.joints, learner, SMOOTHING_FRAMES)
            if item.estimate is not None:
                smooth = join_estimate(smooth, item.estimate.joints)
            frames.append((restore_bone_lengths(smooth, own), restore_bone_lengths(joints, own)))
        return frames

    def _retrieve(self, item: Judged, text: str, corrected: np.ndarray) -> list[Ranked]:
        candidates = self.library.candidates(item.assessment.activity, item.window.joints)
        prompt = retrieval_prompt(
            item.inputs, text, item.codes, self.config, fused_video=self.fused_video
        )
        return rank(
            self.engine,
            self.config,
            prompt,
            candidates,
            learner=item.window.joints,
            correction=corrected,
            ranking=self.ranking,
        )

    def _reassess(
        self, judged: Sequence[Judged], corrected: Sequence[np.ndarray] | None
    ) -> list[Assessment]:
        """The same heads on every learner with the corrected window put in.

        From the pose alone: films and gaze show the learner, not the correction. So without
        corrections a clip that has them is assessed anew, any other keeps its assessment.
        """
        found = []
        for i, item in enumerate(judged):
            first = item.assessment
            if corrected is None and first.modalities == ("pose",):
                found.append(first)
                continue
            frames = None if corrected is None else corrected[i]
            found.append(
                reassess(
                    self.perception,
                    item.pose,
                    item.window,
                    frames,
                    activity=first.activity,
                    span=first.span,
                )
            )
        return found


def _library(checkpoint: Checkpoint, folder: Path | None) -> Library:
    """The checkpoint's own demonstrations, or those in another folder."""
    if folder is None:
        return Library.load(checkpoint.folder / LIBRARY_FOLDER)
    from assistant.demos.store import DemoStore, open_library

    library = open_library(folder)
    if isinstance(library, DemoStore):
        library.check_encoding(checkpoint.sha256())
    return library


def follow_ups(judged: Sequence[Judged], texts: Sequence[str], names: Sequence[str]) -> list[str]:
    """What F_g and F_r follow: an expert's commentary where one is given, else the generated."""
    return [
        text if item.given.commentary is None else given_answer(item.given.commentary, name)
        for item, text, name in zip(judged, texts, names, strict=True)
    ]


def used_views(shown: Sequence[str], found: Assessment, video_views: Sequence[str]) -> list[str]:
    """The views that Stage 1 (ego, the first exo) or the language model read, in fixed order."""
    exo = [name for name in shown if name != "ego"][:1]
    read = {*video_views, *(exo if "exo" in found.modalities else [])}
    read |= {"ego"} & set(found.modalities)
    return [name for name in VIEWS if name in read]
