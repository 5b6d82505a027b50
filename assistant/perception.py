"""From a pose (and views) to what the language model reads: the same code in coaching and training.

`Perception` holds the frozen parts: pose tokenizer, video encoder, Stage 1 with its calibration.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from assistant.checkpoint import LANGUAGE_FOLDER
from assistant.model.configuration_poise import PoiseConfig, shown_views
from assistant.model.processing_poise import ModelInputs
from assistant.pose.normalise import NormalisedPose, rotate_yaw
from assistant.proficiency.assess import recrop
from assistant.tasks.window import WindowFrames, cut_window, given_as_text, window_around
from prompts.vocabulary import VIEWS

if TYPE_CHECKING:
    from assistant.pose.tokenizer import PoseTokenizer
    from assistant.proficiency.assess import Assessment, Assessor, StreamSource
    from assistant.proficiency.correction_estimator import CorrectionEstimator
    from assistant.proficiency.streams import Stream
    from assistant.video.encoder import VideoEncoder

POSE_TOKENIZER_FOLDER = "pose_tokenizer"
VIDEO_ENCODER_FOLDER = "video_encoder"
PROFICIENCY_FOLDER = "proficiency"
SPARSE_SKILL_FOLDER = "sparse_skill"
CORRECTION_ESTIMATOR_FOLDER = "correction_estimator"


class Reader(Protocol):
    """What is said of the model that reads the features: its configuration, or its training's
    settings."""

    @property
    def numbers(self) -> str: ...

    @property
    def views(self) -> Any: ...

    @property
    def inputs(self) -> str: ...

    @property
    def pose_form(self) -> str: ...


@dataclass(frozen=True)
class Perception:
    """The frozen parts in front of the language model.

    Attributes:
        numbers: how the model that reads the features is given score and regions, one of
            `prompts.numbers.NUMBER_FORMS`.
        views: whose films are looked at at all, here and by Stage 1.
        inputs: what the model is given beside the numbers (`configuration_poise.GIVEN`).
        pose_form: how it is given the pose, one of `prompts.pose_text.POSE_FORMS`.
        estimator: of the corrected window, where the checkpoint has one.
    """

    pose_tokenizer: "PoseTokenizer"
    assessor: "Assessor"
    video_encoder: "VideoEncoder | None" = None
    numbers: str = "token"
    views: tuple[str, ...] = VIEWS
    inputs: str = "all"
    pose_form: str = "features"
    estimator: "CorrectionEstimator | None" = None

    @classmethod
    def from_pretrained(cls, folder: Path, *, reader: "Reader | None" = None) -> "Perception":
        """Load the sub-folders of a checkpoint; video encoder, skill model and estimator may be
        absent.

        Args:
            reader: what the model that reads the features is given. None takes what the
                checkpoint's language model says; training, whose language model is yet to come,
                gives its settings.
        """
        from assistant.pose.tokenizer import PoseTokenizer
        from assistant.proficiency.assess import Assessor
        from assistant.proficiency.correction_estimator import CorrectionEstimator
        from assistant.proficiency.sparse_skill import SparseSkillExtractor
        from assistant.video.encoder import VideoEncoder

        reader = _reader_of(folder) if reader is None else reader
        tokenizer = PoseTokenizer.from_pretrained(folder / POSE_TOKENIZER_FOLDER)
        video, skill = folder / VIDEO_ENCODER_FOLDER, folder / SPARSE_SKILL_FOLDER
        estimator = folder / CORRECTION_ESTIMATOR_FOLDER
        moments = SparseSkillExtractor.from_pretrained(skill) if skill.is_dir() else None
        return cls(
            pose_tokenizer=tokenizer,
            assessor=Assessor.from_pretrained(folder / PROFICIENCY_FOLDER, tokenizer, moments),
            video_encoder=VideoEncoder.from_pretrained(video) if video.is_dir() else None,
            numbers=reader.numbers,
            views=tuple(reader.views),
            inputs=reader.inputs,
            pose_form=reader.pose_form,
            estimator=CorrectionEstimator.from_pretrained(estimator)
            if estimator.is_dir()
            else None,
        )

    def shown(self, views: Mapping[str, Path], best_exo: str | None = None) -> dict[str, Path]:
        """The films that are looked at (`shown_views`)."""
        return {name: views[name] for name in shown_views(views, self.views, best_exo)}

    @property
    def video_size(self) -> int:
        """Width of one view's feature; a nominal 8 without a video encoder: no view enters then."""
        return 8 if self.video_encoder is None else self.video_encoder.width

    def stream_source(
        self, views: Mapping[str, Path], gaze: "Stream | None" = None, film_start: float = 0.0
    ) -> "StreamSource | None":
        """Where Stage 1 finds a clip's streams beside the pose; None for a pose alone.

        Films are read when the active span is known, and densely only if a few frames of it look
        like what the video encoder was trained on. The clip begins at second `film_start` of them.

        Args:
            views: those that are looked at.
        """
        if gaze is None and (not views or self.video_encoder is None):
            return None

        def streams(span: tuple[float, float]) -> "dict[str, Stream]":
            from assistant.video.views import dense_streams

            found = {} if gaze is None else {"gaze": gaze}
            if views and self.video_encoder is not None:
                filmed = (film_start + span[0], film_start + span[1])
                seen = dense_streams(self.video_encoder, views, filmed)
                found |= {name: replace(stream, start=span[0]) for name, stream in seen.items()}
            return found

        return streams

    def encode_window(self, window: WindowFrames) -> tuple[np.ndarray, np.ndarray]:
        """Pose features [10, M * D + 3] for the mapper and codes [10, M] of a window."""
        features, codes = self.encode_windows([window])
        return features[0], codes[0]

    def encode_windows(self, windows: Sequence[WindowFrames]) -> tuple[np.ndarray, np.ndarray]:
        """`encode_window` of many windows at once: [N, 10, M * D + 3] and [N, 10, M]."""
        import torch

        joints = torch.from_numpy(np.concatenate([w.joints for w in windows])).float()
        with torch.inference_mode():
            embeddings = self.pose_tokenizer.encode(joints)  # [N * 10, M, D]
            codes, _ = self.pose_tokenizer.quantise(embeddings)
        flat = embeddings.reshape(len(windows), len(windows[0].joints), -1).numpy()
        heights = np.stack([w.heights for w in windows])
        features = np.concatenate([flat, heights], axis=-1).astype(np.float32)
        return features, codes.reshape(len(windows), len(windows[0].joints), -1).numpy()

    def estimate(self, window: WindowFrames, activity: str) -> WindowFrames | None:
        """The window as perception alone would correct it; None without an estimator, or where it
        does not know the activity."""
        if self.estimator is None:
            return None
        return self.estimator.correct([window], [activity])[0]

    def model_inputs(
        self,
        assessment: "Assessment",
        pose_features: np.ndarray,
        window: WindowFrames,
        *,
        video: np.ndarray | None = None,
        frames: int = 8,
    ) -> ModelInputs:
        """The features of one clip for the prompt.

        Args:
            assessment: numbers and pooled features of Stage 1 and its calibration.
            pose_features: [10, M * D + 3] of the focus window; window: its frames.
            video: [V, D] features of the views, or None.
        """
        inputs = ModelInputs(
            video=video,
            pose=pose_features,
            score=np.asarray(assessment.score_vector(), dtype=np.float32),
            regions=np.asarray(assessment.regions, dtype=np.float32).reshape(-1),
            stage1=np.asarray(assessment.features, dtype=np.float32),
            frames=frames,
            numbers=self.numbers,
            pose_text=given_as_text(window, self.pose_form),
        )
        return inputs.given(self.inputs)


def _reader_of(folder: Path) -> "Reader":
    """The checkpoint's language model; without one nobody reads anything."""
    language = folder / LANGUAGE_FOLDER
    if not (language / "config.json").is_file():
        return PoiseConfig()
    return PoiseConfig.from_pretrained(language)


def turned(pose: NormalisedPose, yaw: float) -> NormalisedPose:
    """The same motion with the heading `yaw` (radians from world +x) removed instead of its own."""
    turn = pose.yaw - yaw
    return replace(pose, joints=rotate_yaw(pose.joints, turn).astype(np.float32), yaw=yaw)


def focus_window(
    pose: NormalisedPose, assessment: "Assessment", start: float | None = None
) -> WindowFrames:
    """The window around the heaviest moment, in the heading of the assessed span.

    Args:
        pose: the whole clip; the moments and the window are in its seconds.
        start: where the window begins, whatever is heaviest.
    """
    if start is None:
        heaviest = max(assessment.moments, key=lambda moment: moment.weight)
        start, _ = window_around((heaviest.start + heaviest.end) / 2, pose.duration)
    yaw = recrop(pose, assessment.span).yaw
    return cut_window(turned(pose, yaw), start)
