"""Rank demonstrations by the language model's likelihood of their codes (ExpertAF F_r)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assistant.demos.library import Demonstration
from assistant.engine.base import Engine, Prompt
from assistant.model.configuration_poise import PoiseConfig
from assistant.tasks.retrieval import candidate_continuations


@dataclass(frozen=True)
class Ranked:
    """A candidate with its scores, both mean log-likelihood per token.

    Attributes:
        log_likelihood: of the codes after the shared prefix.
        relative: the same minus the candidate's unconditional likelihood, which takes away the
            advantage of motions that are typical anyway.
    """

    demonstration: Demonstration
    log_likelihood: float
    relative: float


def rank(
    engine: Engine, config: PoiseConfig, prompt: Prompt, candidates: Sequence[Demonstration]
) -> list[Ranked]:
    """Candidates by falling mean log-likelihood; the prefix is computed once."""
    if not candidates:
        return []
    sums, counts = engine.score(
        prompt, candidate_continuations([item.codes for item in candidates], config)
    )
    means = np.asarray(sums) / np.asarray(counts)
    ranked = [
        Ranked(item, float(mean), float(mean - item.unconditional))
        for item, mean in zip(candidates, means, strict=True)
    ]
    return sorted(ranked, key=lambda r: (-r.log_likelihood, r.demonstration.demonstration_id))
