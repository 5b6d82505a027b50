"""Shaded capsules on small pictures, all of them in one flat list of pixels (NumPy).

Only the pixels of a capsule's rows are touched; the nearest surface wins by a depth buffer; the
picture is drawn larger and averaged, so that edges move smoothly.
"""

from collections.abc import Sequence

import numpy as np

from data_prep.drills.cameras import Camera

NEAR = 0.06  # metres; nothing closer to a camera is drawn
OVERSAMPLING = 2
AMBIENT = 0.45

# (from, to, radius at from, radius at to, colour): points and colours by number, metres.
Part = tuple[int, int, float, float, int]


def draw_capsules(
    seen: np.ndarray,
    parts: Sequence[Part],
    scale: float,
    camera: Camera,
    colours: np.ndarray,
    light: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Shaded capsules of n frames: colour times coverage [n, S, S, 3] and coverage [n, S, S].

    Args:
        seen: [n, K, 3] points in camera coordinates.
        parts: capsules between them.
        scale: factor on all radii.
        camera: for its size and intrinsics.
        colours: [C, 3] RGB in 0..255.
        light: [n, 3] unit vector to the light, camera axes.
    """
    side = camera.size * OVERSAMPLING
    capsules, owner = _project_capsules(seen, parts, scale, camera)
    frames, kind = owner // len(parts), owner % len(parts)
    pixel, which, depth, normal = rasterise(capsules, side)
    pixel = pixel + frames[which] * (side * side)
    nearest = np.full(len(seen) * side * side, np.inf, np.float32)
    np.minimum.at(nearest, pixel, depth)
    visible = np.flatnonzero(depth == nearest[pixel])
    pixel, which = pixel[visible], which[visible]
    lit = (normal[:, visible] * light.astype(np.float32)[frames[which]].T).sum(axis=0)
    shade = AMBIENT + (1 - AMBIENT) * np.maximum(lit, 0) + 0.08 * -normal[2, visible]
    painted = colours[[part[4] for part in parts]]
    canvas = np.zeros((len(nearest), 4), np.float32)
    canvas[pixel, :3] = painted[kind[which]] * shade[:, None]
    canvas[pixel, 3] = 1
    shape = (len(seen), camera.size, OVERSAMPLING, camera.size, OVERSAMPLING, 4)
    small = canvas.reshape(shape).mean(axis=(2, 4))
    return small[..., :3], small[..., 3]


def _project_capsules(
    seen: np.ndarray,
    parts: Sequence[Part],
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


def rasterise(
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
    """Distance test, depth and normals at candidate pixels (see `rasterise` for the result)."""
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
