"""A small software rasteriser: drills as seen by their cameras, in NumPy.

The body is a set of tapered capsules between joints, shaded by one light, over a floor (checker or
gradient) and a wall. Only the pixels of each capsule's bounding box are touched, and all capsules
of several frames are worked off in one flat list, so 64 x 64 pictures come at several hundred
frames a second on one core.
"""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assistant.clip import PoseSequence
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
from data_prep.drills.cameras import (
    STANDARD,
    UP,
    Camera,
    CameraStyle,
    facing,
    grounded,
    place_cameras,
)

NEAR = 0.06  # metres; nothing closer to a camera is drawn
OVERSAMPLING = 2  # capsules are drawn at this multiple and averaged, so that edges move smoothly
AMBIENT = 0.45
STANDARD_TORSO = 0.52  # metres from hips to shoulders at which the radii below hold

# Points beside the 17 joints that the body is drawn between.
NECK, CHEST, BELLY, HEAD, CROWN, LEFT_HAND, RIGHT_HAND = range(17, 24)
LEFT_HEEL, LEFT_TOE, RIGHT_HEEL, RIGHT_TOE = range(24, 28)
SHIRT, TROUSERS, SKIN, SHOES, HAIR = range(5)

# (from, to, radius at from, radius at to, colour): metres. Body measures rounded from the
# circumferences of Winter, Biomechanics and Motor Control of Human Movement, 2009.
LIMBS = (
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
UPPER = (
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


def render_views(
    pose: PoseSequence,
    views: Sequence[str],
    times: np.ndarray,
    *,
    size: int = 64,
    seed: int = 0,
    style: CameraStyle = STANDARD,
    cameras: dict[str, Camera] | None = None,
) -> dict[str, np.ndarray]:
    """Pictures of a performance, {view: uint8 [N, size, size, 3]}, RGB.

    Args:
        pose: the performance; one without a root path is stood on the floor.
        views: any of `prompts.vocabulary.VIEWS`.
        times: [N] seconds from the clip's start, clamped to it.
        size: side of the pictures in pixels.
        seed: decides cameras, clothes, floor and light; the same seed renders the same bytes.
        style: the ranges of the cameras.
        cameras: given cameras instead of seeded ones (to film a twin from the same place).
    """
    times = np.asarray(times, dtype=np.float64)
    pose = grounded(pose)
    if cameras is None:
        cameras = place_cameras(pose, views, times, size=size, seed=seed, style=style)
    look = sample_look(seed)
    joints = pose.at_times(times, pose.fps).joints.astype(np.float64)
    points, scale = body_points(joints), _body_scale(pose.joints)
    return {view: _render(points, joints, scale, cameras[view], look) for view in views}


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


def _colour(
    rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]
) -> np.ndarray:
    """A colour of any hue, RGB in 0..255."""
    hue, amount, light = rng.random(), rng.uniform(*saturation), rng.uniform(*value)
    return np.array(colorsys.hsv_to_rgb(hue, amount, light)) * 255


def _body_scale(joints: np.ndarray) -> float:
    shoulders = (joints[:, LEFT_SHOULDER] + joints[:, RIGHT_SHOULDER]) / 2
    torso = np.linalg.norm(shoulders - pelvis(joints), axis=-1).mean()
    return float(np.clip(torso / STANDARD_TORSO, 0.5, 1.6))


def _render(
    points: np.ndarray, joints: np.ndarray, scale: float, camera: Camera, look: Look
) -> np.ndarray:
    """All frames of one view, [N, 28, 3] -> uint8 [N, S, S, 3]."""
    parts = LIMBS if camera.moves else LIMBS + UPPER
    seen = camera.to_camera(points)
    feet = joints[:, [LEFT_ANKLE, RIGHT_ANKLE]]
    out = np.empty((len(points), camera.size, camera.size, 3), np.uint8)
    # A few frames at a time keep the flat pixel lists in the cache.
    step = max(1, 8 * 64 * 64 // camera.size**2)
    fixed = None if camera.moves else _background(camera, look, slice(0, 1))
    for start in range(0, len(points), step):
        window = slice(start, min(start + step, len(points)))
        colour, floor = fixed if fixed is not None else _background(camera, look, window)
        colour = colour * _shadow(floor, feet[window], scale)[..., None]
        light = camera.rotation[window] @ look.light
        body, coverage = _draw(seen[window], parts, scale, camera, look, light)
        colour *= 1 - coverage[..., None]
        colour += body
        np.clip(colour, 0, 255, out=colour)
        out[window] = colour
    return out


def _background(camera: Camera, look: Look, window: slice) -> tuple[np.ndarray, np.ndarray]:
    """Floor and wall, [n, S, S, 3] in 0..255, and the floor's coordinates [n, S, S, 2] (metres)."""
    rotation = camera.rotation[window].astype(np.float32)
    pixel = np.arange(camera.size, dtype=np.float32) + 0.5
    focal, centre = camera.intrinsics[0, 0], camera.intrinsics[0, 2]
    slope = ((pixel - centre) / focal).astype(np.float32)
    # World direction of each pixel: R^T (x, y, 1), split in its row and column parts.
    across, down, ahead = (rotation[:, None, None, i] for i in range(3))
    ray = slope[:, None] * across + (slope[:, None, None] * down + ahead)
    eye = -np.einsum("nij,ni->nj", camera.rotation[window], camera.translation[window])
    eye = eye.astype(np.float32)[:, None, None]
    falls = ray[..., 2] < -1e-3
    reach = eye[..., 2] / np.where(falls, -ray[..., 2], np.float32(1e9))
    floor = eye[..., :2] + reach[..., None] * ray[..., :2]
    far = np.clip(reach / 12, 0, 1)
    if look.tile > 0:
        cell = np.floor(floor / np.float32(look.tile))
        odd = (cell[..., 0] + cell[..., 1]) % 2
        # Squares blur into their mean far away, where they are smaller than a pixel.
        odd = 0.5 + (odd - 0.5) * (1 - far)
    else:
        odd = far
    ground = look.floor[0] + odd[..., None] * (look.floor[1] - look.floor[0])
    height = np.clip(ray[..., 2] * 1.5, 0, 1)
    wall = look.wall[0] + height[..., None] * (look.wall[1] - look.wall[0])
    return np.where(falls[..., None], ground, wall), np.where(falls[..., None], floor, 1e3)


def _shadow(floor: np.ndarray, feet: np.ndarray, scale: float) -> np.ndarray:
    """Darkening of the floor under the feet [n, S, S], 1 is none; it fades as the feet lift."""
    dark = np.ones((len(feet), *floor.shape[1:3]), np.float32)
    for foot in (feet[:, 0], feet[:, 1]):
        offset = (floor - foot[:, None, None, :2].astype(np.float32)) / np.float32(0.22 * scale)
        strength = 0.4 * np.exp(-3.0 * np.maximum(foot[:, 2] - 0.1, 0)).astype(np.float32)
        distance = np.einsum("nhwc,nhwc->nhw", offset, offset)
        dark *= 1 - strength[:, None, None] / (1 + distance * distance)
    return dark


def _draw(
    seen: np.ndarray,
    parts: Sequence[tuple[int, int, float, float, int]],
    scale: float,
    camera: Camera,
    look: Look,
    light: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Shaded capsules of n frames: colour times coverage [n, S, S, 3] and coverage [n, S, S].

    Args:
        seen: [n, 28, 3] points in camera coordinates.
        light: [n, 3] unit vector to the light, camera axes.
    """
    side = camera.size * OVERSAMPLING
    capsules, owner = _project_capsules(seen, parts, scale, camera)
    frames, kind = owner // len(parts), owner % len(parts)
    pixel, which, depth, normal = _rasterise(capsules, side)
    pixel = pixel + frames[which] * (side * side)
    nearest = np.full(len(seen) * side * side, np.inf, np.float32)
    np.minimum.at(nearest, pixel, depth)
    visible = np.flatnonzero(depth == nearest[pixel])
    pixel, which = pixel[visible], which[visible]
    lit = (normal[:, visible] * light.astype(np.float32)[frames[which]].T).sum(axis=0)
    shade = AMBIENT + (1 - AMBIENT) * np.maximum(lit, 0) + 0.08 * -normal[2, visible]
    colours = look.colours[[part[4] for part in parts]]
    canvas = np.zeros((len(nearest), 4), np.float32)
    canvas[pixel, :3] = colours[kind[which]] * shade[:, None]
    canvas[pixel, 3] = 1
    shape = (len(seen), camera.size, OVERSAMPLING, camera.size, OVERSAMPLING, 4)
    small = canvas.reshape(shape).mean(axis=(2, 4))
    return small[..., :3], small[..., 3]


def _project_capsules(
    seen: np.ndarray,
    parts: Sequence[tuple[int, int, float, float, int]],
    scale: float,
    camera: Camera,
) -> tuple[np.ndarray, np.ndarray]:
    """Capsules on the oversampled picture, [K, 9] float32 (ax, ay, bx, by, radii in pixels at a
    and b, depths at a and b, radius in metres), and the index frame * parts + part of each."""
    table = np.array([part[:4] for part in parts])
    start, end = seen[:, table[:, 0].astype(int)], seen[:, table[:, 1].astype(int)]
    radius = table[:, 2:4] * scale
    start, end = start.reshape(-1, 3), end.reshape(-1, 3)
    ra, rb = (np.tile(radius[:, i], len(seen)) for i in (0, 1))
    owner = np.flatnonzero((start[:, 2] > NEAR) | (end[:, 2] > NEAR))
    start, end, ra, rb = start[owner], end[owner], ra[owner], rb[owner]
    start, end = _clip_near(start, end), _clip_near(end, start)
    focal = camera.intrinsics[0, 0] * OVERSAMPLING
    centre = camera.intrinsics[0, 2] * OVERSAMPLING
    columns = [centre + focal * point[:, i] / point[:, 2] for point in (start, end) for i in (0, 1)]
    widest = 1.5 * camera.size * OVERSAMPLING
    columns += [np.minimum(focal * r / p[:, 2], widest) for r, p in ((ra, start), (rb, end))]
    columns += [start[:, 2], end[:, 2], (ra + rb) / 2]
    return np.stack(columns, axis=1).astype(np.float32), owner


def _clip_near(point: np.ndarray, other: np.ndarray) -> np.ndarray:
    """`point` moved along the segment to `other` until it is in front of the near plane."""
    behind = point[:, 2] < NEAR
    span = np.where(behind, other[:, 2] - point[:, 2], 1.0)
    share = np.where(behind, (NEAR - point[:, 2]) / np.where(span == 0, 1.0, span), 0.0)
    moved = point + share[:, None] * (other - point)
    moved[:, 2] = np.maximum(moved[:, 2], NEAR)
    return moved


def _rasterise(
    capsules: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The covered pixels of capsules [K, 9] on a picture of `side` pixels.

    Returns pixel [P] (row * side + column), capsule index [P], depth [P] and camera-axes normals
    [3, P] of the surface there.
    """
    ax, ay, bx, by, ra, rb, _, _, _ = capsules.T
    low_x = np.clip(np.floor(np.minimum(ax - ra, bx - rb)), 0, side).astype(np.int64)
    high_x = np.clip(np.ceil(np.maximum(ax + ra, bx + rb)), 0, side).astype(np.int64)
    low_y = np.clip(np.floor(np.minimum(ay - ra, by - rb)), 0, side).astype(np.int64)
    high_y = np.clip(np.ceil(np.maximum(ay + ra, by + rb)), 0, side).astype(np.int64)
    width, height = np.maximum(high_x - low_x, 0), np.maximum(high_y - low_y, 0)
    # First the rows of every box, and in each row the columns that the capsule can reach.
    row_of = np.repeat(np.arange(len(capsules)), np.where(width > 0, height, 0))
    row = _count_within(np.where(width > 0, height, 0)) + low_y[row_of]
    first, last = _row_reach(capsules[row_of], row, low_x[row_of], high_x[row_of])
    count = np.maximum(last - first, 0)
    which_row = np.repeat(np.arange(len(row)), count)
    column = _count_within(count) + first[which_row]
    which, line = row_of[which_row], row[which_row]
    return _shade(capsules, which, column, line, side)


def _count_within(counts: np.ndarray) -> np.ndarray:
    """0..c-1 for every count c, one after the other."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) - np.repeat(ends - counts, counts)


def _row_reach(
    capsules: np.ndarray, row: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Columns [first, last) of a row that a capsule can cover: a strip of its larger radius around
    its axis, cut by its box."""
    ax, ay, bx, by, ra, rb = capsules.T[:6]
    dx, dy = bx - ax, by - ay
    length = np.sqrt(dx * dx + dy * dy)
    radius = np.maximum(ra, rb) + 1
    steep = np.abs(dy) > 0.05 * length + 1e-3
    slope = np.where(steep, dx / np.where(steep, dy, 1), 0)
    middle = ax + (row + np.float32(0.5) - ay) * slope
    half = np.where(steep, radius * length / np.where(steep, np.abs(dy), 1), np.float32(1e6))
    first = np.maximum(low, np.floor(np.maximum(middle - half, -1)).astype(np.int64))
    last = np.minimum(high, np.ceil(np.minimum(middle + half, 1e6)).astype(np.int64) + 1)
    return first, last


def _shade(
    capsules: np.ndarray, which: np.ndarray, column: np.ndarray, line: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Distance test, depth and normals at candidate pixels (see `_rasterise` for the result)."""
    ax, ay, bx, by, ra, rb, za, zb, radius = capsules.T
    dx, dy = bx - ax, by - ay
    inverse = 1 / np.maximum(dx * dx + dy * dy, np.float32(1e-6))
    px = column.astype(np.float32) + np.float32(0.5) - ax[which]
    py = line.astype(np.float32) + np.float32(0.5) - ay[which]
    vx, vy = dx[which], dy[which]
    along = np.clip((px * vx + py * vy) * inverse[which], 0, 1)
    ex, ey = px - along * vx, py - along * vy
    wide = ra[which] + along * (rb - ra)[which]
    inside = np.flatnonzero(ex * ex + ey * ey < wide * wide)
    which, along, wide = which[inside], along[inside], wide[inside]
    nx, ny = ex[inside] / wide, ey[inside] / wide
    nz = -np.sqrt(np.maximum(1 - nx * nx - ny * ny, 0))
    depth = za[which] + along * (zb - za)[which] + radius[which] * nz
    pixel = line[inside] * side + column[inside]
    return pixel, which, depth, np.stack([nx, ny, nz])
