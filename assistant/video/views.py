"""Features of a clip's views over the judged span, where the encoder has seen such pictures."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from assistant.video.decode import frames
from assistant.video.encoder import VideoEncoder
from assistant.video.sampling import uniform_times
from prompts.vocabulary import VIEWS


def view_features(
    encoder: VideoEncoder, views: Mapping[str, Path], span: tuple[float, float]
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Features [V, D] of the views that pass the in-distribution test, and their names.

    Args:
        views: view name to film.
        span: seconds between which the encoder's frames are taken, uniformly.

    Returns:
        (None, ()) when no view passes: its tokens are then left out of the prompt.
    """
    names = [name for name in VIEWS if name in views]
    if not names:
        return None, ()
    times = uniform_times(span[0], span[1], encoder.frames)
    pictures = [
        np.stack([picture for _, picture in frames(views[name], times, max_side=320)])
        for name in names
    ]
    features = np.concatenate([encoder.encode(p[None]) for p in pictures])
    passed = encoder.in_distribution(features)
    kept = tuple(name for name, ok in zip(names, passed, strict=True) if ok)
    return (features[passed] if kept else None), kept
