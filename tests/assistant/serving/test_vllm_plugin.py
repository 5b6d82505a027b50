"""vLLM finds Poise by the entry point of the installed package."""

import ast
import inspect
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest

from assistant.serving.vllm_plugin import ARCHITECTURE


def registered() -> str:
    """ "module:class" that the plugin gives to vLLM."""
    (point,) = entry_points(group="vllm.general_plugins", name="poise")
    return str(inspect.signature(point.load()).parameters["model_class"].default)


def test_the_entry_point_names_a_class_that_is_there() -> None:
    """Without importing vLLM."""
    module, _, name = registered().partition(":")
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


@pytest.mark.vllm
def test_vllm_loads_the_plugin_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from vllm import ModelRegistry
    from vllm.plugins import load_plugins_by_group

    monkeypatch.setenv("VLLM_PLUGINS", "poise")
    found = load_plugins_by_group("vllm.general_plugins")
    assert list(found) == ["poise"]
    found["poise"]()
    assert ARCHITECTURE in ModelRegistry.get_supported_archs()
    loaded = ModelRegistry._try_load_model_cls(ARCHITECTURE)
    assert loaded is not None and loaded.__name__ == registered().rpartition(":")[2]
