"""How many parameters a recipe trains and how many it holds, component by component.

    poise train parameters profvlm_smollm2
    poise train parameters expertaf_llama3 --json
    poise train parameters profvlm_smollm2 language.projector=mlp

The model is built on torch's meta device: shapes without memory. Where the recipe names a published
model, its shapes are written here, so that nothing is downloaded and no weight is needed.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import nn
from transformers import AutoConfig

from assistant.errors import PoiseError
from assistant.model.configuration_poise import GIVEN, PoiseConfig
from assistant.model.modeling_poise import PoiseForConditionalGeneration
from assistant.pose.tokenizer import PoseTokenizer, PoseTokenizerConfig
from assistant.proficiency.stage1 import Stage1Config
from assistant.video.encoder import VideoEncoder, family_of
from prompts.numbers import NUMERIC
from prompts.vocabulary import CALLS, TURN_END, TURN_START, special_tokens
from training.adapter import add_lora
from training.language import chosen
from training.recipe import LanguageSettings, LoraSettings, PretrainedVideoEncoder, Recipe
from training.settings import build
from training.video_encoder import VideoEncoderSettings, build_encoder

SMOLLM2: Final = "HuggingFaceTB/SmolLM2-135M-Instruct"
LLAMA3: Final = "meta-llama/Meta-Llama-3-8B"
TIMESFORMER: Final = "facebook/timesformer-base-finetuned-k600"
# Shapes of published models as their config.json gives them.
LANGUAGE_SHAPES: Final[dict[str, dict[str, Any]]] = {
    SMOLLM2: {
        "model_type": "llama",
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "tie_word_embeddings": True,
    },
    LLAMA3: {
        "model_type": "llama",
        "vocab_size": 128256,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "tie_word_embeddings": False,
    },
}
# Tokens of ours that a published vocabulary has already.
KNOWN_TOKENS: Final = {SMOLLM2: (TURN_START, TURN_END)}
VIDEO_SHAPES: Final[dict[str, dict[str, Any]]] = {
    TIMESFORMER: {"image_size": 224, "num_frames": 8},
    "facebook/vjepa2-vitl-fpc64-256": {},
}
# The steps of ProfVLM's Table 6, with the millions of trainable parameters that it prints.
STEPS: Final[dict[str, tuple[dict[str, Any], float]]] = {
    "MLP": ({"projector": "mlp"}, 2.2),
    "AGP (base)": (
        {"projector": "agp", "projector_gating": False, "projector_norm": False},
        4.2,
    ),
    "AGP + gating": ({"projector": "agp", "projector_gating": True, "projector_norm": False}, 5.3),
    "AGP + gating + norm": (
        {"projector": "agp", "projector_gating": True, "projector_norm": True},
        5.3,
    ),
}
# The agp's hidden size and heads (ProfVLM 4.2), and its LoRA (docs/decisions.md).
PAPER_SHAPE: Final = (SMOLLM2, 768, 1024, 4, 8, ("q_proj", "v_proj"))
ADAPTER, TOKEN_ROWS, LANGUAGE_MODEL = "LoRA", "new vocabulary rows", "language model"


@dataclass(frozen=True)
class Shapes:
    """What a recipe's language stage is built on, all on the meta device.

    Attributes:
        text_config: of the causal language model, Poise's tokens in its vocabulary.
        new_tokens: how many vocabulary rows train in full.
    """

    text_config: Any
    new_tokens: int
    video: VideoEncoder
    pose_tokenizer: PoseTokenizer


def parameter_table(recipe: Recipe) -> dict[str, Any]:
    """Numbers of parameters.

    Returns:
        "components": rows of name, parameters, whether they train and whether the recipe's prompts
        use them at all; "trained" and "total";
        "projector_steps": rows of ProfVLM's Table 6 with this recipe's sizes, "profvlm" being what
        that paper counts (projector and LoRA) and "printed" the paper's own number, null where the
        recipe has other sizes than the paper.
    """
    shapes = shapes_of(recipe)
    rows = component_rows(recipe, shapes)
    return {
        "recipe": recipe.name,
        "base": recipe.language_model.base or "a small Llama of the recipe",
        "components": rows,
        "trained": sum(row["parameters"] for row in rows if row["trained"]),
        "total": sum(row["parameters"] for row in rows),
        "projector_steps": step_rows(recipe, shapes),
    }


def shapes_of(recipe: Recipe) -> Shapes:
    """Language model, video encoder and pose tokenizer of a recipe without their weights."""
    with torch.device("meta"):
        config = PoseTokenizerConfig(**recipe.pose_tokenizer.get("config", {}))
        tokenizer, video = PoseTokenizer(config), _video_encoder(recipe)
    tokens = special_tokens(config.codebook_size)
    tokens += CALLS if recipe.language.dialogue_share else ()
    return Shapes(_text_config(recipe, tokens), len(tokens), video, tokenizer)


def _text_config(recipe: Recipe, tokens: list[str]) -> Any:
    settings, shape = recipe.language_model, dict[str, Any]()
    if not settings.base:
        shape = {
            "model_type": "llama",
            "vocab_size": settings.vocabulary,
            "hidden_size": settings.hidden_size,
            "intermediate_size": settings.intermediate_size,
            "num_hidden_layers": settings.layers,
            "num_attention_heads": settings.heads,
            "num_key_value_heads": settings.heads,
            "tie_word_embeddings": True,
        }
    elif settings.base in LANGUAGE_SHAPES:
        shape = dict(LANGUAGE_SHAPES[settings.base])
    else:
        shape = _fetched(settings.base, "language_model.base").to_dict()
    shape["vocab_size"] += len(tokens) - len(KNOWN_TOKENS.get(settings.base, ()))
    return AutoConfig.for_model(**shape)


def _video_encoder(recipe: Recipe) -> VideoEncoder:
    chosen_encoder = dict(recipe.video_encoder)
    if "pretrained" not in chosen_encoder:
        return build_encoder(build(VideoEncoderSettings, chosen_encoder))
    wanted = build(PretrainedVideoEncoder, chosen_encoder)
    family_of(wanted.name)
    if wanted.pretrained in VIDEO_SHAPES:
        return VideoEncoder.from_config(wanted.name, **VIDEO_SHAPES[wanted.pretrained])
    config = _fetched(wanted.pretrained, "video_encoder.pretrained").to_dict()
    return VideoEncoder.from_config(wanted.name, **config)


def _fetched(source: str, setting: str) -> Any:
    """The configuration in a folder or on the hub."""
    try:
        return AutoConfig.from_pretrained(source)
    except (OSError, ValueError) as fault:
        known = ", ".join((*LANGUAGE_SHAPES, *VIDEO_SHAPES))
        raise PoiseError(
            f"cannot tell the shapes of {source}",
            got=str(fault).splitlines()[0],
            expected=f"a folder with config.json, a hub name that can be reached, or {known}",
            remedy=f"set {setting}=FOLDER",
        ) from fault


def model_of(language: LanguageSettings, shapes: Shapes) -> PoiseForConditionalGeneration:
    """The recipe's language model with its projectors, on the meta device."""
    poses = shapes.pose_tokenizer.config
    config = PoiseConfig(
        text_config=shapes.text_config,
        **chosen(language),
        video_size=shapes.video.width,
        pose_size=poses.tokens_per_frame * poses.code_dim + 3,
        stage1_size=Stage1Config(features=1, activities=("any",), known=1).pooled,
        tokens_per_frame=poses.tokens_per_frame,
        codebook_size=poses.codebook_size,
    )
    with torch.device("meta"):
        return PoiseForConditionalGeneration(config)


