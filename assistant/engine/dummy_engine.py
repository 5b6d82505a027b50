"""An engine without a model: fixed answers in the right form, for dry runs and for tests.

Whatever is built on the three verbs runs with it in milliseconds; what it says means nothing.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from assistant.engine.base import Generation, GenerationOptions, Prompt
from assistant.model.configuration_poise import PoiseConfig
from prompts.parse import COMMENTARY_PREFIX, LABEL_PREFIX, ParsedRemark, format_feedback
from prompts.render import render_pose_codes

ANSWER: Final = format_feedback(
    "Early Expert",
    (
        ParsedRemark("legs", "needs_improvement", "You stop before the thighs are level."),
        ParsedRemark("arms", "needs_improvement", "The elbows drift outwards."),
        ParsedRemark("torso", "correct", "The chest stays up throughout."),
    ),
    "Pause for two seconds at the lowest point of every repetition.",
)
# A peak that leaves something for the other codes.
_PEAK: Final = 0.9


class DummyEngine:
    """Gives the same answer to every prompt; likelihoods come from a hash of what is scored.

    Args:
        config: shape of the pose sequences.
        answer: the whole text, label and commentary; what a prompt forces is not said again.
    """

    name = "dummy"

    def __init__(self, config: PoiseConfig, answer: str = ANSWER) -> None:
        self.config = config
        self.answer = answer

    def generate(self, prompts: Sequence[Prompt], options: GenerationOptions) -> list[Generation]:
        """One answer a prompt: the fixed text, or fixed pose codes."""
        if options.pose_codes:
            return [self._codes() for _ in prompts]
        answers = []
        for prompt in prompts:
            pieces = self._pieces(prompt, options)
            answers.append(Generation("".join(pieces), list(range(len(pieces)))))
        return answers

    def stream(self, prompt: Prompt, options: GenerationOptions) -> Iterator[str]:
        """The same text, word by word."""
        yield from self._pieces(prompt, options)

    def score(
        self, prompt: Prompt, continuations: Sequence[Sequence[int] | str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sums [N] and token counts [N]: each token about -1, the rest from a hash."""
        counts = [len(c.split()) if isinstance(c, str) else len(c) for c in continuations]
        before = json.dumps([list(prompt.messages), prompt.answer_start], sort_keys=True)
        sums = [
            -count * (0.5 + _share(before + json.dumps(c if isinstance(c, str) else list(c))))
            for c, count in zip(continuations, counts, strict=True)
        ]
        return np.array(sums, dtype=np.float32), np.array(counts, dtype=np.int64)

    def _pieces(self, prompt: Prompt, options: GenerationOptions) -> list[str]:
        """Words with the white space around them, of what the prompt has not said yet."""
        text = self.answer
        for said in (COMMENTARY_PREFIX, LABEL_PREFIX):
            if prompt.answer_start.endswith(said):
                text = text.partition(said)[2]
                break
        return re.findall(r"\s*\S+", text)[: options.max_new_tokens]

    def _codes(self) -> Generation:
        config = self.config
        frames, tokens, size = (
            config.correction_frames,
            config.tokens_per_frame,
            config.codebook_size,
        )
        codes = np.arange(frames * tokens).reshape(frames, tokens) % size
        probabilities = np.full((frames, tokens, size), (1 - _PEAK) / max(size - 1, 1))
        np.put_along_axis(probabilities, codes[..., None], _PEAK, axis=-1)
        ids: list[int] = []
        for frame in codes:
            ids += [config.pose_code_start + int(code) for code in frame]
            ids.append(config.pose_frame_end_id)
        return Generation(
            render_pose_codes(codes.tolist()),
            [*ids, config.pose_sequence_end_id],
            probabilities.astype(np.float32),
        )


def _share(text: str) -> float:
    """A number in [0, 1) that the text decides."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48
