"""The vLLM engine answers and scores as the transformers engine does, adapters included.

`test_vllm_server.py` compares them on 50 clips with the shipped checkpoint.
"""

import asyncio
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assistant.engine.base import GenerationOptions, Prompt
from assistant.engine.transformers_engine import TransformersEngine
from assistant.errors import PoiseError
from assistant.serving.adapters import LINEARS, WEIGHTS_FILE
from assistant.tasks.chat import chat_prompt
from assistant.tasks.commentary import commentary_prompt, label_continuations, label_prompt
from assistant.tasks.retrieval import code_token_ids
from prompts.parse import parse_pose_codes
from prompts.vocabulary import LEVELS

from .conftest import wait_until

pytestmark = pytest.mark.vllm

# vLLM's CPU kernels take heads of 32 and more.
TEXT = {"head_dim": 32, "hidden_size": 64, "intermediate_size": 96, "max_position_embeddings": 1024}
SUBSETS = ({}, {"video": 0, "stage1": 0}, {"pose": 0, "score": False}, {"video": 5})
ADAPTERS = ("golf", "tennis")
MODELS = (None, *ADAPTERS)
SLOTS = len(ADAPTERS) + 1


@pytest.fixture(scope="module")
def folder(make_model, processor, tmp_path_factory) -> Path:
    """A checkpoint, and adapters each of which makes it say something else."""
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("vllm")
    make_model(text=TEXT).save_pretrained(folder / "checkpoint")
    processor.save_pretrained(folder / "checkpoint")
    for rank, name in enumerate(ADAPTERS, 4):
        torch.manual_seed(rank)
        settings = LoraConfig(
            r=rank, lora_alpha=8, target_modules=list(LINEARS), init_lora_weights=False
        )
        model = get_peft_model(make_model(text=TEXT).language_model, settings)
        model.save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="module")
def by_transformers(make_model, processor, folder) -> dict[str | None, TransformersEngine]:
    """The plain model, and those in which an adapter is merged."""
    from peft import PeftModel

    models: dict[str | None, Any] = {None: make_model(text=TEXT)}
    for name in ADAPTERS:
        merged = make_model(text=TEXT)
        adapted = PeftModel.from_pretrained(merged.language_model, folder / name)
        merged.language_model = adapted.merge_and_unload()
        models[name] = merged.eval()
    return {name: TransformersEngine(model, processor) for name, model in models.items()}


@pytest.fixture(scope="module")
def by_vllm(folder) -> Iterator[Any]:
    from assistant.serving.vllm_engine import VllmEngine

    adapters = {name: folder / name for name in ADAPTERS}
    engine = VllmEngine.from_pretrained(
        folder / "checkpoint", adapters=adapters, adapter_slots=SLOTS, dtype="float32"
    )
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def prompts(make_inputs) -> list[Prompt]:
    """Clips of several kinds, each for the plain model and for each adapter."""
    inputs = [make_inputs(i, **subset) for i, subset in enumerate(SUBSETS)]
    plain = [commentary_prompt(given, LEVELS[i]) for i, given in enumerate(inputs)]
    return [replace(prompt, adapter=name) for prompt in plain for name in MODELS]


def alone(prompt: Prompt) -> Prompt:
    return replace(prompt, adapter=None)


def test_answers_of_a_mixed_batch(by_vllm, by_transformers, prompts) -> None:
    options = GenerationOptions(max_new_tokens=24)
    found = by_vllm.generate(prompts, options)
    wanted = [
        by_transformers[prompt.adapter].generate([alone(prompt)], options)[0] for prompt in prompts
    ]
    assert [answer.token_ids for answer in found] == [answer.token_ids for answer in wanted]
    for i in range(0, len(found), len(MODELS)):  # each model says something else of the clip
        assert len({tuple(answer.token_ids) for answer in found[i : i + len(MODELS)]}) == 3


def test_who_asks_and_the_idle_engine_give_up_their_threads(by_vllm, prompts, monkeypatch) -> None:
    """Otherwise the threads of two pools sleep at every barrier."""
    rested: list[str] = []
    monkeypatch.setattr(
        "assistant.serving.vllm_loop.rest_threads",
        lambda: rested.append(threading.current_thread().name),
    )
    by_vllm.generate(prompts[:1], GenerationOptions(max_new_tokens=4))
    wait_until(lambda: rested[-1:] == ["vllm"], "the rest of the engine")
    # The engine may have rested before as well, after the answers of an earlier test.
    assert [name for name in rested if name != "vllm"] == [threading.current_thread().name]
    assert rested[-1] == "vllm"