def component_rows(recipe: Recipe, shapes: Shapes) -> list[dict[str, Any]]:
    """One row a component; what stands between perception and language is told layer by layer."""
    model = model_of(recipe.language, shapes)
    rows = [
        _row("video encoder", count(shapes.video.backbone), trained=False),
        _row("pose tokenizer", count(shapes.pose_tokenizer), trained=False),
        _row(LANGUAGE_MODEL, count(model.language_model), trained=False),
    ]
    used = given_modalities(recipe.language)
    films = "video" in used
    for name, layer in model.video_projector.named_children():
        rows.append(_row(f"video projector: {name}", count(layer), trained=films, used=films))
    for name in ("pose_mapper", "stage1_mapper", "score_token", "regions_token"):
        given = name.partition("_")[0] in used
        number = count(getattr(model, name))
        rows.append(_row(name.replace("_", " "), number, trained=given, used=given))
    adapter, tokens = adapter_numbers(model, recipe.lora, shapes)
    return [*rows, _row(TOKEN_ROWS, tokens, trained=True), _row(ADAPTER, adapter, trained=True)]


def given_modalities(language: LanguageSettings) -> set[str]:
    """What the prompts hold embedding rows of; the modules of the others get no gradient."""
    numbers = NUMERIC if language.numbers == "token" else ()
    written = {"pose"} if language.pose_form == "text" else set()
    return {*GIVEN[language.inputs], *numbers} - written


