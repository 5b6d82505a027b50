"""Architecture settings of the Poise language model, saved as `config.json` beside its weights."""

from collections.abc import Collection, Iterable
from typing import Any

from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

from assistant.errors import PoiseError
from prompts.numbers import NUMBER_FORMS
from prompts.parse import ANSWER_FORMS, LABEL_FIRST
from prompts.pose_text import POSE_FORMS
from prompts.vocabulary import BEST_EXO, VIEW_NAMES, VIEWS

PROJECTORS = ("mlp", "agp")
# What a model may be given of a clip beside the numbers: everything, the films alone as ProfVLM is,
# the pose alone, or nothing.
GIVEN = {
    "all": ("video", "pose", "stage1"),
    "video": ("video",),
    "pose": ("pose",),
    "none": (),
}


def check_views(names: Iterable[str]) -> tuple[str, ...]:
    """The named views in their fixed order.

    Raises:
        PoiseError: none, or one that does not exist.
    """
    named = tuple(names)
    unknown = [name for name in named if name not in VIEW_NAMES]
    if unknown or not named:
        raise PoiseError(
            "wrong views", got=", ".join(map(repr, unknown or named)) or "none",
            expected=f"some of {', '.join(VIEW_NAMES)}",
        )  # fmt: skip
    return tuple(name for name in VIEW_NAMES if name in named)


def shown_views(
    present: Collection[str], wanted: Collection[str], best: str | None = None
) -> tuple[str, ...]:
    """Of the films that are present those that a model is given.

    Args:
        wanted: the model's `views`; `BEST_EXO` stands for one of the exo films.
        best: the one that shows the skill best, where that is known and the film is there; else it
            is the first.
    """
    exos = [name for name in VIEWS if name != "ego" and name in present]
    kept = set(wanted)
    if BEST_EXO in wanted and exos:
        kept.add(best if best in exos else exos[0])
    return tuple(name for name in VIEWS if name in present and name in kept)


class PoiseConfig(PreTrainedConfig):
    """What `PoiseForConditionalGeneration` is made of.

    Args:
        text_config: configuration of any causal language model (a dict or a config object).
        projector: `agp` (AttentiveGatedProjector, ProfVLM section 3.3) or `mlp`.
        projector_gating, projector_norm: the two ablation steps of ProfVLM Table 6.
        projector_fused: one fused video token instead of one per view.
        video_size: width of one view's video feature.
        pose_size: width of one frame's pose feature (codes x code width + heights).
        stage1_size: width of one pooled Stage-1 feature.
        numbers: how the proficiency and region numbers are given: `token` (one embedding row each),
            `digits` (text) or `none`.
        views: whose films the model is given (`shown_views`), some of VIEWS and BEST_EXO of
            `prompts.vocabulary`; others change
            nothing.
        inputs: what it is given beside the numbers, a name of `GIVEN`.
        pose_form: how it is given the pose: `features` (one embedding row a frame) or `text`
            (coordinates, ExpertAF Table 1).
        answer_form: what an answer holds and in which order, one of `prompts.parse.ANSWER_FORMS`
            (ProfVLM Table 8).
        token ids: ids of the placeholders that features replace.
        pose_code_ids: first id and number of the discrete pose codes.
        tokens_per_frame, correction_frames, correction_fps: shape of a written pose sequence.
        retrieval_stride: F_r ranks by every n-th frame of a window, of learner and candidate.
        label_temperature: temperature of the label likelihoods, fitted on validation data.
    """

    model_type = "poise"
    sub_configs = {"text_config": AutoConfig}

    text_config: Any = None
    projector: str = "agp"
    projector_hidden: int = 1024
    projector_heads: int = 4
    projector_gating: bool = True
    projector_norm: bool = True
    projector_fused: bool = False
    video_size: int = 768
    pose_size: int = 83
    stage1_size: int = 64
    score_size: int = 14
    regions_size: int = 18
    mapper_hidden: int = 256
    numbers: str = "token"
    views: Any = VIEWS
    inputs: str = "all"
    pose_form: str = "features"
    answer_form: str = LABEL_FIRST
    video_token_id: int = -1
    pose_token_id: int = -1
    score_token_id: int = -1
    regions_token_id: int = -1
    stage1_token_id: int = -1
    pose_code_start: int = -1
    codebook_size: int = 256
    pose_frame_end_id: int = -1
    pose_sequence_end_id: int = -1
    tokens_per_frame: int = 8
    correction_frames: int = 10
    correction_fps: float = 5.0
    retrieval_stride: int = 1
    label_temperature: float = 1.0
    tie_word_embeddings: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        if isinstance(self.text_config, dict):
            kind = self.text_config.get("model_type", "llama")
            self.text_config = CONFIG_MAPPING[kind](**self.text_config)
        elif self.text_config is None:
            self.text_config = CONFIG_MAPPING["llama"]()
        self.tie_word_embeddings = bool(self.text_config.tie_word_embeddings)
        if self.projector not in PROJECTORS:
            raise PoiseError(
                "unknown projector", got=repr(self.projector), expected=", ".join(PROJECTORS)
            )
        self.views = check_views(self.views)
        if self.retrieval_stride < 1:
            raise PoiseError(
                "wrong retrieval_stride", got=str(self.retrieval_stride), expected="at least 1"
            )
        if self.inputs not in GIVEN:
            raise PoiseError("unknown inputs", got=repr(self.inputs), expected=", ".join(GIVEN))
        if self.pose_form not in POSE_FORMS:
            raise PoiseError(
                "unknown form of the pose",
                got=repr(self.pose_form),
                expected=", ".join(POSE_FORMS),
            )
        if self.answer_form not in ANSWER_FORMS:
            raise PoiseError(
                "unknown form of answers",
                got=repr(self.answer_form),
                expected=", ".join(ANSWER_FORMS),
            )
        if self.numbers not in NUMBER_FORMS:
            raise PoiseError(
                "unknown form of numbers", got=repr(self.numbers), expected=", ".join(NUMBER_FORMS)
            )
        super().__post_init__(**kwargs)
