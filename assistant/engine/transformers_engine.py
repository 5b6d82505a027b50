"""The embedded default engine: the model in this process, through transformers."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import torch
from transformers import Cache, LogitsProcessor, LogitsProcessorList, StoppingCriteriaList

from assistant.engine.answers import codes_answer, scored_ids, text_answer
from assistant.engine.base import Generation, GenerationOptions, Piece, Prompt
from assistant.engine.constraints import Rule, answer_rules, pose_form
from assistant.engine.shared_prefix import shared_prefix
from assistant.engine.text_pieces import TextPieces
from assistant.errors import PoiseError
from assistant.model import register
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.modeling_poise import FEATURE_ARGUMENTS, PoiseForConditionalGeneration
from assistant.model.processing_poise import PoiseProcessor
from assistant.openmp import rest_threads

# Tokens of continuations that are scored at once: on a CPU more would leave the cache. Elsewhere
# so many times as many.
SCORE_TOKENS, SCORED_BY_GPU = 768, 16


class RuleProcessor(LogitsProcessor):
    """Applies each answer's rules to its row of the logits.

    Args:
        rules: of each prompt in the batch.
        prompt_length: tokens of the padded prompts.
    """

    def __init__(self, rules: Sequence[Sequence[Rule]], prompt_length: int) -> None:
        self.rules = rules
        self.prompt_length = prompt_length

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        restricted = scores.clone()
        written = input_ids[:, self.prompt_length :].tolist()
        for row, ids, rules in zip(restricted, written, self.rules, strict=True):
            for rule in rules:
                rule.restrict(row, ids)
        return restricted


def check_guides(prompts: Sequence[Prompt]) -> None:
    """Raise PoiseError when some prompts of a batch have a guide and others have none."""
    given = sum(prompt.guide is not None for prompt in prompts)
    if 0 < given < len(prompts):
        raise PoiseError(
            "pose codes cannot be written in one batch",
            got=f"{given} of {len(prompts)} prompts with a guide",
            expected="a guide in all of them, or in none",
        )


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Sample from `seed` inside the block; the random state outside stays as it was."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


class TransformersEngine:
    """Runs `PoiseForConditionalGeneration` on CPU or GPU."""

    name = "transformers"

    def __init__(self, model: PoiseForConditionalGeneration, processor: PoiseProcessor) -> None:
        self.model = model.eval()
        self.processor = processor

    @property
    def config(self) -> PoiseConfig:
        """Settings of the model."""
        return self.model.config

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, device: str = "cpu") -> "TransformersEngine":
        """Load a checkpoint folder written by `save_pretrained`.

        Raises:
            PoiseError: the folder holds no language model (it is never looked for on a hub).
        """
        if not (Path(folder) / "config.json").is_file():
            raise PoiseError(
                f"no language model in {folder}",
                got="no config.json",
                expected="a folder that `poise train` wrote",
                remedy="train one with `poise train mini`, or give another folder by --model",
            )
        register()  # else transformers warns that it does not know what the tokenizer belongs to
        model = PoiseForConditionalGeneration.from_pretrained(folder).to(device)
        return cls(model, PoiseProcessor.from_pretrained(folder))

    def _batch(self, prompts: Sequence[Prompt]) -> dict[str, torch.Tensor]:
        named = [prompt.adapter for prompt in prompts if prompt.adapter is not None]
        if named:
            raise PoiseError(
                "this engine runs no adapters",
                got=f"adapter {named[0]!r}",
                expected="prompts without one",
                remedy="use --engine vllm, or merge the adapter by `poise train export`",
            )
        for prompt in prompts:
            prompt.inputs.check_forms(self.config.numbers, self.config.pose_form)
        batch = self.processor(
            [p.messages for p in prompts],
            [p.inputs for p in prompts],
            answer_starts=[p.answer_start for p in prompts],
        )
        return {name: tensor.to(self.model.device) for name, tensor in batch.items()}

    def _arguments(
        self, options: GenerationOptions, prompt_length: int, rules: Sequence[Sequence[Rule]]
    ) -> dict[str, Any]:
        tokenizer = self.processor.tokenizer
        arguments: dict[str, Any] = {
            "max_new_tokens": options.max_new_tokens,
            "do_sample": options.temperature > 0,
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "return_dict_in_generate": True,
            "logits_processor": LogitsProcessorList([RuleProcessor(rules, prompt_length)]),
        }
        if options.temperature > 0:
            # The whole distribution: a library's default cut of rare tokens is no setting of ours.
            arguments |= {"temperature": options.temperature, "top_k": 0, "top_p": 1.0}
        if options.pose_codes:
            length = pose_form(rules[0]).length
            arguments |= {"max_new_tokens": length, "min_new_tokens": length, "output_logits": True}
        return arguments

    @torch.inference_mode()
    def generate(self, prompts: Sequence[Prompt], options: GenerationOptions) -> list[Generation]:
        """Answers in the order of the prompts, decoded as one batch."""
        if not prompts:
            return []
        if options.pose_codes:
            check_guides(prompts)
        batch = self._batch(prompts)
        length = batch["input_ids"].shape[1]
        rules = [answer_rules(p, options, self.config, self.processor) for p in prompts]
        with seeded(options.seed, self.model.device):
            output = self.model.generate(**batch, **self._arguments(options, length, rules))
        sequences = output.sequences[:, length:].tolist()
        if not options.pose_codes:
            return [text_answer(row, self.processor.tokenizer) for row in sequences]
        form = pose_form(rules[0])
        # Only the codes' columns are kept: [steps, B, codebook].
        codes = torch.stack([step[:, form.codes.start : form.codes.stop] for step in output.logits])
        logs = codes.float().log_softmax(-1).cpu().numpy()
        return [
            codes_answer(row, logs[:, i], form, self.processor.tokenizer)
            for i, row in enumerate(sequences)
        ]

    def stream(self, prompt: Prompt, options: GenerationOptions) -> Iterator[str]:
        """The answer in pieces as they are generated.

        A fault of the model reaches the consumer; a consumer who leaves early ends the generation.
        """
        steps = self.stream_many([prompt], options)
        try:
            for pieces in steps:
                yield from (piece.text for piece in pieces if piece.text)
        finally:
            steps.close()

    def stream_many(
        self,
        prompts: Sequence[Prompt],
        options: GenerationOptions,
        *,
        left: Callable[[int], bool] = lambda row: False,
    ) -> Generator[list[Piece], None, None]:
        """Answers of a batch in pieces, step by step; each row tells its end.

        Args:
            prompts: decoded as one batch, with the same options.
            left: whether nobody waits for a row any more: it is ended, and the batch with its
                last row.
        """
        batch = self._batch(prompts)
        streamer = TextPieces(self.processor.tokenizer, rows=len(prompts))
        rules = [answer_rules(p, options, self.config, self.processor) for p in prompts]
        arguments = self._arguments(options, batch["input_ids"].shape[1], rules)
        failure: list[BaseException] = []
        all_left = Event()

        def ended(ids: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
            rows = [all_left.is_set() or left(row) for row in range(len(prompts))]
            return torch.tensor(rows, device=ids.device)

        def run() -> None:
            try:
                with seeded(options.seed, self.model.device):
                    self.model.generate(
                        **batch,
                        **arguments,
                        streamer=streamer,
                        stopping_criteria=StoppingCriteriaList([ended]),
                    )
            except BaseException as fault:  # handed to the consumer below, never lost
                failure.append(fault)
                streamer.abort()

        thread = Thread(target=run, daemon=True)
        rest_threads()  # this thread waits for that one
        thread.start()
        try:
            yield from streamer
        finally:
            all_left.set()
            thread.join()
        if failure:
            raise failure[0]

    @torch.inference_mode()
    def score(
        self, prompt: Prompt, continuations: Sequence[Sequence[int] | str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log-likelihood of each continuation after the prompt, whose cache is computed once.

        Args:
            continuations: see `answers.scored_ids`.

        Returns:
            sums [N] of log p(token | prompt, tokens before) and token counts [N].

        Raises:
            PoiseError: a continuation without any token.
        """
        token_ids = scored_ids(continuations, self.processor)
        if not token_ids:
            return np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int64)
        batch = self._batch([prompt])
        features = {k: v for k, v in batch.items() if k in FEATURE_ARGUMENTS}
        prefix = self.model(input_ids=batch["input_ids"], use_cache=True, **features)
        first = prefix.logits[:, -1].float().log_softmax(-1)  # [1, vocabulary]
        longest = max(map(len, token_ids))
        at_once = SCORE_TOKENS * (1 if first.device.type == "cpu" else SCORED_BY_GPU)
        rows = min(max(1, at_once // longest), len(token_ids))
        # A continuation's last token is predicted, never entered.
        cache = shared_prefix(prefix.past_key_values, rows, longest - 1)
        chunks = [token_ids[begin : begin + rows] for begin in range(0, len(token_ids), rows)]
        sums = [self._score_chunk(cache, first, some) for some in chunks]
        return np.concatenate(sums), np.array([len(ids) for ids in token_ids])

    def _score_chunk(
        self, cache: Cache, first: torch.Tensor, token_ids: list[list[int]]
    ) -> np.ndarray:
        """Sums of log-likelihoods [n] of a chunk of continuations after a cached prefix."""
        device, count = first.device, len(token_ids)
        width = max(map(len, token_ids))
        ids = torch.zeros(count, width, dtype=torch.long, device=device)
        inside = torch.zeros(count, width, dtype=torch.bool, device=device)
        for i, row in enumerate(token_ids):
            ids[i, : len(row)] = torch.tensor(row, device=device)
            inside[i, : len(row)] = True
        total = first[:, ids[:, 0]].squeeze(0)  # [n]
        if width > 1:
            # Padding stands after each continuation: causal attention never looks at it.
            output = self.model.language_model(
                input_ids=ids[:, :-1], past_key_values=cache, use_cache=True
            )
            logits = output.logits.float()  # [n, width - 1, vocabulary]
            said = logits.gather(-1, ids[:, 1:].unsqueeze(-1)).squeeze(-1)
            total = total + ((said - logits.logsumexp(-1)) * inside[:, 1:]).sum(-1)
        return total.cpu().numpy()
