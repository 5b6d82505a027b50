"""Left and right in several views: which observation of a pair of joints belongs to which side.

Also the cheapest path through states over time, which the choice of views shares.
"""

from collections.abc import Sequence
from itertools import combinations, product
from typing import Final

import numpy as np

from assistant.pose.camera import Camera
from assistant.pose.views_geometry import agreement_limits, dlt
from assistant.skeleton import (
    JOINTS,
    LEFT_ANKLE,
    LEFT_ELBOW,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_SHOULDER,
    LEFT_WRIST,
)

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
NO_CANDIDATE: Final = 1e6


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
        price = np.where(lone, NO_CANDIDATE, _SWAP_PRICE)
        costs[pairs] = mean + price.T @ readings.T
        places[pairs] = np.concatenate([part[1] for part in parts], axis=2)  # [F, S, joints, 3]
    paths = {pairs: cheapest_path(costs[pairs], places[pairs], fps) for pairs in _DECISIONS}
    frames = np.arange(pixels.shape[1])
    for parent, child in _LIMBS:
        inner = places[parent][frames, paths[parent]]
        lengths = np.linalg.norm(places[child] - inner[:, None], axis=-1)  # [F, S, 2]
        usual = np.median(lengths[frames, paths[child]])
        off = np.minimum(np.abs(lengths - usual) / (_BONE_SHARE * usual), 1.0).mean(axis=-1)
        paths[child] = cheapest_path(costs[child] + _BONE_PRICE * off, places[child], fps)
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
    return np.where(weights > 0, np.minimum((gap / agreement_limits([camera])[0]) ** 2, 1.0), 0.0)


def cheapest_path(cost: np.ndarray, places: np.ndarray, fps: float) -> np.ndarray:
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
