"""Our use of vLLM's CPU kernels gives what the plain operations give."""

import pytest
import torch

pytestmark = pytest.mark.vllm


@pytest.mark.parametrize("shape", [(1, 64), (17, 96), (5, 3, 32)])
def test_the_kernels_agree_with_the_plain_operations(shape: tuple[int, ...]) -> None:
    from vllm import ir

    from assistant.serving.vllm_kernels import PROVIDER, FusedSiluAndMul, fused_on_cpu

    chosen = fused_on_cpu()["ir_op_priority"]
    assert fused_on_cpu()["ir_op_priority"] == chosen  # again, as a second engine does
    torch.manual_seed(0)
    x, before = torch.randn(shape), torch.randn(shape)
    weight = torch.rand(shape[-1]) + 0.5
    for name, arguments in {
        "rms_norm": (x, weight, 1e-5),
        "fused_add_rms_norm": (x, before, weight, 1e-5),
    }.items():
        impls = getattr(ir.ops, name).impls
        assert impls[PROVIDER].supports_args(*arguments)
        assert not impls[PROVIDER].supports_args(*arguments, 16)  # a part of each row
        wanted = impls["native"].impl_fn(*arguments)
        copies = [a.clone() if isinstance(a, torch.Tensor) else a for a in arguments]
        torch.testing.assert_close(impls[PROVIDER].impl_fn(*copies), wanted)
    silu = FusedSiluAndMul.forward_cpu(None, x)
    torch.testing.assert_close(silu, FusedSiluAndMul.forward_native(x))


def test_rows_of_a_slice_are_normed_apart() -> None:
    from vllm import ir

    from assistant.serving.vllm_kernels import PROVIDER, fused_on_cpu

    fused_on_cpu()
    x = torch.randn(6, 64)[:, 16:48]  # as queries are cut from one projection
    impls = ir.ops.rms_norm.impls
    weight = torch.ones(32)
    found = impls[PROVIDER].impl_fn(x, weight, 1e-5)
    torch.testing.assert_close(found, impls["native"].impl_fn(x, weight, 1e-5))
