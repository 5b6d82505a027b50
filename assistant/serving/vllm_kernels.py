"""vLLM's own CPU kernels where its CPU platform runs plain torch operations instead.

vLLM builds fused kernels for normalisation and activation on CPUs too, but its layers call them on
GPUs only; on x86 they run some ten small torch operations a layer. Both are registered here
by vLLM's own means: implementations by provider, and a layer class out of its tree.
"""

from typing import Any, Final

import torch
from torch import Tensor
from vllm import ir
from vllm.model_executor.custom_op import CustomOp, op_registry_oot
from vllm.model_executor.layers.activation import SiluAndMul
from vllm.platforms import current_platform

PROVIDER: Final = "poise_cpu"
KERNELS: Final = ("rms_norm", "fused_add_rms_norm", "silu_and_mul")


def fused_on_cpu() -> dict[str, Any]:
    """Register the kernels; may be called again.

    Returns:
        engine arguments that put them first; none where this build of vLLM lacks a kernel.
    """
    current_platform.import_kernels()
    if not all(hasattr(torch.ops._C, name) for name in KERNELS):
        return {}
    norm, after_sum = ir.ops.rms_norm, ir.ops.fused_add_rms_norm
    if PROVIDER not in norm.impls:
        norm.register_impl(PROVIDER, supports_args=_norm_fits)(_rms_norm)
        after_sum.register_impl(PROVIDER, supports_args=_sum_fits, inplace=True)(_add_rms_norm)
    if SiluAndMul.__name__ not in op_registry_oot:
        CustomOp.register_oot(FusedSiluAndMul, name=SiluAndMul.__name__)
    return {"ir_op_priority": {"rms_norm": [PROVIDER], "fused_add_rms_norm": [PROVIDER]}}


class FusedSiluAndMul(SiluAndMul):
    """silu(x[:d]) * x[d:] of [..., 2d] in one kernel."""

    def forward_cpu(self, x: Tensor) -> Tensor:
        out = x.new_empty((*x.shape[:-1], x.shape[-1] // 2))
        torch.ops._C.silu_and_mul(out, x.contiguous())
        return out


# Names, order and defaults of the arguments are checked by vLLM against its own operations.
def _norm_fits(
    x: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None
) -> bool:
    """The kernel norms whole rows by weights of their own type."""
    return variance_size is None and weight is not None and weight.dtype == x.dtype


def _sum_fits(
    x: Tensor,
    x_residual: Tensor,
    weight: Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> bool:
    whole = x.is_contiguous() and x_residual.is_contiguous()
    return whole and _norm_fits(x, weight, epsilon, variance_size)


def _rms_norm(
    x: Tensor, weight: Tensor | None, epsilon: float, variance_size: int | None = None
) -> Tensor:
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    torch.ops._C.rms_norm(out, x.contiguous(), weight, epsilon)
    return out


def _add_rms_norm(
    x: Tensor,
    x_residual: Tensor,
    weight: Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> tuple[Tensor, Tensor]:
    torch.ops._C.fused_add_rms_norm(x, x_residual, weight, epsilon)
    return x, x_residual
