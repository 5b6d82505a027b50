"""Which arithmetic a training uses on this machine.

Processors without bfloat16 units emulate them: a product of matrices then takes up to fifty times
as long as in float32. So bfloat16 is used only where it is native, unless a recipe insists.
"""

from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["auto", "bf16", "fp32"]


def native_bf16() -> bool:
    """Whether this machine's GPU, else its processor, multiplies bfloat16 matrices natively."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def uses_bf16(precision: Precision) -> bool:
    """Whether a training of this precision computes in bfloat16 here."""
    return precision == "bf16" or (precision == "auto" and native_bf16())


def autocast(bf16: bool) -> AbstractContextManager:
    """Mixed precision on the processor where it is asked for and native, else float32."""
    return torch.autocast("cpu", torch.bfloat16, enabled=bf16 and native_bf16())
