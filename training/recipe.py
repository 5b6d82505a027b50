"""Recipes: one YAML file, one dataclass a stage, all faults reported at once.

poise train mini                          all stages of training/recipes/mini.yaml
poise train mini --stage language lora.rank=16
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

from assistant.errors import PoiseError
from prompts.vocabulary import BEST_EXO, VIEW_NAMES, VIEWS
from training.precision import Precision
from training.settings import build, checked, faults_of, read_yaml

# Whole numbers that may be 0; all others count something and are at least 1.
MAY_BE_ZERO: Final = (
    "seed",
    "steps",
    "warmup_steps",
    "epochs",
    "warmup_epochs",
    "checkpoint_steps",
    "evaluation_steps",
    "stage1_performers",
    "talk_steps",
)
# ProfVLM's films have 30 frames a second: its 8 frames at a rate of 8 span 2.1 s.
FILM_FPS: Final = 30.0
SPAN_TOLERANCE: Final = 0.2
# The form of answers and the comments of models that learn dialogues.
FOR_DIALOGUES: Final = ("label_first", "all")
SHARES: Final = ("share", "dropout")


@dataclass(frozen=True)
class DataSettings:
    """Simulated clips. The pools never share a performer.

    Attributes:
        perception_performers: pool A, for pose tokenizer, video encoder and Stage 1.
        language_performers: pool B, for calibration, the language model and the estimator.
        validation_performers: thresholds and temperatures.
        library_performers: the expert library.
        stream_performers: films and gaze for Stage 1, unseen by the video encoder.
        stage1_performers: beside pool A, for Stage 1, prototypes and the estimator.
        clips_per_performer: of every pool.
        distractor_share: share of distractor clips in pool A and validation.
        workers: processes that simulate and render.
    """

    perception_performers: int = 400
    language_performers: int = 400
    validation_performers: int = 80
    library_performers: int = 60
    stream_performers: int = 80
    stage1_performers: int = 0
    clips_per_performer: int = 8
    distractor_share: float = 0.25
    workers: int = 2


@dataclass(frozen=True)
class PretrainedVideoEncoder:
    """A published encoder, used as it is.

    Attributes:
        name: the kind of encoder.
        pretrained: a hub name or a folder.
        license: the terms of its weights, for the model card.
        frames, size, mean, std: of its input, where the recipe rests on them: checked when it is
            loaded. 0 and an empty list take what it has.
        sampling_rate: frames of a film of 30 a second from one that is looked at to the next; with
            `frames` it must span the window that Poise looks at.
    """

    name: str
    pretrained: str
    license: str = ""
    frames: int = 0
    size: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    sampling_rate: int = 0

    def __post_init__(self) -> None:
        from assistant.tasks.window import WINDOW_SECONDS

        span = self.frames * self.sampling_rate / FILM_FPS
        if span and abs(span - WINDOW_SECONDS) > SPAN_TOLERANCE:
            raise PoiseError(
                "video_encoder looks at another window",
                got=f"{self.frames} frames, every {self.sampling_rate}th at {FILM_FPS:.0f} fps",
                expected=f"{WINDOW_SECONDS} s, within {SPAN_TOLERANCE} s",
            )


@dataclass(frozen=True)
class LanguageModelSettings:
    """Shape of the causal language model when none is given by name.

    Attributes:
        base: a hub name or folder of any causal language model; empty builds a Llama from the rest.
        license: the terms of the base's weights as the hub names them, for the model card.
    """

    base: str = ""
    license: str = ""
    vocabulary: int = 1024
    hidden_size: int = 192
    intermediate_size: int = 512
    layers: int = 4
    heads: int = 3


@dataclass(frozen=True)
class PretrainSettings:
    """Language pretraining on talk, commentary after features, and pose codes.

    Attributes:
        talk: speech and questions in words alone are learned too. Short trainings do without: the
            other conversations teach words enough, and features are read sooner.
        talk_steps: updates on talk alone before the others; with 0 talk stands among them.
        tellings: commentaries of each clip of pool B, each in other words.
        windows_per_clip: windows of each clip of pool A whose corrected codes are learned.
    """

    steps: int = 2600
    batch_size: int = 8
    learning_rate: float = 2e-3
    talk: bool = True
    talk_steps: int = 0
    tellings: int = 2
    windows_per_clip: int = 2


@dataclass(frozen=True)
class LabellingSettings:
    """Training of the optional stage `labelling`: spoken comments to labels."""

    steps: int = 800
    batch_size: int = 8
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class ContrastiveSettings:
    """Training of the optional stage `contrastive`: the baseline of tuned retrieval."""

    steps: int = 600
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    width: int = 256
    size: int = 64


@dataclass(frozen=True)
class LoraSettings:
    """Low-rank adaptation (peft).

    Attributes:
        targets: the linear layers that get an adapter.
        quantisation: nf4 holds the frozen linears of the language model in 4 bits (QLoRA,
            bitsandbytes) while the adapter trains; it is merged into the weights as they were.
    """

    targets: tuple[str, ...] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )
    rank: int = 32
    alpha: int = 64
    dropout: float = 0.0
    quantisation: Literal["none", "nf4"] = "none"


@dataclass(frozen=True)
class LanguageSettings:
    """Multi-task training of F_t, F_r and F_g.

    Attributes:
        epochs, warmup_epochs: passes over the conversations; 0 counts by `steps` and
            `warmup_steps` instead.
        verdict_weight: weight in the loss of the tokens that judge: the label, and region and
            polarity of each remark.
        tasks: that are learned, in pretraining too: F_t, F_r and F_g, or the commentary alone, as
            ProfVLM does, without codes. Such a model knows no corrections.
        demonstrations: which expert each learner is paired with: `aligned` takes the item of the
            library nearest to the fault-free twin, and F_g learns the twin, in step with the
            learner; `unaligned` any item of the activity, `global` one and the same for everybody
            (ExpertAF Table 1, w/o alignment and w/ global pose), which F_g then learns too.
        demonstration_dropout: probability that F_t sees no demonstration; with pairs, that a
            paired learner is not shown one beside the conversation without.
        own_commentary_share: share of clips whose F_g and F_r follow the model's own commentary.
        video_share: share of clips that get video features.
        dialogue_share: share of clips that are also talked about in questions and answers; above 0
            the vocabulary has the calls of the chat, and pretraining learns dialogues too.
        precision: "auto" computes in bfloat16 where the machine does so natively.
        numbers: how the model is given the proficiency and region numbers: one token each, digits,
            or none; saved with the model, so that everything that runs it follows.
        views: whose films the model is given, in training and ever after (ProfVLM Table 4); of
            datasets also `best_exo`, the exo film that a take names as its best (ExpertAF 3.3).
        inputs: what it is given beside the numbers: all, the films alone, the pose alone or none.
        pose_form: how it is given the pose: embedding rows, or coordinates as text (ExpertAF's
            Table 1); saved with the model.
        rig: which views a filmed clip has: mixed (one, two or all five) or whole (all five).
        retrieval_stride: F_r ranks by every n-th frame of learner and candidate; saved with the
            model. Where the candidates are short, most of what is computed is their shared prompt.
        answer_form: what an answer holds and in which order (ProfVLM Tables 7 and 8); saved with
            the model too.
        comments: how many commentaries of a clip are learned (ProfVLM Table 7): all that there are,
            or one, the same in every conversation.
        loss_balance: `equal` makes the label weigh as much as the commentary in every answer,
            whatever their lengths, instead of `verdict_weight`.
        projector_gating, projector_norm: the last two steps of ProfVLM's Table 6 (of `agp`).
        dataset: a folder of labelled samples (`poise data egoexo4d`, then `poise data label`) whose
            takes are learned and measured on, in pretraining too; empty simulates drills.
        pairs: a folder of `poise data pair` over such a dataset, in place of `dataset`: F_r and F_g
            are learned too, from its pairs, and the run's library is of their experts.
        dataset_text: which words of its rows are learned: their summaries, or what was spoken as it
            was transcribed (ProfVLM section 4.1).
        features: a folder of `poise data features` over the dataset by the run's own video encoder;
            empty reads the films, into the run's `work/`.
    """

    steps: int = 900
    epochs: int = 0
    batch_size: int = 32
    learning_rate: float = 2e-3
    warmup_steps: int = 40
    warmup_epochs: int = 0
    weight_decay: float = 0.01
    verdict_weight: float = 4.0
    tasks: Literal["all", "commentary"] = "all"
    demonstrations: Literal["aligned", "unaligned", "global"] = "aligned"
    demonstration_dropout: float = 0.5
    own_commentary_share: float = 0.25
    video_share: float = 0.5
    dialogue_share: float = 0.0
    precision: Precision = "auto"
    numbers: Literal["token", "digits", "none"] = "token"
    views: tuple[str, ...] = VIEWS
    inputs: Literal["all", "video", "pose", "none"] = "all"
    pose_form: Literal["features", "text"] = "features"
    rig: Literal["mixed", "whole"] = "mixed"
    retrieval_stride: int = 1
    answer_form: Literal["label_first", "commentary_first", "label_only"] = "label_first"
    comments: Literal["all", "one"] = "all"
    loss_balance: Literal["verdict_weight", "equal"] = "verdict_weight"
    projector: Literal["agp", "mlp"] = "agp"
    projector_hidden: int = 192
    projector_heads: int = 4
    projector_gating: bool = True
    projector_norm: bool = True
    mapper_hidden: int = 192
    dataset: str = ""
    pairs: str = ""
    dataset_text: Literal["summary", "spoken"] = "summary"
    features: str = ""

    @property
    def weighting(self) -> dict[str, Any]:
        """How `token_sample` weighs a conversation in the loss."""
        return {
            "verdict_weight": self.verdict_weight,
            "equal_fields": self.loss_balance == "equal",
        }


@dataclass(frozen=True)
class CorrectionSettings:
    """F_g after F_t and F_r instead of together with them (ExpertAF section 3.4).

    Attributes:
        epochs: of F_g alone, after which F_t and F_r are not trained any more; 0 trains all
            three at once.
    """

    epochs: int = 0
    batch_size: int = 32
    learning_rate: float = 5e-6


@dataclass(frozen=True)
class LoopSettings:
    """How the language stages run; only `packing` and `accumulation` touch the numbers (rounding).

    Attributes:
        accumulation: pieces of a batch that one process computes one after the other.
        packing: lay the conversations of a piece into one row, none attending to another, instead
            of padding them to one length. On CPU padding is faster.
        gradient_checkpointing: compute activations anew in the backward pass, to save memory.
        checkpoint_steps: updates between two states from which `--resume` goes on; 0 is none.
        evaluation_steps: updates between two evaluations of the stage `language` on validation
            performers, beside those after each epoch; 0 is never.
        evaluation_clips: clips of such an evaluation.
    """

    accumulation: int = 1
    packing: bool = False
    gradient_checkpointing: bool = False
    checkpoint_steps: int = 200
    evaluation_steps: int = 300
    evaluation_clips: int = 24


@dataclass(frozen=True)
class Recipe:
    """All stages of one checkpoint. `pose_tokenizer`, `video_encoder`, `proficiency`,
    `correction_estimator`, `sparse_skill` and `look_closer` carry the settings of their trainers.

    Attributes:
        activity: with one of `activities`, stage `language` trains a bare adapter of this sport
            over the finished checkpoint, into `adapters/`, and leaves the checkpoint as it is.
    """

    name: str
    seed: int = 0
    threads: int = 2
    activities: tuple[str, ...] = ("bodyweight_squat", "basketball_free_throw")
    activity: str = ""
    data: DataSettings = field(default_factory=DataSettings)
    pose_tokenizer: Mapping[str, Any] = field(default_factory=dict)
    video_encoder: Mapping[str, Any] = field(default_factory=dict)
    proficiency: Mapping[str, Any] = field(default_factory=dict)
    correction_estimator: Mapping[str, Any] = field(default_factory=dict)
    language_model: LanguageModelSettings = field(default_factory=LanguageModelSettings)
    pretrain: PretrainSettings = field(default_factory=PretrainSettings)
    lora: LoraSettings = field(default_factory=LoraSettings)
    language: LanguageSettings = field(default_factory=LanguageSettings)
    correction: CorrectionSettings = field(default_factory=CorrectionSettings)
    labelling: LabellingSettings = field(default_factory=LabellingSettings)
    contrastive: ContrastiveSettings = field(default_factory=ContrastiveSettings)
    loop: LoopSettings = field(default_factory=LoopSettings)
    sparse_skill: Mapping[str, Any] = field(default_factory=dict)
    look_closer: Mapping[str, Any] = field(default_factory=dict)


def recipe_path(name: str) -> Path:
    """The YAML of a shipped recipe, or a path given by the user."""
    folder = Path(str(resources.files("training").joinpath("recipes")))
    for path in (Path(name), folder / f"{name}.yaml"):
        if path.suffix in (".yaml", ".yml") and path.is_file():
            return path
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    raise PoiseError("unknown recipe", got=name, expected=f"a YAML file or {', '.join(known)}")


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply `key.sub=value` overrides.

    The settings of every stage are checked here, before any of them has cost a minute.

    Raises:
        PoiseError: names every unknown key, wrong type and value out of range at once.
    """
    raw = read_yaml(recipe_path(name).read_text("utf-8"), f"recipe {name}") or {}
    if not isinstance(raw, dict):
        raise PoiseError(f"cannot read recipe {name}", got=repr(raw), expected="keys and values")
    for override in overrides:
        _override(raw, override)
    faults = faults_of(Recipe, raw)
    for stage, kind in _trainer_settings(raw).items():
        if isinstance(raw.get(stage, {}), dict):
            faults += checked(kind, raw.get(stage, {}), f"{stage}.")
    if not faults:
        recipe = build(Recipe, raw)
        faults = _out_of_range(recipe, "") + _unfit(recipe)
    if faults:
        raise PoiseError(f"recipe {name} has wrong settings", got="; ".join(faults))
    return _with_dataset(recipe)