@pytest.mark.parametrize("fault", ["cut off", "not a number", "nothing there"])
def test_a_bad_adapter_is_refused_and_the_engine_lives(
    by_vllm, folder, tmp_path, prompts, fault
) -> None:
    from safetensors.torch import load_file, save_file

    options = GenerationOptions(max_new_tokens=8)
    before = [answer.token_ids for answer in by_vllm.generate(prompts, options)]
    bad = tmp_path / "bad"
    if fault != "nothing there":
        shutil.copytree(folder / ADAPTERS[0], bad)
        weights = bad / WEIGHTS_FILE
        if fault == "cut off":
            weights.write_bytes(weights.read_bytes()[:-9])
        else:
            save_file({k: v * torch.nan for k, v in load_file(weights).items()}, weights)
    with pytest.raises(PoiseError, match="is not loaded"):
        by_vllm.load_adapter("bad", bad)
    assert by_vllm.adapters == list(ADAPTERS)
    with pytest.raises(PoiseError, match=r"unknown adapter.*golf, tennis"):
        by_vllm.generate([replace(prompts[0], adapter="bad")], options)
    assert [answer.token_ids for answer in by_vllm.generate(prompts, options)] == before


def test_likelihoods_with_and_without_an_adapter(by_vllm, by_transformers, make_inputs) -> None:
    """A prompt's own tokens are scored, on the first request and with a known prefix."""
    for i, subset in enumerate(SUBSETS):
        prompt = label_prompt(make_inputs(i, **subset))
        for name in (*MODELS, ADAPTERS[0]):
            found = by_vllm.score(replace(prompt, adapter=name), label_continuations())
            wanted = by_transformers[name].score(prompt, label_continuations())
            np.testing.assert_array_equal(found[1], wanted[1])
            np.testing.assert_allclose(found[0], wanted[0], rtol=1e-4, atol=1e-3)


def test_pose_codes_with_an_adapter(by_vllm, by_transformers, make_inputs) -> None:
    options = GenerationOptions(pose_codes=True)
    prompt = label_prompt(make_inputs(0))
    for name in ADAPTERS:
        (found,) = by_vllm.generate([replace(prompt, adapter=name)], options)
        (wanted,) = by_transformers[name].generate([prompt], options)
        assert found.token_ids == wanted.token_ids
        np.testing.assert_allclose(found.code_probabilities, wanted.code_probabilities, atol=1e-4)


def test_pose_codes_are_nothing_but_codes_in_their_form(by_vllm, prompts) -> None:
    """However they are drawn."""
    for seed in range(3):
        options = GenerationOptions(pose_codes=True, temperature=2.0, seed=seed)
        for answer in by_vllm.generate(prompts, options):
            codes = np.array(parse_pose_codes(answer.text, frames=4, tokens_per_frame=3))
            assert codes.shape == (4, 3) and 0 <= codes.min() <= codes.max() < 16
            assert answer.token_ids == code_token_ids(codes, by_vllm.config)
            sums = answer.code_probabilities.sum(-1)
            np.testing.assert_allclose(sums, np.ones((4, 3)), atol=1e-4)


@pytest.mark.parametrize("temperature", [0.0, 2.0])
def test_the_label_is_one_of_the_choices(
    by_vllm, by_transformers, make_inputs, temperature
) -> None:
    choices = tuple(label_continuations())
    prompts = [label_prompt(make_inputs(i)) for i in range(6)]
    options = GenerationOptions(choices=choices, temperature=temperature)
    mixed = [replace(p, adapter=MODELS[i % 3]) for i, p in enumerate(prompts)]
    found = by_vllm.generate(mixed, options)
    texts = [" " + answer.text.strip() for answer in found]
    assert set(texts) <= set(choices) and len(set(texts)) > 1
    if temperature == 0:
        wanted = [by_transformers[p.adapter].generate([alone(p)], options)[0] for p in mixed]
        assert [a.token_ids for a in found] == [a.token_ids for a in wanted]
    free = by_vllm.generate(mixed, GenerationOptions(max_new_tokens=8))
    assert not {" " + answer.text.strip() for answer in free} & set(choices)


