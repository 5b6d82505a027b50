"""Recipes: every shipped YAML loads, and a wrong one names all its faults at once."""

from importlib import resources
from pathlib import Path

import pytest

from assistant.errors import PoiseError
from training.recipe import Recipe, load_recipe, recipe_path

# Every recipe that ships; a new one is added here too.
SHIPPED = {"mini", "profvlm_smollm2"}


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
