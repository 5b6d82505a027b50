"""Which arithmetic a training uses: bfloat16 only where it is native, unless a recipe insists."""

from contextlib import AbstractContextManager
from typing import Literal

import torch

from assistant.precision import native_bf16

Precision = Literal["auto", "bf16", "fp32"]


def uses_bf16(precision: Precision) -> bool:
    """Whether a training of this precision computes in bfloat16 here."""
    return precision == "bf16" or (precision == "auto" and native_bf16())


def autocast(bf16: bool) -> AbstractContextManager:
    """Mixed precision on the processor where it is asked for and native, else float32."""
    return torch.autocast("cpu", torch.bfloat16, enabled=bf16 and native_bf16())