def test_who_leaves_a_likelihood_frees_its_places(by_vllm, make_inputs, monkeypatch) -> None:
    """Each step takes a second more, so that nobody can be too late to leave."""
    from vllm.v1.engine.llm_engine import LLMEngine

    step, steps = LLMEngine.step, 0

    def slow(self: LLMEngine) -> Any:
        nonlocal steps
        time.sleep(1.0)
        steps += 1
        return step(self)

    monkeypatch.setattr(LLMEngine, "step", slow)
    prompt, many = label_prompt(make_inputs(0)), [f" word {i}" for i in range(1000)]

    async def leave() -> None:
        asked = asyncio.create_task(by_vllm.ascore(prompt, many))
        while not steps:
            await asyncio.sleep(0.02)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        until = time.monotonic() + 20
        while by_vllm.unfinished and time.monotonic() < until:
            await asyncio.sleep(0.02)

    asyncio.run(leave())
    assert by_vllm.unfinished == 0
    assert steps < len(many) // 64  # which the running batch would need for all of them
    monkeypatch.setattr(LLMEngine, "step", step)
    sums, _ = by_vllm.score(prompt, label_continuations())
    assert np.isfinite(sums).all()


def shared_start(*prompts: list[int]) -> int:
    """How many first tokens are the same."""
    differ = (i for i, ids in enumerate(zip(*prompts, strict=False)) if len(set(ids)) > 1)
    return next(differ, min(map(len, prompts)))


def test_the_turns_of_a_chat_share_the_clips_prefix(by_vllm, by_transformers, make_inputs) -> None:
    """What was computed for one turn is read at the next, and never for another clip or model."""
    from assistant.serving.vllm_engine import BLOCK

    options = GenerationOptions(max_new_tokens=6)
    mine, other = make_inputs(0), make_inputs(1)
    said = "Proficiency Level: Novice. Proficiency Commentary: The knees fall in at the bottom."
    first = chat_prompt(mine, said, "What should I fix first?")
    asked = {
        "second turn": chat_prompt(mine, said, "And then?", [("What should I fix first?", "It.")]),
        "another clip": replace(first, inputs=other),
        "another model": replace(first, adapter=ADAPTERS[0]),
    }
    by_vllm.forget_prefixes()
    by_vllm.generate([first], options)
    encode = by_vllm.processor.encode
    start = encode(first.messages)
    cached = {}
    for what, prompt in asked.items():
        before = by_vllm.counters.cached_tokens
        (found,) = by_vllm.generate([prompt], options)
        cached[what] = by_vllm.counters.cached_tokens - before
        (wanted,) = by_transformers[prompt.adapter].generate([alone(prompt)], options)
        assert found.token_ids == wanted.token_ids, what
    together = shared_start(start, encode(asked["second turn"].messages))
    features = start.index(by_vllm.config.video_token_id)
    assert together > features + 2 * BLOCK  # the clip and its commentary
    assert cached["second turn"] >= together // BLOCK * BLOCK
    assert cached["another clip"] <= features
    assert cached["another model"] == 0


def test_the_pose_as_text_is_read_alike(by_vllm, by_transformers, make_inputs, monkeypatch) -> None:
    """A model that is given coordinates: its rows are spliced in by neither engine."""
    engines = by_vllm, by_transformers[None]
    given = make_inputs(0)
    prompt = label_prompt(replace(given, pose_text="(cm) 0.0 s 0 0 93, 11 0 160; 1.0 s 0 0 -9"))
    for engine in engines:
        monkeypatch.setattr(engine.config, "pose_form", "text")
    (found, _), (wanted, _) = (each.score(prompt, label_continuations()) for each in engines)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)
    for engine in engines:
        with pytest.raises(PoiseError, match="the pose in a form that the model does not know"):
            engine.score(label_prompt(given), label_continuations())


def test_a_third_adapter_is_loaded_while_the_engine_runs(by_vllm, folder, prompts) -> None:
    """The last of this file: it takes the last slot."""
    options = GenerationOptions(max_new_tokens=8)
    by_vllm.load_adapter("again", folder / ADAPTERS[1])
    found = by_vllm.generate([replace(prompts[0], adapter=name) for name in (
        None, "again", *ADAPTERS)], options)  # fmt: skip
    assert found[1].token_ids == found[3].token_ids
    assert len({tuple(answer.token_ids) for answer in found}) == 3
    with pytest.raises(PoiseError, match="3 of 3 slots taken"):
        by_vllm.load_adapter("more", folder / ADAPTERS[0])