def adapter_numbers(
    model: PoiseForConditionalGeneration, lora: LoraSettings, shapes: Shapes
) -> tuple[int, int]:
    """Parameters of the LoRA adapter, and of the vocabulary rows that train; wraps the model."""
    # nf4 changes how the frozen linears are held, not what trains.
    with torch.device("meta"):
        wrapped = add_lora(
            model, replace(lora, quantisation="none"), range(shapes.new_tokens), beside=False
        )
    trained = {n: p.numel() for n, p in wrapped.named_parameters() if p.requires_grad}
    adapter = sum(number for name, number in trained.items() if "lora_" in name)
    return adapter, sum(trained.values()) - adapter


def step_rows(recipe: Recipe, shapes: Shapes) -> list[dict[str, Any]]:
    """ProfVLM's Table 6 with the recipe's sizes."""
    adapter, _ = adapter_numbers(model_of(recipe.language, shapes), recipe.lora, shapes)
    language = recipe.language
    sizes = (
        recipe.language_model.base, shapes.video.width, language.projector_hidden,
        language.projector_heads, recipe.lora.rank, recipe.lora.targets,
    )  # fmt: skip
    rows = []
    for name, (settings, printed) in STEPS.items():
        projector = count(model_of(replace(language, **settings), shapes).video_projector)
        rows.append(
            {
                "step": name,
                "projector": projector,
                "lora": adapter,
                "profvlm": projector + adapter,
                "printed": printed * 1e6 if sizes == PAPER_SHAPE else None,
            }
        )
    return rows


def count(module: nn.Module) -> int:
    """Parameters of a module, shared ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


def _row(name: str, parameters: int, *, trained: bool, used: bool = True) -> dict[str, Any]:
    return {"component": name, "parameters": parameters, "trained": trained, "used": used}


def describe(table: dict[str, Any]) -> str:
    """The table for people, in millions."""
    lines = [
        f"{table['recipe']}, language model {table['base']}",
        "",
        f"{'component':<28}{'millions':>12}",
    ]
    for row in table["components"]:
        trains = "trained" if row["trained"] else "frozen" if row["used"] else "not used"
        lines.append(f"{row['component']:<28}{row['parameters'] / 1e6:>12.3f}  {trains}")
    lines += [
        f"{'all that is trained':<28}{table['trained'] / 1e6:>12.3f}",
        f"{'all':<28}{table['total'] / 1e6:>12.3f}",
        "",
        "ProfVLM Table 6 with these sizes; it counts projector and LoRA alone",
        f"{'step':<28}{'millions':>12}{'printed in the paper':>22}",
    ]
    for row in table["projector_steps"]:
        printed = "-" if row["printed"] is None else f"{row['printed'] / 1e6:.1f}"
        lines.append(f"{row['step']:<28}{row['profvlm'] / 1e6:>12.3f}{printed:>22}")
    return "\n".join(lines)
