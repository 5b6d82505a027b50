"""Which views of a clip enter the prompt."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assistant.video.views import view_features


class StubEncoder:
    """A feature is the mean grey of the pictures; greys above `limit` are foreign."""

    frames = 4
    film_side = 320

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.seen: list[np.ndarray] = []

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        assert pictures.dtype == np.uint8 and pictures.shape[:2] == (1, 4)
        self.seen.append(pictures)
        return np.full((1, 3), pictures[:, :, -10:, -10:].mean(), np.float32)

    def in_distribution(self, features: np.ndarray) -> np.ndarray:
        return features[:, 0] < self.limit


@pytest.fixture
def views(film, tmp_path: Path) -> dict[str, Path]:
    """Two films of different size and length, named against their fixed order."""
    return {
        "exo2": film(tmp_path / "b.mp4", 30, size=(96, 64)),
        "ego": film(tmp_path / "a.mp4", 50),
    }


def features(views: dict[str, Path], span: tuple[float, float], limit: float = 1e9) -> Any:
    encoder: Any = StubEncoder(limit)
    return view_features(encoder, views, span)


def test_views_come_in_their_fixed_order(views: dict[str, Path]) -> None:
    found, names = features(views, (0.0, 1.0))
    assert names == ("ego", "exo2") and found.shape == (2, 3)


def test_pictures_are_those_of_the_span(views: dict[str, Path]) -> None:
    """Frame i is grey of brightness 4 i; the middles of four quarters have the span's mean."""
    early, _ = features(views, (0.0, 0.4))
    late, _ = features(views, (0.4, 0.8))
    assert early[:, 0] == pytest.approx([4 * 5.5] * 2, abs=6)
    assert late[:, 0] == pytest.approx([4 * 17.5] * 2, abs=6)


def test_a_foreign_view_is_left_out(views: dict[str, Path]) -> None:
    longer, _ = features(views, (1.0, 1.6))  # the shorter film stands still at its last frame
    assert longer[0, 0] > longer[1, 0]
    found, names = features(views, (1.0, 1.6), limit=float(longer.mean()))
    assert names == ("exo2",) and found.shape == (1, 3)


def test_no_view_at_all(views: dict[str, Path]) -> None:
    assert features(views, (0.0, 1.0), limit=0.0) == (None, ())
    assert features({}, (0.0, 1.0)) == (None, ())