def _with_dataset(recipe: Recipe) -> Recipe:
    """The recipe whose pairs, where it has some, bring their dataset."""
    if not recipe.language.pairs:
        return recipe
    from eval.pairs import DATASET

    dataset = str(Path(recipe.language.pairs) / DATASET)
    return replace(recipe, language=replace(recipe.language, dataset=dataset))


def _override(raw: dict[str, Any], override: str) -> None:
    """Put `key.sub=value` into the settings."""
    key, separator, value = override.partition("=")
    if not separator or not all(key.split(".")):
        raise PoiseError("not a setting", got=override, expected="key=value")
    place = raw
    *parents, last = key.split(".")
    for parent in parents:
        if place.get(parent) is None:
            place[parent] = {}
        place = place[parent]
        if not isinstance(place, dict):
            raise PoiseError(
                "not a setting", got=override, expected=f"{parent} has no settings inside it"
            )
    place[last] = read_yaml(value, override)


def _trainer_settings(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The settings classes of the stages that have trainers of their own."""
    from training.correction_estimator import CorrectionEstimatorSettings
    from training.look_closer_settings import LookCloserStageSettings
    from training.pose_tokenizer import PoseTokenizerSettings
    from training.proficiency import ProficiencySettings
    from training.sparse_skill import SparseSkillSettings
    from training.video_encoder import VideoEncoderSettings

    video = raw.get("video_encoder")
    loaded = isinstance(video, dict) and "pretrained" in video
    return {
        "pose_tokenizer": PoseTokenizerSettings,
        "video_encoder": PretrainedVideoEncoder if loaded else VideoEncoderSettings,
        "proficiency": ProficiencySettings,
        "correction_estimator": CorrectionEstimatorSettings,
        "sparse_skill": SparseSkillSettings,
        "look_closer": LookCloserStageSettings,
    }


def _out_of_range(settings: Any, place: str) -> list[str]:
    """Counts below 1, numbers below 0, shares above 1, in a settings class and those inside it."""
    faults = []
    for spec in fields(settings):
        value, name = getattr(settings, spec.name), f"{place}{spec.name}"
        if is_dataclass(value):
            faults += _out_of_range(value, f"{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            count = isinstance(value, int) and spec.name not in MAY_BE_ZERO
            least, most = int(count), 1 if spec.name.endswith(SHARES) else None
            if value < least:
                faults.append(f"{name} is {value}, expected at least {least}")
            if most is not None and value > most:
                faults.append(f"{name} is {value}, expected at most {most}")
    return faults


def _unfit(recipe: Recipe) -> list[str]:
    """Settings that do not fit each other or the simulated world."""
    from data_prep.drills.faults import KNOWN

    model = recipe.language_model
    faults = [
        f"activities has {name!r}, expected some of {', '.join(KNOWN)}"
        for name in recipe.activities
        if name not in KNOWN
    ]
    faults += [
        f"language.views has {name!r}, expected some of {', '.join(VIEW_NAMES)}"
        for name in recipe.language.views
        if name not in VIEW_NAMES
    ]
    language = recipe.language
    if BEST_EXO in language.views and not (language.dataset or language.pairs):
        faults.append(
            f"language.views has {BEST_EXO} without a dataset, expected the name of a view: "
            "simulated pools are rendered without asking which camera sees best"
        )
    if language.dialogue_share and (language.answer_form, language.comments) != FOR_DIALOGUES:
        faults.append(
            f"language.dialogue_share is {language.dialogue_share} with answer_form "
            f"{language.answer_form} and comments {language.comments}, expected "
            f"{' and '.join(FOR_DIALOGUES)}: a chat goes on after such answers"
        )
    if recipe.pretrain.talk_steps and not language.dialogue_share:
        faults.append(
            f"pretrain.talk_steps is {recipe.pretrain.talk_steps} with language.dialogue_share 0, "
            "expected a share of dialogues: talk is made of them"
        )
    if recipe.pretrain.talk_steps and not recipe.pretrain.talk:
        faults.append(
            f"pretrain.talk_steps is {recipe.pretrain.talk_steps} with pretrain.talk false, "
            "expected 0"
        )
    if language.tasks == "commentary" and recipe.correction.epochs:
        faults.append(
            f"correction.epochs is {recipe.correction.epochs} with language.tasks commentary, "
            "expected 0, or all tasks"
        )
    if language.dataset or language.pairs:
        faults += _unfit_for_dataset(recipe)
    if recipe.activity and recipe.activity not in recipe.activities:
        faults.append(
            f"activity is {recipe.activity!r}, expected one of {', '.join(recipe.activities)}"
        )
    if not model.base and model.hidden_size % (2 * model.heads):
        faults.append(
            f"language_model.hidden_size is {model.hidden_size} with {model.heads} heads, "
            "expected a multiple of twice the heads"
        )
    return faults


def _unfit_for_dataset(recipe: Recipe) -> list[str]:
    """Settings that ask for what is known of simulated drills alone."""
    language, pretrain = recipe.language, recipe.pretrain
    given = "language.pairs" if language.pairs else "language.dataset"
    tasks = (
        ("language.tasks", language.tasks, "all", "for the commentary alone give its dataset")
        if language.pairs
        else ("language.tasks", language.tasks, "commentary", "for all give language.pairs")
    )
    wanted: list[tuple[str, object, object, str]] = [
        tasks,
        ("language.dialogue_share", language.dialogue_share, 0, "dialogues are of drills"),
        ("activity", recipe.activity, "", "adapters of one sport are trained on drills"),
    ]
    if pretrain.steps:
        wanted.append(("pretrain.talk", pretrain.talk, False, "talk is of drills"))
    if language.pairs:
        wanted.append(("language.dataset", language.dataset, "", "pairs bring their own"))
    return [
        f"{name} is {value!r} with {given}, expected {expected!r}: {why}"
        for name, value, expected, why in wanted
        if value != expected
    ]
