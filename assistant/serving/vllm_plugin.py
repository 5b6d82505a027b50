"""vLLM's plugin of Poise: tells vLLM which class runs a Poise checkpoint.

vLLM calls `register` in each of its processes (entry point group `vllm.general_plugins` in
pyproject.toml). It imports the model class only when a Poise checkpoint is loaded.
"""

from typing import Any, Final

ARCHITECTURE: Final = "PoiseForConditionalGeneration"
"""As it stands under `architectures` in a checkpoint's config.json."""


def register(model_class: Any = "assistant.serving.vllm_model:PoiseForVllm") -> None:
    """Register configuration and model class with transformers and vLLM; may be called again.

    Args:
        model_class: "module:class", imported on demand, or the class.
    """
    from vllm import ModelRegistry

    from assistant.model import register as register_classes

    register_classes()
    if ARCHITECTURE not in ModelRegistry.get_supported_archs():
        ModelRegistry.register_model(ARCHITECTURE, model_class)
