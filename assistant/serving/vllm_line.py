"""The line before the vLLM engine: it batches by itself, so requests pass through at once."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import numpy as np

from assistant.engine.base import GenerationOptions, Piece, Prompt
from assistant.serving.metrics import Metrics

if TYPE_CHECKING:
    from assistant.serving.vllm_engine import VllmEngine


class VllmLine:
    """What `EngineThread` is for an engine of one thread.

    Args:
        engine: may be called from any thread at any time.
    """

    scored_at_once = 10_000  # it schedules them among the chats

    def __init__(self, engine: "VllmEngine", metrics: Metrics) -> None:
        self._engine = engine
        self._metrics = metrics

    @property
    def alive(self) -> bool:
        """Whether the engine still answers."""
        return self._engine.alive

    async def stream(
        self, prompt: Prompt, options: GenerationOptions
    ) -> AsyncGenerator[Piece, None]:
        """Pieces of an answer, the last one marked; leaving early gives the slot free."""
        self._metrics.running.inc()
        try:
            async with aclosing(self._engine.apieces(prompt, options)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            self._metrics.running.dec()

    async def score(self, prompt: Prompt, continuations: Sequence[Any]) -> np.ndarray:
        """Log-likelihoods [N] of a few continuations."""
        return (await self._engine.ascore(prompt, continuations))[0]

    def run(self, work: "Callable[[VllmEngine], Any]") -> Any:
        """One step of a coaching, in the calling thread."""
        return work(self._engine)

    def close(self) -> None:
        """End the engine."""
        self._engine.close()
