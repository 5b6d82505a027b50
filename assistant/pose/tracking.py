"""From raw detections of a film to one person's clean motion: one track, sides, outliers, gaps,
smoothing.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.signal import savgol_filter

from assistant.pose.read import fill_gaps
from assistant.skeleton import (
    LEFT_ANKLE,
    LEFT_ELBOW,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_SHOULDER,
    LEFT_WRIST,
    RIGHT_ANKLE,
    RIGHT_ELBOW,
    RIGHT_HIP,
    RIGHT_KNEE,
    RIGHT_SHOULDER,
    RIGHT_WRIST,
    pelvis,
)

# A person moves less than this many body heights from frame to frame (a sprint: 0.15 at 30 fps).
_JUMP: Final = 0.35
_JUMP_PER_MISSED_FRAME: Final = 0.1
_SCALE_JUMP: Final = 1.7
# Limb pairs that an estimator confuses together, each with its own decision per frame.
_PAIRS: Final = {
    "arms": (
        (LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST),
        (RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST),
    ),
    "legs": ((LEFT_HIP, LEFT_KNEE, LEFT_ANKLE), (RIGHT_HIP, RIGHT_KNEE, RIGHT_ANKLE)),
}
# Metres a frame of trust in the estimator's own left and right.
_SWAP_PRIOR: Final = 0.02
# A joint this far from the median of its neighbouring frames, and far beyond their spread, is out.
_OUTLIER_METRES: Final = 0.06
_OUTLIER_SPREADS: Final = 3 * 1.4826
_OUTLIER_SECONDS: Final = 0.3
_SMOOTH_SECONDS: Final = 0.25
_SMOOTH_DEGREE: Final = 2


@dataclass(frozen=True)
class Detections:
    """What an estimator says about each of F frames; rows without a person hold zeros.

    Attributes:
        found: [F] bool.
        world: [F, 17, 3] metres around the hips, z up.
        image: [F, 17, 2] pixels of the film as shown.
        visibility: [F, 17] in 0..1.
    """

    found: np.ndarray
    world: np.ndarray
    image: np.ndarray
    visibility: np.ndarray


def main_track(detections: Detections) -> np.ndarray:
    """Frames that show the person who is found most often, [F] bool.

    A jump in place or size between found frames ends a track; a later stretch that fits the end of
    an earlier track continues it.
    """
    found = np.flatnonzero(detections.found)
    centre = pelvis(detections.image)  # [F, 2]
    size = np.ptp(detections.image[..., 1], axis=1) + 1e-6  # [F]
    tracks: list[list[int]] = []
    for frame in found.tolist():
        for track in sorted(tracks, key=lambda track: -track[-1]):
            last = track[-1]
            reach = _JUMP + _JUMP_PER_MISSED_FRAME * (frame - last - 1)
            step = np.linalg.norm(centre[frame] - centre[last]) / max(size[frame], size[last])
            ratio = max(size[frame], size[last]) / min(size[frame], size[last])
            if step < min(reach, 1.0) and ratio < _SCALE_JUMP:
                track.append(frame)
                break
        else:
            tracks.append([frame])
    mask = np.zeros(len(detections.found), dtype=bool)
    if tracks:
        mask[max(tracks, key=len)] = True
    return mask


def unswap_sides(
    world: np.ndarray, *others: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray], dict[str, int]]:
    """Undo frames in which the estimator took left for right, for arms and legs separately.

    The path of fewest metres through the two ways to read each frame (Viterbi), with a small price
    for contradicting the estimator.

    Args:
        world: [F, 17, 3] metres of consecutive found frames.
        others: arrays [F, 17, ...] that go along (pixels, visibility).

    Returns:
        The corrected world joints, the corrected others, and the number of swapped frames of
        each limb pair.
    """
    world, rest = world.copy(), [other.copy() for other in others]
    counts = {}
    for name, (left, right) in _PAIRS.items():
        swapped = _swapped_frames(world[:, list(left)], world[:, list(right)])
        counts[name] = int(swapped.sum())
        rows = np.flatnonzero(swapped)[:, None]
        for array in (world, *rest):
            array[rows, left], array[rows, right] = array[rows, right], array[rows, left]
    return world, rest, counts


def _swapped_frames(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Frames to read mirrored, [F] bool, of limb joints [F, J, 3] each."""
    sides = np.stack([np.stack([left, right]), np.stack([right, left])])  # [state, side, F, J, 3]
    # [from, to, F-1]: mean metres that the joints move between frames
    steps = np.linalg.norm(sides[None, :, :, 1:] - sides[:, None, :, :-1], axis=-1).mean((2, 4))
    count = len(left)
    price = np.array([0.0, _SWAP_PRIOR])
    cost = price.copy()
    back = np.zeros((count, 2), dtype=int)
    for frame in range(1, count):
        total = cost[:, None] + steps[:, :, frame - 1]
        back[frame] = total.argmin(axis=0)
        cost = total.min(axis=0) + price
    states = np.zeros(count, dtype=int)
    states[-1:] = int(cost.argmin())
    for frame in range(count - 1, 0, -1):
        states[frame - 1] = back[frame, states[frame]]
    return states.astype(bool)


def outliers(joints: np.ndarray, fps: float) -> np.ndarray:
    """Joints that leave their path for a moment (Hampel's rule over 0.3 s), [F, J] bool.

    Args:
        joints: [F, J, 3] metres without gaps.
        fps: frames per second.
    """
    half = max(round(_OUTLIER_SECONDS * fps) // 2, 1)
    padded = np.pad(joints, ((half, half), (0, 0), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)
    median = np.median(windows, axis=-1)  # [F, J, 3]
    spread = np.median(np.linalg.norm(windows - median[..., None], axis=2), axis=-1)  # [F, J]
    limit = np.maximum(_OUTLIER_SPREADS * spread, _OUTLIER_METRES)
    return np.linalg.norm(joints - median, axis=-1) > limit


def smooth(joints: np.ndarray, fps: float) -> np.ndarray:
    """Savitzky-Golay filter over 0.25 s, degree 2, along the frames of [F, J, D]."""
    window = max(round(_SMOOTH_SECONDS * fps) | 1, _SMOOTH_DEGREE + 1 | 1)
    if len(joints) < window or window <= _SMOOTH_DEGREE:
        return joints
    return savgol_filter(joints, window, _SMOOTH_DEGREE, axis=0)


def clean(detections: Detections, fps: float) -> tuple[Detections, dict[str, int]]:
    """One person's motion without gaps: `found` marks the frames that were seen.

    Frames without the person and joints that leave their path for a moment get visibility 0 and
    interpolated positions.

    Returns:
        The cleaned detections and the number of un-swapped frames of arms and legs.
    """
    seen = main_track(detections)
    world, (image, visibility), swaps = unswap_sides(
        detections.world[seen], detections.image[seen], detections.visibility[seen]
    )
    whole = Detections(
        found=seen,
        world=np.zeros_like(detections.world),
        image=np.zeros_like(detections.image),
        visibility=np.zeros_like(detections.visibility),
    )
    whole.world[seen], whole.image[seen], whole.visibility[seen] = world, image, visibility
    mark = np.repeat(seen[:, None], whole.visibility.shape[1], axis=1).astype(float)
    mark[outliers(fill_gaps(whole.world, mark), fps)] = 0.0
    body = smooth(fill_gaps(whole.world, mark), fps)
    return (
        Detections(
            found=seen,
            world=body - pelvis(body)[:, None],
            image=smooth(fill_gaps(whole.image, mark), fps),
            visibility=whole.visibility * mark,
        ),
        swaps,
    )
