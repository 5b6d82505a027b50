"""F_g: the corrected pose of one window, written as pose codes (ExpertAF F_g)."""

from collections.abc import Sequence

import numpy as np

from assistant.engine.base import Prompt
from assistant.model.processing_poise import ModelInputs
from assistant.tasks.commentary import follow_up_prompt


def correction_prompt(
    inputs: ModelInputs,
    commentary: str,
    learner_codes: Sequence[Sequence[int]],
    *,
    fused_video: bool = False,
) -> Prompt:
    """The prompt for the corrected codes: the clip, its commentary, the learner's own codes.

    Args:
        commentary: the whole first answer, label and commentary.
        learner_codes: [frames, tokens] of the correction window.
    """
    return follow_up_prompt(
        "correction", inputs, commentary, learner_codes, fused_video=fused_video
    )


def interpolate_correction(frames: np.ndarray, fps: float, count: int, rate: float) -> np.ndarray:
    """[f, 17, 3] at `fps` -> [count, 17, 3] at `rate`, by a cubic through the written frames."""
    from scipy.interpolate import CubicSpline

    times = np.arange(len(frames)) / fps
    wanted = np.clip(np.arange(count) / rate, 0.0, times[-1])
    return CubicSpline(times, frames, axis=0)(wanted).astype(np.float32)
