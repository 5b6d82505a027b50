"""3D joints from pixels in several calibrated views, robust against bad views and swapped sides.

Per joint and frame: a candidate from every pair of views (weighted DLT, Hartley and Zisserman 2004,
section 12.2) is judged by its truncated squared reprojection errors over all views, the best is
refined by Gauss-Newton on the views that agree with it. Before that, which of a left and right
joint is which is decided for every view together (`unswap_views`). Arrays only; films come in by
`multiview`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Final

import numpy as np

from assistant.pose.camera import Camera
from assistant.skeleton import (
    JOINTS,
    LEFT_ANKLE,
    LEFT_ELBOW,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_SHOULDER,
    LEFT_WRIST,
    N_JOINTS,
)

# An observation farther than this from the joint's projection is dropped: a share of the picture's
# longer side (29 pixels of 1920), about three times the spread of MediaPipe's landmarks.
AGREE_SHARE: Final = 0.015
SIDE_PAIRS: Final = tuple((j, j + 1) for j, name in enumerate(JOINTS) if name.startswith("left_"))
# Pairs that are decided together: a face is found whole, and its points lie too close to each other
# to tell their sides one by one.
_DECISIONS: Final = (SIDE_PAIRS[:2], *((pair,) for pair in SIDE_PAIRS[2:]))
# Pairs and those that hang on them, inner ones first.
_LIMBS: Final = tuple(
    (((inner, inner + 1),), ((outer, outer + 1),))
    for inner, outer in (
        (LEFT_SHOULDER, LEFT_ELBOW),
        (LEFT_ELBOW, LEFT_WRIST),
        (LEFT_HIP, LEFT_KNEE),
        (LEFT_KNEE, LEFT_ANKLE),
    )
)
# Prices, in dropped observations: of reading one view against its labels, and of a joint that moves
# at this speed or faster (a joint at a quarter of it pays a quarter).
_SWAP_PRICE: Final = 0.4
_JUMP_PRICE: Final = 2.0
_JUMP_METRES_PER_SECOND: Final = 3.0
_BONE_PRICE: Final = 2.0
_BONE_SHARE: Final = 0.3  # of its length: a bone this far from its usual length pays the price
_NO_CANDIDATE: Final = 1e6
_ROUNDS: Final = 8
_REFINE_STEPS: Final = 2
_DAMPING: Final = 1e-9


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
    error = _errors(joints, pixels, cameras)
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


def unswap_views(
    pixels: np.ndarray,
    rays: np.ndarray,
    weights: np.ndarray,
    cameras: Sequence[Camera],
    fps: float,
) -> np.ndarray:
    """Observations [V, F, 17] bool to be read as the other side's, for each pair by itself.

    For each frame and each of the 2^V ways to read the views, the truncated reprojection errors of
    both joints are its cost, with a price for every view read against its own labels. The path of
    least cost through the frames (Viterbi) also pays for metres that the joints jump, which
    settles ties (as many views one way as the other). Along the limbs, a reading also pays for
    bones that are not as long as usual: two or three views often fit both ways.
    """
    readings = np.array(list(product((0, 1), repeat=len(cameras))))  # [S, V]
    costs, places = {}, {}
    for pairs in _DECISIONS:
        parts = [
            _reading_costs(pixels[:, :, p], rays[:, :, p], weights[:, :, p], cameras, readings)
            for p in pairs
        ]
        mean = np.mean([part[0] for part in parts], axis=0)  # [F, S]
        # [V, F]: where only one of a pair was observed, there is nothing to exchange
        lone = (weights[:, :, np.array(pairs).ravel()] <= 0).any(axis=-1)
        price = np.where(lone, _NO_CANDIDATE, _SWAP_PRICE)
        costs[pairs] = mean + price.T @ readings.T
        places[pairs] = np.concatenate([part[1] for part in parts], axis=2)  # [F, S, joints, 3]
    paths = {pairs: _cheapest_path(costs[pairs], places[pairs], fps) for pairs in _DECISIONS}
    frames = np.arange(pixels.shape[1])
    for parent, child in _LIMBS:
        inner = places[parent][frames, paths[parent]]
        lengths = np.linalg.norm(places[child] - inner[:, None], axis=-1)  # [F, S, 2]
        usual = np.median(lengths[frames, paths[child]])
        off = np.minimum(np.abs(lengths - usual) / (_BONE_SHARE * usual), 1.0).mean(axis=-1)
        paths[child] = _cheapest_path(costs[child] + _BONE_PRICE * off, places[child], fps)
    swapped = np.zeros(weights.shape, dtype=bool)
    for pairs, path in paths.items():
        for pair in pairs:
            swapped[:, :, pair] = readings[path].T.astype(bool)[..., None]
    return swapped


def _reading_costs(
    pixels: np.ndarray,
    rays: np.ndarray,
    weights: np.ndarray,
    cameras: Sequence[Camera],
    readings: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Cost [F, S] of each reading of one pair (arrays [V, F, 2, ...]) and its joints [F, S, 2, 3].

    A candidate joint rests on two views and on which of the two points it takes in each.
    """
    count, frames = pixels.shape[:2]
    sides = list(product((0, 1), repeat=2))
    pairs = list(combinations(range(count), 2))
    # loss[pair, side a, side b][v, side]: truncated error of taking that point in view v
    cost = np.full((frames, len(readings), 2), np.inf)
    places = np.zeros((frames, len(readings), 2, 3))
    poses = np.stack([camera.pose for camera in cameras])
    for a, b in pairs:
        for side_a, side_b in sides:
            two = np.stack([rays[a, :, side_a], rays[b, :, side_b]], axis=1)  # [F, 2, 2]
            point = dlt(two, np.ones((frames, 2)), poses[[a, b]])
            usable = (weights[a, :, side_a] > 0) & (weights[b, :, side_b] > 0)
            loss = np.stack(
                [
                    _loss(point[:, None], pixels[v], weights[v], camera)
                    for v, camera in enumerate(cameras)
                ]
            )  # [V, F, 2]
            for joint in (0, 1):
                for s, reading in enumerate(readings):
                    taken = (reading + joint) % 2
                    if taken[a] != side_a or taken[b] != side_b:
                        continue
                    total = loss[np.arange(count), :, taken].sum(axis=0)  # [F]
                    better = usable & (total < cost[:, s, joint])
                    cost[better, s, joint] = total[better]
                    places[better, s, joint] = point[better]
    return np.where(np.isinf(cost), float(count), cost).sum(axis=-1), places


