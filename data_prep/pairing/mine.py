"""Find every learner's closest experts: same split, activity and region, never the same person.

Learners go through the kernel in blocks against all experts of their group at once; a block's
result is on disk before the next begins.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, TypeVar

import numpy as np

from assistant.pose.windows import window_errors
from assistant.progress import Progress
from data_prep.pairing.executions import Execution, Executions
from data_prep.pairing.motions import FPS, Motions, Segment
from data_prep.pairing.store import Pair, PairStore

NO_EXPERT: Final = "no expert of another person does this region correctly"
EXPERTS_AT_ONCE: Final = 1024  # bounds the memory; their results are put together

Kept = tuple[Execution, Segment]
_Item = TypeVar("_Item")


@dataclass
class Tally:
    """What a run compared."""

    learners: int = 0
    compared: int = 0
    positions: int = 0


def mine(
    executions: Executions,
    motions: Motions,
    store: PairStore,
    top: Mapping[str, int],
    progress: Progress,
    *,
    block: int = 64,
) -> Tally:
    """Write the closest experts of all learners that the store does not have yet.

    Args:
        executions: learners and experts.
        motions: cuts their windows.
        store: where pairs go, block by block.
        top: how many experts a learner of a split gets; "train" and "other".
        progress: called with learners done and in all, those of earlier runs included.
        block: learners a kernel call and a transaction.
    """
    tally = Tally()
    done = store.done()
    total = len(executions.learners)
    experts: dict[tuple[str, str, str], list[Execution]] = {}
    for expert in executions.experts:
        experts.setdefault(expert.group, []).append(expert)
    waiting = [e for e in executions.learners if (e.sample_id, e.region) not in done]
    finished = total - len(waiting)
    progress(finished, total)
    # Groups in order of their names; learners of a take follow each other, which spares decoding.
    for group, members in groupby(sorted(waiting, key=lambda e: e.group), lambda e: e.group):
        candidates = _cut_all(experts.get(group, ()), motions)
        k = top["train"] if group[0] == "train" else top["other"]
        for learners in _blocks(list(members), block):
            _mine_block(learners, candidates, motions, store, k, tally)
            finished += len(learners)
            progress(finished, total)
    return tally


def _mine_block(
    learners: Sequence[Execution],
    candidates: list[Kept],
    motions: Motions,
    store: PairStore,
    k: int,
    tally: Tally,
) -> None:
    cut = [(learner, motions.learner(learner)) for learner in learners]
    usable = [(learner, window) for learner, window in cut if isinstance(window, Segment)]
    reasons: dict[int, str | None] = {id(e): w for e, w in cut if not isinstance(w, Segment)}
    pairs: list[Pair] = []
    if usable and candidates:
        errors, positions = closest_positions([w for _, w in usable], [s for _, s in candidates])
        people = np.array([expert.participant_id for expert, _ in candidates])
        for row, (learner, window) in enumerate(usable):
            errors[row, people == learner.participant_id] = np.inf
            pairs += _closest(learner, window, candidates, errors[row], positions[row], k)
        tally.compared += errors.size
        spans = [len(segment.joints) - motions.frames + 1 for _, segment in candidates]
        tally.positions += len(usable) * sum(spans)
    paired = {(pair.learner, pair.region) for pair in pairs}
    marks = [
        (e.sample_id, e.region, reasons.get(id(e), NO_EXPERT))
        if (e.sample_id, e.region) not in paired
        else (e.sample_id, e.region, None)
        for e in learners
    ]
    store.add(pairs, marks)
    tally.learners += len(learners)


def closest_positions(
    learners: Sequence[Segment], experts: Sequence[Segment]
) -> tuple[np.ndarray, np.ndarray]:
    """Least error [N, E] in mm over the window positions of each expert, and where (frames)."""
    windows = np.stack([learner.joints for learner in learners])
    confidence = np.stack([learner.confidence for learner in learners])
    errors, positions = [], []
    for some in _blocks(experts, EXPERTS_AT_ONCE):
        found = window_errors(
            windows,
            [expert.joints for expert in some],
            learner_confidence=confidence,
            expert_confidence=[expert.confidence for expert in some],
        )  # [N, E, P]
        errors.append(found.min(axis=-1))
        positions.append(found.argmin(axis=-1))
    return np.concatenate(errors, axis=1), np.concatenate(positions, axis=1)


def _closest(
    learner: Execution,
    window: Segment,
    candidates: list[Kept],
    errors: np.ndarray,
    positions: np.ndarray,
    k: int,
) -> Iterator[Pair]:
    """The k closest clips, each by its best window."""
    length = len(window.joints) / FPS
    taken: set[str] = set()
    for c in np.argsort(errors, kind="stable"):
        expert, segment = candidates[c]
        if len(taken) == k or not np.isfinite(errors[c]):
            return
        if expert.sample_id in taken:
            continue
        start = segment.start + positions[c] / FPS
        yield Pair(
            learner=learner.sample_id,
            region=learner.region,
            rank=len(taken),
            expert=expert.sample_id,
            split=learner.split,
            activity=learner.activity,
            learner_take=learner.take_id,
            expert_take=expert.take_id,
            learner_time=learner.time,
            expert_time=expert.time,
            learner_start=round(window.start, 6),
            learner_end=round(window.start + length, 6),
            expert_start=round(float(start), 6),
            expert_end=round(float(start) + length, 6),
            pa_mpjpe_mm=round(float(errors[c]), 4),
        )
        taken.add(expert.sample_id)


def _cut_all(experts: Sequence[Execution], motions: Motions) -> list[Kept]:
    cut = [(expert, motions.expert(expert)) for expert in experts]
    return [(expert, segment) for expert, segment in cut if isinstance(segment, Segment)]


def _blocks(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]
