"""Recipes: every shipped YAML loads, and a wrong one names all its faults at once."""

from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import torch

from assistant.cli import main
from assistant.errors import PoiseError
from training.proficiency import ProficiencySettings
from training.recipe import LanguageSettings, Recipe, load_recipe, recipe_path
from training.settings import build

# Every recipe that ships; a new one is added here too.
SHIPPED = {"ablation", "expertaf_llama3", "look_closer", "mini", "profvlm_smollm2", "sse"}


def test_every_shipped_recipe_loads() -> None:
    folder = Path(str(resources.files("training").joinpath("recipes")))
    found = {path.stem for path in folder.glob("*.yaml")}
    assert found == SHIPPED
    for name in sorted(found):
        recipe = load_recipe(name)
        assert isinstance(recipe, Recipe)
        assert recipe.name == name


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_the_settings_of_every_stage_build(name: str) -> None:
    from assistant.pose.tokenizer import PoseTokenizerConfig
    from training.pose_tokenizer import PoseTokenizerSettings
    from training.proficiency import ProficiencySettings

    recipe = load_recipe(name)
    settings = dict(recipe.pose_tokenizer)
    config = PoseTokenizerConfig(**settings.pop("config", {}))
    assert PoseTokenizerSettings(config=config, **settings).config is config
    assert ProficiencySettings(**recipe.proficiency) is not None


def test_a_setting_is_overridden_and_keeps_its_type() -> None:
    recipe = load_recipe("mini", ["lora.rank=4", "language.learning_rate=1", "seed=7"])
    assert (recipe.lora.rank, recipe.seed) == (4, 7)
    assert recipe.language.learning_rate == 1
    assert load_recipe("mini").seed == 0


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(PoiseError, match="mini"):
        recipe_path("minni")


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: bad\nseed: many\nlora: {rnak: 3}\nlanguage: 5\n")
    with pytest.raises(PoiseError) as caught:
        load_recipe(str(path))
    for part in ("seed is 'many'", "lora.rnak", "rank", "language is 5", "a mapping"):
        assert part in str(caught.value)


def test_an_override_needs_a_value() -> None:
    with pytest.raises(PoiseError, match="key=value"):
        load_recipe("mini", ["seed"])


def write(folder: Path, text: str) -> str:
    path = folder / "tried.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: 1", "missing key name"),
        ("name: 5", "name is 5, expected str"),
        ("name: x\nseed: true", "seed is True, expected int"),
        ("name: x\nseed: -1", "seed is -1, expected at least 0"),
        ("name: x\nseed: 1.5", "seed is 1.5, expected int"),
        ("name: x\nactivities: [5]", "activities is [5], expected a list of str"),
        ("name: x\nactivities: []", "expected a list of str"),
        ("name: x\nactivities: [dancing]", "'dancing', expected some of bodyweight_squat"),
        ("name: x\nlanguage: {precision: fp16}", "'fp16', expected auto or bf16 or fp32"),
        ("name: x\nlanguage: {projector: perceiver}", "'perceiver', expected agp or mlp"),
        ("name: x\nlanguage: {numbers: words}", "'words', expected token or digits or none"),
        ("name: x\nlanguage: {batch_size: 0}", "language.batch_size is 0, expected at least 1"),
        ("name: x\nlanguage: {video_share: 1.5}", "language.video_share is 1.5, expected at most"),
        ("name: x\nlora: {dropout: 2}", "lora.dropout is 2.0, expected at most 1"),
        ("name: x\nlora: {targets: q_proj}", "lora.targets is 'q_proj', expected a list"),
        ("name: x\nlanguage_model: {hidden_size: 100, heads: 3}", "100 with 3 heads"),
        ("name: x\npose_tokenizer: {stpes: 3}", "unknown key pose_tokenizer.stpes"),
        ("name: x\npose_tokenizer: {config: {code_dmi: 3}}", "pose_tokenizer.config.code_dmi"),
        ("name: x\npose_tokenizer: {steps: 0}", "steps 0, expected at least 1"),
        ("name: x\npose_tokenizer: 3", "pose_tokenizer is 3, expected a mapping"),
        ("name: x\nvideo_encoder: {heads: two}", "video_encoder.heads is 'two', expected int"),
        ("name: x\nvideo_encoder: {pretrained: a}", "missing key video_encoder.name"),
        ("name: x\nproficiency: {form: three}", "'three', expected regressions or shared"),
        ("name: x\nproficiency: {dilations: [1, a]}", "proficiency.dilations"),
        ("name: x\nlanguage: {views: [exo7]}", "'exo7', expected some of ego, exo1"),
        ("name: x\nlanguage: {views: [ego, best_exo]}", "best_exo without a dataset"),
        ("name: x\nlanguage: {retrieval_stride: 0}", "retrieval_stride is 0, expected at least 1"),
        ("name: x\npretrain: {talk_steps: 5}", "talk_steps is 5 with language.dialogue_share 0"),
        ("name: x\npretrain: {talk: false, talk_steps: 5}", "talk_steps is 5 with pretrain.talk"),
        ("- a list", "expected: keys and values"),
        ("name: [x", "expected: YAML"),
        ("name: x\nlora: {rank: 2}\nlora: {rank: 3}", "key 'lora' twice"),
        ("", "missing key name"),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PoiseError) as caught:
        load_recipe(write(tmp_path, text))
    assert said in str(caught.value)


