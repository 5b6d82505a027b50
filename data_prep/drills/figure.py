"""The performer's figure: which capsules make a body, and the colours of one clip."""

import colorsys
from dataclasses import dataclass

import numpy as np

from assistant.skeleton import (
    LEFT_ANKLE,
    LEFT_EAR,
    LEFT_ELBOW,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_SHOULDER,
    LEFT_WRIST,
    NOSE,
    RIGHT_ANKLE,
    RIGHT_EAR,
    RIGHT_ELBOW,
    RIGHT_HIP,
    RIGHT_KNEE,
    RIGHT_SHOULDER,
    RIGHT_WRIST,
    pelvis,
)
from data_prep.drills.cameras import UP, facing
from data_prep.drills.raster import Part

STANDARD_TORSO = 0.52  # metres from hips to shoulders at which the radii below hold

# Points beside the 17 joints that the body is drawn between.
NECK, CHEST, BELLY, HEAD, CROWN, LEFT_HAND, RIGHT_HAND = range(17, 24)
LEFT_HEEL, LEFT_TOE, RIGHT_HEEL, RIGHT_TOE = range(24, 28)
SHIRT, TROUSERS, SKIN, SHOES, HAIR = range(5)

# Body measures rounded from the
# circumferences of Winter, Biomechanics and Motor Control of Human Movement, 2009.
LIMBS: tuple[Part, ...] = (
    (LEFT_HIP, LEFT_KNEE, 0.085, 0.058, TROUSERS),
    (RIGHT_HIP, RIGHT_KNEE, 0.085, 0.058, TROUSERS),
    (LEFT_KNEE, LEFT_ANKLE, 0.056, 0.040, TROUSERS),
    (RIGHT_KNEE, RIGHT_ANKLE, 0.056, 0.040, TROUSERS),
    (LEFT_HEEL, LEFT_TOE, 0.042, 0.035, SHOES),
    (RIGHT_HEEL, RIGHT_TOE, 0.042, 0.035, SHOES),
    (LEFT_SHOULDER, LEFT_ELBOW, 0.052, 0.040, SHIRT),
    (RIGHT_SHOULDER, RIGHT_ELBOW, 0.052, 0.040, SHIRT),
    (LEFT_ELBOW, LEFT_WRIST, 0.038, 0.028, SKIN),
    (RIGHT_ELBOW, RIGHT_WRIST, 0.038, 0.028, SKIN),
    (LEFT_WRIST, LEFT_HAND, 0.036, 0.036, SKIN),
    (RIGHT_WRIST, RIGHT_HAND, 0.036, 0.036, SKIN),
    (LEFT_HIP, RIGHT_HIP, 0.095, 0.095, TROUSERS),
    (CHEST, BELLY, 0.135, 0.115, SHIRT),
)
# Too close to the eyes to be seen by the camera on the head.
UPPER: tuple[Part, ...] = (
    (LEFT_SHOULDER, RIGHT_SHOULDER, 0.065, 0.065, SHIRT),
    (LEFT_SHOULDER, LEFT_HIP, 0.070, 0.090, SHIRT),
    (RIGHT_SHOULDER, RIGHT_HIP, 0.070, 0.090, SHIRT),
    (NECK, HEAD, 0.052, 0.052, SKIN),
    (HEAD, HEAD, 0.098, 0.098, SKIN),
    (NOSE, NOSE, 0.030, 0.030, SKIN),
    (CROWN, CROWN, 0.098, 0.098, HAIR),
)

SKIN_TONES = ((241, 205, 175), (224, 172, 133), (190, 131, 92), (141, 88, 58), (92, 58, 42))
HAIR_TONES = ((28, 22, 20), (74, 48, 30), (150, 110, 62), (128, 128, 128), (120, 58, 32))


