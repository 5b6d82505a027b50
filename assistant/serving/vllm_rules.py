"""The rules on what an answer may say, applied to the logits of vLLM's batch."""

from typing import Any, Final

import torch
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from assistant.engine.constraints import Rule, rule_from_json

RULES_KEY: Final = "poise_rules"
"""Where a request's rules stand in `SamplingParams.extra_args`, each as `Rule.to_json` gives it."""


class RuleLogitsProcessor(LogitsProcessor):
    """Keeps the rules of each request at its place in the batch."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        self._rules: dict[int, tuple[list[Rule], list[int]]] = {}

    def is_argmax_invariant(self) -> bool:
        return False

    @staticmethod
    def _new(
        params: SamplingParams, prompt_ids: list[int] | None, written: list[int]
    ) -> tuple[list[Rule], list[int]] | None:
        """Rules and the (growing) list of written ids of a request, None where it has no rules."""
        given = (params.extra_args or {}).get(RULES_KEY)
        return ([rule_from_json(data) for data in given], written) if given else None

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        process_dict_updates(self._rules, batch_update, self._new)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """[B, V] with -inf where a request's rules forbid a token."""
        for row, (rules, written) in self._rules.items():
            for rule in rules:
                rule.restrict(logits[row], written)
        return logits
