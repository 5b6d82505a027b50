"""Prototype dynamics margin (Look Closer, section II-B) over frame features of one stream.

z_t is the temporal standard deviation of frame features in [t - 1 s, t + 1 s]; a bucket
(activity, action step) has a high prototype (mean z of levels 2 and 3) and a low one (levels 0
and 1), from training performers only; the margin is cos(z, high) - cos(z, low). With known
action times the bucket of each window is given; without, uniform 2 s proposals are scored
against all buckets of the activity and the largest margin counts. A take is the mean of its
windows. Frame features here: PCT encoder embeddings of the pose at 15 fps.

A bucket with few executions is thin: its row then holds the prototypes of the whole activity, and
`PrototypeBank.report` says so.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from assistant.errors import PoiseError

WINDOW_SECONDS: Final = 2.0
PROPOSAL_STRIDE_SECONDS: Final = 1.0
LOWEST_HIGH_LEVEL: Final = 2
_TINY: Final = 1e-8

Bucket = tuple[str, str]


def action_dynamics(features: np.ndarray, fps: float, time: float) -> np.ndarray:
    """z_t: element-wise population standard deviation over [t - 1 s, t + 1 s].

    Args:
        features: [F, D] frame features; fps: their rate; time: t in seconds.
    Returns:
        [D]; the window is cut at the clip's ends and has at least one frame.
    """
    times = np.arange(len(features)) / fps
    inside = np.abs(times - time) <= WINDOW_SECONDS / 2 + 1e-6
    if not inside.any():
        inside[np.argmin(np.abs(times - time))] = True
    return features[inside].std(axis=0)


class StreamingDeviation:
    """Element-wise population standard deviation of frames that are seen once (Welford).

    Nothing but a mean and a sum of squared distances is kept, so a large offset costs no digits.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = np.zeros(())
        self._squares = np.zeros(())

    def add(self, frame: np.ndarray) -> None:
        """Take in one frame's features [D]."""
        x = np.asarray(frame, dtype=np.float64)
        self.count += 1
        ahead = x - self._mean
        self._mean = self._mean + ahead / self.count
        self._squares = self._squares + ahead * (x - self._mean)

    def value(self) -> np.ndarray:
        """z [D] of the frames so far.

        Raises:
            PoiseError: before the first frame.
        """
        if self.count == 0:
            raise PoiseError("no standard deviation", got="no frames", expected="one or more")
        return np.sqrt(self._squares / self.count)


def streaming_dynamics(
    frames: Iterable[np.ndarray], fps: float, times: Sequence[float]
) -> np.ndarray:
    """`action_dynamics` of many windows in one pass over frames that are not kept, [P, D].

    For frame features that are too large for memory, such as those of dense video.

    Args:
        frames: [D] each, in order; times: the windows' centres in seconds, in any order.
    Raises:
        PoiseError: a window holds no frame.
    """
    windows = [StreamingDeviation() for _ in times]
    for number, frame in enumerate(frames):
        for window, time in zip(windows, times, strict=True):
            if abs(number / fps - time) <= WINDOW_SECONDS / 2 + 1e-6:
                window.add(frame)
    return np.stack([window.value() for window in windows])


def proposal_times(frames: int, fps: float) -> np.ndarray:
    """Centres of uniform 2 s proposals every second; a shorter clip has its middle only."""
    duration = frames / fps
    if duration <= WINDOW_SECONDS:
        return np.array([(frames - 1) / 2 / fps])
    last = duration - WINDOW_SECONDS / 2
    count = int(np.floor((last - WINDOW_SECONDS / 2) / PROPOSAL_STRIDE_SECONDS + 1e-6)) + 1
    return WINDOW_SECONDS / 2 + PROPOSAL_STRIDE_SECONDS * np.arange(count)


