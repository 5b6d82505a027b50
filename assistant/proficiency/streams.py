"""Streams beside the pose that Stages 1 and 2 read: dense video features and gaze.

A stream is a sequence of its own rate over the seconds of a clip. Video: per-frame means of patch
tokens at 10 fps (the prototype dynamics read all of them, Stage 1 every second one). Gaze: degrees
at 5 fps, which shows how long the eyes rest and costs a recurrent network little.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from assistant.errors import PoiseError

VIDEO_FPS: Final = 10.0
STAGE1_VIDEO_FPS: Final = 5.0
GAZE_FPS: Final = 5.0
# Longer takes are read for so many seconds: films dominate the cost of everything else.
LONGEST_SECONDS: Final = 8.0
_RATES: Final = {"ego": STAGE1_VIDEO_FPS, "exo": STAGE1_VIDEO_FPS, "gaze": GAZE_FPS}


@dataclass(frozen=True)
class Stream:
    """Frame features of one modality.

    Attributes:
        values: [F, D] float32; fps: their rate; start: seconds of the clip at the first frame.
    """

    values: np.ndarray
    fps: float
    start: float = 0.0

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or len(self.values) == 0 or not np.isfinite(self.values).all():
            raise PoiseError(
                "stream", got=f"values {self.values.shape}", expected="finite numbers [F, D], F > 0"
            )
        if not self.fps > 0:
            raise PoiseError("stream", got=f"{self.fps} fps", expected="a rate above 0")

    @property
    def end(self) -> float:
        """Seconds of the clip one frame after the last."""
        return self.start + len(self.values) / self.fps

    def crop(self, span: tuple[float, float]) -> "Stream | None":
        """The frames within a span in seconds of the clip; None where there is none."""
        times = self.start + np.arange(len(self.values)) / self.fps
        inside = (times >= span[0] - 1e-6) & (times < span[1])
        if not inside.any():
            return None
        return Stream(self.values[inside], self.fps, float(times[inside][0]))

    def at_rate(self, fps: float) -> np.ndarray:
        """[F', D] the nearest frames at another rate."""
        count = max(int(np.floor((self.end - self.start) * fps + 1e-6)), 1)
        places = np.round(np.arange(count) / fps * self.fps).astype(int)
        return self.values[np.minimum(places, len(self.values) - 1)]


# ego, exo or gaze -> stream; a modality that the clip lacks is not there.
Streams = Mapping[str, Stream]


def stage1_streams(streams: Streams, span: tuple[float, float]) -> dict[str, np.ndarray]:
    """What Stage 1 reads of a span: modality -> [F, D] at its rate, at most `LONGEST_SECONDS`."""
    found = {}
    for modality, stream in streams.items():
        cut = stream.crop((span[0], min(span[1], span[0] + LONGEST_SECONDS)))
        if cut is not None:
            found[modality] = cut.at_rate(_RATES[modality]).astype(np.float32)
    return found


def dense_times(span: tuple[float, float]) -> np.ndarray:
    """Seconds [F] of the frames at `VIDEO_FPS` of a span, at most `LONGEST_SECONDS` of it."""
    seconds = min(span[1] - span[0], LONGEST_SECONDS)
    return span[0] + np.arange(max(int(seconds * VIDEO_FPS), 1)) / VIDEO_FPS
