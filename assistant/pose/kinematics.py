"""What is measured on a body: named quantities over a span, each with its error bar.

They fill only evidence and measurements, never the verdict. Instants (the bottom of a squat, the
release of a throw) are found on the joints themselves. Errors are by Monte Carlo: the clip is
measured again under smooth random joint errors of its source's size (`pose_error`), and the
standard deviation of the results is the error.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.feedback import Measurement
from assistant.pose import angles
from assistant.pose.bones import (
    bone_length_drift_mm,
    bone_lengths,
    joint_limit_violations,
    restore_bone_lengths,
)
from assistant.pose.normalise import NormalisedPose, normalise
from assistant.pose.pose_error import draw_errors, joint_error_mm
from assistant.skeleton import (
    LEFT_ANKLE,
    LEFT_EAR,
    LEFT_ELBOW,
    LEFT_EYE,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_SHOULDER,
    LEFT_WRIST,
    NOSE,
    RIGHT_ANKLE,
    RIGHT_EAR,
    RIGHT_ELBOW,
    RIGHT_EYE,
    RIGHT_HIP,
    RIGHT_KNEE,
    RIGHT_SHOULDER,
    RIGHT_WRIST,
    pelvis,
)

__all__ = [
    "QUANTITIES",
    "Motion",
    "Quantity",
    "bone_length_drift_mm",
    "bone_lengths",
    "joint_limit_violations",
    "measure",
    "restore_bone_lengths",
]

SQUAT: Final = "bodyweight_squat"
FREE_THROW: Final = "basketball_free_throw"
DRAWS: Final = 24
_MIN_CONFIDENCE: Final = 0.2

_LEGS: Final = (LEFT_HIP, RIGHT_HIP, LEFT_KNEE, RIGHT_KNEE, LEFT_ANKLE, RIGHT_ANKLE)
_TRUNK: Final = (LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP)
_ARMS: Final = (LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ELBOW, RIGHT_ELBOW, LEFT_WRIST, RIGHT_WRIST)
_HEAD: Final = (NOSE, LEFT_EAR, RIGHT_EAR)


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


Result = tuple[np.ndarray, np.ndarray | None]  # values [S], frames [S] they were taken at


@dataclass(frozen=True)
class Quantity:
    """One thing that can be measured.

    Attributes:
        name, unit, region: identifiers; `region` is the body region a remark about it names.
        meaning: one line for reports.
        function: Motion -> values [S] and the frames they were taken at (None: the whole span).
        joints: which joints must be seen.
        activities: where it has a meaning; empty for any motion.
        world: it needs a real path over the ground.
    """

    name: str
    unit: str
    region: str
    meaning: str
    function: Callable[[Motion], Result]
    joints: tuple[int, ...]
    activities: tuple[str, ...] = ()
    world: bool = False


def measure(
    pose: PoseSequence | NormalisedPose,
    activity: str | None = None,
    span: tuple[float, float] | None = None,
    *,
    draws: int = DRAWS,
    quantities: tuple[str, ...] | None = None,
) -> list[Measurement]:
    """Measure a clip.

    Args:
        pose: the whole clip; what lies outside `span` gives the standing reference.
        activity: adds this drill's quantities to the general ones; an unknown name or None adds
            none.
        span: seconds (start, end) to measure; default all.
        draws: Monte Carlo draws of the error bar (fixed seed).
        quantities: only these names, of any activity.

    Returns:
        One record a quantity, in the registry's order. A quantity whose joints are mostly
        missing in the span, or that needs a world which the pose has not, is left out.

    Raises:
        PoiseError: an unknown name in `quantities`; a span without frames.
    """
    clip = pose if isinstance(pose, NormalisedPose) else normalise(pose)
    chosen = _chosen(activity, quantities)
    motion = motion_of(clip, span, draws)
    seen = clip.confidence[motion.window] > 0
    records = []
    for quantity in chosen:
        if quantity.world and clip.root_path is None:
            continue
        if seen[:, list(quantity.joints)].mean(axis=0).min() < _MIN_CONFIDENCE:
            continue
        values, frames = quantity.function(motion)
        records.append(
            Measurement(
                quantity=quantity.name,
                value=float(values[0]),
                unit=quantity.unit,
                error=float(np.sqrt(np.mean((values[1:] - values[0]) ** 2)))
                if len(values) > 1
                else 0.0,
                time=None if frames is None else float(frames[0] / clip.fps),
            )
        )
    return records


def _chosen(activity: str | None, names: tuple[str, ...] | None) -> list[Quantity]:
    if names is None:
        return [q for q in QUANTITIES.values() if not q.activities or activity in q.activities]
    unknown = sorted(set(names) - set(QUANTITIES))
    if unknown:
        raise PoiseError("unknown quantity", got=", ".join(unknown), expected=", ".join(QUANTITIES))
    return [QUANTITIES[name] for name in names]


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
        errors = draw_errors(clip.source, len(clip), clip.fps, draws, np.random.default_rng(0))
        noisy = joints + errors
        shift = pelvis(noisy)
        noisy = noisy - shift[:, :, None]
        ankles = errors[..., [LEFT_ANKLE, RIGHT_ANKLE], 2]
        moved = heights + np.concatenate([shift[..., 2:], ankles], axis=-1)
        joints = np.concatenate([joints, noisy])
        heights = np.concatenate([heights, moved])
    wrists = joints[0][:, [LEFT_WRIST, RIGHT_WRIST], 2]
    return Motion(joints, heights, window, clip.fps, int(wrists.max(axis=0).argmax()))


# Instants


def bottom_frame(motion: Motion) -> np.ndarray:
    """Frame [S] of the deepest mean knee flexion in the window: the bottom of a squat."""
    return motion.inside(_mean_knee_flexion(motion), -np.inf).argmax(axis=1)


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
    extending = _rate(_smooth(elbow, motion.fps)) > 0
    speed = _rate(_smooth(wrist, motion.fps))
    # Penalties in metres a frame, larger than any speed: prefer both, then being above.
    speed = speed - np.where(above, 0.0, 20.0) - np.where(extending, 0.0, 10.0)
    fastest = motion.inside(speed, -np.inf).argmax(axis=1)
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


def _smooth(track: np.ndarray, fps: float) -> np.ndarray:
    """Moving mean over about 0.1 s of [S, F]."""
    reach = max(round(0.05 * fps), 1)
    padded = np.pad(track, ((0, 0), (reach, reach)), mode="edge")
    width = 2 * reach + 1
    return np.lib.stride_tricks.sliding_window_view(padded, width, axis=1).mean(axis=-1)


def _rate(track: np.ndarray) -> np.ndarray:
    """Change a frame of [S, F]; 0 for one frame."""
    return np.gradient(track, axis=1) if track.shape[1] > 1 else np.zeros_like(track)


def _mean_knee_flexion(motion: Motion) -> np.ndarray:
    return (angles.knee_flexion(motion.joints, 0) + angles.knee_flexion(motion.joints, 1)) / 2


# Quantities: Motion -> values [S], frames [S]


def _at(track: np.ndarray, frames: np.ndarray) -> Result:
    return np.take_along_axis(track, frames[:, None], axis=1)[:, 0], frames


def _peak(motion: Motion, track: np.ndarray, window: np.ndarray | None = None) -> Result:
    return _at(track, motion.inside(track, -np.inf, window).argmax(axis=1))


def _knee_flexion_max(motion: Motion) -> Result:
    return _peak(motion, _mean_knee_flexion(motion))


def _hip_depth(motion: Motion) -> Result:
    height = motion.heights[..., 0]
    standing = np.quantile(height, 0.9, axis=1)
    values, frames = _at(height, bottom_frame(motion))
    return values / np.maximum(standing, 1e-3), frames


def _trunk_lean_max(motion: Motion) -> Result:
    return _peak(motion, angles.trunk_lean(motion.joints))


def _knee_inside_ankle(motion: Motion) -> Result:
    y = motion.joints[..., 1]
    left = y[..., LEFT_ANKLE] - y[..., LEFT_KNEE]
    right = y[..., RIGHT_KNEE] - y[..., RIGHT_ANKLE]
    return _at((left + right) / 2 * 100, bottom_frame(motion))


def _knee_separation(motion: Motion) -> Result:
    y = motion.joints[..., 1]
    ankles = np.maximum(np.abs(y[..., LEFT_ANKLE] - y[..., RIGHT_ANKLE]), 0.02)
    return _at((y[..., LEFT_KNEE] - y[..., RIGHT_KNEE]) / ankles, bottom_frame(motion))


def _ankle_rise(motion: Motion) -> Result:
    ankles = motion.heights[..., 1:]
    standing = np.quantile(ankles, 0.1, axis=1, keepdims=True)
    return _peak(motion, (ankles - standing).mean(axis=-1) * 100)


def _head_pitch_bottom(motion: Motion) -> Result:
    return _at(angles.head_pitch(motion.joints), bottom_frame(motion))


def _head_pitch_mean(motion: Motion) -> Result:
    return angles.head_pitch(motion.joints)[:, motion.window].mean(axis=1), None


def _dip_knee_flexion(motion: Motion) -> Result:
    first = np.zeros(len(motion.joints), dtype=int)
    return _peak(motion, _mean_knee_flexion(motion), motion.between(first, release_frame(motion)))


def _elbow_flare(motion: Motion) -> Result:
    return _at(angles.elbow_flare(motion.joints, motion.throw_side), set_point_frame(motion))


def _elbow_extension(motion: Motion) -> Result:
    release = release_frame(motion)
    window = motion.between(release, release + round(0.2 * motion.fps))
    return _peak(motion, angles.elbow_angle(motion.joints, motion.throw_side), window)


def _follow_through(motion: Motion) -> Result:
    release = release_frame(motion)
    eyes = motion.joints[:, :, [LEFT_EYE, RIGHT_EYE], 2].mean(axis=-1)
    below = motion.joints[:, :, LEFT_WRIST + motion.throw_side, 2] <= eyes
    frame = np.arange(below.shape[1])
    # The hand may pass the eyes a moment after the release: it has 0.15 s to do so.
    late = release + round(0.15 * motion.fps)
    raised = ~below & (frame >= release[:, None]) & (frame <= late[:, None])
    first = np.where(raised.any(axis=1), raised.argmax(axis=1), release)
    ended = below & (frame > first[:, None])
    end = np.where(ended.any(axis=1), ended.argmax(axis=1), below.shape[1])
    return (end - release) / motion.fps, release


def _release_lean(motion: Motion) -> Result:
    release = release_frame(motion)
    window = motion.between(release, release + round(0.6 * motion.fps))
    return _peak(motion, np.abs(angles.side_lean(motion.joints)), window)


def _stance(motion: Motion) -> np.ndarray:
    """Ankle distance over the ground [S, F], metres."""
    gap = motion.joints[..., LEFT_ANKLE, :2] - motion.joints[..., RIGHT_ANKLE, :2]
    return np.linalg.norm(gap, axis=-1)


def _shot_frames(motion: Motion) -> np.ndarray:
    release = release_frame(motion)
    return motion.between(release - round(0.8 * motion.fps), release)


def _masked_median(motion: Motion, track: np.ndarray, window: np.ndarray) -> np.ndarray:
    return np.nanmedian(motion.inside(track, np.nan, window), axis=1)


def _shot_stance_width(motion: Motion) -> Result:
    y = motion.joints[..., 1]
    gap = (y[..., LEFT_ANKLE] - y[..., RIGHT_ANKLE]) * 100
    return _masked_median(motion, gap, _shot_frames(motion)), None


def _shot_stagger(motion: Motion) -> Result:
    x = motion.joints[..., 0]
    ahead = x[..., LEFT_ANKLE] - x[..., RIGHT_ANKLE]
    ahead = ahead if motion.throw_side == 0 else -ahead
    return _masked_median(motion, ahead * 100, _shot_frames(motion)), None


def _stance_ratio(motion: Motion) -> Result:
    width = motion.joints[..., LEFT_SHOULDER, :] - motion.joints[..., RIGHT_SHOULDER, :]
    shoulders = np.median(np.linalg.norm(width, axis=-1), axis=1)
    stance = np.median(_stance(motion)[:, motion.window], axis=1)
    return stance / np.maximum(shoulders, 0.05), None


QUANTITIES: Final[dict[str, Quantity]] = {
    quantity.name: quantity
    for quantity in (
        Quantity(
            "knee_flexion_max",
            "deg",
            "legs",
            "peak knee flexion, both knees averaged; 0 is a straight leg",
            _knee_flexion_max,
            _LEGS,
        ),
        Quantity(
            "trunk_lean_max",
            "deg",
            "torso",
            "peak forward lean of the trunk from the vertical",
            _trunk_lean_max,
            _TRUNK,
        ),
        Quantity(
            "stance_width_ratio",
            "shoulder widths",
            "feet",
            "median distance between the ankles in shoulder widths",
            _stance_ratio,
            (*_TRUNK, LEFT_ANKLE, RIGHT_ANKLE),
        ),
        Quantity(
            "head_pitch_mean",
            "deg",
            "head",
            "mean downward tilt of the line from ears to nose",
            _head_pitch_mean,
            _HEAD,
        ),
        Quantity(
            "hip_depth",
            "of standing height",
            "legs",
            "pelvis height at the bottom over its standing height",
            _hip_depth,
            _LEGS,
            (SQUAT,),
        ),
        Quantity(
            "knee_inside_ankle",
            "cm",
            "legs",
            "how far the knees lie inside the ankles at the bottom, both averaged",
            _knee_inside_ankle,
            _LEGS,
            (SQUAT,),
        ),
        Quantity(
            "knee_separation_ratio",
            "ankle separations",
            "legs",
            "distance between the knees over that between the ankles, at the bottom",
            _knee_separation,
            _LEGS,
            (SQUAT,),
        ),
        Quantity(
            "ankle_rise",
            "cm",
            "feet",
            "peak rise of the ankles over their standing height",
            _ankle_rise,
            (LEFT_ANKLE, RIGHT_ANKLE),
            (SQUAT,),
            world=True,
        ),
        Quantity(
            "head_pitch_bottom",
            "deg",
            "head",
            "downward tilt of the line from ears to nose at the bottom",
            _head_pitch_bottom,
            (*_HEAD, *_LEGS),
            (SQUAT,),
        ),
        Quantity(
            "knee_flexion_dip",
            "deg",
            "legs",
            "peak knee flexion before the release",
            _dip_knee_flexion,
            (*_LEGS, *_ARMS),
            (FREE_THROW,),
        ),
        Quantity(
            "elbow_flare",
            "deg",
            "arms",
            "throwing upper arm out of the sagittal plane at the set point",
            _elbow_flare,
            _ARMS,
            (FREE_THROW,),
        ),
        Quantity(
            "elbow_extension_release",
            "deg",
            "arms",
            "largest elbow angle within 0.2 s of the release; 180 is straight",
            _elbow_extension,
            _ARMS,
            (FREE_THROW,),
        ),
        Quantity(
            "follow_through_time",
            "s",
            "hands",
            "how long the throwing wrist stays above the eyes after the release",
            _follow_through,
            (*_ARMS, LEFT_EYE, RIGHT_EYE),
            (FREE_THROW,),
        ),
        Quantity(
            "side_lean_release",
            "deg",
            "torso",
            "largest sideways lean of the trunk in the 0.6 s after the release",
            _release_lean,
            (*_TRUNK, *_ARMS),
            (FREE_THROW,),
        ),
        Quantity(
            "stance_width",
            "cm",
            "feet",
            "sideways distance between the ankles before the release",
            _shot_stance_width,
            (LEFT_ANKLE, RIGHT_ANKLE, *_ARMS),
            (FREE_THROW,),
        ),
        Quantity(
            "stance_stagger",
            "cm",
            "feet",
            "how far the foot of the throwing side stands ahead before the release",
            _shot_stagger,
            (LEFT_ANKLE, RIGHT_ANKLE, *_ARMS),
            (FREE_THROW,),
        ),
    )
}
