"""`poise bench rank`: demonstrations ranked after one shared prefix, and each scored alone.

The shipped model, the bundled clip and its own commentary; the candidates are put together from
frames of the library's windows. Ours is `engine.score`: the prompt is computed once and many
candidates go through together. The baseline is the usual way, as released retrieval code does it:
one forward pass over prompt and candidate for every candidate. Every candidate is really scored
both ways, part by part in turns. The order must be the same; candidates whose likelihoods differ
by less than float32 resolves may stand in either order and are counted.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from assistant.answer import whole_answers
from assistant.bench import Aim, compared, in_turns
from assistant.checkpoint import WEIGHTS_FOLDER
from assistant.engine.base import Prompt
from assistant.engine.transformers_engine import TransformersEngine
from assistant.errors import PoiseError
from assistant.model.processing_poise import IGNORED
from assistant.tasks.retrieval import candidate_continuations, retrieval_prompt
from prompts.vocabulary import LEVELS

if TYPE_CHECKING:
    from assistant.coach import Coach

CANDIDATES: Final = 1272  # ExpertAF's retrieval set
PARTS: Final = 12
AIM: Final = Aim("ratio", "at_least", 5.0)
DEMO: Final = WEIGHTS_FOLDER / "demo" / "squat_demo.npz"
# Mean log-likelihoods a token that are nearer than this are equal in float32 arithmetic.
RESOLUTION: Final = 2e-6


def run() -> dict[str, Any]:
    """Milliseconds a candidate, both ways; every part of the candidates is a round."""
    from assistant.coach import Coach

    coach = Coach.from_pretrained()
    engine, prompt = coach.engine, demo_prompt(coach, DEMO)
    assert isinstance(engine, TransformersEngine)
    pool = np.stack([item.codes for item in coach.library.items])
    drawn = list(draw_candidates(pool, CANDIDATES))
    candidates = candidate_continuations(drawn, coach.config)
    found = compare(engine, prompt, candidates, parts=PARTS, aims=[AIM])
    tokens = found["prefix_tokens"] + found["candidate_tokens"]
    return {
        **found,
        "note": f"The prompt is {found['prefix_tokens']} of the {tokens} tokens that a candidate "
        "takes when scored alone: where it is shared, "
        f"{tokens / found['candidate_tokens']:.2f} times fewer tokens are computed.",
    }


def demo_prompt(coach: "Coach", clip: Path) -> Prompt:
    """The retrieval prompt of a pose file, after the model's own commentary."""
    from assistant.clip_input import load_clip, resolve_pose
    from assistant.coach_result import CoachInput, Judged
    from assistant.perceive import perceive

    loaded = load_clip(clip, {}, None)
    given = CoachInput(loaded.clip_id, resolve_pose(loaded).pose)
    (item,) = perceive(coach.perception, [given])
    assert isinstance(item, Judged)
    name = LEVELS[int(coach.levels(item).argmax())]
    (text,) = whole_answers(coach.engine, [item.inputs], [name], [""])
    return retrieval_prompt(
        item.inputs, text, item.codes, coach.config, fused_video=coach.fused_video
    )


def draw_candidates(pool: np.ndarray, count: int) -> np.ndarray:
    """[count, frames, tokens] different windows, each frame from some window of pool [N, F, M]."""
    rng, frames = np.random.default_rng(0), np.arange(pool.shape[1])
    return np.stack([pool[rng.integers(0, len(pool), len(frames)), frames] for _ in range(count)])


def compare(
    engine: TransformersEngine,
    prompt: Prompt,
    candidates: Sequence[list[int]],
    *,
    parts: int,
    aims: Sequence[Aim] = (),
) -> dict[str, Any]:
    """Both ways over all candidates, part by part in turns.

    Raises:
        PoiseError: the two orders differ by more than rounding explains.
    """
    ours: list[np.ndarray] = []
    alone: list[np.ndarray] = []
    spent: tuple[list[float], list[float]] = ([], [])  # [2][parts] milliseconds a candidate
    engine.score(prompt, candidates[:2])  # the first call of each allocates its buffers
    score_alone(engine, prompt, candidates[:1])
    for part in np.array_split(np.arange(len(candidates)), parts):
        some = [candidates[i] for i in part]
        times = in_turns(
            [
                lambda some=some: ours.append(_means(*engine.score(prompt, some))),  # type: ignore[misc]
                lambda some=some: alone.append(score_alone(engine, prompt, some)),  # type: ignore[misc]
            ],
            1,
        )
        for rates, (taken,) in zip(spent, times, strict=True):
            rates.append(1000 * taken / len(some))
    ties = same_order(np.concatenate(ours), np.concatenate(alone))
    shared, apart = spent
    return {
        **compared(
            shared,
            {"one pass over prompt and candidate each": apart},
            ours_is="engine.score",
            unit="ms a candidate",
            aims=aims,
        ),
        "candidates": len(candidates),
        "prefix_tokens": len(engine.processor.encode(prompt.messages)),
        "candidate_tokens": len(candidates[0]),
        "same_order": True,
        "neighbours_within_rounding": ties,
    }


@torch.inference_mode()
def score_alone(
    engine: TransformersEngine, prompt: Prompt, candidates: Sequence[list[int]]
) -> np.ndarray:
    """[N] mean log-likelihoods, each by the model's own loss over prompt and candidate."""
    processor, found = engine.processor, []
    for ids in candidates:
        start = processor.encode(prompt.messages, answer_start=prompt.answer_start)
        labels = [IGNORED] * len(start) + ids
        batch = processor.collate([start + ids], [prompt.inputs], labels=[labels])
        found.append(-float(engine.model(**batch.to(engine.model.device), use_cache=False).loss))
    return np.array(found)


def same_order(ours: np.ndarray, alone: np.ndarray) -> int:
    """How many neighbours of the order by `alone` [N] stand the other way round in `ours` [N],
    which only rounding may do.

    Raises:
        PoiseError: two candidates further apart than RESOLUTION change places.
    """
    order = np.argsort(-alone, kind="stable")
    falls = np.maximum.accumulate(ours[order][::-1])[::-1] - ours[order]  # a later one is higher
    if falls.max(initial=0.0) > RESOLUTION:
        raise PoiseError(
            "the two ways rank differently",
            got=f"candidates out of order by {falls.max():.2g} a token",
            expected=f"at most {RESOLUTION:g}",
        )
    return int((np.diff(ours[order]) > 0).sum())


def _means(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    means: np.ndarray = np.asarray(sums, dtype=np.float64) / counts
    return means
