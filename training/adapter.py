"""LoRA by peft, on weights as they are or quantised to nf4 (QLoRA), and merging it."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from assistant.errors import PoiseError
from assistant.model.modeling_poise import PoiseForConditionalGeneration
from training.atomic import PART, publish
from training.loop_state import load_trained, trained_state
from training.precision import Precision, uses_bf16
from training.recipe import LoraSettings

# Trained beside the adapter: everything between perception and the language model.
TRAINED_BESIDE = ("video_projector", "pose_mapper", "stage1_mapper", "score_token", "regions_token")


def load_model(
    folder: Path, quantisation: str = "none", precision: Precision = "fp32"
) -> PoiseForConditionalGeneration:
    """The model in `folder` with its language model's linears as they are, or as nf4.

    What is not quantised is float32, whatever it was stored as: what trains must not be rounded.

    Raises:
        PoiseError: bitsandbytes is not installed.
    """
    if quantisation == "none":
        return PoiseForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    return _load_nf4(folder, precision)


def _load_nf4(folder: Path, precision: Precision) -> PoiseForConditionalGeneration:
    try:
        import bitsandbytes as bnb
    except ImportError as fault:
        raise PoiseError(
            "cannot train on quantised weights",
            got=str(fault),
            expected="bitsandbytes",
            remedy="pip install 'poise[train]', or set lora.quantisation=none",
        ) from fault
    from transformers import BitsAndBytesConfig

    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16 if uses_bf16(precision) else torch.float32,
        # The head shares its rows with the embeddings, and what is beside the adapter trains.
        llm_int8_skip_modules=["lm_head", *TRAINED_BESIDE],
    )
    place = torch.cuda.current_device() if torch.cuda.is_available() else "cpu"
    model = PoiseForConditionalGeneration.from_pretrained(
        folder, quantization_config=settings, device_map={"": place}, dtype=torch.float32
    )
    for module in model.modules():
        if isinstance(module, bnb.nn.Linear4bit):
            # On CPUs with AVX512-BF16 a forward in eval mode repacks the weight for a kernel
            # without a backward: from then on the adapter would get no gradient, silently.
            module.support_avx512bf16_for_cpu = False
    return model


def add_lora(
    model: PoiseForConditionalGeneration,
    lora: LoraSettings,
    new_tokens: Sequence[int],
    *,
    beside: bool = True,
) -> Any:
    """The model under a LoRA adapter; prints nothing, `trainable` tells what trains.

    Args:
        new_tokens: ids of vocabulary rows that train in full (never all embeddings).
        beside: train what stands between perception and the language model too.
    """
    from peft import LoraConfig, get_peft_model

    # A tied head shares the rows of the embeddings; one of its own must learn the tokens too.
    rows = ["embed_tokens"] if model.config.tie_word_embeddings else ["embed_tokens", "lm_head"]
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=rf"language_model\..*\.({'|'.join(lora.targets)})",
        trainable_token_indices={name: list(new_tokens) for name in rows} if new_tokens else None,
    )
    wrapped = get_peft_model(model, config)
    for name, parameter in wrapped.named_parameters():
        if beside and any(f".{part}." in name for part in TRAINED_BESIDE):
            parameter.requires_grad_(True)
    return wrapped


def save_trained(wrapped: nn.Module, path: Path) -> None:
    """Everything that training changed, in one file."""
    from safetensors.torch import save_file

    part = path.with_name(path.name + PART)
    state = {
        name: value.contiguous().cpu().clone() for name, value in trained_state(wrapped).items()
    }
    save_file(state, part)
    publish(part, path)


def rebuilt(base: Path, trained: Path, lora: LoraSettings, new_tokens: Sequence[int]) -> Any:
    """The model of `base`, not quantised, under the adapter that `save_trained` wrote."""
    from safetensors.torch import load_file

    wrapped = add_lora(load_model(base), replace(lora, quantisation="none"), new_tokens)
    load_trained(wrapped, load_file(trained))
    return wrapped


def save_bare(wrapped: Any, folder: Path, lora: LoraSettings, *, base: str) -> None:
    """The adapter of attention and MLP linears alone, as peft and vLLM load it.

    Args:
        lora: the settings of the adapter.
        base: the checkpoint that it belongs over.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    part = folder.with_name(folder.name + PART)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    found = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    state = {name: value.contiguous().cpu() for name, value in found.items() if "lora_" in name}
    save_file(state, part / "adapter_model.safetensors", metadata={"format": "pt"})
    wrapped.peft_config["default"].save_pretrained(part)
    path = part / "adapter_config.json"
    settings = json.loads(path.read_text("utf-8"))
    settings |= {
        "base_model_name_or_path": base,
        "target_modules": sorted(lora.targets),
        "trainable_token_indices": None,
        "inference_mode": True,
    }
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", "utf-8")
    if folder.is_dir():
        shutil.rmtree(folder)
    publish(part, folder)


def trainable(model: nn.Module) -> dict[str, int]:
    """Trainable parameters by group: adapter, new vocabulary rows, and each part beside them."""
    groups: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            beside = next((part for part in TRAINED_BESIDE if f".{part}." in f".{name}."), None)
            group = beside or (
                "lora"
                if "lora_" in name
                else "token rows"
                if "trainable_tokens" in name
                else "base"
            )
            groups[group] = groups.get(group, 0) + parameter.numel()
    return groups


@torch.no_grad()
def without_adapter(wrapped: Any) -> PoiseForConditionalGeneration:
    """The model with its trained rows and projectors, the adapter taken away."""
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            parameter.zero_()
    model: PoiseForConditionalGeneration = wrapped.merge_and_unload()
    return model
