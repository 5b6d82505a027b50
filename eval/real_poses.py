"""Real poses without known levels: are they recognised, answered, and answered stably?

    poise eval real-poses THROWS.npz --first 20 --last 59

No level is known for real throws. What can be tested is stability: the same level and the same
first fault when the window moves by up to 6 frames or 12 mm of noise are added, printed beside the
agreement between different throws, which is what an answer that ignores its clip would also show.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from assistant.clip import PoseSequence
from assistant.coach_result import CoachInput, CoachResult
from assistant.errors import PoiseError
from assistant.pose.read import read_pose
from eval.scoring import versions

SHIFTS: Final = (-6, -3, 3, 6)
MAX_SHIFT: Final = max(map(abs, SHIFTS))
NOISE_MM: Final = 12.0
NOISE_DRAWS: Final = 3
# Estimated poses err slowly: neighbouring frames err alike over about this time.
NOISE_SECONDS: Final = 0.5


class CoachLike(Protocol):
    """What is evaluated."""

    def coach_many(
        self, clips: Sequence[CoachInput], *, seed: int = 0
    ) -> Sequence[CoachResult]: ...


@dataclass(frozen=True)
class Answer:
    """What stability compares."""

    level: str | None
    first_fault: str | None

    @classmethod
    def of(cls, record: dict[str, Any]) -> "Answer":
        """Level and focus region of a feedback record; both None where it abstains."""
        level = record["proficiency"]["level"] if record["proficiency"] else None
        return cls(level, record["focus"]["region"] if record["focus"] else None)


# The answer to a clip beside that to another version of it.
Pairs = list[tuple[Answer, Answer]]


def read_clips(source: Path, first: int, last: int) -> list[CoachInput]:
    """Clips first..last of a folder of pose files (by name), or of one npz with `poses`
    [N, F, 17, 3] in metres and `time_ms` [N, F].

    Raises:
        PoiseError: neither of both, or no clip in that range.
    """
    if source.is_dir():
        paths = sorted(source.glob("*.npz"))[first : last + 1]
        clips = [CoachInput(path.stem, read_pose(path)) for path in paths]
    elif source.is_file():
        clips = _read_collection(source, first, last)
    else:
        raise PoiseError(f"no poses at {source}", expected="a folder of pose files, or one npz")
    if not clips:
        raise PoiseError(f"no clip {first}..{last} in {source}", remedy="give --first and --last")
    return clips


def shifted(pose: PoseSequence, frames: int) -> PoseSequence:
    """The pose without MAX_SHIFT frames at either end, its window moved by `frames`."""
    begin, end = MAX_SHIFT + frames, len(pose) - MAX_SHIFT + frames
    if end - begin < 2:
        raise PoiseError(
            "a pose too short to shift", got=f"{len(pose)} frames", expected="more than 13"
        )
    return replace(pose, joints=pose.joints[begin:end], confidence=pose.confidence[begin:end])


def slow_noise(pose: PoseSequence, millimetres: float, rng: np.random.Generator) -> PoseSequence:
    """Gaussian noise smoothed over NOISE_SECONDS; the mean joint displacement is `millimetres`."""
    from scipy.ndimage import gaussian_filter1d

    white = rng.normal(size=pose.joints.shape)
    smooth = gaussian_filter1d(white, NOISE_SECONDS / 2 * pose.fps, axis=0, mode="nearest")
    smooth *= millimetres / 1000 / np.linalg.norm(smooth, axis=-1).mean()
    return replace(pose, joints=(pose.joints + smooth).astype(np.float32))


def variants(clip: CoachInput, seed: int) -> list[tuple[str, CoachInput]]:
    """The clip itself (unmoved window), its shifted windows and its noisy versions."""
    base = shifted(clip.pose, 0)
    poses = [("base", base)]
    poses += [(f"shift {k:+d}", shifted(clip.pose, k)) for k in SHIFTS]
    rng = np.random.default_rng(seed)
    poses += [
        (f"noise {draw}", slow_noise(base, NOISE_MM, rng)) for draw in range(1, NOISE_DRAWS + 1)
    ]
    return [(name, CoachInput(f"{clip.clip_id} {name}", pose)) for name, pose in poses]


def is_answered(result: CoachResult, activity: str) -> bool:
    """Recognised as `activity`, judged, with a demonstration of it and a corrected pose."""
    record = result.feedback.to_json()
    return bool(
        record["judged"]
        and record["activity"]["name"] == activity
        and record["demonstrations"]
        and result.demonstration is not None
        and result.correction is not None
    )


def agreement(pairs: Sequence[tuple[Answer, Answer]]) -> dict[str, float | None]:
    """Shares of pairs with the same level, the same first fault, and both."""
    if not pairs:
        return {"level": None, "first_fault": None, "both": None}
    level = [a.level == b.level for a, b in pairs]
    fault = [a.first_fault == b.first_fault for a, b in pairs]
    both = [x and y for x, y in zip(level, fault, strict=True)]
    return {
        "level": float(np.mean(level)),
        "first_fault": float(np.mean(fault)),
        "both": float(np.mean(both)),
    }


def evaluate(
    coach: CoachLike,
    clips: Sequence[CoachInput],
    activity: str,
    seed: int = 0,
    *,
    quick: CoachLike | None = None,
) -> dict[str, Any]:
    """Recognition over `clips`, then stability over those that are judged.

    Args:
        quick: answers the shifted and noisy versions, of which only level and focus count; by
            default `coach`.

    Returns:
        recognised, judged, answered (counts out of n), levels and first_faults (counts),
        stability {shift, noise} and between_clips (shares), n, and under `samples` one record a
        clip, whose `scores` `poise eval compare` reads.
    """
    results = coach.coach_many(list(clips), seed=seed)
    records = [result.feedback.to_json() for result in results]
    judged = [clip for clip, record in zip(clips, records, strict=True) if record["judged"]]
    pairs, between = _stability(quick or coach, judged, seed)
    stability = {
        kind: agreement([pair for row in rows for pair in row]) for kind, rows in pairs.items()
    }
    answers = [Answer.of(record) for record in records if record["judged"]]
    names = Counter((r["activity"] or {"name": "none"})["name"] for r in records)
    moved = {
        clip.clip_id: {kind: rows[i] for kind, rows in pairs.items()}
        for i, clip in enumerate(judged)
    }
    return {
        "suite": "real-poses",
        "n": len(records),
        "counts": {"asked": len(clips), "done": len(records), "judged": len(judged)},
        "activity": activity,
        "recognised": names[activity],
        "judged": len(judged),
        "answered": sum(is_answered(result, activity) for result in results),
        "activities": dict(names.most_common()),
        "abstain_reasons": dict(Counter(r["abstain_reason"] for r in records if not r["judged"])),
        "levels": dict(Counter(str(a.level) for a in answers).most_common()),
        "first_faults": dict(Counter(str(a.first_fault) for a in answers).most_common()),
        "stability": stability,
        "between_clips": between,
        "shifts_frames": list(SHIFTS),
        "noise_mm": NOISE_MM,
        "noise_draws": NOISE_DRAWS,
        "seed": seed,
        "versions": versions(),
        "provenance": records[0]["provenance"],
        "samples": [
            _sample(clip, result, activity, moved.get(clip.clip_id, {kind: [] for kind in pairs}))
            for clip, result in zip(clips, results, strict=True)
        ],
    }


def _sample(
    clip: CoachInput, result: CoachResult, activity: str, pairs: Mapping[str, Pairs]
) -> dict[str, Any]:
    """What was said of a clip, and the shares of its moved and noisy versions that say the same."""
    record = result.feedback.to_json()
    answer, said = Answer.of(record), record["activity"]
    scores: dict[str, float | None] = {
        "recognised": float(said is not None and said["name"] == activity),
        "judged": float(record["judged"]),
        "answered": float(is_answered(result, activity)),
    }
    return {
        "id": clip.clip_id,
        "activity": None if said is None else said["name"],
        "level": answer.level,
        "first_fault": answer.first_fault,
        "abstain_reason": record["abstain_reason"],
        "scores": scores | {f"same_{kind}": agreement(row)["both"] for kind, row in pairs.items()},
    }


def _stability(
    coach: CoachLike, clips: Sequence[CoachInput], seed: int
) -> tuple[dict[str, list[Pairs]], dict[str, float | None]]:
    """Answers to each clip beside those to its shifted and noisy versions, and the agreement
    between different clips."""
    pairs: dict[str, list[Pairs]] = {"shift": [], "noise": []}
    if not clips:
        return pairs, agreement([])
    named = [variants(clip, seed + i) for i, clip in enumerate(clips)]
    flat = [clip for row in named for _, clip in row]
    results = iter(coach.coach_many(flat, seed=seed))
    bases = []
    for row in named:
        answers = [Answer.of(next(results).feedback.to_json()) for _ in row]
        bases.append(answers[0])
        for kind, rows in pairs.items():
            rows.append(
                [
                    (answers[0], answer)
                    for (name, _), answer in zip(row[1:], answers[1:], strict=True)
                    if name.split()[0] == kind
                ]
            )
    different = [(a, b) for i, a in enumerate(bases) for b in bases[i + 1 :]]
    return pairs, agreement(different)


def _read_collection(source: Path, first: int, last: int) -> list[CoachInput]:
    try:
        with np.load(source, allow_pickle=False) as arrays:
            poses, times = arrays["poses"][first : last + 1], arrays["time_ms"][first : last + 1]
    except (KeyError, ValueError, OSError) as fault:
        raise PoiseError(
            f"{source} is no collection of poses",
            got=str(fault),
            expected="an npz with poses [N, F, 17, 3] in metres and time_ms [N, F]",
        ) from fault
    clips = []
    for number, (joints, time) in enumerate(zip(poses, times, strict=True), first):
        fps = 1000 * (len(time) - 1) / float(time[-1] - time[0])
        seen = np.ones(joints.shape[:2], dtype=np.float32)
        pose = PoseSequence(joints.astype(np.float32), seen, fps, source="file")
        clips.append(CoachInput(f"{source.stem} {number}", pose))
    return clips
