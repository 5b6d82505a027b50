"""Who performs: personal proportions, handedness, tempo; drawn by split.

Segment lengths are fractions of stature after Drillis and Contini (1966, Body Segment Parameters,
as printed in Winter, Biomechanics and Motor Control of Human Movement, 4th ed., Fig. 4.1), moved
to joint centres; a person departs from them by a few percent a limb.
"""

import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from assistant.errors import PoiseError

SPLITS: Final = ("train", "validation", "test", "shifted")

# Fractions of stature between joint centres, and the standard deviation between people.
FRACTIONS: Final = {
    "thigh": (0.240, 0.009),
    "shank": (0.236, 0.009),
    "ankle_height": (0.046, 0.004),
    "foot": (0.100, 0.006),  # ankle to ball of the foot, along the ground
    "upper_arm": (0.168, 0.008),
    "forearm": (0.148, 0.007),
    "hip_width": (0.123, 0.010),
    "shoulder_width": (0.194, 0.013),
    "trunk": (0.299, 0.010),
    "neck": (0.114, 0.008),  # middle of the shoulders to middle of the ears
    "head": (0.088, 0.005),  # ear to ear
}


@dataclass(frozen=True)
class Performer:
    """One simulated person.

    Attributes:
        participant_id: unique name, carries the split.
        split: one of `SPLITS`.
        stature: metres.
        lengths: segment name (`FRACTIONS`) to metres.
        left_handed: the shooting hand.
        tempo: above 1 is slower; multiplies the durations of all movements.
        seed: source of this person's style, the same in all their clips.
    """

    participant_id: str
    split: str
    stature: float
    lengths: dict[str, float]
    left_handed: bool
    tempo: float
    seed: int

    def style_rng(self, activity: str) -> np.random.Generator:
        """Draws that stay the same whenever this person does this activity."""
        return np.random.default_rng([self.seed, zlib.crc32(activity.encode())])


def check_split(split: str) -> None:
    """A split outside `SPLITS` is an error."""
    if split not in SPLITS:
        raise PoiseError("unknown split", got=repr(split), expected=", ".join(SPLITS))


def sample_performer(
    rng: np.random.Generator, split: str = "train", participant_id: str | None = None
) -> Performer:
    """Draw a person; those of "shifted" lie outside the range of the other splits.

    Args:
        rng: source of all draws.
        split: one of `SPLITS`.
        participant_id: name; drawn when None.
    """
    check_split(split)
    shifted = split == "shifted"
    spread = 1.0
    if shifted:
        short = rng.random() < 0.5
        stature = rng.uniform(1.38, 1.50) if short else rng.uniform(1.98, 2.10)
        tempo = rng.uniform(0.62, 0.72) if rng.random() < 0.5 else rng.uniform(1.4, 1.65)
        left = rng.random() < 0.9
        spread = 1.8
    else:
        stature = float(np.clip(rng.normal(1.74, 0.10), 1.51, 1.97))
        tempo = float(np.clip(np.exp(rng.normal(0.0, 0.13)), 0.75, 1.35))
        left = rng.random() < 0.15
    lengths = {}
    for name, (mean, std) in FRACTIONS.items():
        deviation = float(np.clip(rng.normal(), -2.2, 2.2))
        lengths[name] = stature * (mean + spread * std * deviation)
    seed = int(rng.integers(2**62))
    return Performer(
        participant_id=participant_id or f"{split}-{seed % 10**10:010d}",
        split=split,
        stature=float(stature),
        lengths=lengths,
        left_handed=bool(left),
        tempo=float(tempo),
        seed=seed,
    )
