"""`poise bench generate`: answers about a batch of clips, by vLLM and by transformers.

The same prompts, greedy, the same number of new tokens; transformers' `generate` answers them one
by one and as one batch. The aim is for a text model of 135M (SmolLM2's shape, random weights,
bfloat16 where the machine has it, else float32); the shipped model is printed beside. vLLM's cache
of prefixes is emptied before every round, since transformers keeps none.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from assistant.bench import Aim, compared, in_turns
from assistant.checkpoint import DEFAULT_NAME, LANGUAGE_FOLDER, WEIGHTS_FOLDER
from assistant.engine.base import GenerationOptions, Prompt
from assistant.engine.transformers_engine import TransformersEngine
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.modeling_poise import PoiseForConditionalGeneration
from assistant.model.processing_poise import ModelInputs, PoiseProcessor
from assistant.precision import native_bf16
from assistant.progress import quiet_libraries
from assistant.serving.vllm_engine import VllmEngine, require_vllm
from assistant.tasks.commentary import commentary_prompt
from prompts.vocabulary import LEVELS

CLIPS: Final = 16
NEW_TOKENS: Final = 64
ROUNDS: Final = 5
BASELINES: Final = ("transformers one by one", "transformers as one batch")
AIMS: Final = [
    Aim("ratio", "at_least", value, name) for name, value in zip(BASELINES, (4.0, 2.0), strict=True)
]
SHAPE_135M: Final = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "vocab_size": 49152,
}
STAGE1_ROWS: Final = 7


def run() -> dict[str, Any]:
    """Seconds for all clips; `ratio` is how many times faster ours is, the median of the rounds."""
    require_vllm()
    mini = WEIGHTS_FOLDER / DEFAULT_NAME / LANGUAGE_FOLDER
    with tempfile.TemporaryDirectory() as folder, quiet_libraries():
        dtype = torch.bfloat16 if native_bf16() else torch.float32
        large = write_checkpoint(Path(folder), mini, dtype)
        found, shipped = compare(large, AIMS), compare(mini)
    return {
        "measured": f"135M, {str(dtype).removeprefix('torch.')}",
        **found,
        "parts": {DEFAULT_NAME: shipped},
        "clips": CLIPS,
        "new_tokens": NEW_TOKENS,
    }


def write_checkpoint(folder: Path, mini: Path, dtype: torch.dtype) -> Path:
    """A checkpoint with random weights in SmolLM2-135M's shape and the mini's features."""
    settings = PoiseConfig.from_pretrained(mini).to_dict()
    settings["text_config"] |= SHAPE_135M
    torch.manual_seed(0)
    model = PoiseForConditionalGeneration(PoiseConfig.from_dict(settings))
    model.to(dtype).save_pretrained(folder)
    PoiseProcessor.from_pretrained(mini).save_pretrained(folder)
    return folder


def clip_prompts(config: PoiseConfig) -> list[Prompt]:
    """Prompts of clips with drawn features."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return [
        commentary_prompt(
            ModelInputs(
                video=draw(1 + i % 5, config.video_size),
                pose=draw(config.correction_frames, config.pose_size),
                score=draw(config.score_size),
                regions=draw(config.regions_size),
                stage1=draw(STAGE1_ROWS, config.stage1_size),
            ),
            LEVELS[i % len(LEVELS)],
        )
        for i in range(CLIPS)
    ]


def compare(folder: Path, aims: Sequence[Aim] = ()) -> dict[str, Any]:
    """Ours and the baselines for one checkpoint."""
    theirs, ours = TransformersEngine.from_pretrained(folder), VllmEngine.from_pretrained(folder)
    prompts = clip_prompts(ours.config)
    options = GenerationOptions(max_new_tokens=NEW_TOKENS)

    def by_vllm(asked: Sequence[Prompt] = prompts) -> None:
        ours.forget_prefixes()
        ours.generate(asked, options)

    def one_by_one(asked: Sequence[Prompt] = prompts) -> None:
        for prompt in asked:
            theirs.generate([prompt], options)

    works: list[Callable[[], object]] = [
        by_vllm,
        one_by_one,
        lambda: theirs.generate(prompts, options),
    ]
    by_vllm(prompts[:1])  # the first answer of each allocates its buffers
    one_by_one(prompts[:1])
    mine, *others = in_turns(works, ROUNDS)
    ours.close()
    beside = dict(zip(BASELINES, others, strict=True))
    return compared(mine, beside, ours_is="vLLM", unit="s", aims=aims)
