"""3D joints from pixels in several calibrated views, robust against bad views and swapped sides.

Per joint and frame: a candidate from every pair of views (weighted DLT, Hartley and Zisserman 2004,
section 12.2) is judged by its truncated squared reprojection errors over all views, the best is
refined by Gauss-Newton on the views that agree with it. Before that, which of a left and right
joint is which is decided for every view together (`unswap_views`). Arrays only; films come in by
`multiview`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from assistant.pose.camera import Camera
from assistant.pose.sides import NO_CANDIDATE, SIDE_PAIRS, cheapest_path, unswap_views
from assistant.pose.views_geometry import agreement_limits, dlt, errors_px, refine
from assistant.skeleton import N_JOINTS

_ROUNDS: Final = 8


@dataclass(frozen=True)
class Triangulation:
    """Joints and what became of every observation.

    Attributes:
        joints: [F, 17, 3] metres in the world; zeros where `views` is below 2.
        views: [F, 17] number of views that agree on the joint; 0 where fewer than two do.
        pixels: [V, F, 17, 2] the observations, swapped sides put back.
        error: [V, F, 17] pixels between observation and projection; 0 where nothing was observed
            or the joint has no position.
        kept: [V, F, 17] observations that the joint rests on.
        observed: [V, F, 17] observations that there were.
        swapped: [V, F, 17] observations that were read as the other side's.
    """

    joints: np.ndarray
    views: np.ndarray
    pixels: np.ndarray
    error: np.ndarray
    kept: np.ndarray
    observed: np.ndarray
    swapped: np.ndarray


def triangulate(
    pixels: np.ndarray, weights: np.ndarray, cameras: Sequence[Camera], fps: float
) -> Triangulation:
    """Joints from the pixels of synchronised views.

    Args:
        pixels: [V, F, 17, 2]; values at weight 0 are not read.
        weights: [V, F, 17] trust in each observation, 0 where there is none.
        cameras: one a view, fitted to the films' resolution.
        fps: frames per second.
    """
    observed = weights > 0
    pixels = np.where(observed[..., None], pixels, 0.0).astype(np.float64)
    rays = np.stack([c.rays(p) for c, p in zip(cameras, pixels, strict=True)])
    swapped = unswap_views(pixels, rays, weights, cameras, fps)
    partner = np.arange(N_JOINTS)
    for left, right in SIDE_PAIRS:
        partner[[left, right]] = right, left
    mixed = swapped[..., None]
    pixels = np.where(mixed, pixels[:, :, partner], pixels)
    rays = np.where(mixed, rays[:, :, partner], rays)
    weights = np.where(swapped, weights[:, :, partner], weights)
    observed = weights > 0

    joints, kept = _robust(pixels, rays, weights, cameras, fps)
    views = kept.sum(axis=0)
    error = errors_px(joints, pixels, cameras)
    seen = views >= 2
    return Triangulation(
        joints=np.where(seen[..., None], joints, 0.0),
        views=np.where(seen, views, 0),
        pixels=pixels,
        error=np.where(observed & seen, error, 0.0),
        kept=kept & seen,
        observed=observed,
        swapped=swapped & observed,
    )


def _robust(
    pixels: np.ndarray,
    rays: np.ndarray,
    weights: np.ndarray,
    cameras: Sequence[Camera],
    fps: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Joints [F, J, 3] and the observations [V, F, J] that agree with them."""
    limits = agreement_limits(cameras)[:, None, None]
    joints = _chosen_candidates(pixels, rays, weights, cameras, fps)
    for _ in range(_ROUNDS):
        # Geman and McClure, faded to nothing at twice the limit: a view does not jump in and out.
        off = errors_px(joints, pixels, cameras) / limits
        trust = weights / (1 + off**2) ** 2 * np.clip(2 - off, 0.0, 1.0)
        enough = (trust > 0).sum(axis=0) >= 2
        moved = refine(joints, rays, trust, cameras)
        joints = np.where(enough[..., None], moved, joints)
    return joints, (weights > 0) & (errors_px(joints, pixels, cameras) < limits)


def _chosen_candidates(
    pixels: np.ndarray,
    rays: np.ndarray,
    weights: np.ndarray,
    cameras: Sequence[Camera],
    fps: float,
) -> np.ndarray:
    """Joints [F, J, 3]: of the candidates from two views or all of them, the path of each joint
    that costs least in errors and jumps."""
    count = len(cameras)
    poses = np.stack([camera.pose for camera in cameras])
    limits = agreement_limits(cameras)[:, None, None]
    subsets = [*combinations(range(count), 2), *([tuple(range(count))] if count > 2 else [])]
    costs, places = [], []
    for subset in subsets:
        chosen = list(subset)
        trust = np.moveaxis(weights[chosen], 0, -1)
        point = dlt(np.moveaxis(rays[chosen], 0, -2), trust, poses[chosen])
        loss = np.minimum((errors_px(point, pixels, cameras) / limits) ** 2, 1.0)
        usable = (trust > 0).sum(axis=-1) >= 2
        costs.append(np.where(usable, (weights * loss).sum(axis=0), NO_CANDIDATE))
        places.append(np.where(usable[..., None], point, 0.0))
    cost, place = np.stack(costs, axis=1), np.stack(places, axis=1)  # [F, S, J], [F, S, J, 3]
    frames = np.arange(len(cost))
    joints = np.zeros((*weights.shape[1:], 3))
    for j in range(weights.shape[2]):
        path = cheapest_path(cost[:, :, j], place[:, :, j, None], fps)
        joints[:, j] = place[frames, path, j]
    return joints
