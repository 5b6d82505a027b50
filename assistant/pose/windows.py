"""PA-MPJPE of learner windows over all window positions of expert motions, in one call.

`window_errors(learners, experts)` is what pairing searches with (ExpertAF section 3.2): hundreds of
learners against hundreds of experts, no Python per pair. `poise bench align` measures it.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from assistant.errors import PoiseError

MIN_SHARED_JOINTS = 9
"""A frame counts when both bodies show at least this many joints: a similarity brings any two
points, and nearly any three, together, so that bodies with few joints would fit everything."""

MIN_SHARED_FRAMES = 0.5
"""A window counts when at least this share of its frames does."""


def window_errors(
    learners: np.ndarray,
    experts: Sequence[np.ndarray],
    *,
    learner_confidence: np.ndarray | None = None,
    expert_confidence: Sequence[np.ndarray] | None = None,
    min_joints: int = MIN_SHARED_JOINTS,
    threads: int | None = None,
) -> np.ndarray:
    """Mean per-frame PA-MPJPE (scale included, proper rotations) at every window position.

    The expert's frame is moved onto the learner's, joint by joint that both show (confidence above
    0); the mean is over joints, then over the frames that count. Float64 inside. The result of a
    pair does not depend on what else is in the call.

    Args:
        learners: [N, W, J, 3] metres, W frames each.
        experts: E motions of [F, J, 3] metres, F of their own, at the learners' frame rate.
        learner_confidence: [N, W, J]; all joints are shown when None.
        expert_confidence: E times [F, J].
        min_joints: least joints that both show for a frame to count (at most J).
        threads: workers; None takes every core this process may use.

    Returns:
        [N, E, P] millimetres, P the most window positions F - W + 1 of any expert; infinite past
        an expert's last position, and where fewer than half of the frames count.

    Raises:
        PoiseError: shapes that do not fit, values that are not finite.
    """
    from assistant.pose.window_kernel import slide

    learners = np.asarray(learners)
    if learners.ndim != 4 or learners.shape[-1] != 3 or not learners.size:
        raise PoiseError(
            "learners that cannot be aligned",
            got=f"shape {learners.shape}",
            expected="[learners, frames, joints, 3]",
        )
    n, window, joints, _ = learners.shape
    mine = _shown(learners, learner_confidence, joints).ravel()
    counts = np.array([max(len(e) - window + 1, 0) for e in experts], dtype=np.int64)
    shape = (n, len(experts), int(counts.max(initial=0)))
    errors = np.full((shape[0] * shape[1], shape[2]), np.inf)
    if not errors.size:
        return errors.reshape(shape)
    buffer, starts, strides = _packed(experts, expert_confidence, counts, window, joints)
    rules = np.array([min(min_joints, joints), MIN_SHARED_FRAMES * window])

    def work(first: int, last: int) -> None:
        slide(buffer, starts, strides, counts, mine, window, joints, rules, first, last, errors)

    _in_parallel(work, len(errors), threads)
    return 1000 * errors.reshape(shape)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_parallel(work: Callable[[int, int], None], count: int, threads: int | None) -> None:
    """Call work(first, last) over [0, count) in threads; it lets go of the interpreter's lock."""
    threads = min(cores() if threads is None else threads, count)
    if threads <= 1:
        work(0, count)
        return
    edges = np.linspace(0, count, 4 * threads + 1).astype(int)  # more parts than threads: even ends
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, edges[:-1].tolist(), edges[1:].tolist()))


def _packed(
    experts: Sequence[np.ndarray],
    confidence: Sequence[np.ndarray] | None,
    counts: np.ndarray,
    window: int,
    joints: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All experts in one flat array of [joints, 4, stride] blocks; their starts and strides.

    A stride is long enough for whole vectors of positions; what is past the motion shows no joint.
    """
    from assistant.pose.window_kernel import LANES

    strides = -(-counts // LANES) * LANES + window - 1
    sizes = strides * joints * 4
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    buffer = np.zeros(int(sizes.sum()))
    for e, motion in enumerate(experts):
        shown = _shown(motion, None if confidence is None else confidence[e], joints)
        block = buffer[starts[e] : starts[e] + sizes[e]].reshape(joints, 4, strides[e])
        if counts[e]:
            block[:, :, : len(shown)] = shown.transpose(1, 2, 0)
    return buffer, starts, strides


def _shown(joints: np.ndarray, confidence: np.ndarray | None, count: int) -> np.ndarray:
    """[..., J, 3] -> [..., J, 4] float64: centred on the joints that are shown, and 1 where shown.

    Joints that are not shown become zero, whatever stood there.
    """
    joints = np.asarray(joints, dtype=np.float64)
    seen = np.ones(joints.shape[:-1]) if confidence is None else np.asarray(confidence) > 0
    if joints.shape[-2:] != (count, 3) or seen.shape != joints.shape[:-1]:
        raise PoiseError(
            "bodies that cannot be aligned",
            got=f"joints {joints.shape}, confidence {seen.shape}",
            expected=f"[..., {count}, 3] and [..., {count}]",
        )
    seen = seen[..., None].astype(np.float64)
    if not np.isfinite(joints).all():
        raise PoiseError("bodies that cannot be aligned", got="NaN or infinite joints")
    total = np.maximum(seen.sum(axis=-2, keepdims=True), 1.0)
    centre = (joints * seen).sum(axis=-2, keepdims=True) / total
    return np.concatenate([(joints - centre) * seen, seen], axis=-1)
