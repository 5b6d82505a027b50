"""Features of a clip's views over the judged span, where the encoder has seen such pictures."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from assistant.proficiency.streams import VIDEO_FPS, Stream, dense_times
from assistant.video.decode import frames
from assistant.video.encoder import DENSE_STRIDE, VideoEncoder
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


def dense_streams(
    encoder: VideoEncoder, views: Mapping[str, Path], span: tuple[float, float]
) -> dict[str, Stream]:
    """Dense features of the ego view and of the first exo view, where the encoder knows such films.

    Args:
        views: view name to film; span: seconds of the clip that Stage 1 judges.

    Returns:
        "ego" and "exo" to their streams; views that do not pass are not there.
    """
    exo = [name for name in VIEWS if name != "ego" and name in views]
    chosen = {"ego": views.get("ego"), "exo": views[exo[0]] if exo else None}
    times = dense_times(span)
    found = {}
    for modality, film in chosen.items():
        if film is None or not _looks_known(encoder, film, span):
            continue
        pictures = np.stack([p for _, p in frames(film, times, max_side=encoder.film_side)])
        features = encoder.encode_dense(pictures)
        if known_film(encoder, features):
            found[modality] = Stream(features, VIDEO_FPS, span[0])
    return found


def _looks_known(encoder: VideoEncoder, film: Path, span: tuple[float, float]) -> bool:
    """Whether one input of the span passes: reading it densely would else be in vain."""
    pictures = span_pictures(film, span, encoder.frames, encoder.film_side)
    return bool(encoder.in_distribution(encoder.encode(pictures[None]))[0])


def known_film(encoder: VideoEncoder, features: np.ndarray) -> bool:
    """Whether at least half of the encoder's inputs in dense features [F, D] look familiar."""
    reach = DENSE_STRIDE * encoder.frames
    parts = [features[i : i + reach].mean(axis=0) for i in range(0, len(features), reach)]
    return bool(encoder.in_distribution(np.stack(parts)).mean() >= 0.5)


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
