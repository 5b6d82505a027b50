"""Takes of simulated performers: rendered and encoded films, gaze, and poses with their noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assistant.pose.normalise import PERCEPTION_FPS, NormalisedPose, frame_features
from assistant.pose.tokenizer import PoseTokenizer
from assistant.proficiency.aspects import NOVICE_LIKE, UNKNOWN, aspect_labels
from assistant.proficiency.assess import embed_frames
from assistant.proficiency.streams import Stream
from assistant.video.encoder import VideoEncoder
from data_prep.drills.records import Drill
from training.proficiency.examples import timing_faults
from training.proficiency.look_closer import StreamClip
from training.proficiency.poses import noisy_poses
from training.proficiency.prototypes import action_times
from training.proficiency.takes import DYNAMIC_STREAMS, TakeFeatures, evenly, windows_of
from training.streams import action_span, gaze_stream, video_streams

POSE_FPS = 5.0  # of the pose in Stage 1


@dataclass(frozen=True)
class Filming:
    """How much of a simulated clip is seen.

    Attributes:
        seconds: from the first repetition on, in every stream.
        frames: that Stage 1 reads of a film.
        noise: millimetres of slow pose noise.
        seed: of cameras, looks and noise; workers: processes that render.
    """

    seconds: float
    frames: int
    noise: float
    seed: int
    workers: int = 1


def simulated_takes(
    drills: Sequence[Drill],
    activities: Sequence[str],
    encoder: VideoEncoder,
    tokenizer: PoseTokenizer,
    filming: Filming,
) -> list[TakeFeatures]:
    """Ego, exo, gaze and pose of the same seconds of every drill."""
    spans = []
    for drill in drills:
        start, end = action_span(drill)
        spans.append((start, min(end, start + filming.seconds)))
    films = video_streams(
        drills, encoder, seed=filming.seed, workers=filming.workers, both_share=1.0, spans=spans
    )
    poses = noisy_poses(drills, filming.noise, filming.seed + 1, fixed=True)
    return [
        _take(drill, span, film, pose, list(activities).index(drill.activity), tokenizer, filming)
        for drill, span, film, pose in zip(drills, spans, films, poses, strict=True)
    ]


def _take(
    drill: Drill,
    span: tuple[float, float],
    films: dict[str, Stream],
    pose: NormalisedPose,
    activity: int,
    tokenizer: PoseTokenizer,
    filming: Filming,
) -> TakeFeatures:
    assert drill.level is not None
    gaze = _within(gaze_stream(drill), span)
    moving = _within(Stream(frame_features(pose), PERCEPTION_FPS), span)
    embedded = _within(Stream(embed_frames(tokenizer, pose), PERCEPTION_FPS), span)
    stage1 = {name: evenly(film.values, filming.frames) for name, film in films.items()}
    stage1 |= {"gaze": gaze.values, "pose": moving.at_rate(POSE_FPS)}
    dense = films | {"pose": embedded}
    actions = action_times(drill)
    return TakeFeatures(
        drill.sample_id,
        drill.activity,
        StreamClip(
            {name: np.asarray(values, np.float32) for name, values in stage1.items()},
            activity, drill.level, drill.participant_id, drill_aspects(drill),
        ),
        {name: windows_of(dense[name], drill.activity, actions) for name in DYNAMIC_STREAMS},
    )  # fmt: skip


def _within(stream: Stream, span: tuple[float, float]) -> Stream:
    cut = stream.crop(span)
    return stream if cut is None else cut


def drill_aspects(drill: Drill) -> np.ndarray:
    """Pseudo-labels [4]; a fault that is measured in seconds is one of timing."""
    slow = timing_faults(drill.activity)
    late = any(fault.name in slow for fault in drill.faults)
    return aspect_labels(drill.regions, timing=NOVICE_LIKE if late else UNKNOWN)
