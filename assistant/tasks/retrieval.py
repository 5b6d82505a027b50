"""F_r: an expert demonstration that shows the correction, by the likelihood of its codes."""

from collections.abc import Sequence

import numpy as np

from assistant.engine.base import Prompt
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.processing_poise import ModelInputs
from assistant.tasks.commentary import prompt_pieces
from prompts.render import render_messages


def retrieval_prompt(
    inputs: ModelInputs,
    commentary: str,
    learner_codes: np.ndarray,
    config: PoiseConfig,
    *,
    fused_video: bool = False,
) -> Prompt:
    """The shared prefix after which every candidate's codes are scored.

    Args:
        commentary: the whole first answer, label and commentary.
        learner_codes: [frames, tokens] of the learner's window; they stand in the question.
    """
    messages = render_messages(
        "retrieval",
        commentary=commentary,
        learner_codes=ranked_frames(learner_codes, config.retrieval_stride).tolist(),
        **prompt_pieces(inputs, fused_video=fused_video),
    )
    return Prompt(messages, inputs)


def ranked_frames(codes: np.ndarray, stride: int) -> np.ndarray:
    """[frames, tokens] -> the frames by which F_r ranks, of learner and candidate alike: every
    `stride`-th."""
    return np.asarray(codes)[::stride]


def unconditional_prompt() -> Prompt:
    """The same question about no clip at all: how typical a motion is by itself."""
    return Prompt(render_messages("retrieval"), ModelInputs())


def code_token_ids(codes: np.ndarray, config: PoiseConfig) -> list[int]:
    """[frames, tokens] codebook indices -> token ids with frame ends and the sequence end."""
    ids: list[int] = []
    for frame in np.asarray(codes):
        ids += [config.pose_code_start + int(code) for code in frame]
        ids.append(config.pose_frame_end_id)
    return [*ids, config.pose_sequence_end_id]


def candidate_continuations(codes: Sequence[np.ndarray], config: PoiseConfig) -> list[list[int]]:
    """Continuations to score, one a candidate, of the frames by which F_r ranks."""
    return [code_token_ids(ranked_frames(item, config.retrieval_stride), config) for item in codes]
