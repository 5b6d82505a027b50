"""F_t: proficiency label, then commentary (ProfVLM Table 1; ExpertAF F_t)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from assistant.engine.base import Prompt
from assistant.model.processing_poise import ModelInputs
from prompts.numbers import render_numbers
from prompts.parse import LABEL_PREFIX, answer_start, format_label
from prompts.render import render_messages
from prompts.vocabulary import LEVELS


def prompt_pieces(inputs: ModelInputs, *, fused_video: bool = False) -> dict[str, Any]:
    """What the renderer must know of a clip's features, for every task."""
    counts = inputs.counts(fused_video=fused_video)
    return {
        "frames": inputs.frames if counts["video"] else 0,
        "n_video": counts["video"],
        "n_pose": counts["pose"],
        "n_stage1": counts["stage1"],
        "pose_text": inputs.pose_text,
        "score": render_numbers("score", inputs.score, inputs.numbers),
        "regions": render_numbers("regions", inputs.regions, inputs.numbers),
    }


def answer_prompt(inputs: ModelInputs, form: str, *, fused_video: bool = False) -> Prompt:
    """The prompt from which a whole answer of a form (`prompts.parse.ANSWER_FORMS`) is written."""
    return _prompt(inputs, answer_start(form), fused_video)


def label_prompt(inputs: ModelInputs, *, fused_video: bool = False, said: str = "") -> Prompt:
    """The prompt after which the four label strings are scored.

    Args:
        said: what the answer has said up to the label, its prefix included, where the commentary
            comes first (`prompts.parse.up_to_label`); "" where it begins with the label.
    """
    return _prompt(inputs, said or LABEL_PREFIX, fused_video)


def _prompt(inputs: ModelInputs, start: str, fused_video: bool) -> Prompt:
    messages = render_messages(
        "commentary",
        demonstration=inputs.demonstration,
        **prompt_pieces(inputs, fused_video=fused_video),
    )
    return Prompt(messages, inputs, answer_start=start, regions_once=True)


def label_continuations() -> list[str]:
    """The four label strings as they follow the label's prefix; none is a prefix of another."""
    return [f" {level}." for level in LEVELS]


def level_probabilities(
    log_likelihoods: Sequence[float] | np.ndarray, temperature: float
) -> np.ndarray:
    """Softmax of the label log-likelihoods over `temperature` -> [4], summing to one."""
    scaled = np.asarray(log_likelihoods, dtype=np.float64) / temperature
    weights = np.exp(scaled - scaled.max())
    return weights / weights.sum()


def commentary_prompt(inputs: ModelInputs, level: str, *, fused_video: bool = False) -> Prompt:
    """The prompt from which the commentary is generated, the label already forced."""
    return _prompt(inputs, format_label(level), fused_video)


def given_answer(commentary: str, level: str) -> str:
    """An expert's commentary as the first answer of the tasks that follow it.

    Args:
        commentary: free text, remarks in the output grammar, or a whole answer with its label.
        level: of the label where the text has none.
    """
    text = commentary.strip()
    return text if text.startswith(LABEL_PREFIX) else f"{format_label(level)}\n{text}"
