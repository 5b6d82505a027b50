"""Engines by name: which library runs the language model."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assistant.errors import PoiseError

if TYPE_CHECKING:
    from assistant.engine.base import Engine

# name: "module:class"; imported only when its name is asked for.
ENGINES: Final = {
    "transformers": "assistant.engine.transformers_engine:TransformersEngine",
    "vllm": "assistant.serving.vllm_engine:VllmEngine",
}
DEFAULT_ENGINE: Final = "transformers"


def load_engine(name: str, folder: str | Path, **settings: Any) -> "Engine":
    """The engine `name` with a checkpoint folder's language model.

    Args:
        settings: of the engine's own `from_pretrained`.

    Raises:
        PoiseError: an unknown name, what the engine needs is missing, or a bad folder.
    """
    if name not in ENGINES:
        raise PoiseError("unknown engine", got=repr(name), expected=", ".join(ENGINES))
    module, _, attribute = ENGINES[name].partition(":")
    return getattr(import_module(module), attribute).from_pretrained(folder, **settings)
