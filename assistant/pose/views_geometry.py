"""Points from rays and back over several cameras: DLT, Gauss-Newton and reprojection."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from assistant.pose.camera import Camera

# An observation farther than this from the joint's projection is dropped: a share of the picture's
# longer side (29 pixels of 1920), about three times the spread of MediaPipe's landmarks.
AGREE_SHARE: Final = 0.015
_REFINE_STEPS: Final = 2
_DAMPING: Final = 1e-9


def dlt(rays: np.ndarray, weights: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """World points [..., 3] nearest, in the algebraic sense, to rays [..., V, 2].

    Args:
        rays: undistorted picture coordinates x/z, y/z.
        weights: [..., V], at least two of them above 0.
        poses: [V, 3, 4] rotation beside translation.
    """
    rows = rays[..., :, None] * poses[:, None, 2] - poses[:, :2]  # [..., V, 2, 4]
    rows = (rows * weights[..., None, None]).reshape(*rows.shape[:-3], -1, 4)
    _, vectors = np.linalg.eigh(np.swapaxes(rows, -1, -2) @ rows)
    best = vectors[..., 0]
    far = np.abs(best[..., 3:]) < 1e-9  # parallel rays meet at infinity
    return best[..., :3] / np.where(far, 1e-9, best[..., 3:])


def refine(
    points: np.ndarray, rays: np.ndarray, weights: np.ndarray, cameras: Sequence[Camera]
) -> np.ndarray:
    """Gauss-Newton on the weighted squared reprojection errors, in undistorted pixels.

    Args:
        points: [..., 3] start.
        rays: [V, ..., 2].
        weights: [V, ...]; views of weight 0 do not count.
    """
    for _ in range(_REFINE_STEPS):
        normal = np.zeros((*points.shape[:-1], 3, 3))
        right = np.zeros((*points.shape, 1))
        for camera, ray, weight in zip(cameras, rays, weights, strict=True):
            inside = points @ camera.rotation.T + camera.translation
            depth = np.maximum(inside[..., 2:], 0.05)
            flat = inside[..., :2] / depth
            slope = camera.rotation[:2] - flat[..., None] * camera.rotation[2]  # [..., 2, 3]
            slope = camera.focal * slope / depth[..., None]
            gap = camera.focal * (ray - flat)
            normal += weight[..., None, None] * np.swapaxes(slope, -1, -2) @ slope
            right += weight[..., None, None] * np.swapaxes(slope, -1, -2) @ gap[..., None]
        trace = np.trace(normal, axis1=-2, axis2=-1)[..., None, None] + 1e-12
        step = np.linalg.solve(normal + _DAMPING * trace * np.eye(3), right)[..., 0]
        points = points + step
    return points


def reproject(joints: np.ndarray, cameras: Sequence[Camera]) -> np.ndarray:
    """Pixels [V, ..., 2] of world points [..., 3]."""
    return np.stack([camera.project(joints) for camera in cameras])


def agreement_limits(cameras: Sequence[Camera]) -> np.ndarray:
    """Pixels [V] within which an observation agrees with a joint."""
    return np.array([AGREE_SHARE * max(camera.size) for camera in cameras])


def errors_px(joints: np.ndarray, pixels: np.ndarray, cameras: Sequence[Camera]) -> np.ndarray:
    """Pixels [V, ...] between projected joints and observations."""
    return np.linalg.norm(reproject(joints, cameras) - pixels, axis=-1)
