"""The embedded default engine: the model in this process, through transformers."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import torch
from transformers import (
    DynamicCache,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteriaList,
)

from assistant.engine.base import Generation, GenerationOptions, Piece, Prompt
from assistant.engine.text_pieces import TextPieces
from assistant.errors import PoiseError
from assistant.model import register
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.modeling_poise import FEATURE_ARGUMENTS, PoiseForConditionalGeneration
from assistant.model.processing_poise import PoiseProcessor

SCORE_BATCH = 64


class PoseGrammar(LogitsProcessor):
    """Allows only pose codes, with a frame end after every frame and a sequence end at the last.

    With guides each written frame has a given one before it. The position inside the sequence
    follows from the number of generated tokens, so every sequence has exactly `length` tokens.

    Args:
        guides: [B, frames, tokens] codes that are given, or None.
    """

    def __init__(
        self, config: PoiseConfig, prompt_length: int, guides: torch.Tensor | None = None
    ) -> None:
        self.config = config
        self.prompt_length = prompt_length
        self.guides = guides

    @staticmethod
    def length(config: PoiseConfig, guided: bool = False) -> int:
        """Tokens of a whole pose sequence, given frames included."""
        frames = config.correction_frames * (2 if guided else 1)
        return frames * (config.tokens_per_frame + 1) + 1

    @staticmethod
    def written(config: PoiseConfig, guided: bool = False) -> list[int]:
        """Places of the written frames' tokens and of the sequence's end."""
        stride = config.tokens_per_frame + 1
        last = PoseGrammar.length(config, guided) - 1
        return [p for p in range(last) if not guided or (p // stride) % 2] + [last]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        config, step = self.config, input_ids.shape[1] - self.prompt_length
        frame, place = divmod(step, config.tokens_per_frame + 1)
        mask = torch.full_like(scores, float("-inf"))
        if step == self.length(config, self.guides is not None) - 1:
            mask[:, config.pose_sequence_end_id] = 0
        elif place == config.tokens_per_frame:
            mask[:, config.pose_frame_end_id] = 0
        elif self.guides is not None and frame % 2 == 0:
            given = config.pose_code_start + self.guides[:, frame // 2, place]
            mask.scatter_(1, given[:, None].to(mask.device), 0.0)
        else:
            mask[:, config.pose_code_start : config.pose_code_start + config.codebook_size] = 0
        return scores + mask


def guide_codes(prompts: Sequence[Prompt]) -> torch.Tensor | None:
    """[B, frames, tokens] of the prompts' guides, None where they have none.

    Raises:
        PoiseError: some prompts of a batch have a guide and others have none.
    """
    given = [prompt.guide for prompt in prompts if prompt.guide is not None]
    if not given:
        return None
    if len(given) != len(prompts):
        raise PoiseError(
            "pose codes cannot be written in one batch",
            got=f"{len(given)} of {len(prompts)} prompts with a guide",
            expected="a guide in all of them, or in none",
        )
    return torch.tensor([[list(frame) for frame in guide] for guide in given])


def guided_ids(
    ids: Sequence[int], guide: Sequence[Sequence[int]], config: PoiseConfig
) -> tuple[list[int], list[bool]]:
    """Token ids of a pose sequence with each frame of the guide before its frame, and which of
    them belong to the sequence.

    Raises:
        PoiseError: the sequence has not as many frames as the guide.
    """
    stride = config.tokens_per_frame + 1
    if len(ids) != len(guide) * stride + 1:
        raise PoiseError(
            "nothing to score",
            got=f"a pose sequence of {len(ids)} tokens",
            expected=f"{len(guide) * stride + 1} for a guide of {len(guide)} frames",
        )
    mixed: list[int] = []
    counted: list[bool] = []
    for i, frame in enumerate(guide):
        given = [*(config.pose_code_start + int(code) for code in frame), config.pose_frame_end_id]
        mixed += [*given, *ids[i * stride : (i + 1) * stride]]
        counted += [False] * stride + [True] * stride
    return [*mixed, ids[-1]], [*counted, True]


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
        # A placeholder that the model wrote itself would ask for features that nobody has.
        self._not_text = [
            token
            for token, added in processor.tokenizer.added_tokens_decoder.items()
            if added.special and token != processor.tokenizer.eos_token_id
        ]

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
        batch = self.processor(
            [p.messages for p in prompts],
            [p.inputs for p in prompts],
            answer_starts=[p.answer_start for p in prompts],
        )
        return {name: tensor.to(self.model.device) for name, tensor in batch.items()}

    def _arguments(
        self, options: GenerationOptions, prompt_length: int, guides: torch.Tensor | None = None
    ) -> dict[str, Any]:
        config, tokenizer = self.model.config, self.processor.tokenizer
        arguments: dict[str, Any] = {
            "max_new_tokens": options.max_new_tokens,
            "do_sample": options.temperature > 0,
            "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "return_dict_in_generate": True,
        }
        if options.temperature > 0:
            # The whole distribution: a library's default cut of rare tokens is no setting of ours.
            arguments |= {"temperature": options.temperature, "top_k": 0, "top_p": 1.0}
        if options.pose_codes:
            length = PoseGrammar.length(config, guides is not None)
            grammar = PoseGrammar(config, prompt_length, guides)
            arguments |= {
                "max_new_tokens": length,
                "min_new_tokens": length,
                "output_logits": True,
                "logits_processor": LogitsProcessorList([grammar]),
            }
        else:
            arguments["suppress_tokens"] = self._not_text
        return arguments

    @torch.inference_mode()
    def generate(self, prompts: Sequence[Prompt], options: GenerationOptions) -> list[Generation]:
        """Answers in the order of the prompts, decoded as one batch."""
        if not prompts:
            return []
        batch = self._batch(prompts)
        length = batch["input_ids"].shape[1]
        guides = guide_codes(prompts) if options.pose_codes else None
        with seeded(options.seed, self.model.device):
            output = self.model.generate(**batch, **self._arguments(options, length, guides))
        written = PoseGrammar.written(self.model.config, guides is not None)
        eos, pad = self.processor.tokenizer.eos_token_id, self.processor.tokenizer.pad_token_id
        answers = []
        for i, row in enumerate(output.sequences[:, length:].tolist()):
            if options.pose_codes:
                row = [row[place] for place in written]
            elif eos in row:
                row = row[: row.index(eos)]
            ids = [token for token in row if token != pad]
            answers.append(
                Generation(
                    text=self.processor.tokenizer.decode(
                        ids, skip_special_tokens=not options.pose_codes
                    ),
                    token_ids=ids,
                    code_probabilities=self._code_probabilities(
                        [output.logits[place] for place in written], i
                    )
                    if options.pose_codes
                    else None,
                )
            )
        return answers

    def _code_probabilities(self, logits: Sequence[torch.Tensor], row: int) -> np.ndarray:
        """[frames, tokens, codebook] softmax over the codes at every code position."""
        config = self.model.config
        codes = slice(config.pose_code_start, config.pose_code_start + config.codebook_size)
        stride = config.tokens_per_frame + 1
        steps = torch.stack(
            [logits[t][row, codes] for t in range(config.correction_frames * stride)]
        )
        shaped = steps.view(config.correction_frames, stride, -1)[:, : config.tokens_per_frame]
        return shaped.float().softmax(-1).cpu().numpy()

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
        arguments = self._arguments(options, batch["input_ids"].shape[1])
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
                streamer.end()

        thread = Thread(target=run, daemon=True)
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
            continuations: texts or token ids; any length above zero. With a guide in the prompt,
                ids of a pose sequence: each frame of the guide is given before its frame.

        Returns:
            sums [N] of log p(token | prompt, tokens before) and token counts [N]; given tokens
            are not counted.

        Raises:
            PoiseError: a continuation without any token.
        """
        token_ids = [
            self.processor.text_ids(c) if isinstance(c, str) else list(c) for c in continuations
        ]
        empty = [i for i, ids in enumerate(token_ids) if not ids]
        if empty:
            raise PoiseError(
                "nothing to score",
                got=f"no token in continuation {empty[0]} of {len(token_ids)}",
                expected="continuations of at least one token",
            )
        if not token_ids:
            return np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int64)
        counted = [[True] * len(ids) for ids in token_ids]
        if prompt.guide is not None:
            guided = [guided_ids(ids, prompt.guide, self.model.config) for ids in token_ids]
            token_ids, counted = [ids for ids, _ in guided], [mask for _, mask in guided]
        batch = self._batch([prompt])
        features = {k: v for k, v in batch.items() if k in FEATURE_ARGUMENTS}
        prefix = self.model(input_ids=batch["input_ids"], use_cache=True, **features)
        first = prefix.logits[:, -1].float().log_softmax(-1)  # [1, vocabulary]
        sums = []
        for begin in range(0, len(token_ids), SCORE_BATCH):
            chunk = slice(begin, begin + SCORE_BATCH)
            sums.append(
                self._score_chunk(prefix.past_key_values, first, token_ids[chunk], counted[chunk])
            )
        return np.concatenate(sums), np.array([sum(mask) for mask in counted])

    def _score_chunk(
        self,
        prefix: DynamicCache,
        first: torch.Tensor,
        token_ids: list[list[int]],
        counted: list[list[bool]],
    ) -> np.ndarray:
        """Sums of log-likelihoods [n] of a chunk of continuations after a cached prefix."""
        device, count = first.device, len(token_ids)
        width = max(map(len, token_ids))
        ids = torch.zeros(count, width, dtype=torch.long, device=device)
        inside = torch.zeros(count, width, dtype=torch.bool, device=device)
        for i, (row, mask) in enumerate(zip(token_ids, counted, strict=True)):
            ids[i, : len(row)] = torch.tensor(row, device=device)
            inside[i, : len(row)] = torch.tensor(mask, device=device)
        total = first[:, ids[:, 0]].squeeze(0) * inside[:, 0]  # [n]
        if width > 1:
            cache = DynamicCache(
                [
                    (layer.keys.expand(count, -1, -1, -1), layer.values.expand(count, -1, -1, -1))
                    for layer in prefix.layers
                ]
            )
            # Padding stands after each continuation: causal attention never looks at it.
            output = self.model.language_model(
                input_ids=ids[:, :-1], past_key_values=cache, use_cache=True
            )
            logs = output.logits.float().log_softmax(-1)
            picked = logs.gather(-1, ids[:, 1:].unsqueeze(-1)).squeeze(-1)  # [n, width - 1]
            total = total + (picked * inside[:, 1:]).sum(-1)
        return total.cpu().numpy()
