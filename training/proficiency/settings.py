"""How the proficiency parts are trained."""

from dataclasses import dataclass, field
from typing import Literal

from assistant.errors import PoiseError
from assistant.proficiency.coral import PAPER_C, Form
from training.proficiency.examples import Disturbance
from training.proficiency.look_closer import PAPER_WEIGHTS


@dataclass(frozen=True)
class ProficiencySettings:
    """Run settings; the architecture is in `Stage1Config`.

    Attributes:
        width, dilations, dropout: of Stage 1.
        fault_evidence: a severity head, read by the level's head with that of the faults.
        copies: disturbed copies made of each pool-A drill.
        steps: optimiser steps; frames_per_batch: padded frames in a batch.
        learning_rate: peak of a one-cycle schedule; weight_decay: AdamW's.
        ema: decay of the averaged weights that are kept.
        root_drop: share of clips that lose the path over the ground in a step.
        aspect_width: of Look Closer's evidence; 0 leaves aspect experts and router out.
        stream_dropout: share of the ego, exo and gaze streams that a step leaves out.
        gaze_share: share of pool B's clips whose gaze is known; video_share: of pool B, validation
            and the pool `streams` the share of clips that are filmed.
        aspect_weight, router_weight, consistency_weight: Look Closer's lambdas.
        polarity_weight ... where_weight: weights of the losses beside the level's.
        unnamed_share: nameless motions beside pool A and validation, per clip.
        view_noise: millimetres of single-view noise on half of the clips that fit the open set.
        calibration_noise: largest millimetres of slow noise on pool B and validation.
        fewest_windows: a bucket with fewer high or low windows takes the activity's prototypes.
        moments, proposals: see `MomentSettings`; moments by the skill model need the stage
            sparse_skill before this one.
        form: of the ordinal head; c: its inverse L2 strength.
        bf16: mixed precision where it is native; disturbance: how examples are disturbed.
    """

    width: int = 112
    dilations: tuple[int, ...] = (1, 2, 4, 8, 2)
    dropout: float = 0.1
    fault_evidence: bool = True
    copies: int = 2
    steps: int = 1200
    frames_per_batch: int = 4500
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    ema: float = 0.995
    root_drop: float = 0.1
    aspect_width: int = 64
    stream_dropout: float = 0.3
    gaze_share: float = 0.3
    video_share: float = 0.15
    aspect_weight: float = PAPER_WEIGHTS["aspect"]
    router_weight: float = PAPER_WEIGHTS["router"]
    consistency_weight: float = PAPER_WEIGHTS["consistency"]
    polarity_weight: float = 1.0
    fault_weight: float = 2.0
    activity_weight: float = 0.5
    frame_weight: float = 0.5
    action_weight: float = 0.5
    severity_weight: float = 0.5
    where_weight: float = 0.05
    unnamed_share: float = 0.1
    view_noise: float = 80.0
    calibration_noise: float = 20.0
    fewest_windows: int = 0
    moments: Literal["attention", "sparse_skill"] = "attention"
    proposals: Literal["uniform", "weighted", "moments"] = "uniform"
    form: Form = "regressions"
    c: float = PAPER_C
    bf16: bool = True
    disturbance: Disturbance = field(default_factory=Disturbance)

    def __post_init__(self) -> None:
        wrong = [
            f"{name} {getattr(self, name)}"
            for name in ("copies", "steps", "frames_per_batch", "width")
            if getattr(self, name) < 1
        ]
        if wrong:
            raise PoiseError("proficiency settings", got=", ".join(wrong), expected="at least 1")