def test_faults_of_all_stages_are_named_together(tmp_path: Path) -> None:
    text = (
        "seed: many\nlora: {rnak: 3}\npose_tokenizer: {stpes: 1}\nvideo_encoder: {heads: two}\n"
        "proficiency: {steps: -1}\nlanguage: {precision: fp16, projector: 7}\n"
    )
    with pytest.raises(PoiseError) as caught:
        load_recipe(write(tmp_path, text))
    parts = ("missing key name", "seed is", "lora.rnak", "pose_tokenizer.stpes",
             "video_encoder.heads", "steps", "precision", "language.projector")  # fmt: skip
    for part in parts:
        assert part in str(caught.value), part


@pytest.mark.parametrize("written", ["2e-3", "2E-3", "0.002", "2.0e-3", "+2e-3"])
def test_a_small_number_is_a_number_however_it_is_written(tmp_path: Path, written: str) -> None:
    path = write(tmp_path, f"name: x\nlanguage: {{learning_rate: {written}}}")
    assert load_recipe(path).language.learning_rate == 0.002
    again = load_recipe(path, [f"pretrain.learning_rate={written}"])
    assert again.pretrain.learning_rate == 0.002
    assert isinstance(again.lora.dropout, float)


def test_lists_become_tuples_and_whole_numbers_floats() -> None:
    recipe = load_recipe("mini", ["activities=[bodyweight_squat]", "lora.targets=[q_proj]"])
    assert recipe.activities == ("bodyweight_squat",)
    assert recipe.lora.targets == ("q_proj",)
    settings = build(ProficiencySettings, {"dilations": [1, 2], "c": 1})
    assert settings.dilations == (1, 2) and isinstance(settings.c, float)


def test_an_override_makes_the_section_it_names(tmp_path: Path) -> None:
    path = write(tmp_path, "name: x\ndata:\n")
    recipe = load_recipe(path, ["data.workers=1", "pose_tokenizer.config.code_dim=2"])
    assert recipe.data.workers == 1
    assert recipe.pose_tokenizer == {"config": {"code_dim": 2}}


@pytest.mark.parametrize("override", ["seed", "=3", "data.=3", ".seed=3", "seed.deep=3"])
def test_what_is_no_setting_is_one_line(override: str) -> None:
    with pytest.raises(PoiseError, match="not a setting"):
        load_recipe("mini", [override])


def test_projectors_are_those_of_the_model() -> None:
    from assistant.model.configuration_poise import PROJECTORS

    assert set(get_args(get_type_hints(LanguageSettings)["projector"])) == set(PROJECTORS)


