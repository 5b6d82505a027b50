"""The shared codebook of the pose tokenizer: nearest codes, moving averages, dead-code restart."""

import torch
from torch import Tensor, nn


class Codebook(nn.Module):
    """K code vectors learned by exponential moving averages (van den Oord et al., appendix A.1).

    The averages are kept only while training; `vectors` is what is saved.
    """

    vectors: Tensor
    count: Tensor
    total: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.randn(size, dim))
        self.register_buffer("count", torch.ones(size), persistent=False)
        self.register_buffer("total", self.vectors.clone(), persistent=False)

    def nearest(self, embeddings: Tensor) -> Tensor:
        """Index of the nearest code (Euclidean): [..., D] -> [...] int64."""
        flat = embeddings.reshape(-1, embeddings.shape[-1]).to(self.vectors.dtype)
        # |e - c|^2 without |e|^2, which is the same for every code.
        distance = (self.vectors**2).sum(1) - 2 * flat @ self.vectors.T  # [N, K]
        return distance.argmin(dim=1).reshape(embeddings.shape[:-1])

    def lookup(self, codes: Tensor) -> Tensor:
        """Code vectors: [...] -> [..., D]."""
        return self.vectors[codes]

    @torch.no_grad()
    def start(self, embeddings: Tensor, generator: torch.Generator) -> None:
        """Put the codes on random rows of `embeddings` [N, D]."""
        rows = torch.randint(len(embeddings), (len(self.vectors),), generator=generator)
        self.vectors.copy_(embeddings[rows])
        self.total.copy_(self.vectors)
        self.count.fill_(1.0)

    @torch.no_grad()
    def update(self, embeddings: Tensor, codes: Tensor, decay: float) -> None:
        """One EMA step: N_k <- g N_k + (1-g) n_k, m_k <- g m_k + (1-g) sum e, c_k = m_k / N_k.

        Args:
            embeddings: [N, D] encoder outputs.
            codes: [N] their nearest codes.
            decay: g in 0..1.
        """
        hits = torch.zeros_like(self.count).index_add_(0, codes, self.count.new_ones(len(codes)))
        sums = torch.zeros_like(self.total).index_add_(0, codes, embeddings.to(self.total.dtype))
        self.count.mul_(decay).add_(hits, alpha=1 - decay)
        self.total.mul_(decay).add_(sums, alpha=1 - decay)
        self.vectors.copy_(self.total / self.count.clamp_min(1e-5)[:, None])

    @torch.no_grad()
    def restart_dead(
        self, embeddings: Tensor, generator: torch.Generator, least: float = 1.0
    ) -> int:
        """Move codes that fewer than `least` embeddings a step choose onto random rows of
        `embeddings` [N, D]; returns how many moved."""
        dead = (self.count < least).nonzero()[:, 0]
        rows = torch.randint(len(embeddings), (len(dead),), generator=generator)
        self.vectors[dead] = embeddings[rows].to(self.vectors.dtype)
        self.count[dead] = least
        self.total[dead] = self.vectors[dead] * least
        return len(dead)
