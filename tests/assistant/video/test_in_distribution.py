"""The shipped encoder knows what it has seen: renderings pass, noise and real films do not."""

from pathlib import Path

import numpy as np
import pytest

from assistant.checkpoint import DEFAULT_NAME, WEIGHTS_FOLDER
from assistant.perception import VIDEO_ENCODER_FOLDER
from assistant.video.decode import frames, probe
from assistant.video.encoder import VideoEncoder
from assistant.video.sampling import uniform_times
from assistant.video.views import view_features

SHIPPED = WEIGHTS_FOLDER / DEFAULT_NAME / VIDEO_ENCODER_FOLDER
DEMO = WEIGHTS_FOLDER / "demo" / "squat_demo.mp4"
FILMS = Path(__file__).resolve().parents[4] / "shared" / "data" / "video"

pytestmark = pytest.mark.skipif(
    not SHIPPED.is_dir(), reason="the shipped checkpoint has no video encoder"
)


@pytest.fixture(scope="module")
def encoder() -> VideoEncoder:
    return VideoEncoder.from_pretrained(SHIPPED)


def test_the_bundled_drill_film_passes(encoder: VideoEncoder) -> None:
    features, names = view_features(encoder, {"exo1": DEMO}, (0.7, 2.7))
    assert names == ("exo1",)
    assert features is not None and features.shape == (1, encoder.width)


def test_noise_does_not_pass(encoder: VideoEncoder) -> None:
    rng = np.random.default_rng(0)
    shape = (10, encoder.frames, encoder.size, encoder.size, 3)
    noise = rng.integers(0, 256, shape, dtype=np.uint8)
    still = np.broadcast_to(rng.integers(0, 256, (10, 1, 1, 1, 3), dtype=np.uint8), shape)
    passed = encoder.in_distribution(encoder.encode(np.concatenate([noise, still])))
    assert passed.mean() <= 0.1


@pytest.mark.real
def test_real_films_do_not_pass(encoder: VideoEncoder) -> None:
    spans = []
    for path in sorted(FILMS.glob("*.mp4")):
        duration = probe(path).duration
        for start in np.linspace(0, max(duration - 2, 0), 4):
            times = uniform_times(start, min(start + 2, duration), encoder.frames)
            spans.append(np.stack([p for _, p in frames(path, times, max_side=320)]))
    passed = encoder.in_distribution(np.concatenate([encoder.encode(s[None]) for s in spans]))
    assert len(passed) >= 20
    assert passed.mean() <= 0.05
