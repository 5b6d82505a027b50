"""A small software renderer: drills as seen by their cameras, in NumPy.

The body (`figure.py`) is drawn by capsules (`raster.py`) over a floor, checker or gradient, and a
wall: 64 x 64 pictures come at several hundred frames a second on one core.
"""

from collections.abc import Sequence

import numpy as np

from assistant.clip import PoseSequence
from assistant.skeleton import LEFT_ANKLE, RIGHT_ANKLE
from data_prep.drills.cameras import STANDARD, Camera, CameraStyle, grounded, place_cameras
from data_prep.drills.figure import LIMBS, UPPER, Look, body_points, body_scale, sample_look
from data_prep.drills.raster import draw_capsules


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
    points, scale = body_points(joints), body_scale(pose.joints)
    return {view: _render(points, joints, scale, cameras[view], look) for view in views}


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
        body, coverage = draw_capsules(seen[window], parts, scale, camera, look.colours, light)
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