def _loss(
    points: np.ndarray, pixels: np.ndarray, weights: np.ndarray, camera: Camera
) -> np.ndarray:
    """Squared error over the squared limit, at most 1; 0 for what was not observed."""
    gap = np.linalg.norm(camera.project(points) - pixels, axis=-1)
    return np.where(weights > 0, np.minimum((gap / _limit(camera)) ** 2, 1.0), 0.0)


def _limit(camera: Camera) -> float:
    return AGREE_SHARE * max(camera.size)


def _cheapest_path(cost: np.ndarray, places: np.ndarray, fps: float) -> np.ndarray:
    """States [F] of least total cost [F, S]; joints [F, S, J, 3] that jump have their price."""
    frames, states = cost.shape
    total = cost[0].copy()
    back = np.zeros((frames, states), dtype=int)
    for frame in range(1, frames):
        step = np.linalg.norm(places[frame, None] - places[frame - 1][:, None], axis=-1).mean(-1)
        price = _JUMP_PRICE * np.minimum(step * fps / _JUMP_METRES_PER_SECOND, 1.0)
        whole = total[:, None] + price
        back[frame] = whole.argmin(axis=0)
        total = whole.min(axis=0) + cost[frame]
    path = np.zeros(frames, dtype=int)
    path[-1] = int(total.argmin())
    for frame in range(frames - 1, 0, -1):
        path[frame - 1] = back[frame, path[frame]]
    return path


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
        off = _errors(joints, pixels, cameras) / limits
        trust = weights / (1 + off**2) ** 2 * np.clip(2 - off, 0.0, 1.0)
        enough = (trust > 0).sum(axis=0) >= 2
        moved = refine(joints, rays, trust, cameras)
        joints = np.where(enough[..., None], moved, joints)
    return joints, (weights > 0) & (_errors(joints, pixels, cameras) < limits)


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
        loss = np.minimum((_errors(point, pixels, cameras) / limits) ** 2, 1.0)
        usable = (trust > 0).sum(axis=-1) >= 2
        costs.append(np.where(usable, (weights * loss).sum(axis=0), _NO_CANDIDATE))
        places.append(np.where(usable[..., None], point, 0.0))
    cost, place = np.stack(costs, axis=1), np.stack(places, axis=1)  # [F, S, J], [F, S, J, 3]
    frames = np.arange(len(cost))
    joints = np.zeros((*weights.shape[1:], 3))
    for j in range(weights.shape[2]):
        path = _cheapest_path(cost[:, :, j], place[:, :, j, None], fps)
        joints[:, j] = place[frames, path, j]
    return joints


def reproject(joints: np.ndarray, cameras: Sequence[Camera]) -> np.ndarray:
    """Pixels [V, ..., 2] of world points [..., 3]."""
    return np.stack([camera.project(joints) for camera in cameras])


def agreement_limits(cameras: Sequence[Camera]) -> np.ndarray:
    """Pixels [V] within which an observation agrees with a joint."""
    return np.array([AGREE_SHARE * max(camera.size) for camera in cameras])


def _errors(joints: np.ndarray, pixels: np.ndarray, cameras: Sequence[Camera]) -> np.ndarray:
    """Pixels [V, ...] between projected joints and observations."""
    return np.linalg.norm(reproject(joints, cameras) - pixels, axis=-1)
