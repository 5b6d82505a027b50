"""Parameter counts without weights: of recipes, of the papers' models, of the shipped one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from assistant.checkpoint import DEFAULT_NAME, LANGUAGE_FOLDER, WEIGHTS_FOLDER
from assistant.cli import main
from assistant.errors import PoiseError
from assistant.model.configuration_poise import PoiseConfig
from assistant.model.modeling_poise import PoiseForConditionalGeneration
from prompts.vocabulary import CALLS
from training.adapter import add_lora, trainable
from training.language import check_architecture
from training.parameters import component_rows, count, model_of, parameter_table, shapes_of
from training.recipe import LanguageSettings, load_recipe

SHIPPED = WEIGHTS_FOLDER / DEFAULT_NAME / LANGUAGE_FOLDER


@pytest.fixture(scope="module")
def profvlm() -> dict:
    return parameter_table(load_recipe("profvlm_smollm2"))


def test_profvlms_table_6_stands_beside_what_the_paper_prints(profvlm: dict) -> None:
    rows = {row["step"]: row for row in profvlm["projector_steps"]}
    found = {name: round(row["profvlm"] / 1e6, 2) for name, row in rows.items()}
    assert found == {"MLP": 1.24, "AGP (base)": 4.2, "AGP + gating": 5.25,
                     "AGP + gating + norm": 5.25}  # fmt: skip
    printed = [row["printed"] / 1e6 for row in rows.values()]
    assert printed == pytest.approx([2.2, 4.2, 5.3, 5.3])


def test_the_stored_counts_of_the_papers_tables_are_these(profvlm: dict) -> None:
    stored = Path(__file__).parents[2] / "docs/results/profvlm_parameters.json"
    assert json.loads(stored.read_text("utf-8")) == profvlm


def test_every_component_has_a_row_and_the_sums_are_theirs(profvlm: dict) -> None:
    rows = {row["component"]: row for row in profvlm["components"]}
    assert rows["LoRA"]["parameters"] == 460_800  # 30 layers, rank 8, q and v
    assert rows["new vocabulary rows"]["parameters"] == (15 + 256) * 576
    # 134,515,008 as published, and the rows of 13 + 256 tokens that it lacks.
    assert rows["language model"]["parameters"] == 134_515_008 + (13 + 256) * 576
    assert rows["video projector: gate"]["parameters"] == 1024 * 1024 + 1024
    assert not any(rows[n]["trained"] for n in ("video encoder", "pose tokenizer"))
    # ProfVLM is given films alone.
    assert not any(rows[n]["used"] for n in ("pose mapper", "stage1 mapper", "score token"))
    assert profvlm["trained"] == pytest.approx(5.25e6 + (15 + 256) * 576, rel=0.001)
    assert profvlm["trained"] == sum(r["parameters"] for r in rows.values() if r["trained"])
    assert profvlm["total"] == sum(r["parameters"] for r in rows.values())


def test_llama_3_has_its_published_size_and_a_head_of_its_own() -> None:
    recipe = load_recipe("expertaf_llama3", ["lora.targets=[q_proj]", "lora.rank=1"])
    shapes = shapes_of(recipe)
    text = shapes.text_config
    assert text.vocab_size == 128256 + 15 + 2048 and not text.tie_word_embeddings
    small = replace(shapes, text_config=type(text)(**(text.to_dict() | {"num_hidden_layers": 0})))
    outside = count(model_of(recipe.language, small).language_model)
    # 8,030,261,248 published, of which 32 layers of 218,112,000; two rows for each new token.
    assert outside - 2 * (15 + 2048) * 4096 == 8_030_261_248 - 32 * 218_112_000


def test_the_counts_are_those_of_the_shipped_model() -> None:
    """The model of mini.yaml, built from its settings, against the weights that it left."""
    recipe = load_recipe("mini")
    config = PoiseConfig.from_pretrained(SHIPPED)
    shapes = shapes_of(recipe)
    # The tokenizer's own tokens are as many as the training of it found.
    shapes = replace(shapes, text_config=config.text_config)
    with torch.device("meta"):
        shipped = PoiseForConditionalGeneration(config)
    rows = {row["component"]: row for row in component_rows(recipe, shapes)}
    lora = add_lora(shipped, recipe.lora, range(15 + len(CALLS) + 256))
    expected = trainable(lora)
    assert rows["LoRA"]["parameters"] == expected["lora"]
    assert rows["new vocabulary rows"]["parameters"] == expected["token rows"]
    assert rows["pose mapper"]["parameters"] == expected["pose_mapper"]
    agp = sum(row["parameters"] for name, row in rows.items() if name.startswith("video proj"))
    assert agp == expected["video_projector"]


def test_other_sizes_than_the_papers_have_no_printed_number() -> None:
    recipe = load_recipe("mini", ["language.projector=mlp"])
    table = parameter_table(recipe)
    assert {row["printed"] for row in table["projector_steps"]} == {None}
    names = [row["component"] for row in table["components"]]
    assert "video projector: gate" not in names


def test_the_command_prints_a_table_or_one_object(capsys) -> None:
    assert main(["train", "parameters", "mini", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table == parameter_table(load_recipe("mini"))
    assert main(["train", "parameters", "mini"]) == 0
    said = capsys.readouterr().out
    for row in table["components"]:
        assert row["component"] in said


def test_a_base_that_nobody_knows_is_one_line(capsys, tmp_path) -> None:
    assert main(["train", "parameters", "mini", f"language_model.base={tmp_path}"]) == 1
    said = capsys.readouterr().err
    assert "cannot tell the shapes" in said and "language_model.base=FOLDER" in said


def test_a_base_in_a_folder_tells_its_shapes(make_model, tmp_path) -> None:
    text = make_model().config.text_config
    text.save_pretrained(tmp_path)
    found = shapes_of(load_recipe("mini", [f"language_model.base={tmp_path}"])).text_config
    assert found.hidden_size == 32 and found.vocab_size == text.vocab_size + 15 + len(CALLS) + 256


def test_a_pretrained_model_of_another_architecture_is_refused(make_model) -> None:
    config = make_model(projector="mlp", numbers="digits").config
    language = LanguageSettings(projector_hidden=config.projector_hidden,
                                projector_heads=config.projector_heads,
                                mapper_hidden=config.mapper_hidden)  # fmt: skip
    with pytest.raises(PoiseError, match=r"projector=mlp, numbers=digits; expected: proj") as e:
        check_architecture(config, language)
    assert "--stage pretrain" in str(e.value) and "language.projector=agp" in str(e.value)
    check_architecture(config, replace(language, projector="mlp", numbers="digits"))
