"""Recipes: one YAML file, one dataclass a stage, all faults reported at once.

poise train mini                          all stages of training/recipes/mini.yaml
poise train mini --stage language lora.rank=16
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from assistant.errors import PoiseError


@dataclass(frozen=True)
class DataSettings:
    """Simulated clips. The pools never share a performer.

    Attributes:
        perception_performers: pool A, for pose tokenizer, video encoder and Stage 1.
        language_performers: pool B, for calibration and the language model.
        validation_performers: thresholds and temperatures.
        library_performers: the expert library.
        clips_per_performer: of pools A, B and validation.
        distractor_share: share of distractor clips in pool A and validation.
        workers: processes that simulate and render.
    """

    perception_performers: int = 400
    language_performers: int = 400
    validation_performers: int = 80
    library_performers: int = 60
    clips_per_performer: int = 8
    distractor_share: float = 0.25
    workers: int = 2


@dataclass(frozen=True)
class LanguageModelSettings:
    """Shape of the causal language model when none is given by name.

    Attributes:
        base: a hub name or folder of any causal language model; empty builds a Llama from the rest.
    """

    base: str = ""
    vocabulary: int = 1024
    hidden_size: int = 160
    intermediate_size: int = 432
    layers: int = 6
    heads: int = 4


@dataclass(frozen=True)
class PretrainSettings:
    """Language pretraining on composed commentary and code sequences, text only."""

    steps: int = 700
    batch_size: int = 32
    learning_rate: float = 2e-3


@dataclass(frozen=True)
class LoraSettings:
    """Low-rank adaptation (peft); `targets` are the linear layers that get an adapter."""

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


@dataclass(frozen=True)
class LanguageSettings:
    """Multi-task training of F_t, F_r and F_g.

    Attributes:
        label_weight: weight of the label's tokens in the loss.
        demonstration_dropout: probability that F_t sees no demonstration.
        video_share: share of clips that get video features.
    """

    steps: int = 900
    batch_size: int = 32
    learning_rate: float = 2e-3
    warmup_steps: int = 40
    weight_decay: float = 0.01
    label_weight: float = 4.0
    demonstration_dropout: float = 0.5
    video_share: float = 0.5
    precision: str = "bf16"
    projector: str = "agp"
    projector_hidden: int = 192
    mapper_hidden: int = 192


@dataclass(frozen=True)
class Recipe:
    """All stages of one checkpoint. `pose_tokenizer`, `video_encoder` and `proficiency` carry the
    settings of their own trainers."""

    name: str
    seed: int = 0
    threads: int = 2
    activities: tuple[str, ...] = ("bodyweight_squat", "basketball_free_throw")
    data: DataSettings = field(default_factory=DataSettings)
    pose_tokenizer: Mapping[str, Any] = field(default_factory=dict)
    video_encoder: Mapping[str, Any] = field(default_factory=dict)
    proficiency: Mapping[str, Any] = field(default_factory=dict)
    language_model: LanguageModelSettings = field(default_factory=LanguageModelSettings)
    pretrain: PretrainSettings = field(default_factory=PretrainSettings)
    lora: LoraSettings = field(default_factory=LoraSettings)
    language: LanguageSettings = field(default_factory=LanguageSettings)


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

    Raises:
        PoiseError: names every unknown key and wrong type at once.
    """
    raw = yaml.safe_load(recipe_path(name).read_text("utf-8")) or {}
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator:
            raise PoiseError("not a setting", got=override, expected="key=value")
        place = raw
        *parents, last = key.split(".")
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = yaml.safe_load(value)
    faults = _faults(Recipe, raw, "")
    if faults:
        raise PoiseError(f"recipe {name} has wrong settings", got="; ".join(faults))
    return _build(Recipe, raw)


def _default(spec: Any) -> Any:
    """The default value of a dataclass field, MISSING where there is none."""
    return spec.default_factory() if spec.default_factory is not MISSING else spec.default


def _fits(value: Any, default: Any) -> bool:
    if isinstance(default, tuple):
        return isinstance(value, list)
    if isinstance(default, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return default is MISSING or isinstance(value, type(default))


def _faults(kind: Any, raw: Mapping[str, Any], place: str) -> list[str]:
    """Everything that is wrong with the settings of one dataclass and those inside it."""
    known = {spec.name: spec for spec in fields(kind)}
    faults = [f"unknown key {place}{k} (known: {', '.join(known)})" for k in raw if k not in known]
    for name, spec in known.items():
        default = _default(spec)
        if name not in raw:
            faults += [f"missing key {place}{name}"] if default is MISSING else []
        elif is_dataclass(default) and isinstance(raw[name], dict):
            faults += _faults(type(default), raw[name], f"{place}{name}.")
        elif is_dataclass(default) or not _fits(raw[name], default):
            wanted = "a mapping" if is_dataclass(default) else type(default).__name__
            faults.append(f"{place}{name} is {raw[name]!r}, expected {wanted}")
    return faults


def _build(kind: Any, raw: Mapping[str, Any]) -> Any:
    """The dataclass from settings that `_faults` has passed."""
    values = {}
    for spec in fields(kind):
        if spec.name in raw:
            value, default = raw[spec.name], _default(spec)
            if is_dataclass(default):
                value = _build(type(default), value)
            elif isinstance(default, tuple):
                value = tuple(value)
            elif isinstance(default, float):
                value = float(value)
            values[spec.name] = value
    return kind(**values)
