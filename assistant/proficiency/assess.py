"""Assess clips: span, activity, level evidence, region polarities and moments.

From a pose, and from ego, exo and gaze streams where a clip has them.

`Assessor` holds the trained parts (Stage 1, open set, prototypes, calibration) and is one folder:
`proficiency.safetensors` and `proficiency.json`. The whole clip is read once to find the active
span; the span, normalised anew, is what is judged.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor

from assistant.errors import PoiseError
from assistant.pose.normalise import (
    PERCEPTION_FPS,
    REFERENCE_SCALE,
    NormalisedPose,
    frame_features,
    normalise,
)
from assistant.proficiency.activity import OpenSet, active_span
from assistant.proficiency.aspects import MODALITIES
from assistant.proficiency.coral import (
    STREAMS,
    Calibration,
    EmpiricalCdf,
    OrdinalHead,
    level_probabilities,
)
from assistant.proficiency.moments import (
    Moment,
    MomentSettings,
    margin_windows,
    moments_of,
    skill_weights,
)
from assistant.proficiency.pdm import PrototypeBank, action_dynamics, proposal_dynamics
from assistant.proficiency.sparse_skill import SparseSkillExtractor
from assistant.proficiency.stage1 import GLOBAL_POOL, Stage1, Stage1Config, Stage1Output
from assistant.proficiency.stage1_run import run_stage1
from assistant.proficiency.streams import Streams, stage1_streams
from prompts.vocabulary import NEEDS_IMPROVEMENT, REGIONS

WEIGHTS_FILE: Final = "proficiency.safetensors"
CONFIG_FILE: Final = "proficiency.json"
SCORE_SIZE: Final = 14


# What a clip brings beside its pose, asked for once its active span (seconds) is known.
StreamSource = Callable[[tuple[float, float]], Streams]


class FrameEncoder(Protocol):
    """What the margin needs of a pose tokenizer: [B, 17, 3] metres -> [B, M, D]."""

    def encode(self, joints: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Assessment:
    """What Stage 1 and 2 say about one clip; times in seconds from the clip's start.

    Attributes:
        activity: the most probable known activity (or the one that was asked for).
        activity_probability: of that activity among all known ones and distractors.
        known_score: open-set score, judged when at least the model's threshold (0).
        span: what was judged: the active part, or all of the clip where none was found.
        p_base: [4] calibrated Stage-1 probabilities; q: [3] cumulative, non-increasing.
        u, pdm: normalised and raw margin per stream of `STREAMS`, None where absent.
        regions: [6, 3] probabilities of the polarities; features: [7, P], global last.
        moments: heaviest 2 s windows, heaviest first; region_moments: the heaviest per region.
        modalities: what Stage 1 read, "pose" and any of ego, exo and gaze.
    """

    activity: str
    activity_probability: float
    known_score: float
    judged: bool
    span: tuple[float, float]
    p_base: np.ndarray
    q: np.ndarray
    u: Mapping[str, float | None]
    pdm: Mapping[str, float | None]
    regions: np.ndarray
    features: np.ndarray
    moments: tuple[Moment, ...]
    region_moments: Mapping[str, Moment]
    modalities: tuple[str, ...] = ("pose",)

    @property
    def stage1_features(self) -> np.ndarray:
        """[7, P] pooled features, the six regions and the whole body."""
        return self.features

    @property
    def level_probabilities(self) -> np.ndarray:
        """[4] probabilities of the levels by CORAL."""
        return level_probabilities(self.q)

    @property
    def first_fault(self) -> str | None:
        """The region with the highest fault probability, None where no region's fault leads."""
        faulty = self.regions.argmax(axis=1) == NEEDS_IMPROVEMENT
        if not faulty.any():
            return None
        return REGIONS[int(np.where(faulty, self.regions[:, NEEDS_IMPROVEMENT], -1.0).argmax())]

    def score_vector(self) -> np.ndarray:
        """[p_base(4), q(3), u_ego, u_exo, u_pose, presence of ego, exo, gaze, pose], float32."""
        u = [0.0 if self.u.get(stream) is None else self.u[stream] for stream in STREAMS]
        presence = [modality in self.modalities for modality in MODALITIES]
        return np.concatenate([self.p_base, self.q, u, presence]).astype(np.float32)


