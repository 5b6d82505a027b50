"""Run Stage 1 over clips of any length, in batches of similar length."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from assistant.proficiency.stage1 import Stage1, Stage1Output

_FRAMES_PER_BATCH: Final = 8000

# ego, exo or gaze -> [F, D], of one clip.
StreamArrays = Mapping[str, np.ndarray]


@torch.inference_mode()
def run_stage1(
    net: Stage1,
    features: Sequence[np.ndarray],
    streams: Sequence[StreamArrays] | None = None,
    activity: int | None = None,
) -> list[Stage1Output]:
    """Each clip's output as a batch of one, without padding.

    Args:
        features: clips [F_i, D] of pose features.
        streams: what else there is of each clip.
        activity: the known activity that routes; None takes the most probable one.
    """
    order = sorted(range(len(features)), key=lambda i: len(features[i]))
    found: dict[int, Stage1Output] = {}
    while order:
        longest = len(features[order[-1]])
        size = max(_FRAMES_PER_BATCH // longest, 1)
        batch, order = order[-size:], order[:-size]
        beside = {} if streams is None else pad_streams([streams[i] for i in batch])
        chosen = None if activity is None else torch.full((len(batch),), activity)
        output = net(*pad([features[i] for i in batch]), beside, chosen)
        for row, i in enumerate(batch):
            found[i] = output.row(row, len(features[i]))
    return [found[i] for i in range(len(features))]


def pad(clips: Sequence[np.ndarray | None]) -> tuple[Tensor, Tensor]:
    """Clips [F, D] -> [B, T, D] zero-padded and the mask [B, T]; None has no frame.

    At least one clip is there.
    """
    given = [clip for clip in clips if clip is not None]
    longest = max(map(len, given))
    padded = torch.zeros(len(clips), longest, given[0].shape[1])
    valid = torch.zeros(len(clips), longest, dtype=torch.bool)
    for row, clip in enumerate(clips):
        if clip is not None:
            padded[row, : len(clip)] = torch.from_numpy(clip)
            valid[row, : len(clip)] = True
    return padded, valid


def pad_streams(clips: Sequence[StreamArrays]) -> dict[str, tuple[Tensor, Tensor]]:
    """`pad` of every modality that any of the clips has."""
    names = sorted({name for clip in clips for name in clip})
    return {name: pad([clip.get(name) for clip in clips]) for name in names}
