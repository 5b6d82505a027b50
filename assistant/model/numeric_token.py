"""Numbers as one token: the proficiency scores and the region polarities.

A language model of two million parameters does not read digits well; one embedding row made from
the numbers does the same in one token (docs/decisions.md).
"""

import torch
from torch import nn

from assistant.model.projectors import AdaptiveNorm, InputNorm


class NumericToken(nn.Module):
    """An MLP from a vector of numbers to one embedding row.

    The 14 numbers of `<|score|>` are p_base (4), q (3), u of ego, exo and pose, and the presence of
    ego, exo, gaze and pose; the 18 of `<|regions|>` are P(polarity) of six regions. No norm over
    the numbers of one clip: their absolute size carries meaning.
    """

    def __init__(self, size: int, hidden: int, out: int) -> None:
        super().__init__()
        self.size = size
        self.inputs = InputNorm(size)
        self.layers = nn.Sequential(nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, out))
        self.align = AdaptiveNorm(out)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """[B, size] -> [B, 1, out]."""
        return self.align(self.layers(self.inputs(numbers))).unsqueeze(1)