@dataclass
class Assessor:
    """The trained parts of Stages 1 and 2 and how to apply them.

    Attributes:
        stage1: the network, in eval mode; temperature: of its level logits.
        open_set: whether a clip shows a known activity.
        banks: stream -> prototypes; calibration: CDFs and ordinal head.
        frame_encoder: embeds pose frames for the "pose" stream's margin; None leaves it out.
        moment_model: says where the level shows, when the settings ask for it.
        moment_settings: whose weights choose the moments, and the margin's windows.
    """

    stage1: Stage1
    open_set: OpenSet
    banks: dict[str, PrototypeBank]
    calibration: Calibration
    temperature: float = 1.0
    frame_encoder: FrameEncoder | None = None
    moment_model: SparseSkillExtractor | None = None
    moment_settings: MomentSettings = field(default_factory=MomentSettings)

    @property
    def activities(self) -> tuple[str, ...]:
        """The activities that can be judged, in the order of the model."""
        return self.stage1.config.known_activities

    def assess(self, pose: NormalisedPose, *, activity: str | None = None) -> Assessment:
        """One clip; see `assess_many`."""
        return self.assess_many([pose], activity=activity)[0]

    def assess_many(
        self,
        poses: Sequence[NormalisedPose],
        *,
        activity: str | None = None,
        find_span: bool = True,
        sources: Sequence[StreamSource | None] | None = None,
    ) -> list[Assessment]:
        """Clips of any rate and length, in batches of similar length.

        Args:
            activity: judge them as this known activity; None finds it out.
            find_span: False when the clips are already cut to the active part.
            sources: the ego, exo and gaze streams of each clip, in the clip's seconds.
        Raises:
            PoiseError: for an activity that the model does not know.
        """
        choice = None if activity is None else self._index(activity)
        spans = self.find_spans(poses, choice) if find_span else [None] * len(poses)
        cuts = [p if s is None else recrop(p, s) for p, s in zip(poses, spans, strict=True)]
        wholes = [span or (0.0, p.duration) for p, span in zip(poses, spans, strict=True)]
        streams: list[Streams] = [{} for _ in poses]
        if sources is not None:
            streams = [
                {} if source is None else dict(source(whole))
                for source, whole in zip(sources, wholes, strict=True)
            ]
        beside = [stage1_streams(s, w) for s, w in zip(streams, wholes, strict=True)]
        outputs = run_stage1(self.stage1, [frame_features(cut) for cut in cuts], beside, choice)
        return [
            self._judge(*each, choice) for each in zip(cuts, streams, wholes, outputs, strict=True)
        ]

    def find_spans(
        self, poses: Sequence[NormalisedPose], choice: int | None = None
    ) -> list[tuple[float, float] | None]:
        """The active span of every clip in seconds, None where no repetition is seen."""
        outputs = run_stage1(self.stage1, [frame_features(pose) for pose in poses])
        known = range(self.stage1.config.known) if choice is None else [choice]
        return [active_span(frame_known(output, known), PERCEPTION_FPS) for output in outputs]

    def margins(
        self,
        features: np.ndarray | None,
        activity: str,
        weights: np.ndarray,
        streams: Streams | None = None,
    ) -> dict[str, float | None]:
        """Raw margin per stream, annotation-free; None for a stream that is not there.

        Args:
            features: [T, D] frame embeddings of the pose; weights: [T] of the frames, sum 1.
            streams: ego and exo, which are scored at uniform proposals.
        """
        found: dict[str, float | None] = dict.fromkeys(STREAMS)
        for name, bank in self.banks.items():
            if name == "pose" and features is not None:
                times, shares = margin_windows(
                    self.moment_settings.proposals, weights, len(features), PERCEPTION_FPS
                )
                z = np.stack([action_dynamics(features, PERCEPTION_FPS, t) for t in times])
                found[name] = bank.annotation_free(z, activity, shares)
            elif streams and name in streams:
                values, fps = streams[name].values.astype(np.float64), streams[name].fps
                found[name] = bank.annotation_free(proposal_dynamics(values, fps), activity)
        return found

    def frame_weights(self, output: Stage1Output, features: np.ndarray | None) -> np.ndarray:
        """Weights [T] of a cut clip's frames, sum 1, by the source that the settings name.

        Args:
            features: [T, D] frame embeddings of the pose, which the moment model reads.
        """
        if self.moment_settings.source == "attention":
            return output.attention[0, GLOBAL_POOL].double().numpy()
        if features is None or self.moment_model is None:
            raise PoiseError(
                "moments by sparse_skill",
                got="no skill model" if self.moment_model is None else "no frame encoder",
                remedy="train it: poise train mini --stage sparse_skill",
            )
        inside = torch.sigmoid(output.action[0]).double().numpy()
        return skill_weights(self.moment_model, features, inside)

    def _index(self, activity: str) -> int:
        if activity not in self.activities:
            raise PoiseError(
                "unknown activity", got=repr(activity), expected=", ".join(self.activities)
            )
        return self.activities.index(activity)

    def _judge(
        self,
        cut: NormalisedPose,
        streams: Streams,
        span: tuple[float, float],
        output: Stage1Output,
        choice: int | None,
    ) -> Assessment:
        """From the Stage-1 output of one cut clip (batch of one, no padding)."""
        logits = output.activity.double().numpy()  # [1, A]
        features = output.features.numpy()[0]  # [7, P]
        index = int(logits[0, : len(self.activities)].argmax()) if choice is None else choice
        score = self.open_set.score(logits, features[None, GLOBAL_POOL], np.array([index]))[0]
        activity = self.activities[index]
        p_base = torch.softmax(output.level.double() / self.temperature, dim=-1).numpy()
        embedded = None if self.frame_encoder is None else embed_frames(self.frame_encoder, cut)
        weights = self.frame_weights(output, embedded)
        pdm = self.margins(embedded, activity, weights, streams)
        u = self.calibration.normal_scores(pdm, activity)
        attention = output.attention[0]  # [7, T]
        return Assessment(
            activity=activity,
            activity_probability=float(torch.softmax(output.activity[0].double(), dim=-1)[index]),
            known_score=float(score),
            judged=bool(score >= self.open_set.threshold),
            span=span,
            p_base=p_base[0],
            q=self.calibration.cumulative(p_base, [u])[0],
            u={stream: u.get(stream) for stream in STREAMS},
            pdm=pdm,
            regions=torch.softmax(output.polarity[0], dim=-1).numpy(),
            features=features,
            moments=moments_of(torch.from_numpy(weights), span),
            region_moments={
                region: moments_of(attention[i], span, 1)[0] for i, region in enumerate(REGIONS)
            },
            modalities=("pose", *(name for name in MODALITIES if name in streams)),
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Write weights and settings; the frame encoder has a folder of its own."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {f"stage1.{k}": v.numpy() for k, v in self.stage1.state_dict().items()}
        arrays |= self.open_set.arrays()
        for stream, bank in self.banks.items():
            arrays |= bank.arrays(f"bank.{stream}")
        for (stream, activity), cdf in self.calibration.cdfs.items():
            arrays[f"cdf.{stream}.{activity}"] = cdf.values
        arrays["coral.weights"] = self.calibration.head.weights
        arrays["coral.biases"] = self.calibration.head.biases
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, folder / WEIGHTS_FILE)
        config = {
            "stage1": asdict(self.stage1.config),
            "temperature": self.temperature,
            "moments": asdict(self.moment_settings),
            "coral_form": self.calibration.head.form,
            "buckets": {stream: bank.buckets for stream, bank in self.banks.items()},
            "bucket_counts": {stream: bank.report() for stream, bank in self.banks.items()},
        }
        text = json.dumps(config, indent=2, sort_keys=True)
        (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        frame_encoder: FrameEncoder | None = None,
        moment_model: SparseSkillExtractor | None = None,
    ) -> "Assessor":
        """Read what `save_pretrained` wrote.

        Args:
            frame_encoder: the pose tokenizer the prototypes were made with.
            moment_model: of the checkpoint's folder `sparse_skill`, where it has one.
        """
        folder = Path(folder)
        missing = [n for n in (WEIGHTS_FILE, CONFIG_FILE) if not (folder / n).is_file()]
        if missing:
            raise PoiseError(f"no proficiency model in {folder}", got=f"missing {missing}",
                             remedy="train it: poise train mini --stage proficiency")  # fmt: skip
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        arrays = load_file(folder / WEIGHTS_FILE)
        return cls(
            stage1=_load_stage1(config["stage1"], arrays),
            open_set=OpenSet.from_arrays(arrays),
            banks={
                stream: PrototypeBank.from_arrays(arrays, f"bank.{stream}", buckets)
                for stream, buckets in config["buckets"].items()
            },
            calibration=_load_calibration(config, arrays),
            temperature=config["temperature"],
            frame_encoder=frame_encoder,
            moment_model=moment_model,
            moment_settings=MomentSettings(**config.get("moments", {})),
        )


