"""F_g: the corrected pose of one window, written as pose codes (ExpertAF F_g)."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from assistant.engine.base import Prompt
from assistant.model.processing_poise import ModelInputs
from assistant.tasks.commentary import prompt_pieces
from prompts.render import render_messages


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
        learner_codes: [frames, tokens] of the correction window; each frame is given before the
            frame that is written.
    """
    messages = render_messages(
        "correction", commentary=commentary, **prompt_pieces(inputs, fused_video=fused_video)
    )
    return Prompt(messages, inputs, guide=learner_codes)


# Of the Gaussian over time, in window frames (0.2 s): on clips of validation performers the error
# to the fault-free twin was least between 0.7 and 1 (docs/decisions.md).
SMOOTHING_FRAMES: Final = 1.0


def smooth_correction(
    frames: np.ndarray, learner: np.ndarray, decoded: np.ndarray, sigma: float
) -> np.ndarray:
    """The learner's motion with what a correction changes, smoothed over the window's frames.

    The change is taken from the middle of the learner's frames and what the decoder makes of their
    own codes: frames hold the decoder's errors and the learner's the noise of the pose, which are
    unrelated, so that the middle has half of the squared error of either.

    The decoder knows nothing of the frame before: codes jump between neighbours of the codebook. At
    5 frames a second a filter over the motion itself would blur a throw; the change is slow, so the
    Gaussian goes over that alone and the speed stays.

    Args:
        frames: [F, 17, 3] metres, decoded from the corrected codes, root-centred in one heading.
        learner: [F, 17, 3] likewise, the learner's own.
        decoded: [F, 17, 3] the same from the learner's codes.
        sigma: standard deviation in frames; 0 smooths nothing.

    Returns:
        [F, 17, 3] float32. Bone lengths may change a little: restore them afterwards.
    """
    from scipy.ndimage import gaussian_filter1d

    change = frames - (learner.astype(np.float64) + decoded) / 2
    if sigma:
        change = gaussian_filter1d(change, sigma, axis=0, mode="nearest")
    return (learner + change).astype(np.float32)


# How much of the way from perception's estimate to what was written is gone: on clips of validation
# performers errors were least between 0.1 and 0.2 with a fault, between 0.3 and 0.4 without one
# (docs/decisions.md).
WRITTEN_SHARE: Final = 0.2


def join_estimate(written: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """Two corrections of one window, [F, 17, 3] each, joined: both err, and in different ways."""
    return (estimate + WRITTEN_SHARE * (written - estimate)).astype(np.float32)


def interpolate_correction(frames: np.ndarray, fps: float, count: int, rate: float) -> np.ndarray:
    """[f, 17, 3] at `fps` -> [count, 17, 3] at `rate`, by a cubic through the written frames."""
    from scipy.interpolate import CubicSpline

    times = np.arange(len(frames)) / fps
    wanted = np.clip(np.arange(count) / rate, 0.0, times[-1])
    return CubicSpline(times, frames, axis=0)(wanted).astype(np.float32)
