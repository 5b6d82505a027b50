"""What a CUDA device does otherwise than a CPU: `make test-gpu`, where one is."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assistant.engine.base import GenerationOptions, Prompt
from assistant.engine.transformers_engine import TransformersEngine
from assistant.tasks.commentary import prompt_pieces
from prompts.render import render_messages
from training import bench
from training.adapter import add_lora, load_model, rebuilt, save_trained
from training.loop import Loop
from training.loop_state import trained_state
from training.progress import Progress

from .conftest import LORA, PLAN

pytestmark = pytest.mark.gpu

LONGER = replace(PLAN, steps=8, checkpoint_steps=4, precision="float32")


@pytest.fixture(autouse=True)
def device() -> str:
    """Where every test of this file computes."""
    assert torch.cuda.is_available(), f"torch {torch.__version__} finds no CUDA: install its build"
    return "cuda"


@pytest.fixture
def deterministic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As `training.run.Run` sets it."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


def loop(model: Any, samples: Any, processor: Any, folder: Path, **changed: Any) -> Loop:
    resume = changed.pop("resume", False)
    plan = replace(LONGER, **changed)
    return Loop(
        model, samples, processor, plan, progress=Progress("gpu"), folder=folder, resume=resume
    )


@pytest.mark.parametrize("packing", [False, True])
def test_a_stopped_training_goes_on_where_it_was(
    make_model, samples, processor, tmp_path, device, deterministic, packing
) -> None:
    """The optimiser's moments come back on the device; sums there may differ in the last bits."""
    whole = loop(make_model(), samples, processor, tmp_path / "whole", packing=packing)
    losses = whole.run()
    assert whole.bare.device.type == device and losses[-1] < losses[0]
    cut = loop(make_model(), samples, processor, tmp_path / "cut", packing=packing)
    update, seen = cut._update, []

    def until_the_sixth(indices: list[int]) -> None:
        if len(seen) == 5:
            raise KeyboardInterrupt
        seen.append(indices)
        update(indices)

    cut._update = until_the_sixth  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    resumed = loop(make_model(), samples, processor, tmp_path / "cut", packing=packing, resume=True)
    assert resumed.step == 4
    assert resumed.run() == pytest.approx(losses, rel=1e-4)
    again = trained_state(resumed.bare)
    for name, value in trained_state(whole.bare).items():
        assert again[name].device.type == device
        assert torch.allclose(again[name], value, rtol=1e-3, atol=1e-4), name


def test_bf16_learns_and_leaves_the_weights_in_float32(
    make_model, samples, processor, tmp_path, device
) -> None:
    trained = loop(make_model(), samples, processor, tmp_path, precision="auto", packing=True)
    losses = trained.run()
    assert losses[-1] < losses[0]
    assert {p.dtype for p in trained.bare.parameters()} == {torch.float32}
    assert {p.device.type for p in trained.bare.parameters()} == {device}


def test_the_adapter_over_nf4_learns_and_merges_on_the_cpu(
    make_model, samples, processor, new_tokens, tmp_path, device
) -> None:
    bnb = pytest.importorskip("bitsandbytes", reason="the extra `train` is not installed")
    base = tmp_path / "base"
    make_model(text={"hidden_size": 64, "intermediate_size": 128}).save_pretrained(base)
    model = load_model(base, "nf4", "auto")
    linears = [m for m in model.modules() if isinstance(m, bnb.nn.Linear4bit)]
    assert len(linears) == 2 * 7 and all(m.weight.device.type == device for m in linears)
    before = [m.weight.detach().clone() for m in linears]
    wrapped = add_lora(model, LORA, new_tokens)
    losses = loop(wrapped, samples, processor, tmp_path / "loop", precision="auto").run()
    assert losses[-1] < losses[0]
    assert all(torch.equal(m.weight, old) for m, old in zip(linears, before, strict=True))
    changed = [p for n, p in wrapped.named_parameters() if "lora_B" in n]
    assert len(changed) == len(linears) and all(bool(p.any()) for p in changed)
    save_trained(wrapped, tmp_path / "trained.safetensors")
    merged = rebuilt(base, tmp_path / "trained.safetensors", LORA, new_tokens).merge_and_unload()
    assert merged.device.type == "cpu"
    batch = processor.collate(
        [s.ids for s in samples], [s.inputs for s in samples], labels=[s.labels for s in samples]
    )
    with torch.inference_mode():
        whole = merged.eval()(**batch).loss.item()
        rounded = wrapped.eval()(**batch.to(device)).loss.item()
    assert whole == pytest.approx(rounded, rel=0.15)


def test_the_engine_answers_as_on_the_cpu(
    make_model, make_inputs, processor, tmp_path, device
) -> None:
    make_model().save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    inputs = [make_inputs(i, video=i % 3) for i in range(4)]
    prompts = [Prompt(render_messages("commentary", **prompt_pieces(one)), one) for one in inputs]
    rng = np.random.default_rng(0)
    continuations = [rng.integers(2, 300, size=n).tolist() for n in (1, 7, 40)]
    answers, scores = [], []
    for place in ("cpu", device):
        engine = TransformersEngine.from_pretrained(tmp_path, device=place)
        assert engine.model.device.type == place
        options = [
            GenerationOptions(max_new_tokens=12),
            GenerationOptions(max_new_tokens=12, pose_codes=True),
        ]
        answers.append([[a.token_ids for a in engine.generate(prompts, o)] for o in options])
        scores.append(engine.score(prompts[0], continuations)[0])
        streamed = "".join(engine.stream(prompts[0], options[0]))
        assert streamed == engine.generate(prompts[:1], options[0])[0].text
    assert answers[0] == answers[1]
    assert scores[0] == pytest.approx(scores[1], rel=1e-4, abs=1e-3)


def test_the_benchmark_tells_how_full_the_device_was(device) -> None:
    """The 135M shape of the papers; a share of a peak lies between nothing and everything."""
    result = bench.run()
    assert result["parameters"] > 130e6 and result["ratio"] > 0
    assert result["mfu"] is None or 0 < result["mfu"] < 1
