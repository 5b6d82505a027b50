"""The laid-out prefix is what a growing cache holds, chunk after chunk."""

import torch
from transformers import DynamicCache

from assistant.engine.shared_prefix import shared_prefix


def states(rows: int, tokens: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and values [rows, 2 heads, tokens, 3]."""
    drawn = torch.Generator().manual_seed(seed)
    keys, values = torch.randn(2, rows, 2, tokens, 3, generator=drawn)
    return keys, values


def test_chunks_of_other_sizes_see_the_prefix_and_themselves_alone() -> None:
    prefix = DynamicCache([states(1, 5, 0), states(1, 5, 1)])
    cache = shared_prefix(prefix, rows=4, room=6)
    for chunk, (rows, tokens) in enumerate([(4, 6), (3, 2), (1, 6), (4, 1)]):
        for layer in (0, 1):
            new = states(rows, tokens, 10 * chunk + layer)
            assert cache.get_seq_length(layer) == 5
            assert cache.get_mask_sizes(tokens, layer) == (5 + tokens, 0)
            held = (prefix.layers[layer].keys, prefix.layers[layer].values)
            for found, before, own in zip(cache.update(*new, layer), held, new, strict=True):
                expected = torch.cat([before.expand(rows, -1, -1, -1), own], dim=-2)
                assert torch.equal(found, expected)