def test_the_command_names_the_faults(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(["train", "mini", "lora.rnak=3", "seed=x", "-o", str(run)]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert "lora.rnak" in captured.err and "seed is 'x'" in captured.err
    assert main(["train", "mini", "--stage", "langauge", "-o", str(run)]) == 1
    assert "unknown stage; got: langauge; expected: pose_tokenizer," in capsys.readouterr().err
    assert not run.exists()


def test_a_diverging_stage_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from training import stages

    def diverge(run: object) -> None:
        raise FloatingPointError("loss nan at step 3")

    monkeypatch.setitem(stages.STAGES, "pose_tokenizer", diverge)
    assert main(["train", "mini", "--stage", "pose_tokenizer", "-o", str(tmp_path / "run")]) == 1
    assert "stage pose_tokenizer diverged; got: loss nan at step 3" in capsys.readouterr().err


def test_the_sparse_skill_recipe_has_what_its_paper_prints() -> None:
    from assistant.proficiency.sparse_skill import (
        MaskedLayer,
        SparseSkillConfig,
        SparseSkillExtractor,
    )
    from training.sparse_skill import SparseSkillSettings

    recipe = load_recipe("sse")
    assert recipe.video_encoder["name"] == "vjepa2"  # section 3.4: V-JEPA, ViT-L/16, frozen
    assert "vitl" in recipe.video_encoder["pretrained"]
    settings: SparseSkillSettings = build(SparseSkillSettings, recipe.sparse_skill)
    printed = {
        "stream": "ego",  # 3.2: the egocentric view
        "label": "rating",  # 3.2: expert ratings of 1 to 10 ...
        "highest_low_rating": 4,  # 3.2: ... with a threshold of 4
        "fewest_clips": 10,  # 3.2: tasks with less than 10 examples are left out
        "selection_share": 0.2,  # 3.2: 20% of train selects the model
        "target_ratio": 0.5,  # 3.4: mu
        "comparisons": 10,  # 2.2: comparison videos of each query at inference
        "rollout": "a1_a2",  # 3.1, as printed
        "contrast_scale": 1.0,  # (7), (8): raw products
        "width": 1024,  # 3.4: ViT-L
        "variant": "full",
    }
    assert {name: getattr(settings, name) for name in printed} == printed
    config = settings.config(1024)
    assert config == SparseSkillConfig.paper()
    small = SparseSkillExtractor(replace(config, features=8, width=32, heads=2))
    layers = [m for m in small.modules() if isinstance(m, MaskedLayer)]
    assert len(layers) == 2  # 2.2: the module sits between the encoder's two layers
    assert sum(isinstance(m, torch.nn.Linear) for m in small.pooling.mlp) == 2  # 3.4


def test_forms_of_numbers_are_those_of_the_prompt() -> None:
    from prompts.numbers import NUMBER_FORMS

    assert get_args(get_type_hints(LanguageSettings)["numbers"]) == NUMBER_FORMS
    assert LanguageSettings().numbers == NUMBER_FORMS[0] == "token"


def test_forms_of_the_pose_are_those_of_the_prompt() -> None:
    from prompts.pose_text import POSE_FORMS

    assert get_args(get_type_hints(LanguageSettings)["pose_form"]) == POSE_FORMS
    assert LanguageSettings().pose_form == POSE_FORMS[0] == "features"


def test_the_look_closer_recipe_has_what_its_paper_prints() -> None:
    import yaml

    from assistant.proficiency.pdm import WINDOW_SECONDS
    from training.look_closer_settings import VARIANTS, LookCloserStageSettings

    written = yaml.safe_load(recipe_path("look_closer").read_text("utf-8"))["look_closer"]
    printed = {
        "features": "maws_clip_2b",  # Table I, section II-B
        "frames": 16,  # III-A: frozen 16-frame ego and exo features
        "feature_rate": 30.0,  # II-B: N of about 60 frames of [t - 1 s, t + 1 s]
        "learning_rate": 2e-4,  # III-A, AdamW
        "weight_decay": 1e-4,
        "batch_size": 8,
        "clip": 1.0,
        "bf16": True,  # mixed precision
        "aspect": 0.5,
        "router": 0.01,
        "consistency": 0.1,
        "c": 0.03,
        "seeds": 3,
        "variants": ["full"],
    }
    assert {name: written[name] for name in printed} == printed
    assert WINDOW_SECONDS * written["feature_rate"] == 60
    settings: LookCloserStageSettings = build(
        LookCloserStageSettings, load_recipe("look_closer").look_closer
    )
    assert VARIANTS["full"].modalities == ("ego", "exo", "gaze")
    config = settings.config("full", {"ego": 2560, "exo": 2560, "gaze": 2, "pose": 9}, 6)
    assert config.router and config.aspects and "pose" not in config.sizes
    training = settings.training()
    for name in ("learning_rate", "weight_decay", "batch_size", "clip", "aspect", "router"):
        assert getattr(training, name) == printed[name]


def test_the_ablation_recipe_trains_as_the_paper_and_tests_on_performers_of_its_own() -> None:
    from training.look_closer_settings import VARIANTS, LookCloserStageSettings

    settings: LookCloserStageSettings = build(
        LookCloserStageSettings, load_recipe("ablation").look_closer
    )
    paper: LookCloserStageSettings = build(
        LookCloserStageSettings, load_recipe("look_closer").look_closer
    )
    same = ("learning_rate", "weight_decay", "batch_size", "clip", "bf16", "aspect", "router",
            "consistency", "c", "frames", "seeds")  # fmt: skip
    assert all(getattr(settings, name) == getattr(paper, name) for name in same)
    assert set(settings.variants) == set(VARIANTS)
    assert settings.test_seed not in (settings.data_seed, settings.data_seed + 1)
