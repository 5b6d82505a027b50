"""Stage `language`: pretraining on composed text, then LoRA multi-task training of F_t, F_g, F_r.

The loop is accelerate's; the adapter is peft's and is merged at the end. Steps are fixed, so that
a seed gives the same weights on the same machine type and thread count.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from assistant.errors import PoiseError
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.modeling_poise import PoiseForConditionalGeneration
from assistant.model.processing_poise import PoiseProcessor
from prompts.render import chat_template
from prompts.vocabulary import (
    PLACEHOLDERS,
    POSE_FRAME_END,
    POSE_SEQUENCE_END,
    TURN_END,
    pose_code,
    special_tokens,
)
from training.language_samples import TokenSample
from training.precision import Precision, uses_bf16
from training.progress import Progress
from training.recipe import (
    LabellingSettings,
    LanguageModelSettings,
    LanguageSettings,
    LoraSettings,
    PretrainSettings,
    Recipe,
)

# Trained beside the adapter: everything between perception and the language model.
TRAINED_BESIDE = ("video_projector", "pose_mapper", "stage1_mapper", "score_token", "regions_token")


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
        projector=language.projector,
        projector_hidden=language.projector_hidden,
        mapper_hidden=language.mapper_hidden,
        numbers=language.numbers,
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
    model = PoiseForConditionalGeneration(config)
    if base is not None:
        model.language_model.load_state_dict(base.state_dict())
    return model


def load_base(settings: LanguageModelSettings, folder: Path, codebook_size: int) -> Any:
    """A published causal language model with Poise's tokens added to its vocabulary.

    Its tokenizer, with our chat template (that of SmolLM2-Instruct), is written into `folder`; rows
    of new tokens start at the mean of the old ones, as transformers does it.

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
    tokenizer.eos_token = TURN_END
    if tokenizer.pad_token is None:
        tokenizer.pad_token = TURN_END
    tokenizer.chat_template = chat_template()
    tokenizer.save_pretrained(folder)
    model.resize_token_embeddings(len(tokenizer))
    return model


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


def length_batches(
    lengths: Sequence[int], batch_size: int, steps: int, seed: int
) -> Iterator[list[int]]:
    """`steps` batches of indices; similar lengths stand together, the order of batches is random.

    Every epoch sorts within random chunks of 32 batches, so that batches differ between epochs.

    Raises:
        PoiseError: there is nothing to train on.
    """
    if not lengths:
        raise PoiseError("nothing to train on", got="no sample", expected="at least one")
    rng = np.random.default_rng(seed)
    given = 0
    while given < steps:
        order = rng.permutation(len(lengths))
        batches = []
        for start in range(0, len(order), 32 * batch_size):
            chunk = sorted(order[start : start + 32 * batch_size], key=lambda i: lengths[i])
            batches += [chunk[i : i + batch_size] for i in range(0, len(chunk), batch_size)]
        for index in rng.permutation(len(batches)):
            if given == steps:
                return
            given += 1
            yield [int(i) for i in batches[index]]


def add_lora(
    model: PoiseForConditionalGeneration, lora: LoraSettings, new_tokens: Sequence[int]
) -> Any:
    """The model under a LoRA adapter; prints nothing, `trainable` tells what trains.

    Args:
        new_tokens: ids of vocabulary rows that train in full (never all embeddings).
    """
    from peft import LoraConfig, get_peft_model

    # A tied head shares the rows of the embeddings; one of its own must learn the tokens too.
    rows = ["embed_tokens"] if model.config.tie_word_embeddings else ["embed_tokens", "lm_head"]
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=rf"language_model\..*\.({'|'.join(lora.targets)})",
        trainable_token_indices={name: list(new_tokens) for name in rows},
    )
    wrapped = get_peft_model(model, config)
    for name, parameter in wrapped.named_parameters():
        if any(f".{part}." in name for part in TRAINED_BESIDE):
            parameter.requires_grad_(True)
    return wrapped


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


def cosine_with_warmup(step: int, warmup: int, steps: int) -> float:
    """Factor of the learning rate at `step`."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + np.cos(np.pi * min((step - warmup) / max(steps - warmup, 1), 1.0)))


def train_by(
    recipe: Recipe,
    settings: PretrainSettings | LanguageSettings | LabellingSettings,
    model: nn.Module,
    samples: Sequence[TokenSample],
    processor: PoiseProcessor,
    *,
    seed: int,
    progress: Progress,
) -> list[float]:
    """`train_steps` with the steps, batches and rate of `settings` and all else of the recipe."""
    return train_steps(
        model,
        samples,
        processor,
        steps=settings.steps,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        warmup=recipe.language.warmup_steps,
        weight_decay=recipe.language.weight_decay,
        precision=recipe.language.precision,
        seed=seed,
        progress=progress,
    )


def train_steps(
    model: nn.Module,
    samples: Sequence[TokenSample],
    processor: PoiseProcessor,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    warmup: int,
    weight_decay: float,
    precision: Precision,
    seed: int,
    progress: Progress,
) -> list[float]:
    """Train for a fixed number of steps; the losses, one a step.

    Raises:
        FloatingPointError: the loss is not finite; names the step.
    """
    accelerator = Accelerator(
        mixed_precision="bf16" if uses_bf16(precision) else "no",
        cpu=not torch.cuda.is_available(),
    )
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        parameters, lr=learning_rate, weight_decay=weight_decay, betas=(0.9, 0.98)
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda s: cosine_with_warmup(s, warmup, steps)
    )
    language_model = language_model_of(model)
    # On CPU the plain attention trains twice as fast as the fused one, whose backward is slow.
    inference_attention = language_model.config._attn_implementation
    if accelerator.device.type == "cpu":
        language_model.set_attn_implementation("eager")
    model, optimiser = accelerator.prepare(model, optimiser)
    model.train()
    losses = []
    batches = length_batches([len(s.ids) for s in samples], batch_size, steps, seed)
    for step, indices in enumerate(batches):
        chosen = [samples[i] for i in indices]
        batch = processor.collate(
            [s.ids for s in chosen],
            [s.inputs for s in chosen],
            labels=[s.labels for s in chosen],
            label_weights=[s.weights for s in chosen],
        ).to(accelerator.device)
        with accelerator.autocast():
            loss = model(**batch).loss
        if not torch.isfinite(loss):
            raise FloatingPointError(f"loss {loss.item()} at step {step}, samples {indices[:8]}")
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(loss.item())
        progress.advance(step + 1, steps, f"loss {np.mean(losses[-50:]):.3f}")
    language_model.set_attn_implementation(inference_attention)
    # Without this the model would go on computing in bf16 wherever it is called from now on.
    trained: nn.Module = accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    trained.eval()
    return losses


def language_model_of(model: nn.Module) -> Any:
    """The causal language model inside Poise's model, also under an adapter."""
    inner: Any = model
    if hasattr(inner, "get_base_model"):
        inner = inner.get_base_model()
    return inner.language_model
