"""vLLM serves what `poise train export` writes: the merged model and a bare adapter over it."""

from dataclasses import replace
from pathlib import Path

import numba  # noqa: F401  as our alignment does; an engine built after it once failed
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from assistant.engine.base import GenerationOptions
from assistant.engine.transformers_engine import TransformersEngine
from assistant.tasks.commentary import commentary_prompt, label_continuations, label_prompt
from prompts.vocabulary import LEVELS
from training.export import export_run

pytestmark = pytest.mark.vllm

# vLLM's CPU kernels take heads of 32 and more.
TEXT = {"head_dim": 32, "hidden_size": 64, "intermediate_size": 96, "max_position_embeddings": 1024}
SPORT = "golf_swing"


def speak_otherwise(adapter: Path) -> None:
    """Give an adapter that was never trained weights that change every answer."""
    path = adapter / "adapter_model.safetensors"
    torch.manual_seed(5)
    save_file({name: torch.randn_like(value) for name, value in load_file(path).items()}, path)


def test_vllm_serves_an_export_and_its_adapter(make_run, make_inputs, tmp_path: Path) -> None:
    from assistant.serving.vllm_engine import VllmEngine

    out = export_run(make_run(text=TEXT), tmp_path / "out")
    speak_otherwise(out / "adapters" / SPORT)
    engines = {None: TransformersEngine.from_pretrained(out / "language")}
    engines[SPORT] = TransformersEngine.from_pretrained(out / "language")
    model = engines[SPORT].model
    model = PeftModel.from_pretrained(model, out / "adapters" / SPORT).merge_and_unload()
    engines[SPORT].model = model.eval()
    options = GenerationOptions(max_new_tokens=24)
    prompts = [commentary_prompt(make_inputs(i), LEVELS[i]) for i in range(3)]
    asked = [replace(p, adapter=name) for p in prompts for name in engines]
    wanted = [engines[p.adapter].generate([replace(p, adapter=None)], options)[0] for p in asked]
    label, labels = label_prompt(make_inputs(9)), label_continuations()
    served = VllmEngine.from_pretrained(
        out / "language", adapters={SPORT: out / "adapters" / SPORT}, dtype="float32"
    )
    try:
        answers = served.generate(asked, options)
        sums = {name: served.score(replace(label, adapter=name), labels)[0] for name in engines}
    finally:
        served.close()
    assert [a.token_ids for a in answers] == [w.token_ids for w in wanted]
    texts = [answer.text for answer in answers]
    assert all(plain != sport for plain, sport in zip(texts[::2], texts[1::2], strict=True))
    for name, engine in engines.items():
        assert sums[name] == pytest.approx(engine.score(label, labels)[0], abs=1e-3)
