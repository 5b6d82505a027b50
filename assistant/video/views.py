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
    pictures = [
        span_pictures(views[name], span, encoder.frames, encoder.film_side) for name in names
    ]
    features = np.concatenate([encoder.encode(p[None]) for p in pictures])
    passed = encoder.in_distribution(features)
    kept = tuple(name for name, ok in zip(names, passed, strict=True) if ok)
    return (features[passed] if kept else None), kept


def span_pictures(
    film: Path, span: tuple[float, float], count: int, max_side: int, *, seek: bool = True
) -> np.ndarray:
    """Uniform frames of a span in seconds, uint8 [count, H, W, 3].

    Args:
        film: the view's file.
        span: start and end, clamped to the film.
        count: frames, those shown nearest to the middles of as many equal parts.
        max_side: pictures with a longer side are shrunk to it.
        seek: as for `frames`.

    Raises:
        PoiseError: the film is missing, truncated or damaged where it is read.
    """
    times = uniform_times(span[0], span[1], count)
    return np.stack([p for _, p in frames(film, times, max_side=max_side, seek=seek)])
