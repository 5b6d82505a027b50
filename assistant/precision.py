"""Which arithmetic this machine does natively.

Processors without bfloat16 units emulate them: a product of matrices then takes up to fifty times
as long as in float32.
"""

import torch


def native_bf16() -> bool:
    """Whether this machine's GPU, else its processor, multiplies bfloat16 matrices natively."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
