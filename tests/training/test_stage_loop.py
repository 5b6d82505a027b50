"""A stage by the recipe: what is saved of how it began, and activations computed anew."""

import hashlib
import json
from dataclasses import asdict

import pytest
import torch

from training.adapter import add_lora
from training.loop_log import read_log
from training.progress import Progress
from training.recipe import LoraSettings, load_recipe
from training.run import Run
from training.stage_loop import SAMPLES_FILE, SETTINGS_FILE, stored_samples, train_by

SETTINGS = (
    "threads=1", "language.steps=2", "language.batch_size=3", "language.warmup_steps=0",
    "language.precision=fp32",
)  # fmt: skip


def trained(folder, model, samples, processor, *overrides: str):
    """Two updates of the stage `language`; the run, and the losses."""
    run = Run(load_recipe("mini", [*SETTINGS, *overrides]), folder)
    stored = stored_samples(run, "language", lambda: samples)
    torch.manual_seed(0)
    losses = train_by(
        run, "language", run.recipe.language, model, stored, processor,
        seed=0, progress=Progress("test"),
    )  # fmt: skip
    return run, losses


def counted(model) -> list[int]:
    """A number for each pass through the first block's feed-forward layer."""
    passes: list[int] = []
    mlp = model.get_submodule("language_model.model.layers.0.mlp")
    # Before it, since the second pass ends as soon as it has computed what the backward pass needs.
    mlp.register_forward_pre_hook(lambda *given: passes.append(len(passes)))
    return passes


def test_activations_that_are_computed_anew_train_as_kept_ones_do(
    make_model, samples, processor, tmp_path
) -> None:
    found = {}
    for anew in ("false", "true"):
        model = make_model()
        passes = counted(model)
        wrapped = add_lora(model, LoraSettings(rank=2, alpha=4), [1, 2])
        _, losses = trained(
            tmp_path / anew, wrapped, samples, processor, f"loop.gradient_checkpointing={anew}"
        )
        adapter = {n: p.detach() for n, p in wrapped.named_parameters() if p.requires_grad}
        norms = [
            line["train/gradient_norm"] for line in read_log(tmp_path / anew / "work/loop/language")
        ]
        found[anew] = losses, norms, adapter, len(passes)
    (kept, norms, one, once), (again, norms_again, two, twice) = found["false"], found["true"]
    assert (once, twice) == (2, 4)  # the backward pass goes through the blocks again
    assert again == pytest.approx(kept, rel=1e-5) and len(kept) == 2
    assert norms_again == pytest.approx(norms, rel=1e-4) and min(norms) > 0
    for name in one:
        # A bias of the keys has no gradient but rounding, of which Adam makes whole steps.
        if not name.endswith("attention.in_proj_bias"):
            assert torch.allclose(one[name], two[name], atol=1e-5), name


def test_the_saved_settings_tell_recipe_and_data(make_model, samples, processor, tmp_path) -> None:
    told = {}
    for name, chosen in (("all", samples), ("fewer", samples[:5])):
        run, _ = trained(tmp_path / name, make_model(), chosen, processor, "seed=3")
        folder = run.loop_folder("language")
        told[name] = json.loads((folder / SETTINGS_FILE).read_text("utf-8"))
        conversations = (folder / SAMPLES_FILE).read_bytes()
        assert told[name]["data_sha256"] == hashlib.sha256(conversations).hexdigest()
        assert told[name]["recipe"] == json.loads(json.dumps(asdict(run.recipe)))
    assert told["all"]["recipe"]["seed"] == 3
    assert told["all"]["recipe"]["language"]["steps"] == told["all"]["plan"]["steps"] == 2
    assert (told["all"]["samples"], told["fewer"]["samples"]) == (6, 5)
    assert told["all"]["data_sha256"] != told["fewer"]["data_sha256"]
    assert told["all"]["torch"] == torch.__version__