def proposal_dynamics(features: np.ndarray, fps: float) -> np.ndarray:
    """z of every uniform proposal, [F, D] -> [P, D]."""
    return np.stack([action_dynamics(features, fps, t) for t in proposal_times(len(features), fps)])


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of the last axes, broadcast; 0 where a vector is null."""
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return (a * b).sum(axis=-1) / np.maximum(norms, _TINY)


@dataclass(frozen=True)
class PrototypeBank:
    """High and low prototypes of one stream.

    Attributes:
        buckets: (activity, action) of each row; high, low: [N, D] mean z.
        counts: [N, 2] number of low and high windows of each bucket.
        thin: [N] whether the row holds the activity's prototypes since its bucket is thin.
    """

    buckets: tuple[Bucket, ...]
    high: np.ndarray
    low: np.ndarray
    counts: np.ndarray
    thin: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def __post_init__(self) -> None:
        if len(self.thin) == 0:  # a bank from before thin buckets were marked
            object.__setattr__(self, "thin", np.zeros(len(self.buckets), dtype=bool))

    @classmethod
    def fit(
        cls,
        dynamics: np.ndarray,
        buckets: Sequence[Bucket],
        levels: Sequence[int] | np.ndarray,
        *,
        fewest: int = 0,
    ) -> "PrototypeBank":
        """From training windows: z [N, D], the bucket and the level 0..3 of each.

        Args:
            fewest: a bucket with fewer high or fewer low windows is thin and takes the activity's
                prototypes. 0: no bucket is thin.
        A bucket that has one side only, even after that, is left out.
        Raises:
            PoiseError: no bucket has both sides.
        """
        z, level = np.asarray(dynamics, dtype=np.float64), np.asarray(levels)
        is_high = level >= LOWEST_HIGH_LEVEL
        names, highs, lows, counts, thin = [], [], [], [], []
        for bucket in sorted(set(buckets)):
            mine = np.array([b == bucket for b in buckets])
            count = (int((mine & ~is_high).sum()), int((mine & is_high).sum()))
            few = min(count) < fewest
            if few:
                mine = np.array([b[0] == bucket[0] for b in buckets])
            high, low = mine & is_high, mine & ~is_high
            if high.any() and low.any():
                names.append(bucket)
                highs.append(z[high].mean(axis=0))
                lows.append(z[low].mean(axis=0))
                counts.append(count)
                thin.append(few)
        if not names:
            raise PoiseError("no prototypes", got="no bucket with high and low executions")
        return cls(
            tuple(names), np.stack(highs), np.stack(lows), np.array(counts), np.array(thin, bool)
        )

    def report(self) -> list[dict[str, str | int]]:
        """Of each bucket how many windows it had and whose prototypes it uses."""
        return [
            {
                "activity": bucket[0],
                "action": bucket[1],
                "low": int(low),
                "high": int(high),
                "prototypes": "activity" if thin else "bucket",
            }
            for bucket, (low, high), thin in zip(self.buckets, self.counts, self.thin, strict=True)
        ]

    def describe(self) -> str:
        """One line: buckets, fewest windows, and the thin ones by name."""
        thin = [":".join(b) for b, few in zip(self.buckets, self.thin, strict=True) if few]
        fallen = f"; thin, with the activity's prototypes: {', '.join(thin)}" if thin else ""
        return f"{len(self.buckets)} buckets, at least {self.counts.min()} windows a side{fallen}"

    def rows(self, activity: str) -> list[int]:
        """Rows of the activity's buckets."""
        return [i for i, bucket in enumerate(self.buckets) if bucket[0] == activity]

    def window_margins(self, dynamics: np.ndarray, activity: str) -> np.ndarray:
        """Margins of windows z [P, D] in every bucket of the activity, [P, buckets]."""
        rows = self.rows(activity)
        z = np.asarray(dynamics, dtype=np.float64)[:, None]
        return cosine(z, self.high[rows]) - cosine(z, self.low[rows])

    def annotation_free(
        self, dynamics: np.ndarray, activity: str, shares: np.ndarray | None = None
    ) -> float | None:
        """Mean over proposals of the largest margin; None where the activity has no bucket.

        Args:
            dynamics: z [P, D]; shares: [P] of the proposals in the mean, sum 1; None: all alike.
        """
        if not self.rows(activity):
            return None
        largest = self.window_margins(dynamics, activity).max(axis=1)
        return float(np.average(largest, weights=shares))

    def annotated(self, dynamics: np.ndarray, buckets: Sequence[Bucket]) -> float | None:
        """Mean margin of windows [P, D] with known buckets; unknown buckets are left out."""
        known = [(z, self.buckets.index(b)) for z, b in zip(dynamics, buckets, strict=True)
                 if b in self.buckets]  # fmt: skip
        if not known:
            return None
        z, rows = np.stack([k[0] for k in known]), [k[1] for k in known]
        return float((cosine(z, self.high[rows]) - cosine(z, self.low[rows])).mean())

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """For safetensors; the names are in `bucket_names`."""
        return {
            f"{prefix}.high": self.high.astype(np.float32),
            f"{prefix}.low": self.low.astype(np.float32),
            f"{prefix}.counts": self.counts.astype(np.int64),
            f"{prefix}.thin": self.thin.astype(np.uint8),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], prefix: str, buckets: Sequence[Sequence[str]]
    ) -> "PrototypeBank":
        """Inverse of `arrays`; a checkpoint without marks has no thin buckets."""
        high, low, counts = (arrays[f"{prefix}.{name}"] for name in ("high", "low", "counts"))
        thin = arrays.get(f"{prefix}.thin", np.zeros(len(buckets))).astype(bool)
        return cls(tuple((b[0], b[1]) for b in buckets), high, low, counts, thin)