def _load_stage1(config: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> Stage1:
    net = Stage1(Stage1Config(**config))
    mine = {k.removeprefix("stage1."): torch.from_numpy(v) for k, v in arrays.items()
            if k.startswith("stage1.")}  # fmt: skip
    net.load_state_dict(mine)
    return net.eval()


def _load_calibration(config: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> Calibration:
    cdfs = {}
    for key, values in arrays.items():
        if key.startswith("cdf."):
            _, stream, activity = key.split(".", 2)
            cdfs[stream, activity] = EmpiricalCdf(values)
    head = OrdinalHead(arrays["coral.weights"], arrays["coral.biases"], config["coral_form"])
    return Calibration(cdfs, head)


def recrop(pose: NormalisedPose, span: tuple[float, float]) -> NormalisedPose:
    """Cut to the span and normalise anew: heading and floor are those of the action."""
    cut = pose.crop(*span).to_pose()
    return normalise(cut, contact_heights=pose.root_path is None)


def frame_known(output: Stage1Output, known: Sequence[int]) -> np.ndarray:
    """[T] probability that a frame lies in a repetition of one of `known`; batch of one."""
    inside = torch.sigmoid(output.action[0])
    named = torch.softmax(output.frame_activity[0], dim=-1)[:, list(known)].sum(dim=-1)
    return (inside * named).double().numpy()


@torch.inference_mode()
def embed_frames(encoder: FrameEncoder, pose: NormalisedPose) -> np.ndarray:
    """Frame embeddings of a clip at `PERCEPTION_FPS` in the reference adult's size: [F, M * D]."""
    joints = pose.resample(PERCEPTION_FPS).joints * (REFERENCE_SCALE / pose.scale)
    embedded = encoder.encode(torch.from_numpy(joints.astype(np.float32)))
    return embedded.flatten(1).double().numpy()
