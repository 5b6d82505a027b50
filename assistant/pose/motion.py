"""One clip as it is measured: versions under drawn joint errors, and its instants.

The bottom of a squat, the set point and the release of a throw are found on the joints alone.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from assistant.errors import PoiseError
from assistant.pose import angles
from assistant.pose.normalise import NormalisedPose
from assistant.pose.pose_error import disturbed, joint_error_mm
from assistant.skeleton import (
    LEFT_ANKLE,
    LEFT_SHOULDER,
    LEFT_WRIST,
    RIGHT_ANKLE,
    RIGHT_WRIST,
    pelvis,
)

DRAWS: Final = 24


@dataclass(frozen=True)
class Motion:
    """S versions of one clip: the first as given, the others under drawn joint errors.

    Attributes:
        joints: [S, F, 17, 3] normalised (facing +x, left at +y, root-centred), metres.
        heights: [S, F, 3] pelvis, left ankle, right ankle over a standing ankle.
        window: [F] bool, the frames that are measured; the rest serve as reference.
        fps: frames per second.
        throw_side: 0 left, 1 right: whose wrist goes highest in the clip.
    """

    joints: np.ndarray
    heights: np.ndarray
    window: np.ndarray
    fps: float
    throw_side: int

    def inside(
        self, track: np.ndarray, fill: float, window: np.ndarray | None = None
    ) -> np.ndarray:
        """`track` [S, F] with `fill` outside the window (or outside another [S, F] or [F])."""
        return np.where(self.window if window is None else window, track, fill)

    def between(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Frames [S, F] of the window from `first` [S] to `last` [S], both included."""
        frame = np.arange(len(self.window))
        span = (frame >= first[:, None]) & (frame <= last[:, None]) & self.window
        # A span that the window cut away shrinks to the window's frame nearest to it.
        inside = np.flatnonzero(self.window)
        nearest = inside[np.abs(inside - first[:, None]).argmin(axis=1)]
        return np.where(span.any(axis=1, keepdims=True), span, frame == nearest[:, None])


def motion_of(
    clip: NormalisedPose, span: tuple[float, float] | None = None, draws: int = DRAWS
) -> Motion:
    """The clip and its drawn versions; no draws where the source has no error."""
    window = np.ones(len(clip), dtype=bool)
    if span is not None:
        times = np.arange(len(clip)) / clip.fps
        window = (times >= span[0] - 1e-6) & (times < span[1])
        if not window.any():
            raise PoiseError(
                "no frame to measure",
                got=f"span {span[0]:.2f} to {span[1]:.2f} s",
                expected=f"a part of 0 to {clip.duration:.2f} s",
            )
    joints = clip.joints[None].astype(np.float64)
    heights = clip.heights[None].astype(np.float64)
    if draws > 0 and joint_error_mm(clip.source).any():
        noisy = disturbed(clip.source, joints[0], clip.fps, draws)
        ankles = (noisy - joints)[..., [LEFT_ANKLE, RIGHT_ANKLE], 2]
        shift = pelvis(noisy)
        noisy = noisy - shift[:, :, None]
        moved = heights + np.concatenate([shift[..., 2:], ankles], axis=-1)
        joints = np.concatenate([joints, noisy])
        heights = np.concatenate([heights, moved])
    wrists = joints[0][:, [LEFT_WRIST, RIGHT_WRIST], 2]
    return Motion(joints, heights, window, clip.fps, int(wrists.max(axis=0).argmax()))


# Instants


def bottom_frame(motion: Motion) -> np.ndarray:
    """Frame [S] of the deepest mean knee flexion in the window: the bottom of a squat."""
    return motion.inside(mean_knee_flexion(motion), -np.inf).argmax(axis=1)


def release_frame(motion: Motion) -> np.ndarray:
    """Frame [S] at which a thrown ball leaves the hand.

    From the fastest rise of the throwing wrist (against the pelvis) above the shoulder while the
    elbow extends, on to the first frame, within 0.3 s, where the elbow has done 90 % of the rest
    of its extension. On real free throws this is 0 to 3 frames before the ball is 35 cm away.
    """
    side = motion.throw_side
    wrist = motion.joints[:, :, LEFT_WRIST + side, 2]
    above = wrist > motion.joints[:, :, LEFT_SHOULDER + side, 2]
    elbow = angles.elbow_angle(motion.joints, side)
    extending = _rate(smooth(elbow, motion.fps)) > 0
    rise = _rate(smooth(wrist, motion.fps))
    # Penalties in metres a frame, larger than any speed: prefer both, then being above.
    rise = rise - np.where(above, 0.0, 20.0) - np.where(extending, 0.0, 10.0)
    fastest = motion.inside(rise, -np.inf).argmax(axis=1)
    stop = fastest + round(0.3 * motion.fps)
    span = motion.between(fastest, stop)
    begin = np.take_along_axis(elbow, fastest[:, None], axis=1)
    most = motion.inside(elbow, -np.inf, span).max(axis=1, keepdims=True)
    done = span & (elbow >= begin + 0.9 * (most - begin))
    return done.argmax(axis=1)


def set_point_frame(motion: Motion) -> np.ndarray:
    """Frame [S] of the throwing elbow's deepest flexion in the 0.7 s before the release with
    the wrist above the shoulder."""
    side = motion.throw_side
    release = release_frame(motion)
    span = motion.between(release - round(0.7 * motion.fps), release)
    wrist = motion.joints[:, :, LEFT_WRIST + side, 2]
    raised = span & (wrist > motion.joints[:, :, LEFT_SHOULDER + side, 2])
    span = np.where(raised.any(axis=1, keepdims=True), raised, span)
    return motion.inside(angles.elbow_angle(motion.joints, side), np.inf, span).argmin(axis=1)


def hands(motion: Motion) -> np.ndarray:
    """[S, F, 3] the point between the wrists."""
    return motion.joints[:, :, [LEFT_WRIST, RIGHT_WRIST]].mean(axis=2)


def speed(points: np.ndarray) -> np.ndarray:
    """[S, F, 3] to metres a frame [S, F]; 0 for one frame."""
    if points.shape[1] < 2:
        return np.zeros(points.shape[:2])
    return np.linalg.norm(np.gradient(points, axis=1), axis=-1)


def smooth(track: np.ndarray, fps: float) -> np.ndarray:
    """Moving mean over about 0.1 s of [S, F]."""
    reach = max(round(0.05 * fps), 1)
    padded = np.pad(track, ((0, 0), (reach, reach)), mode="edge")
    width = 2 * reach + 1
    return np.lib.stride_tricks.sliding_window_view(padded, width, axis=1).mean(axis=-1)


def _rate(track: np.ndarray) -> np.ndarray:
    """Change a frame of [S, F]; 0 for one frame."""
    return np.gradient(track, axis=1) if track.shape[1] > 1 else np.zeros_like(track)


def mean_knee_flexion(motion: Motion) -> np.ndarray:
    return (angles.knee_flexion(motion.joints, 0) + angles.knee_flexion(motion.joints, 1)) / 2
