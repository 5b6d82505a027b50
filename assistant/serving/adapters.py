"""Adapters (LoRA) are checked before vLLM sees them: a bad one would stop its engine.

An adapter is a folder that peft wrote: `adapter_config.json` and `adapter_model.safetensors`, over
the attention and MLP linears of the text model. Names may begin at the whole model
(`language_model.model.layers...`) or at its text model (`model.layers...`).
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from assistant.errors import PoiseError

CONFIG_FILE: Final = "adapter_config.json"
WEIGHTS_FILE: Final = "adapter_model.safetensors"
LINEARS: Final = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_TENSOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
_REMEDY = "export it by `poise train export`, or train it with peft over the text model's linears"


@dataclass(frozen=True)
class AdapterFile:
    """A checked adapter.

    Attributes:
        folder: where its two files lie.
        rank: the largest rank of its matrices.
    """

    folder: Path
    rank: int


def linear_shapes(checkpoint: Path) -> dict[str, tuple[int, int]]:
    """[out, in] of the linears that an adapter may change, by module name in the text model."""
    from safetensors import safe_open

    shapes = {}
    for path in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 (no mapping)
                module = name.removeprefix("language_model.").removesuffix(".weight")
                if module.rpartition(".")[2] in LINEARS:
                    out, size = file.get_slice(name).get_shape()
                    shapes[module] = (out, size)
    return shapes


def check_adapter(
    folder: Path, shapes: dict[str, tuple[int, int]], *, largest_rank: int
) -> AdapterFile:
    """Read an adapter's files and compare them with the model's linears.

    Args:
        shapes: [out, in] of the model's linears, from `linear_shapes`.

    Raises:
        PoiseError: a file is missing or damaged, or the adapter does not fit the model.
    """
    settings = _settings(folder, largest_rank)
    ranks: dict[str, int] = {}
    for (module, side), (shape, finite) in _tensors(folder).items():
        if not finite:
            raise _bad(folder, f"numbers in {module} that are not finite", "finite weights")
        if module not in shapes:
            raise _bad(folder, f"weights for {module}", f"modules of the text model: {LINEARS}")
        out, size = shapes[module]
        rank = shape[0] if side == "A" else shape[-1]
        if shape != ((rank, size) if side == "A" else (out, rank)):
            raise _bad(
                folder,
                f"lora_{side} of {module} with shape {list(shape)}",
                f"[{out}, rank]" if side == "B" else f"[rank, {size}]",
            )
        if ranks.setdefault(module, rank) != rank or rank > largest_rank:
            raise _bad(
                folder, f"rank {rank} in {module}", f"one rank a module, up to {largest_rank}"
            )
    if not settings["rank_pattern"] and set(ranks.values()) != {settings["r"]}:
        raise _bad(folder, f"ranks {sorted(set(ranks.values()))}", f"r = {settings['r']}")
    return AdapterFile(folder, max(ranks.values()))


def _settings(folder: Path, largest_rank: int) -> dict[str, Any]:
    """The adapter's settings, where they are ones that vLLM can run."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise _bad(folder, f"no {CONFIG_FILE}", "a folder that peft wrote")
    try:
        settings = json.loads(path.read_text("utf-8"))
        rank, _ = int(settings["r"]), float(settings["lora_alpha"])
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise _bad(folder, f"{CONFIG_FILE}: {fault!r}", "JSON with r and lora_alpha") from fault
    if settings.get("peft_type") != "LORA":
        raise _bad(folder, f"peft_type {settings.get('peft_type')!r}", "LORA")
    plain = {
        "use_dora": settings.get("use_dora"),
        "lora_bias": settings.get("lora_bias"),
        "bias": settings.get("bias", "none") != "none",
        "modules_to_save": settings.get("modules_to_save"),
        "trainable_token_indices": settings.get("trainable_token_indices"),
        "layer_replication": settings.get("layer_replication"),
    }
    beside = [name for name, value in plain.items() if value]
    if beside:
        raise _bad(folder, ", ".join(beside), "LoRA matrices and nothing beside them")
    if not 0 < rank <= largest_rank:
        raise _bad(folder, f"rank {rank}", f"1 to {largest_rank}")
    return {"r": rank, "rank_pattern": settings.get("rank_pattern") or {}}


def _tensors(folder: Path) -> dict[tuple[str, str], tuple[tuple[int, ...], bool]]:
    """Shape and whether all is finite, by (module of the text model, side A or B)."""
    import torch
    from safetensors import SafetensorError, safe_open

    found = {}
    try:
        with safe_open(folder / WEIGHTS_FILE, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (no mapping)
                match = _TENSOR.fullmatch(name)
                if match is None:
                    raise _bad(folder, f"a tensor {name}", "lora_A and lora_B weights only")
                module = match["module"].removeprefix("language_model.")
                tensor = file.get_tensor(name)
                found[module, match["side"]] = (
                    tuple(tensor.shape),
                    bool(torch.isfinite(tensor).all()),
                )
    except (OSError, SafetensorError) as fault:
        raise _bad(folder, f"{WEIGHTS_FILE}: {fault}", "a safetensors file") from fault
    halves = [module for module, side in found if (module, "AB"[side == "A"]) not in found]
    if halves or not found:
        raise _bad(
            folder,
            f"only one of the two matrices of {halves[0]}" if halves else "no matrices",
            "lora_A and lora_B of each module",
        )
    return found


def _bad(folder: Path, got: str, expected: str) -> PoiseError:
    return PoiseError(
        f"the adapter in {folder} is not loaded", got=got, expected=expected, remedy=_REMEDY
    )
