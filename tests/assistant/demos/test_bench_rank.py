"""`poise bench rank`: both ways score alike, and another order is noticed."""

import numpy as np
import pytest

from assistant.demos.bench_rank import RESOLUTION, compare, draw_candidates, same_order, score_alone
from assistant.engine.base import Prompt
from assistant.engine.transformers_engine import TransformersEngine
from assistant.errors import PoiseError
from assistant.tasks.retrieval import candidate_continuations, retrieval_prompt

FRAMES, TOKENS = 4, 3


@pytest.fixture(scope="module")
def engine(make_model, processor) -> TransformersEngine:
    return TransformersEngine(make_model(), processor)


@pytest.fixture(scope="module")
def prompt(engine, make_inputs) -> Prompt:
    learner = np.random.default_rng(3).integers(0, 16, (FRAMES, TOKENS))
    return retrieval_prompt(make_inputs(0), "Legs (correct): Good.", learner, engine.config)


def candidates(engine: TransformersEngine, count: int) -> list[list[int]]:
    codes = np.random.default_rng(4).integers(0, 16, (count, FRAMES, TOKENS))
    return candidate_continuations(codes, engine.config)


def test_both_ways_are_run_over_every_candidate(engine, prompt) -> None:
    found = compare(engine, prompt, candidates(engine, 7), parts=3)
    assert found["candidates"] == 7 and found["same_order"] is True
    assert found["ours"] > 0 and found["baseline"] > 0
    # The median of the rounds' ratios lies between those of their slowest and fastest.
    ours, baseline = (found["spread"][name] for name in ("ours", "baseline"))
    least, most = baseline["min"] / ours["max"], baseline["max"] / ours["min"]
    assert least * 0.99 <= found["ratio"] <= most * 1.01
    assert found["candidate_tokens"] == FRAMES * (TOKENS + 1) + 1


def test_alone_is_the_mean_of_the_tokens(engine, prompt) -> None:
    some = candidates(engine, 5)
    sums, counts = engine.score(prompt, some)
    assert score_alone(engine, prompt, some) == pytest.approx(sums / counts, abs=1e-5)


def test_another_order_is_an_error_and_rounding_is_none() -> None:
    alone = np.array([-1.0, -3.0, -2.0])
    assert same_order(alone, alone) == 0
    with pytest.raises(PoiseError, match="rank differently"):
        same_order(np.array([-1.0, -2.0, -3.0]), alone)
    near = np.array([-1.0, -3.0, -1.0 + RESOLUTION / 2])
    assert same_order(near, np.array([-1.0, -3.0, -1.0 - RESOLUTION / 2])) == 1


def test_candidates_are_windows_of_true_frames_and_differ() -> None:
    pool = np.arange(5 * 3 * 2).reshape(5, 3, 2)
    drawn = draw_candidates(pool, 40)
    assert drawn.shape == (40, 3, 2)
    assert all((pool[:, f] == row[f]).all(1).any() for row in drawn for f in range(3))
    assert len(np.unique(draw_candidates(pool, 4), axis=0)) == 4
