"""QLoRA, the bare adapter, and what `poise train export` writes."""

import json
from dataclasses import replace

import pytest
import torch
import yaml
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoProcessor

from assistant.checkpoint import Checkpoint
from assistant.cli import main
from assistant.errors import PoiseError
from assistant.model import register
from assistant.model.processing_poise import PoiseProcessor
from training.adapter import TRAINED_BESIDE, add_lora, load_model, rebuilt, save_trained
from training.export import export_run
from training.language import build_model
from training.loop import Loop
from training.model_card import base_terms, front_matter
from training.precision import autocast
from training.progress import Progress
from training.publish import push_operations
from training.recipe import LanguageSettings, load_recipe

from .conftest import LORA, PLAN


def bitsandbytes():
    return pytest.importorskip("bitsandbytes", reason="the extra `train` is not installed")


def collated(processor, samples):
    return processor.collate(
        [s.ids for s in samples], [s.inputs for s in samples], labels=[s.labels for s in samples]
    )


def gradient_norm(model, batch) -> float:
    model.train()
    model.zero_grad()
    with autocast(True):
        model(**batch).loss.backward()
    found = [p.grad.norm() for n, p in model.named_parameters() if "lora_B" in n]
    return float(torch.stack(found).norm())


@pytest.fixture
def base(make_model, tmp_path):
    folder = tmp_path / "base"
    make_model().save_pretrained(folder)
    return folder


def test_the_adapter_over_nf4_still_learns_after_an_evaluation(
    make_model, processor, samples, new_tokens, monkeypatch, tmp_path
) -> None:
    """Some CPUs repack a weight in eval mode for a kernel without a backward; they can do so with
    weights of a whole number of blocks (64) a row alone."""
    bnb, base = bitsandbytes(), tmp_path / "base"
    make_model(text={"hidden_size": 64, "intermediate_size": 128}).save_pretrained(base)
    with monkeypatch.context() as elsewhere:  # loaded as such a CPU would load it
        elsewhere.setattr(bnb.nn.modules, "has_avx512bf16", lambda: True)
        assert bnb.nn.Linear4bit(64, 64).support_avx512bf16_for_cpu
        model = load_model(base, "nf4", "auto")
    linears = [m for m in model.modules() if isinstance(m, bnb.nn.Linear4bit)]
    assert len(linears) == 2 * 7
    assert not any(linear.support_avx512bf16_for_cpu for linear in linears)
    for part in TRAINED_BESIDE:
        assert not any(isinstance(m, bnb.nn.Linear4bit) for m in getattr(model, part).modules())
    wrapped, batch = add_lora(model, LORA, new_tokens), collated(processor, samples)
    before = gradient_norm(wrapped, batch)

    def evaluate() -> None:
        wrapped.eval()
        with torch.inference_mode(), autocast(True):
            wrapped(**batch)

    evaluate()
    assert before > 0 and gradient_norm(wrapped, batch) == pytest.approx(before, rel=1e-3)
    if linears[0].__class__(64, 64).support_avx512bf16_for_cpu:  # the trap is there on this CPU
        for linear in linears:
            linear.support_avx512bf16_for_cpu = True
        evaluate()
        assert gradient_norm(wrapped, batch) < 0.5 * before


def test_nf4_trains_and_is_merged_into_the_weights_as_they_were(
    base, make_model, processor, samples, new_tokens, tmp_path
) -> None:
    bitsandbytes()

    def evaluate(model) -> dict[str, float]:
        model.eval()
        with torch.inference_mode():
            return {"loss": model(**collated(processor, samples)).loss.item()}

    wrapped = add_lora(load_model(base, "nf4", "auto"), LORA, new_tokens)
    plan = replace(PLAN, steps=6, evaluation_steps=3, checkpoint_steps=3)
    losses = Loop(
        wrapped, samples, processor, plan,
        progress=Progress("test"), folder=tmp_path / "loop", evaluate=evaluate,
    ).run()  # fmt: skip
    assert losses[-1] < losses[0]
    save_trained(wrapped, tmp_path / "trained.safetensors")
    merged = rebuilt(base, tmp_path / "trained.safetensors", LORA, new_tokens).merge_and_unload()
    name = "language_model.model.layers.1.mlp.up_proj"
    inside = wrapped.get_base_model().get_submodule(name)
    delta = (inside.lora_B["default"].weight @ inside.lora_A["default"].weight) * 2
    expected = make_model().get_submodule(name).weight + delta
    assert delta.abs().max() > 0
    assert torch.allclose(merged.get_submodule(name).weight, expected, atol=1e-6)
    batch = collated(processor, samples)
    with torch.inference_mode(), autocast(True):
        rounded, whole = wrapped.eval()(**batch).loss, merged.eval()(**batch).loss
    assert whole.item() == pytest.approx(rounded.item(), rel=0.15)