@dataclass(frozen=True)
class Look:
    """Colours and light of one clip, the same in all of its views.

    Attributes:
        colours: [5, 3] float32 in 0..255: shirt, trousers, skin, shoes, hair.
        floor: [2, 3] the two colours of the floor; wall: [2, 3] the wall's, at floor and far up.
        tile: side of the checker's squares in metres; 0 makes a gradient.
        light: [3] unit vector towards the light, world axes.
    """

    colours: np.ndarray
    floor: np.ndarray
    wall: np.ndarray
    tile: float
    light: np.ndarray


def sample_look(seed: int) -> Look:
    """Clothes, skin, floor and light drawn from a seed."""
    rng = np.random.default_rng([seed, 0x100C])
    skin = SKIN_TONES[rng.integers(len(SKIN_TONES))]
    hair = HAIR_TONES[rng.integers(len(HAIR_TONES))]
    # Strong colours for the clothes and pale ones for the room: a small encoder that has minutes
    # to learn must be able to find the body.
    shirt, trousers, shoes = (_colour(rng, (0.5, 0.95), (0.3, 0.95)) for _ in range(3))
    floor = _colour(rng, (0.0, 0.2), (0.35, 0.85))
    wall = _colour(rng, (0.0, 0.2), (0.4, 0.95))
    contrast = rng.uniform(0.7, 0.92)
    tile = float(rng.uniform(0.35, 0.8)) if rng.random() < 0.6 else 0.0
    direction = rng.normal(size=3) * [1.0, 1.0, 0.3] + [0.0, 0.0, 1.4]
    return Look(
        np.array([shirt, trousers, skin, shoes, hair], np.float32),
        np.array([floor, floor * contrast], np.float32),
        np.array([wall * 0.85, wall], np.float32),
        tile,
        direction / np.linalg.norm(direction),
    )


def body_points(joints: np.ndarray) -> np.ndarray:
    """The joints and the points that COCO lacks (head, hands, feet), [N, 17, 3] -> [N, 28, 3]."""
    hips = pelvis(joints)
    shoulders = (joints[:, LEFT_SHOULDER] + joints[:, RIGHT_SHOULDER]) / 2
    ears = (joints[:, LEFT_EAR] + joints[:, RIGHT_EAR]) / 2
    spine = shoulders - hips
    away = ears - joints[:, NOSE]
    above = ears - shoulders
    ahead = facing(joints)
    head = ears - 0.25 * away + 0.15 * above
    extra = [shoulders, hips + 0.80 * spine, hips + 0.30 * spine, head]
    extra.append(head + 0.20 * above + 0.30 * away)
    for elbow, wrist in ((LEFT_ELBOW, LEFT_WRIST), (RIGHT_ELBOW, RIGHT_WRIST)):
        extra.append(joints[:, wrist] + 0.32 * (joints[:, wrist] - joints[:, elbow]))
    for ankle in (LEFT_ANKLE, RIGHT_ANKLE):
        heel = joints[:, ankle] - 0.038 * UP - 0.02 * ahead
        toe = joints[:, ankle] + 0.15 * ahead
        # The toe stays on the floor while the heel rises, and hangs below a lifted ankle.
        toe[:, 2] = np.maximum(joints[:, ankle, 2] - 0.13, 0.035)
        extra += [heel, toe]
    return np.concatenate([joints, np.stack(extra, axis=1)], axis=1)


def body_scale(joints: np.ndarray) -> float:
    """How large a body [F, 17, 3] is against the one that the radii are for."""
    shoulders = (joints[:, LEFT_SHOULDER] + joints[:, RIGHT_SHOULDER]) / 2
    torso = np.linalg.norm(shoulders - pelvis(joints), axis=-1).mean()
    return float(np.clip(torso / STANDARD_TORSO, 0.5, 1.6))


def _colour(
    rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]
) -> np.ndarray:
    """A colour of any hue, RGB in 0..255."""
    hue, amount, light = rng.random(), rng.uniform(*saturation), rng.uniform(*value)
    return np.array(colorsys.hsv_to_rgb(hue, amount, light)) * 255
