"""The closed loop: what the heads that judged a clip say once its correction is put in.

The level score is that of CORAL, the sum of its three cumulative probabilities, 0 to 3. Beside the
correction stand motions that went the same way into the same window: what the way alone does (the
learner's own frames through the tokenizer), what any correction does (another learner's), and what
a perfect one would do (the fault-free twin).
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from assistant.coach_result import CoachResult
from assistant.perceive import reassess
from assistant.perception import Perception
from assistant.pose.bones import bone_lengths, restore_bone_lengths
from assistant.pose.normalise import normalise
from assistant.tasks.window import cut_window
from eval import levels as lv
from eval.corrections import through_codec
from eval.poses import overlaps
from eval.statistics import bootstrap, paired_bootstrap
from eval.testset import TestClip

MOTIONS: Final = ("correction", "own_frames", "other_correction", "twin")


def score_rises(
    perception: Perception,
    clips: Sequence[TestClip],
    results: Sequence[CoachResult],
    seed: int,
) -> list[dict[str, float] | None]:
    """By how much the level score rises with each of MOTIONS in the window of each clip.

    Args:
        clips, results: in the same order.
        seed: of whose correction each learner gets beside its own: another clip's of the activity.

    Returns:
        None for a clip that is not judged or shows no injected fault in its window.
    """
    rows = [i for i, (c, r) in enumerate(zip(clips, results, strict=True)) if _faulty(c, r)]
    order = lv.derangement([_activity(results[i]) for i in rows], np.random.default_rng(seed))
    found: list[dict[str, float] | None] = [None] * len(clips)
    for i, other in zip(rows, order, strict=True):
        found[i] = _rises(perception, clips[i], results[i], results[rows[int(other)]])
    return found


def summarise_rises(
    rises: Sequence[dict[str, float] | None], performers: Sequence[str], seed: int
) -> dict[str, Any]:
    """`closed_loop_*` keys: mean rise, share of clips that rise, intervals, tests against floors.

    Performers are drawn for the intervals. Without a clip the dict says n = 0 and nothing else.
    """
    rows = [i for i, rise in enumerate(rises) if rise is not None]
    found: dict[str, Any] = {"closed_loop_n": len(rows)}
    if not rows:
        return found
    who = [performers[i] for i in rows]
    values = {m: np.array([(rises[i] or {})[m] for i in rows]) for m in MOTIONS}
    for motion, rise in values.items():
        mean = bootstrap(rise, who, seed=seed)
        share = bootstrap((rise > 0).astype(float), who, seed=seed)
        found[f"closed_loop_{motion}_rise"] = mean.value
        found[f"closed_loop_{motion}_rise_interval"] = [mean.low, mean.high]
        found[f"closed_loop_{motion}_risen"] = share.value
        found[f"closed_loop_{motion}_risen_interval"] = [share.low, share.high]
    found["closed_loop_tests"] = {
        f"correction - {motion}": vars(
            paired_bootstrap(values["correction"], values[motion], who, seed=seed)
        )
        for motion in MOTIONS[1:]
    }
    return found


def _activity(result: CoachResult) -> str:
    activity = result.feedback.activity
    assert activity is not None  # of a judged clip
    return str(activity["name"])


def _faulty(clip: TestClip, result: CoachResult) -> bool:
    frames = result.frames
    return frames is not None and overlaps(frames.start, frames.end, clip.fault_spans)


def _rises(
    perception: Perception, clip: TestClip, result: CoachResult, other: CoachResult
) -> dict[str, float]:
    window, proficiency = result.frames, result.feedback.proficiency
    corrected, foreign = result.corrected, other.corrected
    assert window is not None and proficiency is not None
    assert corrected is not None and foreign is not None
    pose = normalise(clip.pose)
    own = bone_lengths(pose.joints)
    motions = {
        "correction": corrected,
        "own_frames": restore_bone_lengths(through_codec(perception, window.joints), own),
        "other_correction": restore_bone_lengths(foreign, own),
        "twin": cut_window(normalise(clip.twin), window.start).joints,
    }
    start, end = result.feedback.clip["span"]
    before = sum(proficiency["coral"])
    return {
        name: float(
            reassess(
                perception, pose, window, frames, activity=_activity(result), span=(start, end)
            ).q.sum()
            - before
        )
        for name, frames in motions.items()
    }
