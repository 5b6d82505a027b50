"""The language model to train: a published one with Poise's tokens, or a small new Llama."""

from dataclasses import dataclass
from typing import Any, Final

from assistant.errors import PoiseError
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.modeling_poise import PoiseForConditionalGeneration
from prompts.render import chat_template
from prompts.vocabulary import (
    PLACEHOLDERS,
    POSE_FRAME_END,
    POSE_SEQUENCE_END,
    TURN_END,
    pose_code,
    special_tokens,
)
from training.recipe import LanguageModelSettings, LanguageSettings
from training.tokenizer import add_calls


def build_model(
    tokenizer: Any,
    settings: LanguageModelSettings,
    language: LanguageSettings,
    *,
    video_size: int,
    pose_size: int,
    stage1_size: int,
    tokens_per_frame: int,
    codebook_size: int,
    base: Any = None,
) -> PoiseForConditionalGeneration:
    """The model around `base` (a loaded causal language model), or around a small new Llama."""
    text_config = llama_config(len(tokenizer), settings, tokenizer) if base is None else base.config
    ids = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(token)
        for name, token in PLACEHOLDERS.items()
    }
    config = PoiseConfig(
        text_config=text_config,
        **chosen(language),
        video_size=video_size,
        pose_size=pose_size,
        stage1_size=stage1_size,
        pose_code_start=tokenizer.convert_tokens_to_ids(pose_code(0)),
        codebook_size=codebook_size,
        pose_frame_end_id=tokenizer.convert_tokens_to_ids(POSE_FRAME_END),
        pose_sequence_end_id=tokenizer.convert_tokens_to_ids(POSE_SEQUENCE_END),
        tokens_per_frame=tokens_per_frame,
        **ids,
    )
    return PoiseForConditionalGeneration(config, language_model=base)


# Settings of the stage `language` that are part of the model, and saved with it.
ARCHITECTURE: Final = (
    "projector",
    "projector_hidden",
    "projector_heads",
    "projector_gating",
    "projector_norm",
    "mapper_hidden",
    "numbers",
    "views",
    "inputs",
    "pose_form",
    "retrieval_stride",
    "answer_form",
)


def chosen(language: LanguageSettings) -> dict[str, Any]:
    """What the recipe says of the model's architecture."""
    return {name: getattr(language, name) for name in ARCHITECTURE}


def check_architecture(config: PoiseConfig, language: LanguageSettings) -> None:
    """Raise PoiseError, naming every setting, unless a pretrained model is what the recipe says.

    Its modules were made by the stage `pretrain`: another setting now would change nothing.
    """
    wanted = PoiseConfig(**chosen(language))
    settings = {name: getattr(wanted, name) for name in ARCHITECTURE}
    other = {name: value for name, value in settings.items() if getattr(config, name) != value}
    if other:
        raise PoiseError(
            "the pretrained model is another one",
            got=", ".join(f"{name}={getattr(config, name)}" for name in other),
            expected=", ".join(f"{name}={value}" for name, value in other.items()),
            remedy="poise train --stage pretrain with the same settings first: "
            + " ".join(f"language.{name}={value}" for name, value in other.items()),
        )


@dataclass(frozen=True)
class Base:
    """A published causal language model and its tokenizer, both with Poise's tokens."""

    model: Any
    tokenizer: Any


def load_base(settings: LanguageModelSettings, codebook_size: int, *, calls: bool = False) -> Base:
    """A published causal language model with Poise's tokens added to its vocabulary.

    Its tokenizer gets our chat template (that of SmolLM2-Instruct); rows of new tokens start at the
    mean of the old ones, as transformers does it.

    Args:
        calls: add the tokens of chat answers too.

    Raises:
        PoiseError: the model cannot be loaded.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(settings.base)
        model = AutoModelForCausalLM.from_pretrained(settings.base)
    except (OSError, ValueError) as fault:
        raise PoiseError(
            f"cannot load the language model {settings.base}",
            got=str(fault).splitlines()[0],
            expected="a hub name that can be reached, or a folder with config.json and weights",
            remedy="download it and set language_model.base=FOLDER",
        ) from fault
    tokenizer.add_tokens(special_tokens(codebook_size), special_tokens=True)
    if calls:
        add_calls(tokenizer)
    tokenizer.eos_token = TURN_END
    if tokenizer.pad_token is None:
        tokenizer.pad_token = TURN_END
    tokenizer.chat_template = chat_template()
    model.resize_token_embeddings(len(tokenizer))
    return Base(model, tokenizer)


def llama_config(vocabulary: int, settings: LanguageModelSettings, tokenizer: Any) -> Any:
    """A small Llama."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=settings.hidden_size,
        intermediate_size=settings.intermediate_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
