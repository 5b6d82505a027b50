"""The vLLM engine answers and scores as the transformers engine does, adapters included."""

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
from assistant.serving.adapters import LINEARS
from assistant.tasks.commentary import commentary_prompt, label_continuations, label_prompt
from prompts.vocabulary import LEVELS

pytestmark = pytest.mark.vllm

# vLLM's CPU kernels take heads of 32 and more.
TEXT = {"head_dim": 32, "hidden_size": 64, "intermediate_size": 96, "max_position_embeddings": 1024}
SUBSETS = ({}, {"video": 0, "stage1": 0}, {"pose": 0, "score": False}, {"video": 5})
ADAPTER = "golf"


@pytest.fixture(scope="module")
def folder(make_model, processor, tmp_path_factory) -> Path:
    """A checkpoint, and an adapter that makes it say something else."""
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("vllm")
    model = make_model(text=TEXT)
    model.save_pretrained(folder / "checkpoint")
    processor.save_pretrained(folder / "checkpoint")
    torch.manual_seed(1)
    settings = LoraConfig(r=4, lora_alpha=8, target_modules=list(LINEARS), init_lora_weights=False)
    get_peft_model(model.language_model, settings).save_pretrained(folder / ADAPTER)
    return folder


@pytest.fixture(scope="module")
def by_transformers(make_model, processor, folder) -> dict[str | None, TransformersEngine]:
    """The plain model, and the one in which the adapter is merged."""
    from peft import PeftModel

    plain, merged = make_model(text=TEXT), make_model(text=TEXT)
    adapted = PeftModel.from_pretrained(merged.language_model, folder / ADAPTER)
    merged.language_model = adapted.merge_and_unload()
    models = {None: plain, ADAPTER: merged.eval()}
    return {name: TransformersEngine(model, processor) for name, model in models.items()}


@pytest.fixture(scope="module")
def by_vllm(folder) -> Iterator[Any]:
    from assistant.serving.vllm_engine import VllmEngine

    adapters = {ADAPTER: folder / ADAPTER}
    engine = VllmEngine.from_pretrained(folder / "checkpoint", adapters=adapters, dtype="float32")
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def prompts(make_inputs) -> list[Prompt]:
    """Clips of several kinds, each once for the plain model and once for the adapter."""
    inputs = [make_inputs(i, **subset) for i, subset in enumerate(SUBSETS)]
    plain = [commentary_prompt(given, LEVELS[i]) for i, given in enumerate(inputs)]
    return [replace(prompt, adapter=name) for prompt in plain for name in (None, ADAPTER)]


def alone(prompt: Prompt) -> Prompt:
    return replace(prompt, adapter=None)


def test_answers_of_a_mixed_batch(by_vllm, by_transformers, prompts) -> None:
    options = GenerationOptions(max_new_tokens=24)
    found = by_vllm.generate(prompts, options)
    wanted = [
        by_transformers[prompt.adapter].generate([alone(prompt)], options)[0] for prompt in prompts
    ]
    assert [answer.token_ids for answer in found] == [answer.token_ids for answer in wanted]
    plain, adapted = found[::2], found[1::2]
    assert all(a.token_ids != b.token_ids for a, b in zip(plain, adapted, strict=True))


def test_likelihoods_with_and_without_an_adapter(by_vllm, by_transformers, make_inputs) -> None:
    """A prompt's own tokens are scored, on the first request and with a known prefix."""
    for i, subset in enumerate(SUBSETS):
        prompt = label_prompt(make_inputs(i, **subset))
        for name in (None, ADAPTER, ADAPTER):
            found = by_vllm.score(replace(prompt, adapter=name), label_continuations())
            wanted = by_transformers[name].score(prompt, label_continuations())
            np.testing.assert_array_equal(found[1], wanted[1])
            np.testing.assert_allclose(found[0], wanted[0], rtol=1e-4, atol=1e-3)


def test_pose_codes_with_an_adapter(by_vllm, by_transformers, make_inputs) -> None:
    options = GenerationOptions(pose_codes=True)
    prompt = label_prompt(make_inputs(0))
    (found,) = by_vllm.generate([replace(prompt, adapter=ADAPTER)], options)
    (wanted,) = by_transformers[ADAPTER].generate([prompt], options)
    assert found.token_ids == wanted.token_ids
    np.testing.assert_allclose(found.code_probabilities, wanted.code_probabilities, atol=1e-4)


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
