"""Adapter folders are read and compared with the model before an engine sees them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from assistant.errors import PoiseError
from assistant.serving.adapters import (
    CONFIG_FILE,
    LINEARS,
    WEIGHTS_FILE,
    check_adapter,
    linear_shapes,
)


@pytest.fixture(scope="module")
def checkpoint(make_model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    make_model().save_pretrained(folder)
    return folder


def write_adapter(folder: Path, model: torch.nn.Module, rank: int = 4) -> Path:
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(r=rank, lora_alpha=8, target_modules=list(LINEARS))
    get_peft_model(model, settings).save_pretrained(folder)
    return folder


@pytest.fixture
def adapter(make_model, tmp_path) -> Path:
    return write_adapter(tmp_path / "golf", make_model().language_model)


def test_shapes_are_those_of_the_linears(checkpoint) -> None:
    shapes = linear_shapes(checkpoint)
    assert len(shapes) == 2 * len(LINEARS)
    assert shapes["model.layers.1.mlp.down_proj"] == (32, 48)


@pytest.mark.parametrize("part", ["whole", "language_model"])
def test_an_adapter_of_the_whole_model_or_of_its_text_model(
    checkpoint, make_model, tmp_path, part
) -> None:
    model = make_model()
    folder = write_adapter(tmp_path / part, model if part == "whole" else model.language_model, 6)
    assert check_adapter(folder, linear_shapes(checkpoint), largest_rank=8).rank == 6


def rewrite(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / CONFIG_FILE
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def rewrite_tensors(folder: Path) -> None:
        weights = load_file(folder / WEIGHTS_FILE)
        change(weights)
        save_file(weights, folder / WEIGHTS_FILE)

    return rewrite_tensors


A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
B = A.replace("lora_A", "lora_B")
FAULTS = {
    "no config": (lambda folder: (folder / CONFIG_FILE).unlink(), f"no {CONFIG_FILE}"),
    "no JSON": (lambda folder: (folder / CONFIG_FILE).write_text("{"), "adapter_config.json"),
    "another kind": (rewrite(peft_type="IA3"), "'IA3'"),
    "dora": (rewrite(use_dora=True), "use_dora"),
    "rows beside": (rewrite(modules_to_save=["lm_head"]), "modules_to_save"),
    "another rank": (rewrite(r=2), "r = 2"),
    "too large": (rewrite(r=9), "1 to 8"),
    "no weights": (lambda folder: (folder / WEIGHTS_FILE).unlink(), WEIGHTS_FILE),
    "cut off": (
        lambda folder: (folder / WEIGHTS_FILE).write_bytes(
            (folder / WEIGHTS_FILE).read_bytes()[:-9]
        ),
        WEIGHTS_FILE,
    ),
    "one half": (tensors(lambda w: w.pop(B)), "only one of the two"),
    "not a number": (tensors(lambda w: w[A].fill_(torch.nan)), "not finite"),
    "wrong width": (tensors(lambda w: w.update({A: torch.zeros(4, 33)})), "[4, 33]"),
    "unknown layer": (
        tensors(lambda w: w.update({n.replace("layers.0", "layers.7"): w.pop(n) for n in (A, B)})),
        "model.layers.7",
    ),
    "the head": (
        tensors(lambda w: w.update({"base_model.model.lm_head.weight": torch.zeros(2)})),
        "lm_head",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_adapter_is_one_line(checkpoint, adapter, fault) -> None:
    harm, named = FAULTS[fault]
    harm(adapter)
    with pytest.raises(PoiseError) as caught:
        check_adapter(adapter, linear_shapes(checkpoint), largest_rank=8)
    said = str(caught.value)
    assert f"the adapter in {adapter} is not loaded" in said and named in said
    assert "\n" not in said
