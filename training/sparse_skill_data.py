"""Clips for the Sparse Skill Extractor: weak labels, features, and random pairs of one task."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from assistant.pose.normalise import PERCEPTION_FPS, NormalisedPose, frame_features
from assistant.pose.tokenizer import PoseTokenizer
from assistant.proficiency.assess import embed_frames, recrop
from assistant.proficiency.pdm import LOWEST_HIGH_LEVEL
from assistant.proficiency.segments import (
    SegmentPlan,
    mapped_starts,
    segment_frames,
    segment_starts,
)
from assistant.proficiency.streams import VIDEO_FPS
from assistant.video.encoder import VideoEncoder
from data_prep.drills.records import Drill
from data_prep.drills.render import render_views
from training.streams import action_span

FEWEST = 10  # samples of a task (section 3.2)
HIGHEST_LOW_RATING = 4  # of 10 (section 3.2)


@dataclass(frozen=True)
class SkillClips:
    """Clips as the model reads them: features [T, F] of each at `fps`, label [n] 0 or 1, task [n].

    They are cut to all repetitions, as coaching cuts them to the active span.
    """

    features: list[np.ndarray]
    labels: np.ndarray
    tasks: np.ndarray
    fps: float = PERCEPTION_FPS

    def subset(self, chosen: np.ndarray) -> "SkillClips":
        """Some of them, by bool [n]."""
        features = [f for f, c in zip(self.features, chosen, strict=True) if c]
        return replace(
            self, features=features, labels=self.labels[chosen], tasks=self.tasks[chosen]
        )


def weak_label(drill: Drill, kind: str, highest_low: int = HIGHEST_LOW_RATING) -> int:
    """1 for high proficiency: a rating above `highest_low` of 10 where there is one and `kind` is
    "rating", else a level of 2 or 3 (experience as a proxy, section 3.7)."""
    if kind == "rating" and drill.rating is not None:
        return int(drill.rating > highest_low)
    assert drill.level is not None
    return int(drill.level >= LOWEST_HIGH_LEVEL)


def judged_drills(drills: Sequence[Drill], fewest: int = FEWEST) -> list[Drill]:
    """Without distractors and without tasks of fewer than `fewest` clips."""
    known = [d for d in drills if d.level is not None]
    names = [d.activity for d in known]
    return [d for d in known if names.count(d.activity) >= fewest]


def pose_features(
    drills: Sequence[Drill], poses: Sequence[NormalisedPose], tokenizer: PoseTokenizer | None
) -> list[np.ndarray]:
    """[T, F] at PERCEPTION_FPS: the tokenizer's embeddings, without one the features of Stage 1."""
    cuts = [recrop(pose, action_span(d)) for d, pose in zip(drills, poses, strict=True)]
    if tokenizer is None:
        return [frame_features(cut) for cut in cuts]
    return [embed_frames(tokenizer, cut).astype(np.float32) for cut in cuts]


def ego_features(drills: Sequence[Drill], encoder: VideoEncoder, seed: int) -> list[np.ndarray]:
    """[T, D] at VIDEO_FPS: means of the patch tokens of each frame of the rendered ego view."""
    found = []
    for i, drill in enumerate(drills):
        start, end = action_span(drill)
        times = start + np.arange(max(int((end - start) * VIDEO_FPS), 1)) / VIDEO_FPS
        look = int(np.random.default_rng([seed, i]).integers(2**31))
        film = render_views(drill.pose, ["ego"], times, size=encoder.size, seed=look)["ego"]
        found.append(encoder.encode_dense(film))
    return found


class Pairs:
    """Random pairs of clips of one task: query segments at random, the comparison's mapped."""

    def __init__(self, clips: SkillClips, plan: SegmentPlan, rng: np.random.Generator) -> None:
        self.clips, self.plan, self.rng = clips, plan, rng
        self.members = {t: np.flatnonzero(clips.tasks == t) for t in np.unique(clips.tasks)}

    def batch(self, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Segments [2 * size, N, K, F], queries first; valid [2 * size, N]; labels [2 * size]."""
        clips, plan = self.clips, self.plan
        queries = self.rng.integers(len(clips.labels), size=size)
        others = np.array([self._other(q) for q in queries])
        columns = clips.features[0].shape[1]
        segments = np.zeros((2 * size, plan.partitions, plan.frames, columns), np.float32)
        valid = np.zeros((2 * size, plan.partitions), bool)
        for row, (q, o) in enumerate(zip(queries, others, strict=True)):
            query, other = clips.features[q], clips.features[o]
            starts = segment_starts(len(query), plan, self.rng)
            mapped = mapped_starts(starts, len(query), len(other))
            for place, clip, first in ((row, query, starts), (row + size, other, mapped)):
                segments[place, : len(first)] = clip[segment_frames(first, len(clip), plan)]
                valid[place, : len(first)] = True
        labels = np.concatenate([clips.labels[queries], clips.labels[others]])
        return torch.from_numpy(segments), torch.from_numpy(valid), torch.from_numpy(labels)

    def _other(self, query: int) -> int:
        """Another clip of the query's task."""
        members = self.members[self.clips.tasks[query]]
        return int(self.rng.choice(members[members != query]))


def selecting(drills: Sequence[Drill], share: float) -> np.ndarray:
    """Whether each clip selects the step: the last `share` of the performers, none in both."""
    people = sorted({d.participant_id for d in drills})
    last = set(people[len(people) - max(round(share * len(people)), 1) :])
    return np.array([d.participant_id in last for d in drills])