def test_without_bitsandbytes_nf4_is_one_line(base, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", None)
    with pytest.raises(PoiseError, match=r"pip install 'poise\[train\]'"):
        load_model(base, "nf4")


def test_a_published_model_keeps_its_weights(make_model, processor) -> None:
    """Building Poise's model around it must not initialise it again."""
    published = make_model(3).language_model
    before = {name: value.clone() for name, value in published.state_dict().items()}
    model = build_model(
        processor.tokenizer,
        load_recipe("profvlm_smollm2").language_model,
        LanguageSettings(projector_hidden=16, mapper_hidden=16),
        video_size=12, pose_size=7, stage1_size=5, tokens_per_frame=3, codebook_size=16,
        base=published,
    )  # fmt: skip
    after = model.language_model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


@pytest.fixture
def run(make_run):
    return make_run()


def test_an_export_loads_and_its_bare_adapter_gives_the_merged_model(
    run, samples, processor, tmp_path
) -> None:
    out = export_run(run, tmp_path / "out", unmerged=True)
    assert Checkpoint.open(out).sha256() == Checkpoint.open(run).sha256()
    register()
    merged = AutoModelForCausalLM.from_pretrained(out / "language")
    assert type(AutoProcessor.from_pretrained(out / "language")) is PoiseProcessor
    bare = AutoModelForCausalLM.from_pretrained(out / "unmerged")
    batch = collated(processor, samples)
    with torch.inference_mode():
        wanted, alone = merged(**batch).logits, bare(**batch).logits
        adapted = PeftModel.from_pretrained(bare, out / "adapters" / "tasks")(**batch).logits
    seen = batch["attention_mask"].bool()
    assert torch.allclose(adapted[seen], wanted[seen], atol=1e-4)
    assert not torch.allclose(alone[seen], wanted[seen], atol=1e-2)


def test_a_bare_adapter_holds_linears_of_attention_and_mlp_only(run, tmp_path) -> None:
    from safetensors import safe_open

    out = export_run(run, tmp_path / "out")
    for name in ("tasks", "golf_swing"):
        with safe_open(out / "adapters" / name / "adapter_model.safetensors", "pt") as file:
            names = list(file.keys())
        assert len(names) == 2 * 7 * 2
        for key in names:
            assert ".language_model.model.layers." in key and "lora_" in key
        config = json.loads((out / "adapters" / name / "adapter_config.json").read_text())
        assert config["trainable_token_indices"] is None and not config["modules_to_save"]
        assert config["target_modules"] == sorted(LORA.targets)


def test_the_card_and_the_files_that_would_be_pushed(run, tmp_path) -> None:
    out = export_run(run, tmp_path / "out")
    card = (out / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["license"] == "apache-2.0" and "base_model" not in front
    for part in ("poise train mini", "simulated performers and not checked", "rank 3, alpha 6",
                 "golf_swing, tasks", Checkpoint.open(run).sha256()):  # fmt: skip
        assert part in card, part
    pushed = {operation.path_in_repo for operation in push_operations(out)}
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert pushed == files
    assert {"README.md", "checkpoint.json", "language/config.json", "language/model.safetensors",
            "adapters/tasks/adapter_model.safetensors"} <= files  # fmt: skip
    assert not any(name.startswith(("work/", "unmerged/")) for name in files)


def test_terms_of_base_weights_stand_in_the_card(tmp_path) -> None:
    recipe = load_recipe("expertaf_llama3")
    terms = base_terms(recipe)
    assert terms == {
        "meta-llama/Meta-Llama-3-8B": "llama3", "facebook/vjepa2-vitl-fpc64-256": "mit",
    }  # fmt: skip
    front = front_matter(recipe, terms)
    assert front["license"] == "other" and front["base_model"] == "meta-llama/Meta-Llama-3-8B"
    # A downloaded folder says it itself; else nobody knows.
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    named = load_recipe("mini", [f"language_model.base={tmp_path}"])
    assert base_terms(named) == {str(tmp_path): "mit"}
    assert front_matter(named, base_terms(named))["license"] == "mit"
    unknown = load_recipe("mini", ["language_model.base=someone/model"])
    assert base_terms(unknown)["someone/model"].startswith("unknown")
    assert front_matter(unknown, base_terms(unknown))["license"] == "other"


def test_exporting_what_is_no_run_is_one_line(tmp_path, capsys) -> None:
    assert main(["train", "export", str(tmp_path), str(tmp_path / "out")]) == 1
    assert "poise: cannot export" in capsys.readouterr().err
    with pytest.raises(PoiseError, match="nothing to upload"):
        push_operations(tmp_path)
